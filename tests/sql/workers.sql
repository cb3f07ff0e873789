-- What workers leave behind when they go: runs, seats.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(12);

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

-- Seats of one that stops: free, but not while calls it gave up may still run
create temp table changes as select sluice.config_apply('{"paths":[{"name":"p",
	"url":"http://x","models":["m"],"whole_ms":60000,
	"limits":[{"dimension":"concurrent","amount":4}]}]}', false, false);
create temp table v as select sluice.worker_start('stops', 10, 5000) as clean,
	sluice.worker_start('drops', 10, 5000) as dirty;
insert into sluice.seat (limit_id, worker_id, granted, target)
select l.id, unnest(array[v.clean, v.dirty]), 2, 2 from v, sluice.rate_limit l;
select lives_ok($$ select sluice.worker_stop(clean, false),
	sluice.worker_stop(dirty, true) from v $$);
select results_eq($$ select worker_id, granted, frozen_until - now() from sluice.seat $$,
	$$ select dirty, 2, interval '60 s' from v $$);
select is(count(*)::integer, 1) from sluice.reap((select epoch from t)), sluice.seat;
update sluice.seat set frozen_until = now() - interval '1 s';
select is((select count(s)::integer from sluice.reap((select epoch from t))
	left join sluice.seat s on false), 0);

-- A seat that was granted after its worker had stopped
select sluice.dispatch_commit(t.epoch, json_build_object('seats', json_build_array(
	json_build_object('limit', l.id, 'worker', v.clean, 'target', 3),
	json_build_object('limit', l.id, 'worker', w.id, 'target', 1))))
from t, v, w, sluice.rate_limit l;
create temp table reaped as select r.* from t, lateral sluice.reap(epoch) r;
select results_eq('select worker_id from sluice.seat', 'select id from w',
	'goes, that of one which lives stays');

-- Of one that dies, as many as the lines it had out
delete from sluice.run;
delete from sluice.retry;
insert into sluice.run (batch_id, lane_id, path_id, purge_day, chunk_id, first_line,
	line, send_at, keep_us, open, worker_id, taken_at)
select 1, 1, p.id, '2030-01-01', 1, 1, '{1,2,3}', now(), 10000000, '101', w.id, now()
from sluice.path p, w;
insert into sluice.worker (name, max_in_flight, lease_until) values ('idle', 1, now() - interval '1 s');
delete from sluice.seat;
insert into sluice.seat (limit_id, worker_id, granted, target)
select l.id, v.id, 3, 3 from sluice.rate_limit l, sluice.worker v
where v.id = (select id from w) or v.name = 'idle';
update sluice.worker set lease_until = now() - interval '1 s' where id = (select id from w);
insert into reaped select r.* from t, lateral sluice.reap(epoch) r;
select results_eq($$ select worker_id = (select id from w), granted from sluice.seat
	order by granted $$, 'values (false, 0), (true, 2)');

select * from finish();
rollback;
