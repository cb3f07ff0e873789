-- migrate: on change
--
-- Limits before callers that shape: which lines meet which.

-- Those of a caller's batches for a model, made on first use.  Dispatchers hear
-- of new ones by the configuration's revision.
create or replace function sluice.shapes_of(
    p_account bigint, p_key bigint, p_model text, p_endpoint text
) returns integer[]
language plpgsql set search_path = '' as $$
declare
	v_ids integer[];
	v_limit integer[];
	v_subject text[];
begin
	select array_agg(l.limit_id), array_agg(l.subject) into v_limit, v_subject
	from sluice.limits_of(p_account, p_key, p_model,
		sluice.endpoint_resource(p_endpoint)) l
	where l.action = 'shape';
	if v_limit is null then
		return '{}';
	end if;
	insert into sluice.shape (limit_id, subject)
	select u.limit_id, u.subject from unnest(v_limit, v_subject) u (limit_id, subject)
	where not exists (select from sluice.shape s
		where s.limit_id = u.limit_id and s.subject = u.subject)
	order by 1, 2
	on conflict do nothing;
	if found then
		update sluice.config set revision = revision + 1;
	end if;
	select array_agg(s.id order by s.id) into v_ids
	from unnest(v_limit, v_subject) u (limit_id, subject)
	join sluice.shape s on s.limit_id = u.limit_id and s.subject = u.subject;
	return v_ids;
end $$;

-- After a change of limits before callers: the lines that wait meet those that
-- there are now.
create or replace function sluice.shapes_refresh() returns void
language plpgsql set search_path = '' as $$
begin
	if not exists (select from sluice.shape) and not exists (
		select from sluice.caller_limit l
		where l.action = 'shape' and l.removed_at is null) then
		return;
	end if;
	update sluice.batch_lane l set shapes = n.shapes
	from (
		select w.*, sluice.shapes_of(w.account_id, w.key_id, w.model,
			w.endpoint) as shapes
		from (select distinct b.account_id, b.key_id, q.model, q.endpoint
			from sluice.batch_lane q join sluice.batch b on b.id = q.batch_id
			where b.state in ('validating', 'in_progress')) w
	) n, sluice.batch b
	where b.id = l.batch_id and b.state in ('validating', 'in_progress')
	    and b.account_id = n.account_id and b.key_id is not distinct from n.key_id
	    and l.model = n.model and l.endpoint = n.endpoint and l.shapes <> n.shapes;
	update sluice.config set revision = revision + 1;
end $$;

-- What live calls took of limits that shape and apply to both, as cells of their
-- ledgers: a minute's use stands at the end of the minute, so that it is never
-- forgotten too soon.  They are not refused for it: batches leave them room.
create or replace function sluice.shapes_live()
returns table (limit_id integer, cell bigint, units bigint)
language sql stable set search_path = '' security definer as $$
	select p.id, (sluice.epoch_us(u.at + interval '1 minute')
			+ (select e.clock_offset_us from sluice.dispatch_lease e))
			/ sluice.cell_us(l.window_s),
		sum(case l.dimension when 'requests' then u.requests
			when 'input_tokens' then u.input_tokens
			when 'output_tokens' then u.output_tokens
			else u.input_tokens + u.output_tokens end)::bigint
	from sluice.caller_limit l
	join sluice.shape p on p.limit_id = l.id
	join sluice.usage_all u on u.span_s = 60 and u.kind = 'live'
	    and u.at > now() - make_interval(secs => l.window_s + 120)
	    and split_part(p.subject, '|', 1) in ('all', 'account:' || u.account_id,
		'key:' || u.key_id, 'model:' || u.model)
	    and sluice.glob_match(l.model, u.model)
	    and (not l.each_model or p.subject like '%|model:' || u.model
		or p.subject like '%|model:' || u.model || '|%')
	    and (l.resource = '*' or l.resource = u.resource)
	    and (not l.each_resource or split_part(p.subject, '|', -1) = u.resource)
	where l.action = 'shape' and l.applies = 'both' and l.removed_at is null
	group by 1, 2
$$;
