-- migrate: on change
--
-- How things stand, for people: what the dispatcher said a moment ago of each
-- path, what was learned, and what a batch waits for.

-- How a path stands, as the dispatcher wrote it a moment ago; older is no news.
create or replace function sluice.path_now(p_path integer) returns json
language plpgsql stable security definer set search_path = '' as $$
begin
	return (select s.now from sluice.path_state s
	where s.path_id = p_path
	    and (s.now ->> 'at')::double precision > extract(epoch from now()) - 10);
end $$;

-- Of its models one whose every way is at a limit, and the limit that lets go
-- first.  Null when any line can go.  The ways are those that the batch may take
-- while it has time: patient ones cheap paths where there are any, others direct
-- ones.
create or replace function sluice.batch_waiting_limit(p_batch bigint) returns json
language plpgsql stable set search_path = '' as $$
begin
	return (with want as (
		select distinct l.model from sluice.batch_lane l
		where l.batch_id = p_batch
		    and (l.open or exists (select from sluice.retry r where r.lane_id = l.id))
	), open_way as (
		select w.model, p.name, p.kind <> 'direct' as cheap,
			coalesce(s.health, 'up') = 'down' as down, case when json_typeof(n.now -> 'binds') = 'object'
			and sluice.glob_match(coalesce(n.now #>> '{binds,model}', '*'), w.model)
			then n.now -> 'binds' end as binds
		from want w
		join sluice.path p on p.removed_at is null and exists (
			select from unnest(p.models) g where sluice.glob_match(g, w.model))
		left join sluice.path_state s on s.path_id = p.id
		cross join lateral (select sluice.path_now(p.id) as now) n
		where n.now is not null
	), way as (
		select o.model, o.name, o.binds
		from open_way o
		cross join (select b.choice = 'cheap' or b.choice = 'auto' and b.priority < 3
			as patient from sluice.batch b where b.id = p_batch) b
		where case when exists (select from open_way c where c.model = o.model
			    and c.cheap = b.patient)
			then o.cheap = b.patient else true end
		    and (not o.down or o.cheap and b.patient)
	)
	select json_strip_nulls(json_build_object(
		'limit', case when w.binds ->> 'model' <> '*'
			then (w.binds ->> 'model') || ':' else '' end || (w.binds ->> 'limit'),
		'path', w.name, 'used', w.binds -> 'used', 'amount', w.binds -> 'amount',
		'until', w.binds -> 'until', 'why', w.binds -> 'why'))
	from way w
	where not exists (select from way o where o.model = w.model and o.binds is null)
	order by (w.binds ->> 'until')::double precision, w.name
	limit 1);
end $$;

-- The shape that a batch waits for, like batch_waiting_limit(); null: none.
create or replace function sluice.batch_waiting_shape(p_batch bigint) returns json
language plpgsql stable set search_path = '' as $$
begin
	return (select json_build_object('limit', case when l.model <> '*' then l.model || ':'
			else '' end || l.dimension || '/' || sluice.window_text(l.window_s),
		'of', case l.per when 'all' then 'all callers'
			when 'attached' then 'limit ' || n.name
			when 'key' then 'the key' else 'account ' || a.name end,
		'used', coalesce((select sum(g.units) from sluice.grant_cell g
			where g.limit_id = p.id and g.cell * sluice.cell_us(l.window_s)
				> sluice.room_now_us() - l.window_s * 1000000::bigint), 0),
		'amount', l.amount, 'until', (w ->> 1)::double precision,
		'why', 'batches are spread under it')
	from sluice.fairness f cross join json_array_elements(f.shaped) w
	join sluice.shape p on p.id = (w ->> 0)::integer
	join sluice.caller_limit l on l.id = p.limit_id
	left join sluice.named_limit n on n.id = l.named_id
	join sluice.batch b on b.id = p_batch
	join sluice.account a on a.id = b.account_id
	where f.at > clock_timestamp() - interval '10 s' and exists (
		select from sluice.batch_lane q
		where q.batch_id = p_batch and q.shapes @> array[p.id])
	order by (w ->> 1)::double precision desc limit 1);
end $$;

-- Money of a caller's limit that a batch waits for: its next line costs more than it
-- holds, and there is not so much more.
create or replace function sluice.batch_waiting_money(p_batch bigint) returns json
language plpgsql stable set search_path = '' as $$
begin
	return (select json_build_object('limit', 'money' || case when l.window_s > 0
			then '/' || sluice.window_text(l.window_s) else '' end,
		'of', case l.per when 'all' then 'all callers' when 'key' then 'the key'
			when 'attached' then 'limit ' || n.name
			else 'account ' || a.name end,
		'used', l.amount - m.free, 'amount', l.amount,
		'why', 'its lines cost more than was thought, and what is left does not '
			'pay for the next')
	from sluice.dear() d
	join sluice.purses() p on p.batch_id = d.batch_id
	join sluice.caller_limit l on l.id = p.limit_id
	join sluice.batch b on b.id = d.batch_id
	join sluice.account a on a.id = b.account_id
	left join sluice.named_limit n on n.id = l.named_id
	cross join lateral sluice.money_free(p.limit_id, p.subject) m (free)
	cross join lateral sluice.batch_spent(p_batch) s
	where d.batch_id = p_batch and m.free < d.want - (p.held - s.spent)
	limit 1);
end $$;

-- What an unfinished batch waits for: a limit, or a path that is down; or nothing
-- any more, as its key was revoked.  Null when any line can go.
create or replace function sluice.batch_waiting(p_batch bigint) returns json
language sql stable security definer set search_path = '' as $$
	select coalesce((
		select json_build_object('key', 'key_' || k.id, 'why', 'its key was revoked')
		from sluice.batch b join sluice.api_key k on k.id = b.key_id
		where b.id = p_batch and k.revoked_at is not null
	), (
		select json_build_object('paused', true, 'why', 'it is paused')
		from sluice.batch b where b.id = p_batch and b.paused_at is not null
	), sluice.batch_down(p_batch, false), sluice.batch_waiting_money(p_batch),
	sluice.batch_waiting_shape(p_batch), sluice.batch_down(p_batch, true),
	sluice.batch_waiting_limit(p_batch))
$$;

-- What was learned of a path: its dialect, readings, ... as the dispatcher left
-- them, and of each model how much it takes and how long.
create or replace function sluice.path_learned(p_path integer) returns json
language plpgsql stable set search_path = '' security definer as $$
begin
	return (select (coalesce((select s.learned from sluice.path_state s
			where s.path_id = p_path), '{}')::jsonb
		|| jsonb_strip_nulls(jsonb_build_object('models', (
			select jsonb_agg(jsonb_build_object('model', e.model,
				'answers', round((e.learned ->> 'n')::numeric),
				'bytes_per_token', round(1 / nullif(
					(e.learned ->> 'ratio')::numeric, 0), 2),
				'output_tokens', round((e.learned ->> 'output')::numeric),
				'latency_ms', round((e.learned ->> 'ms')::numeric))
				order by e.model)
			from sluice.estimate e where e.path_id = p_path))))::json);
end $$;

-- An upstream's own batches on a path: those that are not over, the last that are.
create or replace function sluice.provider_objects(p_path integer) returns json
language plpgsql stable security definer set search_path = '' as $$
begin
	return (select json_agg(json_strip_nulls(json_build_object('batch', b.batch,
		'model', b.model, 'state', case when b.cancel_at is not null
			and b.state = 'running' then 'cancelling' else b.state end,
		'status', b.status, 'lines', b.lines, 'done', b.done, 'tokens', b.tokens,
		'created_at', sluice.epoch(b.created_at),
		'running_at', sluice.epoch(b.running_at),
		'ended_at', sluice.epoch(b.ended_at), 'why', b.why)) order by b.id desc)
	from (
		(select * from sluice.provider_batch q
		 where q.path_id = p_path and q.state <> 'cleaned'
		 order by q.id desc limit 100)
		union all
		(select * from sluice.provider_batch q
		 where q.path_id = p_path and q.state = 'cleaned'
		 order by q.id desc limit 10)
	) b);
end $$;

-- The upstream's batches that lines of a batch are in.
create or replace function sluice.batch_upstream(p_batch bigint) returns json
language plpgsql stable security definer set search_path = '' as $$
begin
	return (select json_agg(json_strip_nulls(json_build_object('batch', b.batch,
		'path', p.name, 'lines', g.lines, 'state', case when b.cancel_at is not null
			and b.state = 'running' then 'cancelling' else b.state end,
		'status', b.status, 'since', sluice.epoch(coalesce(b.running_at,
			b.created_at)))) order by b.id)
	from (
		select r.provider_id, sum(bit_count(r.open)) as lines from sluice.run r
		where r.batch_id = p_batch and r.provider_id is not null
		group by r.provider_id
	) g
	join sluice.provider_batch b on b.id = g.provider_id
	join sluice.path p on p.id = b.path_id);
end $$;
