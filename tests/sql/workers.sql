-- What workers leave behind when they go: runs, seats.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(6);

create function pg_temp.run(p_worker bigint) returns bigint language sql as $$
	insert into sluice.run (batch_id, lane_id, path_id, purge_day, chunk_id,
		first_line, line, send_at, keep_us, open, worker_id, taken_at)
	values (1, 1, 1, '2030-01-01', 1, 1, '{1,2}', now(), 10000000, '11', p_worker,
		now())
	returning id
$$;
create temp table t as select sluice.lease_take('me', 5000) as epoch;

-- A run that a dead worker got after all
select pg_temp.run(w.id) from (select sluice.worker_start('late', 10, 5000) as id) w;
update sluice.worker set state = 'dead' where name = 'late';
select results_eq('select workers, lines from sluice.reap((select epoch from t))',
	'values (0, 2)', 'what a dead worker holds is given back');
select is((select count(*) from sluice.run)::integer, 0);

-- A take whose answer was lost: its runs come back unsent, and it comes too late
create temp table w as select sluice.worker_start('lost', 10, 5000) as id;
create temp table r as select pg_temp.run(id) as known, pg_temp.run(id) as lost from w;
delete from sluice.retry;
select is(sluice.runs_keep(w.id, 1, array[r.known]), 2) from w, r;
select results_eq('select line, sends::integer from sluice.retry order by 1',
	'values (1, 0), (2, 0)', 'what the worker never heard of was not sent');
select throws_ok($$ select sluice.take_runs(id, '[]', 0, 0) from w $$, 'SL410', null,
	'a take of the era before is refused');
select lives_ok($$ select sluice.take_runs(id, '[]', 0, 1) from w $$);

select * from finish();
rollback;
