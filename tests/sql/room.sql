-- Live calls under upstream limits, beside what the dispatcher grants.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(47);

select sluice.config_apply('{"paths":[
	{"name":"a","url":"http://x","models":["m"],"limits":[
		{"dimension":"requests","window_s":60,"amount":10,"reserve":0.2},
		{"dimension":"tokens","window_s":60,"amount":1000},
		{"dimension":"concurrent","amount":8,"window_s":0}]},
	{"name":"b","url":"http://y","models":["n*"]}]}'::json, false, false) is not null;
create temp table t as select sluice.lease_take('me', 5000) as epoch;
create temp table l as select l.id, l.dimension from sluice.rate_limit l;
create function pg_temp.rate(p_dimension text) returns integer language sql as $$
	select id from l where dimension = p_dimension
$$;
create function pg_temp.ask(p_tokens integer, p_priority integer default 4)
returns record language plpgsql as $$
begin
	perform sluice.room_lock(array['m']);
	return (select r from sluice.upstream_room('m', p_tokens, 0, p_priority, false) r);
end $$;
create function pg_temp.verdict(p_tokens integer, p_priority integer default 4)
returns text language plpgsql as $$
declare r record;
begin
	perform sluice.room_lock(array['m']);
	select * into r from sluice.upstream_room('m', p_tokens, 0, p_priority, false);
	return r.verdict || case when r.verdict = 'busy' then ' ' || r.why else '' end;
end $$;

select is((select verdict from sluice.upstream_room('q', 1, 1, 4, false)), 'no_model');
select is((select verdict from sluice.upstream_room('m', 1, 1, 4, true)), 'no_cheap');
select is((select verdict from sluice.upstream_room('n-1', 1, 1, 4, false)), 'yes',
	'a path without limits takes all');

-- Requests: 8 of batches, 2 in reserve
insert into sluice.grant_cell (limit_id, cell, units)
select pg_temp.rate('requests'), sluice.room_now_us() / sluice.cell_us(60), 8;
select is(pg_temp.verdict(10), 'yes', 'the reserve is for live calls');
select is(pg_temp.verdict(10, 2), 'busy requests/1m',
	'those below critical leave half of it');
select is(pg_temp.verdict(10), 'yes');
select is(pg_temp.verdict(10), 'busy requests/1m', 'ten of ten');
select ok((select wait_us between 59000000 and 62000000
	from sluice.upstream_room('m', 1, 0, 4, false)), 'until the oldest has left the window');
select is((select sum(units) from sluice.live_cell
	where limit_id = pg_temp.rate('requests') and cell > 0)::integer, 2);

-- A window later; tokens
update sluice.grant_cell set cell = cell - 62000000 / sluice.cell_us(60);
update sluice.live_cell set cell = cell - 62000000 / sluice.cell_us(60) where cell > 0;
select is(pg_temp.verdict(1001), 'busy tokens/1m');
select is((select wait_us from sluice.upstream_room('m', 1001, 0, 4, false)), -1::bigint,
	'larger than the limit: never');
select is(pg_temp.verdict(900), 'yes');
select is(pg_temp.verdict(200), 'busy tokens/1m');

-- What it took replaces the estimate, and its seat is free
insert into sluice.admission (account_id, key_id, path_id, model, resource, expires_at,
	rate_id, cell, rate_units)
select 1, 1, (select id from sluice.path where name = 'a'), 'm', 'chat', now(),
	array_agg(c.limit_id), array_agg(c.cell), array_agg(case l.dimension
		when 'tokens' then 900 else 1 end::bigint)
from sluice.live_cell c join l on l.id = c.limit_id
where c.units = 900 or l.dimension = 'concurrent'
    or l.dimension = 'requests' and c.units = 1
    and c.cell > sluice.room_now_us() / sluice.cell_us(60) - 100;
select is((select units from sluice.live_cell
	where limit_id = pg_temp.rate('concurrent'))::integer, 3);
select sluice.room_settle(a, 300, 100, 1) is not null from sluice.admission a;
select is((select units from sluice.live_cell
	where limit_id = pg_temp.rate('concurrent'))::integer, 2);
select is(pg_temp.verdict(590), 'yes', 'what was not used is there again');

-- One that left 30 s after it was let in counts until a window after that
delete from sluice.live_cell where cell > 0;
select is(pg_temp.verdict(100), 'yes');
truncate sluice.admission;
insert into sluice.admission (account_id, key_id, path_id, model, resource, expires_at,
	rate_id, cell, rate_units)
select 1, 1, (select id from sluice.path where name = 'a'), 'm', 'chat', now(),
	array_agg(c.limit_id), array_agg(c.cell), array_agg(c.units)
from sluice.live_cell c where c.cell > 0;
select sluice.room_settle(a, 100, 0, 1, sluice.room_now_us() + 30000000) is not null
from sluice.admission a;
select results_eq($$ select dimension, c.units from sluice.live_cell c
	join l on l.id = c.limit_id where c.cell > 0 and c.units > 0
	    and c.cell >= sluice.room_now_us() / sluice.cell_us(60) + 500 order by 1 $$,
	$$ values ('requests', 1::bigint), ('tokens', 100) $$);
select is((select sum(units) from sluice.live_cell where cell > 0)::integer, 101,
	'and nowhere else');

-- Seats: what workers hold and what live calls hold
insert into sluice.seat (limit_id, worker_id, granted, target)
select pg_temp.rate('concurrent'), 1, 5, 5;
select is(pg_temp.verdict(1), 'busy concurrent');
delete from sluice.seat;

-- The dispatcher's plan
select throws_ok(format($$ select sluice.room_left('[[%s,1,3]]') $$,
	pg_temp.rate('requests')), 'SL409', null, 'live calls took more than it left');
select lives_ok(format($$ select sluice.room_left('[[%s,1,4]]') $$,
	pg_temp.rate('requests')));

-- And before it is over, once it has left
select is(pg_temp.verdict(100), 'yes');
truncate sluice.admission;
insert into sluice.admission (account_id, key_id, path_id, model, resource, expires_at,
	rate_id, cell, rate_units)
select 1, 1, (select id from sluice.path where name = 'a'), 'm', 'chat', now(),
	array_agg(c.limit_id order by c.limit_id), array_agg(c.cell order by c.limit_id),
	array_agg(case l.dimension when 'tokens' then 100 else 1 end::bigint
		order by c.limit_id)
from sluice.live_cell c join l on l.id = c.limit_id
where c.units > 0 and c.cell between 1 and sluice.room_now_us() / sluice.cell_us(60) + 100;
create temp table at as select sluice.room_now_us() + 10000000 as us;
select sluice.live_late(a.id, us) is null from sluice.admission a, at;
select results_eq($$ select l.dimension, c.units from sluice.live_cell c join l
	on l.id = c.limit_id, at where c.cell = us / sluice.cell_us(60) order by 1 $$,
	$$ values ('requests', 1::bigint), ('tokens', 100) $$);
select is((select sum(c.units) from sluice.live_cell c, at where c.cell > 0
	and c.cell < us / sluice.cell_us(60))::integer, 0);
select sluice.room_settle(a, 30, 20, 1, us) is not null from sluice.admission a, at;
select results_eq($$ select l.dimension, c.units from sluice.live_cell c join l
	on l.id = c.limit_id, at where c.cell = us / sluice.cell_us(60) order by 1 $$,
	$$ values ('requests', 1::bigint), ('tokens', 50) $$, 'settled where it stands');

-- A worker that dies leaves its calls' seats taken, and nothing else
update sluice.live_cell set units = 0;
truncate sluice.admission;
insert into sluice.worker (name, max_in_flight, lease_until, state) values
	('gone', 1, now(), 'dead'), ('well', 1, 'infinity', 'live');
create temp table d as select sluice.door_open('sql', 600000) as door;
create function pg_temp.let_in(p_worker text, p_door bigint, p_expires interval)
returns bigint language plpgsql as $$
declare
	r record;
	v_id bigint;
begin
	perform sluice.room_lock(array['m']);
	select * into r from sluice.upstream_room('m', 10, 10, 4, false);
	insert into sluice.admission (account_id, key_id, path_id, model, resource,
		expires_at, rate_id, cell, rate_units, input, output, door_id, worker_id)
	select 1, 1, r.path_id, 'm', 'chat', clock_timestamp() + p_expires, r.rate_id,
		r.cell, r.rate_units, 10, 10, p_door, w.id
	from sluice.worker w where w.name = p_worker returning id into v_id;
	return v_id;
end $$;
create function pg_temp.seats() returns integer language sql as $$
	select units::integer from sluice.live_cell where limit_id = pg_temp.rate('concurrent')
$$;
create temp table c as select pg_temp.let_in('gone', door, '1 h') as dead,
	pg_temp.let_in('well', 0, '1 h') as cut, pg_temp.let_in('gone', door, '0 s') as over
from d;
select is(pg_temp.seats(), 3);
select is(sluice.admissions_reap(), 3);
select is((select count(*) from sluice.admission)::integer, 0, 'all are given up');
select is(pg_temp.seats(), 2, 'the upstream may work on two of them');
select is((select sum(requests) from sluice.usage_delta)::integer, 3);
select is(sluice.live_settle(cut, 1, 200, 1, 0, 1, 0, 1, 5, true), false) from c;
select is(pg_temp.seats(), 1, 'the worker was there after all');
update sluice.live_orphan set until = clock_timestamp() - interval '1 s';
select sluice.admissions_reap();
select is(pg_temp.seats(), 0, 'it has had its time');

-- What was learned of a path's concurrency, where nobody says it
create function pg_temp.calls() returns bigint language sql as $$
	select coalesce(sum(c.units), 0) from sluice.live_cell c join sluice.path p
	on c.limit_id = -p.id where p.name = 'b' and c.cell = 0
$$;
create function pg_temp.go() returns text language plpgsql as $$
declare r record;
begin
	perform sluice.room_lock(array['n-1']);
	select * into r from sluice.upstream_room('n-1', 1, 1, 4, false);
	if r.verdict = 'yes' then
		insert into sluice.admission (account_id, key_id, path_id, model, resource,
			expires_at, rate_id, cell, rate_units, door_id, worker_id)
		select 1, 1, r.path_id, 'n-1', 'chat', now() + interval '1 h', r.rate_id,
			r.cell, r.rate_units, d.door, w.id
		from d, sluice.worker w where w.name = 'well';
	end if;
	return concat_ws(' ', r.verdict, r.why);
end $$;
create function pg_temp.learn(p_limit integer) returns void language sql as $$
	select sluice.dispatch_commit(t.epoch, json_build_object('explain', json_build_array(
		json_build_object('id', p.id, 'now', '{}'::json, 'learned', json_build_object(
			'concurrency', json_build_object('limit', p_limit, 'live', true))))))
	from t, sluice.path p where p.name = 'b'
$$;
select results_eq($$ select pg_temp.go(), pg_temp.go() $$, $$ values ('yes', 'yes') $$);
select is(pg_temp.calls(), 0::bigint, 'nothing is held where nothing binds');
select pg_temp.learn(3);
select is(pg_temp.calls(), 2::bigint, 'those that are open count');
select results_eq($$ select pg_temp.go(), pg_temp.go() $$,
	$$ values ('yes', 'busy concurrent') $$);
select is((select j ->> 1 from sluice.path p, json_array_elements(
	sluice.room_seen(now()) -> 'paths') j where p.name = 'b'
	and (j ->> 0)::integer = p.id), 'true', 'the dispatcher hears of one that waits');
select pg_temp.learn(4);
select is(pg_temp.calls(), 3::bigint, 'and none twice');
insert into sluice.run (batch_id, lane_id, path_id, purge_day, chunk_id, first_line, line,
	send_at, keep_us, open)
select 1, 1, p.id, '2030-01-01', 1, 1, '{1,2}', now(), 1, '01' from sluice.path p
where p.name = 'b';
select is(pg_temp.go(), 'busy concurrent', 'a line is out');
delete from sluice.run;
select is(sluice.live_settle(id, 1, 200, 1, 0, 1, 0, 1, 5, true), true)
from (select id from sluice.admission where model = 'n-1' order by id limit 1) a;
select is(pg_temp.calls(), 2::bigint);
update sluice.worker set state = 'dead' where name = 'well';
select is(sluice.admissions_reap(), 2);
select is(pg_temp.calls(), 2::bigint, 'the upstream may still work on them');
update sluice.worker set state = 'live' where name = 'well';
update sluice.live_orphan set until = clock_timestamp() - interval '1 s';
select sluice.admissions_reap();
select is(pg_temp.calls(), 0::bigint);

-- A pause is for all
update sluice.rate_limit_state set paused_until = clock_timestamp() + interval '9 s'
where limit_id = pg_temp.rate('requests');
select ok((select wait_us between 8000000 and 9000000
	from sluice.upstream_room('m', 1, 0, 4, false)), 'Retry-After holds for live calls');
select * from finish();
rollback;
