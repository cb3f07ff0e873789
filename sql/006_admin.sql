-- migrate: on change
--
-- The operator's side: workers.

create or replace function sluice.worker_list() returns json
language sql stable set search_path = '' security definer as $$
	select json_build_object('object', 'list', 'data', coalesce(json_agg(
		json_build_object('object', 'worker', 'id', 'worker_' || w.id,
			'name', w.name, 'state', case when w.state <> 'dead'
				and w.lease_until < now() then 'lost' else w.state end,
			'in_flight', w.in_flight, 'max_in_flight', w.max_in_flight,
			'started_at', sluice.epoch(w.started_at),
			'beat_at', sluice.epoch(w.beat_at)) order by w.id), '[]'))
	from sluice.worker w
	where w.state <> 'dead' or w.beat_at > now() - interval '1 hour'
$$;
