-- What a batch will take: plans and forecasts at their edges.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(8);

create temp table changes as select sluice.config_apply('{"paths":[
	{"name":"main","url":"http://x","models":["m"],"prices":[{"input":2000000}],
	 "limits":[{"dimension":"requests","window_s":60,"amount":60}]},
	{"name":"cheap","url":"http://x","models":["m"],"suffix":":batch",
	 "prices":[{"input":1000000}],
	 "limits":[{"dimension":"requests","window_s":60,"amount":60}]}]}', false, false);
create function pg_temp.routed(p_lines integer, p_left interval) returns json
language sql as $$
	select sluice.plan_routed(json_build_array(json_build_object('model', 'm',
		'lines', p_lines, 'bytes', 30)), null, now(), null, null, now() + p_left, 'auto',
		true, 2)
$$;
select is(pg_temp.routed(600, '1 d') ->> 'direct_part', null, 'time enough: all cheap');
select ok((pg_temp.routed(600, '6 min') ->> 'direct_part')::float between 0.3 and 0.7,
	'a part goes direct');
select ok((pg_temp.routed(0, '1 s') ->> 'in_time')::boolean,
	'nothing is left, a moment before the deadline');
select ok(not (pg_temp.routed(0, '-1 s') ->> 'in_time')::boolean, 'or after it');

-- A batch that runs: 220 of 700 lines answered, the last 200 of them in 100 s.
insert into sluice.account (name) values ('sql');
create temp table f as with new as (
	insert into sluice.file (account_id, purpose, name, state, purge_day, bytes, lines,
		endpoint, models, model_lines, expires_at)
	select id, 'batch', 'f', 'ready', '2030-01-01', 700 * 300, 700, '/v1/x', '{m}',
		'{700}', '2029-12-30' from sluice.account where name = 'sql'
	returning account_id, uid)
select * from new;
create temp table made as select sluice.batch_create(account_id, null, uid, '/v1/x', 'x',
	86400, null, 86400, null, null, '{"path":"direct","priority":2}') ->> 'id' from f;
create temp table b as select id from sluice.batch;
select sluice.dispatch_poll(sluice.lease_take('me', 5000), 5000, 500) is not null;
update sluice.batch_lane set lines_left = 480;
insert into sluice.batch_path (batch_id, path_id, lines, money, direct_money,
	first_lines, first_at, last_at)
select b.id, p.id, 220, 2200, 2200, 20, now() - interval '100 s', now()
from b, sluice.path p where p.name = 'main';
create function pg_temp.forecast() returns json language sql as $$
	select sluice.batch_forecast(x) from sluice.batch x, b where x.id = b.id
$$;
select is((pg_temp.forecast() ->> 'need_s')::integer, 362,
	'half by its speed of 2 a second, half by the limit of 60.45 s for 60');
select is((pg_temp.forecast() ->> 'cost')::integer, 7000, 'as the lines seen');
select sluice.batch_pause(id, true), sluice.batch_pause(id, false) from b;
select is((pg_temp.forecast() ->> 'need_s')::integer, 484,
	'a pause is no measure: by the limit alone');
select is((select min(first_lines) from sluice.batch_path), 220, 'measured from here');
select * from finish();
rollback;
