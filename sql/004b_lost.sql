-- migrate: on change
--
-- What is handed out and must be so again: workers that are gone, runs that
-- nobody took, and what a clock that was set leaves behind.

-- Lines of a run that have no outcome and must have another slot.
create or replace function sluice.run_give_back(
    p_run sluice.run, p_sent boolean, p_why text
) returns void
language sql set search_path = '' as $$
	insert into sluice.retry (lane_id, line, batch_id, not_before, tries, sends,
		refused, most, why)
	select p_run.lane_id, p_run.first_line + u.line - 1, p_run.batch_id, now(),
		coalesce(p_run.tries[u.i], 0),
		coalesce(p_run.sends[u.i], 0) + case when p_sent then 1 else 0 end,
		coalesce(p_run.refused[u.i], 0), coalesce(p_run.most[u.i], 0), p_why
	from unnest(p_run.line) with ordinality u (line, i)
	where get_bit(p_run.open, (u.i - 1)::integer) = 1
$$;

-- The upstream may still work on the calls of a worker that has gone.
create or replace function sluice.seats_freeze(p_worker bigint) returns void
language sql set search_path = '' as $$
	update sluice.seat s set frozen_until = now() + make_interval(secs => (
		select coalesce(max(p.whole_ms), 0) / 1000.0 from sluice.path p
		join sluice.rate_limit l on l.pool_id = p.pool_id
		where l.id = s.limit_id))
	where s.worker_id = p_worker
$$;

-- Of a dead worker's seats those that its lines cannot hold are free.  Before
-- its runs are deleted.
create or replace function sluice.seats_of_lines(p_worker bigint) returns void
language sql set search_path = '' as $$
	update sluice.seat s set granted = least(s.granted, (
		select coalesce(sum(sluice.run_calls(r)), 0) from sluice.run r
		join sluice.path p on p.id = r.path_id
		join sluice.rate_limit l on l.pool_id = p.pool_id
		where r.worker_id = p_worker and l.id = s.limit_id
		    and (l.path_id is null or l.path_id = p.id)))
	where s.worker_id = p_worker
$$;

-- Workers whose lease is over: what they had out goes again (it may have been
-- sent: the attempt counts), and whatever else a dead worker holds; their seats
-- stay taken while the upstream may still work on their calls.  And runs that
-- nobody took in time.
create or replace function sluice.reap(p_epoch bigint)
returns table (workers integer, lines integer, stale integer)
language plpgsql set search_path = '' security definer as $$
declare
	v_worker bigint;
	v_run sluice.run;
begin
	perform sluice.fence(p_epoch);
	workers := 0; lines := 0; stale := 0;
	for v_worker in
		update sluice.worker w set state = 'dead', in_flight = 0
		where w.state <> 'dead' and w.lease_until < now()
		returning w.id
	loop
		workers := workers + 1;
		perform sluice.seats_of_lines(v_worker);
		perform sluice.seats_freeze(v_worker);
	end loop;
	for v_run in
		delete from sluice.run r
		where r.worker_id is not null and not exists (select from sluice.worker w
			where w.id = r.worker_id and w.state <> 'dead')
		returning *
	loop
		perform sluice.run_give_back(v_run, true, 'worker lost');
		lines := lines + bit_count(v_run.open);
	end loop;
	-- One that was granted as its worker stopped is nobody's.
	delete from sluice.seat s where s.frozen_until < now() or not exists (
		select from sluice.rate_limit l
		where l.id = s.limit_id and l.removed_at is null)
	    or s.frozen_until is null and not exists (select from sluice.worker w
		where w.id = s.worker_id and w.state <> 'dead');
	for v_run in
		delete from sluice.run r
		where r.worker_id is null and r.provider_id is null
		    and r.send_at + make_interval(secs => (r.keep_us
			+ coalesce(r.slot_us[array_upper(r.slot_us, 1)], 0)) / 1e6
			+ coalesce((select p.linger_ms / 1000.0 from sluice.path p
				where p.id = r.path_id and p.kind = 'batches'), 0)) < now()
		returning *
	loop
		perform sluice.run_give_back(v_run, false, 'not taken in time');
		stale := stale + bit_count(v_run.open);
	end loop;
	perform sluice.admissions_reap();
	return next;
end $$;

-- The database's clock was set forward by so much (back: less than 0).  What is
-- still to come is as far away as it was: the ledgers do not jump either.  Locks
-- runs, then retries.
create or replace function sluice.clock_jumped(p_us bigint) returns void
language plpgsql set search_path = '' as $$
declare
	v_by interval := make_interval(secs => p_us / 1e6);
begin
	if p_us = 0 then
		return;
	end if;
	update sluice.run r set send_at = r.send_at + v_by where r.worker_id is null;
	update sluice.retry r set not_before = r.not_before + v_by
	where r.not_before > now() - greatest(v_by, interval '0');
end $$;
