-- Lines that share a call: what is counted as lines and what as calls.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(29);

create function pg_temp.apply(p_path text) returns text language sql as $$
	select sluice.config_apply(json_build_object('paths', json_build_array(
		'{"name":"p","url":"http://x","models":["m"],"limits":[{"dimension":
		"concurrent","amount":10}]}'::jsonb || p_path::jsonb)), false, false)
		#>> '{changes,-1}'
$$;

-- The setting
select is(pg_temp.apply('{"combine":50}') is not null, true);
select is((select sluice.path_get('p') ->> 'combine'), '50');
select is(pg_temp.apply('{"combine":51}'), 'path p: combine 50 -> 51');
select is(pg_temp.apply('{}'), 'path p: combine 51 -> 1');
select is((select sluice.path_get('p') ->> 'combine'), null, 'off is not shown');
select throws_ok($$ select pg_temp.apply('{"combine":2,"kind":"batches"}') $$, 'SL400',
	'path p: a path of kind "batches" has no calls to combine lines in.');
select throws_ok($$ update sluice.path set combine = 0 $$, '23514');
select throws_ok($$ update sluice.path set combine = 2049 $$, '23514');
select lives_ok($$ update sluice.path set combine = 2048 $$);

-- A lane with four lines that are alike, and one that is not
select sluice.ensure_day('2030-01-01');
insert into sluice.account (name) values ('sql');
insert into sluice.file (account_id, purpose, name, state, purge_day, expires_at)
select id, 'batch', 'x', 'ready', '2030-01-01', '2029-12-30' from sluice.account
where name = 'sql';
insert into sluice.batch (account_id, input_id, endpoint, priority, window_text,
	state, lines, deadline)
select account_id, id, '/v1/embeddings', 2, '24h', 'in_progress', 5, now() + interval '1 d'
from sluice.file;
insert into sluice.batch_lane (batch_id, account_id, file_id, purge_day, model,
	model_index, endpoint, priority, deadline, lines_left, open)
select b.id, b.account_id, b.input_id, '2030-01-01', 'm', 1, b.endpoint, 2, b.deadline,
	5, true
from sluice.batch b;
insert into sluice.chunk (purge_day, id, file_id, bytes, line_end, body_len, model, combine)
select '2030-01-01', 1, id, 'abcde', '{1,2,3,4,5}', '{1,1,1,1,1}', '{1,1,1,1,1}',
	'{-7,-7,0,-7,-7}' from sluice.file;
insert into sluice.place (purge_day, file_id, first_byte, bytes, first_line, lines,
	chunk_id) select '2030-01-01', id, 0, 5, 1, 5, 1 from sluice.file;
create temp table t as select l.id as lane, b.id as batch,
	(select id from sluice.path where name = 'p') as path,
	sluice.lease_take('me', 5000) as epoch,
	sluice.worker_start('one', 10, 5000) as worker
from sluice.batch_lane l, sluice.batch b;

select results_eq('select r.combine from t, sluice.lane_lines(lane, 1, 1) r',
	$$ values ('{-7,-7,0,-7,-7}'::integer[]) $$);

-- Forecasts: 3000 lines by 60 calls a minute
create function pg_temp.forecast(p_alike boolean, p_bytes integer default 90) returns text language sql as $$
	select round(sluice.lines_need_s(f, 'm', null, 3000)) || ' ' || round(n.need_s)
	from sluice.file f, sluice.plan_need(json_build_array(json_build_object('model',
		'm', 'lines', 3000, 'bytes', p_bytes, 'alike', p_alike)), null,
		array[(select id from sluice.path)], null, 86400) n
$$;
select is(pg_temp.apply('{"combine":50,"limits":[{"dimension":"requests",
	"window_s":60,"amount":60}]}') is not null, true);
select is(pg_temp.forecast(true), '60 60', 'that many lines share a call');
update sluice.path set combine = 2048;
select is(pg_temp.forecast(true), '12 12', 'no more than a chunk has');
update sluice.file set bytes = 32768;
select is(pg_temp.forecast(true, 32768), '750 756', 'nor more bytes');
update sluice.batch_lane set alike = true;
select is((select share from sluice.waiting(null, 'infinity')), 4::double precision);
update sluice.file set bytes = 0;
update sluice.path set combine = 50;
update sluice.chunk set combine = null;
select is(pg_temp.forecast(false), '3000 3022', 'or do not');
update sluice.chunk set combine = '{-7,-7,0,-7,-7}';
select is(pg_temp.apply('{}') is not null, true);

-- Two calls: lines 1, 2, 4 and line 5
create function pg_temp.hand_out() returns integer language sql as $$
	select sluice.dispatch_commit(epoch, json_build_object('runs', json_build_array(
		json_build_object('lane', lane, 'path', path, 'chunk', 1, 'first_line', 1,
			'line', '{1,2,4,5}'::int[], 'send_us', sluice.epoch_us(now()),
			'keep_us', 60000000, 'leads', '1001', 'most', '{3,3,3,0}'::int[]))))
	from t
$$;
select is(pg_temp.hand_out(), 1);
create function pg_temp.out_calls() returns text language sql as $$
	select sluice.dispatch_poll(epoch, 5000, 500) #>> '{out,0,lines}' from t
$$;
select is(pg_temp.out_calls(), '2', 'calls are out');
select is(sluice.learned_room(path, 10), 8) from t;
select is((select count(*) from t, lateral sluice.take_runs(worker, json_build_array(
	json_build_object('path', path, 'lines', 0)), 0))::integer, 0);
create temp table r as select r.* from t, lateral sluice.take_runs(worker,
	json_build_array(json_build_object('path', path, 'lines', 2)), 0) r;
select results_eq('select leads, most from r',
	$$ values ('1001', '{3,3,3,0}'::smallint[]) $$);

-- The first call was split: its lines go again in twos
select lives_ok($$ select sluice.settle_runs((select worker from t),
	json_build_array(json_build_object('run', id, 'bits', '1110')),
	(select json_agg(json_build_object('lane', lane_id, 'line', i, 'batch', batch_id,
		'in_ms', 0, 'tries', 0, 'sends', 1, 'most', 2, 'why', 'HTTP 400'))
	from unnest('{1,2,4}'::int[]) i), '[]') from r $$);
select is(pg_temp.out_calls(), '1');
select results_eq('select r.line::int, r.combine, r.most::int, r.tries::int
	from t, sluice.lane_retries(lane, 0, 9) r',
	'values (1, -7, 2, 0), (2, -7, 2, 0), (4, -7, 2, 0)');

-- Seats of a dead worker: as many as it has calls; its lines keep what they have
delete from sluice.retry;
delete from sluice.run;
select is(pg_temp.hand_out(), 1);
select count(*) from t, lateral sluice.take_runs(worker,
	json_build_array(json_build_object('path', path, 'lines', 4)), 0);
insert into sluice.seat (limit_id, worker_id, granted, target)
select (select id from sluice.rate_limit where removed_at is null), worker, 7, 7
from t;
update sluice.worker set lease_until = now() - interval '1 s';
select results_eq('select workers, lines from sluice.reap((select epoch from t))',
	'values (1, 4)');
select is((select granted from sluice.seat), 2);
select results_eq('select line, sends::int, most::int from sluice.retry order by line',
	'values (1, 1, 3), (2, 1, 3), (4, 1, 3), (5, 1, 0)');

select * from finish();
rollback;
