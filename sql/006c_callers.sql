-- migrate: on change
--
-- What operators set for callers: plans, accounts, keys, named limits.  Who
-- changes anything of it locks the row of sluice.config first, and bumps
-- callers_revision if something has changed: who has resolved limits compares.

create or replace function sluice.callers_changed(p_changes text[]) returns void
language plpgsql set search_path = '' as $$
begin
	if cardinality(p_changes) > 0 then
		update sluice.config set callers_revision = callers_revision + 1;
		perform sluice.shapes_refresh();
	end if;
end $$;

-- Whoever changes whose a key is and what it may, and however: what sluiced remembers
-- of keys (scheduler/who.h) is old.
create or replace function sluice.callers_moved() returns trigger
language plpgsql set search_path = '' security definer as $$
begin
	update sluice.config set callers_revision = callers_revision + 1;
	return null;
end $$;
create or replace trigger callers_moved after update on sluice.api_key
	for each row when (old is distinct from new) execute function sluice.callers_moved();
create or replace trigger callers_moved after update on sluice.account
	for each row when (old is distinct from new) execute function sluice.callers_moved();
create or replace trigger callers_moved after update on sluice.plan
	for each row when (old is distinct from new) execute function sluice.callers_moved();

create or replace trigger callers_gone after delete on sluice.api_key
	for each row execute function sluice.callers_moved();
create or replace trigger callers_gone after delete on sluice.account
	for each row execute function sluice.callers_moved();
create or replace trigger callers_gone after delete on sluice.plan
	for each row execute function sluice.callers_moved();

-- "what: a -> b" for each member that differs.
create or replace function sluice.differences(p_where text, p_old jsonb, p_new jsonb)
returns text[]
language sql immutable set search_path = '' as $$
	select coalesce(array_agg(format('%s: %s %s -> %s', p_where, n.key,
		coalesce(p_old ->> n.key, 'none'), coalesce(n.value #>> '{}', 'none'))
		order by n.key), '{}')
	from jsonb_each(p_new) n
	where n.value is distinct from coalesce(p_old -> n.key, 'null')
$$;

-- Plans -----------------------------------------------------------------------

create or replace function sluice.plan_object(p_plan sluice.plan) returns json
language sql stable set search_path = '' as $$
	select json_build_object('object', 'plan', 'name', p_plan.name,
		'dialect', p_plan.dialect, 'max_priority', p_plan.max_priority,
		'limits', sluice.caller_limit_objects(p_plan.id, null, null, null),
		'accounts', (select coalesce(json_agg(a.name order by a.name), '[]')
			from sluice.account a where a.plan_id = p_plan.id),
		'keys', (select coalesce(json_agg('key_' || k.id order by k.id), '[]')
			from sluice.api_key k where k.plan_id = p_plan.id
			    and k.revoked_at is null),
		'created_at', sluice.epoch(p_plan.created_at))
$$;

create or replace function sluice.plan_find(p_name text, p_param text)
returns sluice.plan
language plpgsql stable set search_path = '' as $$
declare
	v_plan sluice.plan;
begin
	select * into v_plan from sluice.plan p
	where p.name = p_name and p.removed_at is null;
	if not found then
		perform sluice.refuse(404, null, p_param, format('No such plan: "%s".', p_name));
	end if;
	return v_plan;
end $$;

-- Members that are not there stay as they are.
create or replace function sluice.plan_set(p_doc jsonb) returns text[]
language plpgsql set search_path = '' as $$
declare
	v_name text := p_doc ->> 'name';
	v_where text := 'plan ' || v_name;
	v_changes text[] := array[]::text[];
	v_old sluice.plan;
	v_new sluice.plan;
begin
	select * into v_old from sluice.plan p where p.name = v_name and p.removed_at is null;
	if v_old.id is null then
		insert into sluice.plan (name, dialect, max_priority)
		values (v_name, coalesce(p_doc ->> 'dialect', 'openai'),
			coalesce((p_doc ->> 'max_priority')::smallint, 4))
		returning * into v_new;
		v_changes := array[format('%s: added (dialect %s, priority to %s)', v_where,
			v_new.dialect, v_new.max_priority)];
	else
		update sluice.plan p set dialect = coalesce(p_doc ->> 'dialect', p.dialect),
			max_priority = coalesce((p_doc ->> 'max_priority')::smallint,
				p.max_priority)
		where p.id = v_old.id returning * into v_new;
		v_changes := sluice.differences(v_where, to_jsonb(v_old), to_jsonb(v_new));
	end if;
	if p_doc -> 'limits' is not null then
		v_changes := v_changes || sluice.caller_limits_set(v_new.id, null, null, null,
			v_where, p_doc -> 'limits');
	end if;
	return v_changes;
end $$;

create or replace function sluice.plan_unset(p_name text) returns text[]
language plpgsql set search_path = '' as $$
declare
	v_plan sluice.plan := sluice.plan_find(p_name, 'plan');
	v_user text;
begin
	select coalesce((select 'account ' || a.name from sluice.account a
			where a.plan_id = v_plan.id order by a.name limit 1),
		(select 'key key_' || k.id from sluice.api_key k
			where k.plan_id = v_plan.id and k.revoked_at is null
			order by k.id limit 1)) into v_user;
	if v_user is not null then
		perform sluice.refuse(409, 'plan_in_use', 'plan',
			format('The plan "%s" is that of %s; give it another one first.',
				p_name, v_user));
	end if;
	update sluice.plan p set removed_at = now() where p.id = v_plan.id;
	update sluice.caller_limit l set removed_at = now()
	where l.plan_id = v_plan.id and l.removed_at is null;
	return array[format('plan %s: removed', p_name)];
end $$;

create or replace function sluice.plan_list() returns json
language sql stable set search_path = '' security definer as $$
	select json_build_object('object', 'list', 'data', coalesce(json_agg(
		sluice.plan_object(p) order by p.name), '[]'))
	from sluice.plan p where p.removed_at is null
$$;

create or replace function sluice.plan_get(p_name text) returns json
language sql stable set search_path = '' security definer as $$
	select sluice.plan_object(sluice.plan_find(p_name, 'plan'))
$$;

create or replace function sluice.plan_create(p_doc text) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_doc jsonb := p_doc;
begin
	perform from sluice.config for update;
	if exists (select from sluice.plan p
	    where p.name = v_doc ->> 'name' and p.removed_at is null) then
		perform sluice.refuse(409, 'already_exists', 'name',
			format('There is a plan "%s" already.', v_doc ->> 'name'));
	end if;
	perform sluice.callers_changed(sluice.plan_set(v_doc));
	return sluice.plan_get(v_doc ->> 'name');
end $$;

create or replace function sluice.plan_edit(p_name text, p_doc text) returns json
language plpgsql set search_path = '' security definer as $$
begin
	perform from sluice.config for update;
	perform sluice.plan_find(p_name, 'plan');
	perform sluice.callers_changed(sluice.plan_set(
		p_doc::jsonb || jsonb_build_object('name', p_name)));
	return sluice.plan_get(p_name);
end $$;

create or replace function sluice.plan_remove(p_name text) returns json
language plpgsql set search_path = '' security definer as $$
begin
	perform from sluice.config for update;
	perform sluice.callers_changed(sluice.plan_unset(p_name));
	return json_build_object('object', 'plan', 'name', p_name, 'deleted', true);
end $$;

-- Accounts --------------------------------------------------------------------

create or replace function sluice.account_object(p_account sluice.account) returns json
language sql stable set search_path = '' as $$
	select json_strip_nulls(json_build_object('object', 'account',
		'name', p_account.name,
		'plan', (select p.name from sluice.plan p where p.id = p_account.plan_id),
		'max_priority', p_account.max_priority, 'weight', p_account.weight,
		'cache', p_account.cache,
		'limits', sluice.caller_limit_objects(null, p_account.id, null, null),
		'created_at', sluice.epoch(p_account.created_at)))
$$;

-- The plan that a member names; null for none.
create or replace function sluice.plan_of(p_doc jsonb) returns integer
language sql stable set search_path = '' as $$
	select case when jsonb_typeof(p_doc -> 'plan') = 'string'
		then (sluice.plan_find(p_doc ->> 'plan', 'plan')).id end
$$;

-- An account that is not there comes into being.
create or replace function sluice.account_set(p_doc jsonb) returns text[]
language plpgsql set search_path = '' as $$
declare
	v_name text := p_doc ->> 'name';
	v_where text := 'account ' || v_name;
	v_changes text[] := array[]::text[];
	v_old sluice.account;
	v_new sluice.account;
begin
	select * into v_old from sluice.account a where a.name = v_name for update;
	if v_old.id is null then
		insert into sluice.account (name) values (v_name) returning * into v_old;
		v_changes := array[format('%s: added', v_where)];
	end if;
	update sluice.account a set
		plan_id = case when p_doc ? 'plan' then sluice.plan_of(p_doc)
			else a.plan_id end,
		max_priority = case when p_doc ? 'max_priority'
			then (p_doc ->> 'max_priority')::smallint else a.max_priority end,
		weight = coalesce((p_doc ->> 'weight')::integer, a.weight),
		cache = coalesce((p_doc ->> 'cache')::boolean, a.cache)
	where a.id = v_old.id returning * into v_new;
	if not v_new.cache then
		delete from sluice.answer_cache c where c.account_id = v_new.id;
	end if;
	v_changes := v_changes || sluice.differences(v_where,
		(select to_jsonb(v_old) - 'plan_id' || jsonb_build_object('plan', (
			select p.name from sluice.plan p where p.id = v_old.plan_id))),
		(select to_jsonb(v_new) - 'plan_id' || jsonb_build_object('plan', (
			select p.name from sluice.plan p where p.id = v_new.plan_id))));
	if p_doc -> 'limits' is not null then
		v_changes := v_changes || sluice.caller_limits_set(null, v_new.id, null, null,
			v_where, p_doc -> 'limits');
	end if;
	return v_changes;
end $$;

create or replace function sluice.account_get(p_name text) returns json
language plpgsql stable set search_path = '' security definer as $$
declare
	v_account sluice.account;
begin
	select * into v_account from sluice.account a where a.name = p_name;
	if not found then
		perform sluice.refuse(404, null, 'account',
			format('No such account: "%s".', p_name));
	end if;
	return sluice.account_object(v_account);
end $$;

drop function if exists sluice.account_create(text);
create function sluice.account_create(p_doc text) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_doc jsonb := p_doc;
begin
	perform from sluice.config for update;
	if exists (select from sluice.account a where a.name = v_doc ->> 'name') then
		perform sluice.refuse(409, 'already_exists', 'name',
			format('There is an account "%s" already.', v_doc ->> 'name'));
	end if;
	perform sluice.callers_changed(sluice.account_set(v_doc));
	return sluice.account_get(v_doc ->> 'name');
end $$;

create or replace function sluice.account_edit(p_name text, p_doc text) returns json
language plpgsql set search_path = '' security definer as $$
begin
	perform from sluice.config for update;
	perform sluice.account_get(p_name);
	perform sluice.callers_changed(sluice.account_set(
		p_doc::jsonb || jsonb_build_object('name', p_name)));
	return sluice.account_get(p_name);
end $$;

create or replace function sluice.account_list() returns json
language sql stable set search_path = '' security definer as $$
	select json_build_object('object', 'list', 'data', coalesce(json_agg(
		sluice.account_object(a) order by a.name), '[]'))
	from sluice.account a
$$;
