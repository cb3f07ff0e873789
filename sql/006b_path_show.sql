-- migrate: on change
--
-- Pools, paths and limits as they are shown.

create or replace function sluice.limit_objects(p_pool integer, p_path integer)
returns json
language sql stable set search_path = '' security definer as $$
	select coalesce(json_agg(json_strip_nulls(json_build_object(
		'model', l.model, 'dimension', l.dimension, 'window_s', l.window_s,
		'amount', l.amount, 'headroom', l.headroom, 'reserve', l.reserve,
		'stream_cost', case when l.dimension = 'requests' then l.stream_cost end,
		'used', case when l.dimension = 'concurrent' then (
			select coalesce(sum(s.granted), 0) from sluice.seat s
			where s.limit_id = l.id)
		when l.window_s = 0 then null
		else (
			select coalesce(sum(g.units), 0) from sluice.grant_cell g
			where g.limit_id = l.id and g.cell * sluice.cell_us(l.window_s)
				> sluice.epoch_us(now()) - l.window_s * 1000000::bigint) end
			+ v.units,
		'live', nullif(v.units, 0),
		'paused_until', case when s.paused_until > now()
			then sluice.epoch(s.paused_until) end,
		'paused_why', case when s.paused_until > now() then s.paused_why end))
		order by l.model, l.dimension, l.window_s), '[]')
	from sluice.rate_limit l
	left join sluice.rate_limit_state s on s.limit_id = l.id
	cross join lateral (
		select coalesce(sum(c.units), 0) as units from sluice.live_cell c
		where c.limit_id = l.id and (l.window_s = 0 or c.cell * sluice.cell_us(
			l.window_s) > sluice.epoch_us(now()) - l.window_s * 1000000::bigint)
	) v
	where l.pool_id = p_pool and l.path_id is not distinct from p_path
	    and l.removed_at is null
$$;

create or replace function sluice.price_objects(p_path integer) returns json
language sql stable set search_path = '' security definer as $$
	select coalesce(json_agg(json_strip_nulls(json_build_object('model', p.model,
		'hours', nullif(p.hours, ''), 'input', p.input,
		'cached_input', p.cached_input, 'output', p.output))
		order by p.model, p.hours), '[]')
	from sluice.price p where p.path_id = p_path
$$;

create or replace function sluice.path_object(p_path sluice.path) returns json
language sql stable set search_path = '' security definer as $$
	select json_strip_nulls(json_build_object('object', 'path',
		'name', p_path.name, 'pool', o.name, 'url', p_path.url,
		'secret_file', p_path.secret_file, 'ca_file', p_path.ca_file,
		'models', p_path.models, 'kind', p_path.kind,
		'suffix', p_path.suffix, 'dialect', p_path.dialect,
		'charge', p_path.charge,
		'http2', p_path.http2, 'attempts', p_path.attempts,
		'combine', nullif(p_path.combine, 1),
		'connect_ms', p_path.connect_ms, 'idle_ms', p_path.idle_ms,
		'whole_ms', p_path.whole_ms, 'answer_max', p_path.answer_max,
		'limits', sluice.limit_objects(p_path.pool_id, p_path.id),
		'pool_limits', sluice.limit_objects(p_path.pool_id, null),
		'prices', sluice.price_objects(p_path.id),
		'health', coalesce(s.health, 'up'),
		'retry_at', case when s.health <> 'up' then sluice.epoch(s.until) end,
		'why', case when s.health <> 'up' then s.why end,
		'in_flight', (select coalesce(sum(sluice.run_calls(r)), 0) from sluice.run r
			where r.path_id = p_path.id and r.worker_id is not null),
		'live_in_flight', (select count(*) from sluice.admission a
			where a.path_id = p_path.id and a.batch_id is null),
		'poll_ms', case when p_path.kind = 'batches' then p_path.poll_ms end,
		'linger_ms', case when p_path.kind = 'batches' then p_path.linger_ms end,
		'batches', sluice.provider_objects(p_path.id),
		'now', sluice.path_now(p_path.id),
		'learned', sluice.path_learned(p_path.id)))
	from sluice.pool o
	left join sluice.path_state s on s.path_id = p_path.id
	where o.id = p_path.pool_id
$$;

create or replace function sluice.path_list() returns json
language sql stable set search_path = '' security definer as $$
	select json_build_object('object', 'list', 'data', coalesce(json_agg(
		sluice.path_object(p) order by p.name), '[]'))
	from sluice.path p where p.removed_at is null
$$;

create or replace function sluice.path_get(p_name text) returns json
language plpgsql stable set search_path = '' security definer as $$
declare
	v_path sluice.path;
begin
	select * into v_path from sluice.path p
	where p.name = p_name and p.removed_at is null;
	if not found then
		perform sluice.refuse(404, null, 'path', format('No such path: "%s".', p_name));
	end if;
	return sluice.path_object(v_path);
end $$;

create or replace function sluice.pool_list() returns json
language sql stable set search_path = '' security definer as $$
	select json_build_object('object', 'list', 'data', coalesce(json_agg(
		json_build_object('object', 'pool', 'name', o.name,
			'limits', sluice.limit_objects(o.id, null),
			'paths', (select coalesce(json_agg(p.name order by p.name), '[]')
				from sluice.path p
				where p.pool_id = o.id and p.removed_at is null))
		order by o.name), '[]'))
	from sluice.pool o where o.removed_at is null
$$;

create or replace function sluice.window_text(p_s integer) returns text
language sql immutable set search_path = '' as $$
	select case when p_s % 86400 = 0 then p_s / 86400 || 'd'
		when p_s % 3600 = 0 then p_s / 3600 || 'h'
		when p_s % 60 = 0 then p_s / 60 || 'm'
		else p_s || 's' end
$$;

create or replace function sluice.limit_text(p_limit sluice.rate_limit) returns text
language sql immutable set search_path = '' as $$
	select case when p_limit.model <> '*' then p_limit.model || ':' else '' end
		|| p_limit.dimension
		|| case when p_limit.window_s > 0 then '/' || sluice.window_text(p_limit.window_s)
			else '' end
$$;
