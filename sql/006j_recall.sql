-- migrate: on change
--
-- Lines that are out in an upstream's own batches, when time runs short.

drop function if exists sluice.provider_escalate(bigint);

-- Call back what only direct paths can still do in time: they must carry it and all
-- that is due before, once it is back, which takes up to eleven minutes (ROUTE_BACK_US
-- of scheduler/route.h); and a minute or two polls more, for this is asked twice a
-- minute.  What its batches never want to go direct stays.  One that is busy just now
-- is called back the next time.  Returns the number of those due.
create or replace function sluice.provider_recall() returns integer
language plpgsql set search_path = '' set jit = off as $$
declare
	v_out record;
	v_need record;
	v_work json;
	v_left_s double precision;
	v_work_s double precision := 0;
	v_recalled integer := 0;
begin
	for v_out in
		select b.id, b.model, greatest(b.lines - coalesce(b.done, 0), 1) as lines,
			w.deadline, w.bytes, p.poll_ms
		from sluice.provider_batch b join sluice.path p on p.id = b.path_id
		cross join lateral (
			select min(k.deadline) filter (where k.escalate
					and k.choice <> 'direct' and k.paused_at is null
					and k.ending is null) as deadline,
				sum(r.bytes) / greatest(sum(cardinality(r.line)), 1) as bytes
			from sluice.run r join sluice.batch k on k.id = r.batch_id
			where r.provider_id = b.id
		) w
		where b.cancel_at is null and w.deadline is not null
		    and b.state in ('packed', 'uploading', 'uploaded', 'creating', 'running')
		order by w.deadline, b.id
	loop
		v_work := json_build_array(json_build_object('model', v_out.model,
			'lines', v_out.lines, 'bytes', v_out.bytes));
		select * into v_need from sluice.plan_need(v_work, null, array(
			select u.id from unnest(sluice.plan_paths(v_work, null, true)) u (id)
			left join sluice.path_state s on s.path_id = u.id
			where coalesce(s.health, 'up') <> 'down'), null, null);
		continue when v_need.missing is distinct from false;
		v_work_s := v_work_s + coalesce(v_need.need_s, 0);
		v_left_s := extract(epoch from v_out.deadline - now());
		if v_left_s < v_work_s + 660
			+ greatest(60, v_out.poll_ms / 500.0, v_left_s / 20, 6 * coalesce(v_need.latency, 0)) then
			perform sluice.provider_cancel(v_out.id);
			v_recalled := v_recalled + 1;
		end if;
	end loop;
	return v_recalled;
end $$;
