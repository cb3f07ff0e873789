-- migrate: on change
--
-- Which limits a call meets at the door.

-- Which limits a call meets, each with the subject that it counts for.  Of a
-- key's plan (else its account's), its account's and its own limits the nearest
-- wins, of those with the same dimension, window, model and resource.
create or replace function sluice.limits_of(
    p_account bigint, p_key bigint, p_model text, p_resource text
) returns table (
    limit_id integer, subject text, scope text, dimension text, window_s integer,
    algorithm text, zone text, amount bigint, action text, applies text,
    stream_cost text
)
language plpgsql stable set search_path = '' as $$
#variable_conflict use_column
begin
	return query
	with who as (
		select a.id as account_id, k.id as key_id,
			coalesce(k.plan_id, a.plan_id) as plan_id
		from sluice.account a
		left join sluice.api_key k on k.id = p_key and k.account_id = a.id
		where a.id = p_account
	), own as (
		select l, 1 as near from who w
		join sluice.caller_limit l on l.plan_id = w.plan_id
		where l.removed_at is null
		union all
		select l, 2 from who w
		join sluice.caller_limit l on l.account_id = w.account_id
		where l.removed_at is null
		union all
		select l, 3 from who w
		join sluice.caller_limit l on l.key_id = w.key_id
		where l.removed_at is null
	), nearest as (
		select o.l, o.near = max(o.near) over (partition by (o.l).dimension,
			(o.l).window_s, (o.l).model, (o.l).resource) as wins
		from own o
	), met as (
		select n.l, case (n.l).per when 'key' then 'key:' || w.key_id
			when 'account' then 'account:' || w.account_id else 'all' end
			as subject, (n.l).per as scope
		from nearest n cross join who w where n.wins
		union all
		select l, case l.per when 'key' then 'key:' || w.key_id
			when 'account' then 'account:' || w.account_id else 'all' end, l.per
		from sluice.caller_limit l cross join who w
		where l.plan_id is null and l.account_id is null and l.key_id is null
		    and l.named_id is null and l.removed_at is null
		union all
		select l, case when t.key_id is not null then 'key:' || t.key_id
			else 'model:' || t.model end,
			case when t.key_id is not null then 'key' else 'model' end
		from (
			select t.* from sluice.named_attach t where t.key_id = p_key
			union all
			select t.* from sluice.named_attach t where t.model = p_model
		) t
		join sluice.named_limit d on d.id = t.named_id and d.removed_at is null
		join sluice.caller_limit l on l.named_id = t.named_id
		    and l.removed_at is null
	)
	select (m.l).id, m.subject
		|| case when (m.l).each_model then '|model:' || p_model else '' end
		|| case when (m.l).each_resource then '|' || p_resource else '' end,
		m.scope, (m.l).dimension, (m.l).window_s, (m.l).algorithm, (m.l).zone,
		(m.l).amount, (m.l).action, (m.l).applies, (m.l).stream_cost
	from met m
	where m.subject is not null and sluice.glob_match((m.l).model, p_model)
	    and (m.l).resource in ('*', p_resource);
end $$;

-- Their counters, where there are none yet.
create or replace function sluice.states_make(p_limit integer[], p_subject text[])
returns void
language plpgsql set search_path = '' as $$
begin
	insert into sluice.caller_state (limit_id, subject)
	select u.limit_id, u.subject from unnest(p_limit, p_subject) u (limit_id, subject)
	where not exists (select from sluice.caller_state s
		where s.limit_id = u.limit_id and s.subject = u.subject)
	order by u.limit_id, u.subject collate "C"
	on conflict do nothing;
end $$;

-- The same for sluiced, which keeps it until callers_revision moves, with
-- counters to lock.  served: some path takes the model; what comes of a model
-- that nobody serves is not worth a counter and must not be kept.
create or replace function sluice.door_limits(
    p_account bigint, p_key bigint, p_model text, p_resource text
) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_revision bigint := (select c.callers_revision from sluice.config c);
	v_limits json;
	v_limit integer[];
	v_subject text[];
begin
	if not exists (select from sluice.path p, unnest(p.models) g
	    where p.removed_at is null and sluice.glob_match(g, p_model)) then
		return json_build_object('revision', v_revision, 'served', false);
	end if;
	select json_agg(json_build_object('id', l.limit_id, 'subject', l.subject,
			'scope', l.scope, 'dimension', l.dimension, 'window_s', l.window_s,
			'algorithm', l.algorithm, 'zone', l.zone, 'amount', l.amount,
			'chunks', l.dimension = 'requests' and l.stream_cost = 'chunk',
			'text', l.dimension || case when l.window_s > 0
				then '/' || sluice.window_text(l.window_s) else '' end)
			order by l.limit_id, l.subject collate "C"),
		array_agg(l.limit_id), array_agg(l.subject)
	into v_limits, v_limit, v_subject
	from sluice.limits_of(p_account, p_key, p_model, p_resource) l
	where l.applies in ('live', 'both') and l.action = 'reject'
	    and l.dimension not like 'enqueued%';
	perform sluice.states_make(v_limit, v_subject);
	return json_build_object('revision', v_revision, 'served', true,
		'limits', coalesce(v_limits, '[]'));
end $$;
