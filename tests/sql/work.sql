-- From a batch to its results by hand: dispatch, take, settle, publish, fences.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(56);

create function pg_temp.line(i integer) returns text language sql as $$
	select format('{"custom_id":"r-%s","body":{"model":"m"}}', i) || E'\n'
$$;
-- An input of n lines in chunks of 4, as ingest would store it.
create function pg_temp.input(n integer) returns uuid language plpgsql as $$
declare
	f record;
	v_bytes bytea := '';
	v_at bigint := 0;
	e integer[] := '{}'; ia integer[] := '{}'; il integer[] := '{}';
	ba integer[] := '{}'; bl integer[] := '{}'; m smallint[] := '{}';
	c integer[] := '{}';
	t text;
	k integer := 0;
begin
	select * into f from sluice.file_begin(
		(select id from sluice.account where name = 'sql'), 'in.jsonl');
	for i in 1..n loop
		t := pg_temp.line(i);
		ia := ia || octet_length(v_bytes) + 13;
		il := il || octet_length(format('"r-%s"', i));
		ba := ba || octet_length(v_bytes) + position('"body":' in t) + 6;
		bl := bl || 13;
		m := m || 1::smallint;
		c := c || null::integer;
		v_bytes := v_bytes || convert_to(t, 'utf8');
		e := e || octet_length(v_bytes);
		if i % 4 = 0 or i = n then
			perform sluice.file_chunk(f.id, f.purge_day::date, v_at, k + 1,
				v_bytes, e, ia, il, ba, bl, m, ba, bl, c);
			v_at := v_at + octet_length(v_bytes);
			v_bytes := ''; e := '{}'; ia := '{}'; il := '{}'; ba := '{}';
			bl := '{}'; m := '{}'; c := '{}';
			k := i;
		end if;
	end loop;
	perform sluice.file_publish((select id from sluice.account where name = 'sql'),
		f.id, v_at, n, '\x00', '/v1/chat/completions', '{m}', array[n], null,
		86400 * 30, null, null);
	return (select uid from sluice.file g where g.id = f.id);
end $$;

insert into sluice.account (name) values ('sql');
create temp table changes as select sluice.config_apply('{"paths":[{"name":"p","url":"http://x","models":["m"],
	"limits":[{"dimension":"requests","window_s":60,"amount":10}]}]}', false, false);
create temp table t as select
	(select id from sluice.account where name = 'sql') as account,
	pg_temp.input(10) as input, null::uuid as batch,
	(select id from sluice.path where name = 'p') as path,
	null::bigint as epoch, null::bigint as w1, null::bigint as w2;
update t set batch = (replace(sluice.batch_create(account, null, input,
	'/v1/chat/completions', '24h', 86400, null, 86400, null, null, '{"priority":2}') ->> 'id',
	'batch_', ''))::uuid;

-- The lease
update t set epoch = sluice.lease_take('me', 5000);
select isnt((select epoch from t), null, 'a free lease is taken');
select is(sluice.lease_take('other', 5000), null, 'and not by two');
select is(sluice.lease_take('me', 5000), (select epoch + 1 from t),
	'its holder begins a new epoch');
select throws_ok('select sluice.dispatch_commit(epoch, ''{}'') from t', 'SL410',
	'deposed', 'which fences what it sent in the one before');
update t set epoch = epoch + 1;

-- Admission
select is((select state from sluice.batch), 'validating');
select is(sluice.dispatch_poll(epoch, 5000, 500) ->> 'admitted', '1') from t;
select is((select state from sluice.batch), 'in_progress');
select results_eq('select lines_left, open from sluice.dispatch_lanes(10, null)',
	$$ values (10, true) $$);
select results_eq($$ select first_line, line from sluice.lane_lines(
	(select id from sluice.batch_lane), 3, 2) $$,
	$$ values (1, '{3,4}'::smallint[]), (5, '{1,2,3,4}') $$,
	'lines are read from the middle of a chunk on');

-- A plan: all of it or nothing
create function pg_temp.plan(p_first integer, p_lines integer, p_from integer)
returns json language sql as $$
	select json_build_object('lanes', json_build_array(json_build_object('id', l.id,
		'from', p_from, 'next', p_first + p_lines, 'lines', p_lines)),
		'runs', json_build_array(json_build_object('lane', l.id, 'path', t.path,
			'chunk', p.chunk_id, 'first_line', p.first_line,
			'line', (select json_agg(i) from generate_series(
				p_first - p.first_line + 1,
				p_first - p.first_line + p_lines) i),
			'send_us', sluice.epoch_us(clock_timestamp()), 'keep_us', 10000000)),
		'cells', json_build_array(json_build_object('limit',
			(select id from sluice.rate_limit), 'cell', p_first, 'units', p_lines)))
	from t, sluice.batch_lane l join sluice.place p on p.file_id = l.file_id
	where p.first_line <= p_first order by p.first_line desc limit 1
$$;
select throws_ok($$ select sluice.dispatch_commit(epoch - 1, pg_temp.plan(1, 4, 1))
	from t $$, 'SL410', 'deposed', 'an old epoch is fenced');
select throws_ok($$ select sluice.dispatch_commit(epoch, pg_temp.plan(1, 4, 2))
	from t $$, 'SL409', null, 'a plan from another cursor is refused');
select is((select count(*) from sluice.run)::integer + (select count(*) from
	sluice.grant_cell)::integer, 0, 'and leaves nothing behind');
select is(sluice.dispatch_commit(epoch, pg_temp.plan(1, 4, 1)), 1) from t;
select is(sluice.dispatch_commit(epoch, pg_temp.plan(5, 2, 5)), 1) from t;
select results_eq('select next_line, lines_left from sluice.batch_lane',
	'values (7, 4)');
select is((select sum(units) from sluice.grant_cell)::integer, 6);

-- The clock is set, by an hour forward and as much back
create temp table b as select r.id, r.send_at, r.worker_id from sluice.run r;
insert into sluice.retry (lane_id, line, batch_id, not_before, tries, sends, why)
	select id, v.line, batch_id, v.at, 0, 0, 'test' from sluice.batch_lane,
	(values (91, now() - interval '2 hours'), (92, now() - interval '1 minute'),
		(93, now() + interval '1 minute')) v (line, at);
create function pg_temp.set_clock(p_offset_s bigint) returns integer language sql as $$
	select sluice.dispatch_commit(t.epoch, json_build_object('lease',
		json_build_object('timeline', 1, 'clock_offset_us', p_offset_s * 1000000)))
	from t
$$;
create view pg_temp.moved as select r.send_at - b.send_at as by
	from sluice.run r join b using (id);
select pg_temp.set_clock(-3600);
select results_eq('select distinct by from pg_temp.moved', $$ values (interval '1 hour') $$,
	'what nobody took is as far away as it was');
select results_eq('select not_before - now() from sluice.retry order by line',
	$$ values (interval '-2 hours'), ('59 minutes'), ('61 minutes') $$,
	'and so is what goes again');
select pg_temp.set_clock(-3600);
select results_eq('select distinct by from pg_temp.moved', $$ values (interval '1 hour') $$,
	'once');
update sluice.run set worker_id = sluice.worker_start('late', 1, 5000)
	where id = (select min(id) from b);
select pg_temp.set_clock(0);
select results_eq('select by from pg_temp.moved order by by',
	$$ values (interval '0'), ('1 hour') $$, 'back again; what is taken stays');
select results_eq('select not_before - now() from sluice.retry order by line',
	$$ values (interval '-2 hours'), ('-1 minute'), ('1 minute') $$);
update sluice.run r set worker_id = null, send_at = b.send_at from b where b.id = r.id;
delete from sluice.retry;
delete from sluice.worker;

-- Take: each run once
update t set w1 = sluice.worker_start('one', 10, 5000),
	w2 = sluice.worker_start('two', 10, 5000);
create function pg_temp.takes(p_keep_us bigint, p_open integer) returns bigint
language sql as $$
	update sluice.run set keep_us = p_keep_us;
	select count(*) from t, lateral sluice.take_runs(w1,
		json_build_array(json_build_object('path', path, 'lines', 1,
			'open', p_open)), 0);
$$;
savepoint full_worker;
select is(pg_temp.takes(200000, 0), 0::bigint,
	'no strict run for a worker whose seats are full');
select is(pg_temp.takes(10000000, 0), 1::bigint, 'one that may wait for a seat');
rollback to full_worker;
select is(pg_temp.takes(200000, 1), 1::bigint, 'a strict one for a seat that is free');
rollback to full_worker;
create temp table r1 as select r.* from t, lateral sluice.take_runs(w1,
	json_build_array(json_build_object('path', path, 'lines', 4)), 0) r;
select is((select array_agg(cardinality(line)) from r1), '{4}',
	'as many lines as there is room for');
create temp table r2 as select r.* from t, lateral sluice.take_runs(w2,
	json_build_array(json_build_object('path', path, 'lines', 10)), 0) r;
select is((select array_agg(cardinality(line)) from r2), '{2}',
	'no run to two workers');
select throws_ok($$ select sluice.take_runs(-1, '[]', 0) $$, 'SL410');
select is((select substring(bytes from id_at[2] + 1 for id_len[2])
	from sluice.run_chunk((select purge_day::date from r1), (select chunk_id from r1))),
	'"r-2"'::bytea);

-- Settle
create function pg_temp.settle(p_worker bigint, p_run bigint, p_bits text)
returns void language sql as $$
	select sluice.settle_runs(p_worker, json_build_array(json_build_object(
		'run', p_run, 'bits', p_bits)), '[]', '[{"path":1,"model":"m"}]')
$$;
create function pg_temp.output(p_failed boolean, p_lines integer[])
returns void language sql as $$
	select sluice.settle_chunk((select id from sluice.batch), p_failed,
		convert_to(string_agg(format('{"custom_id":"r-%s"}', i) || E'\n', ''), 'utf8'),
		(select array_agg(x.e) from (select sum(octet_length(
			format('{"custom_id":"r-%s"}', k) || E'\n')) over (order by o)::integer as e
			from unnest(p_lines) with ordinality u (k, o)) x),
		p_lines, array_fill(200::smallint, array[cardinality(p_lines)]), null,
		array_fill(1::smallint, array[cardinality(p_lines)]),
		array_fill(10, array[cardinality(p_lines)]),
		array_fill(3, array[cardinality(p_lines)]), 1, 2)
	from unnest(p_lines) i
$$;
select throws_ok($$ select pg_temp.settle(w2, (select id from r1), '1000') from t $$,
	'SL410', null, 'another''s run cannot be settled');
select lives_ok($$ select pg_temp.settle(w1, (select id from r1), '0110') from t $$);
select lives_ok($$ select pg_temp.output(false, '{3,2}') $$);
select throws_ok($$ select pg_temp.settle(w1, (select id from r1), '0100') from t $$,
	'SL410', null, 'nor a line twice');
select results_eq($$ select open from sluice.runs_open((select w1 from t),
	array[(select id from r1)]) $$, $$ values ('1001') $$);
select is((select count(*) from sluice.observation)::integer, 1);
select is((sluice.batch_get(account, batch) -> 'request_counts' ->> 'completed'),
	'0', 'what is settled is not seen before it has its place') from t;
select results_eq('select placed, finished from sluice.publish((select epoch from t), 10)',
	'values (1, 0)');
select is((sluice.batch_get(account, batch) -> 'request_counts' ->> 'completed'), '2')
	from t;
select is((sluice.batch_get(account, batch) -> 'usage' ->> 'total_tokens'), '26') from t;

-- A dead worker: what it had goes again, and it is fenced
update sluice.worker set lease_until = now() - interval '1 s'
where id = (select w1 from t);
select results_eq('select workers, lines from sluice.reap((select epoch from t))',
	'values (1, 2)');
select results_eq('select line, tries::integer, sends::integer from sluice.retry order by 1',
	'values (1, 0, 1), (4, 0, 1)');
select throws_ok($$ select pg_temp.settle(w1, (select id from r1), '1000') from t $$,
	'SL410');
select throws_ok($$ select sluice.worker_beat(w1, 5000, 0, false, '[]') from t $$,
	'SL410', 'lease lost');

-- A line goes back
select lives_ok($$ select sluice.settle_runs((select w2 from t),
	json_build_array(json_build_object('run', (select id from r2), 'bits', '10')),
	json_build_array(json_build_object('lane', (select lane_id from r2), 'line', 5,
		'batch', (select batch_id from r2), 'in_ms', 0, 'tries', 1, 'sends', 1,
		'why', 'HTTP 500')), '[]') $$);
select results_eq($$ select line::integer, bytes, tries::integer from
	sluice.lane_retries((select id from sluice.batch_lane), 500, 10) order by first_line, line $$,
	'values (1, 13, 0), (4, 13, 0), (1, 13, 1)');

-- Cancel: what is out is awaited, the rest ends chunk by chunk
select is(sluice.batch_cancel(account, batch) ->> 'status', 'cancelling') from t;
select isnt(sluice.batches_end(epoch, 10), 0) from t;
select is((select count(*) from sluice.retry)::integer + (select sum(lines_left)
	from sluice.batch_lane)::integer, 0);
select results_eq('select finished from sluice.publish((select epoch from t), 100)',
	'values (0)', 'not over while a line is out');
select lives_ok($$ select pg_temp.settle(w2, (select id from r2), '01') from t $$);
select lives_ok($$ select pg_temp.output(false, '{6}') $$);
select results_eq('select finished from sluice.publish((select epoch from t), 100)',
	'values (1)');
select is((select state from sluice.batch), 'cancelled');
select results_eq($$ select line, custom_id, failed from
	sluice.batch_result(sluice.batch_name((select batch from t))) order by line $$,
	$$ select i, 'r-' || i, i not in (2, 3, 6) from generate_series(1, 10) i $$,
	'exactly one result for every line');
select is((select result -> 'error' ->> 'code' from sluice.batch_result(
	sluice.batch_name((select batch from t))) where line = 10), 'batch_cancelled');
select is((select count(*) from sluice.run)::integer, 0);
select is((select array_agg(attempts::integer order by line) from sluice.batch_result(
	sluice.batch_name((select batch from t)))), '{1,1,1,1,1,1,0,0,0,0}'::integer[])
	;

select * from finish();
rollback;
