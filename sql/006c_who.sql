-- migrate: on change
--
-- What holds for everybody, all of the callers' side as one document, and who calls.

-- Everybody -----------------------------------------------------------------------

create or replace function sluice.everybody_get() returns json
language sql stable set search_path = '' security definer as $$
	select json_build_object('object', 'everybody', 'limits',
		sluice.caller_limit_objects(null, null, null, null))
$$;

create or replace function sluice.everybody_set(p_doc jsonb) returns text[]
language sql set search_path = '' as $$
	select sluice.caller_limits_set(null, null, null, null, 'everybody',
		p_doc -> 'limits')
$$;

create or replace function sluice.everybody_edit(p_doc text) returns json
language plpgsql set search_path = '' security definer as $$
begin
	perform from sluice.config for update;
	perform sluice.callers_changed(sluice.everybody_set(p_doc::jsonb));
	return sluice.everybody_get();
end $$;

-- All of it -------------------------------------------------------------------------

-- The callers' part of config_apply(): {plans, accounts, named_limits, everybody,
-- remove_plans, remove_limits}.  With p_prune plans and limits that the document
-- does not name are removed, if it speaks of callers at all; accounts never.
create or replace function sluice.callers_apply(p_doc jsonb, p_prune boolean)
returns text[]
language plpgsql set search_path = '' as $$
declare
	v_changes text[] := array[]::text[];
	v_item jsonb;
	v_name text;
	v_prune boolean := p_prune and p_doc ?|
		array['plans', 'accounts', 'named_limits', 'everybody'];
begin
	for v_item in select jsonb_array_elements(coalesce(p_doc -> 'plans', '[]')) loop
		v_changes := v_changes || sluice.plan_set(
			'{"dialect":"openai","max_priority":4,"limits":[]}' || v_item);
	end loop;
	for v_item in select jsonb_array_elements(coalesce(p_doc -> 'accounts', '[]')) loop
		v_changes := v_changes || sluice.account_set('{"plan":null,
			"max_priority":null,"weight":1,"cache":false,"limits":[]}' || v_item);
	end loop;
	for v_item in select jsonb_array_elements(coalesce(p_doc -> 'named_limits', '[]')) loop
		v_changes := v_changes || sluice.named_set(
			'{"limits":[],"keys":[],"models":[]}' || v_item);
	end loop;
	if v_prune or p_doc -> 'everybody' is not null then
		v_changes := v_changes || sluice.everybody_set('{"limits":[]}'
			|| coalesce(p_doc -> 'everybody', '{}'));
	end if;
	for v_name in
		select jsonb_array_elements_text(coalesce(p_doc -> 'remove_limits', '[]'))
		union all
		select n.name from sluice.named_limit n
		where v_prune and n.removed_at is null and n.name not in (
			select j ->> 'name' from jsonb_array_elements(
				coalesce(p_doc -> 'named_limits', '[]')) j)
	loop
		v_changes := v_changes || sluice.named_unset(v_name);
	end loop;
	for v_name in
		select jsonb_array_elements_text(coalesce(p_doc -> 'remove_plans', '[]'))
		union all
		select p.name from sluice.plan p
		where v_prune and p.removed_at is null and p.name not in (
			select j ->> 'name' from jsonb_array_elements(
				coalesce(p_doc -> 'plans', '[]')) j)
	loop
		v_changes := v_changes || sluice.plan_unset(v_name);
	end loop;
	perform sluice.callers_changed(v_changes);
	return v_changes;
end $$;

-- Who calls -------------------------------------------------------------------------

-- Who has the key, and the limit that headers speak of: requests in the shortest
-- window that a call without a model meets, the nearest of several.  as_of: until
-- callers_revision is another, all of it but that limit's use holds; left_us: for
-- so long at most.
drop function if exists sluice.auth(bytea);
create function sluice.auth(p_hash bytea)
returns table (account_id bigint, key_id bigint, scopes text[], dialect text,
    max_priority smallint, resource text, amount bigint, used bigint,
    window_s integer, reset_us bigint, cache boolean, as_of bigint, left_us bigint)
language plpgsql stable set search_path = '' security definer
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
	v_plan integer;
	v_limit sluice.caller_limit;
	v_used record;
begin
	select k.account_id, k.id, k.scopes, coalesce(p.dialect, 'openai'),
		coalesce(k.max_priority, a.max_priority, p.max_priority, 4), p.id, a.cache,
		(select c.callers_revision from sluice.config c),
		sluice.epoch_us(k.expires_at) - sluice.epoch_us(now())
	into account_id, key_id, scopes, dialect, max_priority, v_plan, cache, as_of,
		left_us
	from sluice.api_key k
	join sluice.account a on a.id = k.account_id
	left join sluice.plan p on p.id = coalesce(k.plan_id, a.plan_id)
	where k.hash = p_hash and k.revoked_at is null
	    and (k.expires_at is null or k.expires_at > now());
	if not found then
		return;
	end if;
	select (m.l).* into v_limit from (
		select l, 1 as rank from sluice.caller_limit l
		where l.key_id = auth.key_id and l.removed_at is null
		union all
		select l, 2 from sluice.caller_limit l
		where l.account_id = auth.account_id and l.removed_at is null
		union all
		select l, 3 from sluice.caller_limit l
		where l.plan_id = v_plan and l.removed_at is null
		union all
		select l, 4 from sluice.named_attach t
		join sluice.caller_limit l on l.named_id = t.named_id
		where t.key_id = auth.key_id and l.removed_at is null
		union all
		select l, 5 from sluice.caller_limit l
		where l.plan_id is null and l.account_id is null and l.key_id is null
		    and l.named_id is null and l.removed_at is null
	) m
	where (m.l).dimension = 'requests' and (m.l).model = '*'
	    and not (m.l).each_model and (m.l).resource in ('*', 'chat')
	    and (m.l).applies <> 'batch'
	order by (m.l).window_s, m.rank
	limit 1;
	if v_limit.id is not null then
		resource := case when v_limit.each_resource or v_limit.resource <> '*'
			then 'chat' end;
		select * into v_used from sluice.caller_glance(v_limit, case
			when v_limit.named_id is not null or v_limit.per = 'key'
			then 'key:' || key_id when v_limit.per = 'account'
			then 'account:' || account_id else 'all' end
			|| case when v_limit.each_resource then '|chat' else '' end);
		amount := v_limit.amount;
		used := v_used.used;
		window_s := v_limit.window_s;
		reset_us := v_used.reset_us;
	end if;
	return next;
end $$;
