-- migrate: on change
--
-- Keys, and named limits, which are attached to them.

-- Keys ------------------------------------------------------------------------

create or replace function sluice.key_object(p_key sluice.api_key) returns json
language sql stable set search_path = '' as $$
	select json_strip_nulls(json_build_object('object', 'key',
		'id', 'key_' || p_key.id, 'name', p_key.name,
		'account', (select a.name from sluice.account a where a.id = p_key.account_id),
		'hint', 'sk-slc-...' || p_key.hint, 'scopes', p_key.scopes,
		'plan', (select p.name from sluice.plan p where p.id = p_key.plan_id),
		'max_priority', p_key.max_priority,
		'limits', sluice.caller_limit_objects(null, null, p_key.id, null),
		'created_at', sluice.epoch(p_key.created_at),
		'expires_at', sluice.epoch(p_key.expires_at),
		'revoked_at', sluice.epoch(p_key.revoked_at)))
$$;

-- By "key_7", or the name of the one key in use that has it.
create or replace function sluice.key_find(p_text text, p_param text)
returns sluice.api_key
language plpgsql stable set search_path = '' as $$
declare
	v_key sluice.api_key;
	v_found bigint;
begin
	if p_text ~ '^key_[0-9]{1,18}$' then
		select * into v_key from sluice.api_key k
		where k.id = substr(p_text, 5)::bigint;
	else
		select count(*) into v_found from sluice.api_key k
		where k.name = p_text and k.revoked_at is null;
		if v_found > 1 then
			perform sluice.refuse(400, 'ambiguous_key', p_param,
				format('%s keys are called "%s"; say which by its id, as key_7.',
					v_found, p_text));
		end if;
		select * into v_key from sluice.api_key k
		where k.name = p_text and k.revoked_at is null;
	end if;
	if v_key.id is null then
		perform sluice.refuse(404, null, p_param, format('No such key: %s.', p_text));
	end if;
	return v_key;
end $$;

-- Times must lie ahead: a key for the past is a slip.
create or replace function sluice.key_settings(p_key bigint, p_doc jsonb) returns text[]
language plpgsql set search_path = '' as $$
declare
	v_old sluice.api_key;
	v_new sluice.api_key;
	v_expires timestamptz := to_timestamp((p_doc ->> 'expires_at')::double precision);
	v_changes text[];
begin
	if v_expires <= now() then
		perform sluice.refuse(400, 'invalid_value', 'expires_at',
			'''expires_at'' is past; it must be a Unix time yet to come, or null.');
	end if;
	select * into v_old from sluice.api_key k where k.id = p_key for update;
	update sluice.api_key k set
		name = coalesce(p_doc ->> 'name', k.name),
		scopes = case when p_doc -> 'scopes' is not null then array(
			select jsonb_array_elements_text(p_doc -> 'scopes')) else k.scopes end,
		expires_at = case when p_doc ? 'expires_at' then v_expires
			else k.expires_at end,
		max_priority = case when p_doc ? 'max_priority'
			then (p_doc ->> 'max_priority')::smallint else k.max_priority end,
		plan_id = case when p_doc ? 'plan' then sluice.plan_of(p_doc)
			else k.plan_id end
	where k.id = p_key returning * into v_new;
	v_changes := sluice.differences('key key_' || p_key,
		to_jsonb(v_old) - 'hash', to_jsonb(v_new) - 'hash');
	if p_doc -> 'limits' is not null then
		v_changes := v_changes || sluice.caller_limits_set(null, null, p_key, null,
			'key key_' || p_key, p_doc -> 'limits');
	end if;
	return v_changes;
end $$;

drop function if exists sluice.key_create(text, text, bytea, text, text[]);
create or replace function sluice.key_create(
    p_account text, p_name text, p_hash bytea, p_hint text, p_scopes text[],
    p_doc text
) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_key sluice.api_key;
begin
	perform from sluice.config for update;
	insert into sluice.api_key (account_id, name, hash, hint, scopes)
	select a.id, p_name, p_hash, p_hint, p_scopes
	from sluice.account a where a.name = p_account
	returning * into v_key;
	if v_key.id is null then
		perform sluice.refuse(404, null, 'account',
			format('No such account: "%s".', p_account));
	end if;
	perform sluice.callers_changed(sluice.key_settings(v_key.id,
		p_doc::jsonb - '{name,scopes}'::text[]));
	select * into v_key from sluice.api_key k where k.id = v_key.id;
	return sluice.key_object(v_key);
end $$;

create or replace function sluice.key_edit(p_id text, p_doc text) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_key sluice.api_key;
begin
	perform from sluice.config for update;
	v_key := sluice.key_find(p_id, 'key_id');
	perform sluice.callers_changed(sluice.key_settings(v_key.id, p_doc::jsonb));
	return sluice.key_object(sluice.key_find('key_' || v_key.id, 'key_id'));
end $$;

create or replace function sluice.key_list() returns json
language sql stable set search_path = '' security definer as $$
	select json_build_object('object', 'list', 'data', coalesce(json_agg(
		sluice.key_object(k) order by k.id), '[]'))
	from sluice.api_key k
$$;

-- The limits a key meets, from the nearest on, and how full they are for it.  Of
-- those that count each model or resource apart: the fullest.
create or replace function sluice.key_limits(p_key sluice.api_key) returns json
language sql stable set search_path = '' as $$
	with met as (
		select l, 1 as rank, 'key' as source, l.per from sluice.caller_limit l
		where l.key_id = p_key.id and l.removed_at is null
		union all
		select l, 2, 'account ' || a.name, l.per
		from sluice.account a join sluice.caller_limit l on l.account_id = a.id
		where a.id = p_key.account_id and l.removed_at is null
		union all
		select l, 3, 'plan ' || p.name, l.per
		from sluice.account a join sluice.plan p
			on p.id = coalesce(p_key.plan_id, a.plan_id)
		join sluice.caller_limit l on l.plan_id = p.id
		where a.id = p_key.account_id and l.removed_at is null
		union all
		select l, 4, 'limit ' || n.name, 'key'
		from sluice.named_attach t join sluice.named_limit n on n.id = t.named_id
		join sluice.caller_limit l on l.named_id = n.id
		where t.key_id = p_key.id and n.removed_at is null and l.removed_at is null
		union all
		select l, 5, 'everybody', l.per from sluice.caller_limit l
		where l.plan_id is null and l.account_id is null and l.key_id is null
		    and l.named_id is null and l.removed_at is null
	), own as (
		select m.*, case m.per when 'key' then 'key:' || p_key.id
			when 'account' then 'account:' || p_key.account_id else 'all' end as base
		from met m
		where m.rank > 3 or not exists (select from met o
			where o.rank < m.rank and ((o.l).dimension, (o.l).window_s,
				(o.l).model, (o.l).resource) = ((m.l).dimension,
				(m.l).window_s, (m.l).model, (m.l).resource))
	)
	select coalesce(json_agg(sluice.caller_limit_object(w.l) || jsonb_build_object(
		'source', w.source, 'used', u.used,
		'reset_s', ceil(u.reset_us / 1e6)) order by w.rank, (w.l).model,
		(w.l).dimension, (w.l).window_s), '[]')
	from own w
	cross join lateral (
		select r.used, r.reset_us
		from (select w.base as subject
			union select s.subject from sluice.caller_state s
			where s.limit_id = (w.l).id and ((w.l).each_model or (w.l).each_resource)
			    and starts_with(s.subject, w.base || '|')) s
		cross join lateral sluice.caller_glance(w.l, s.subject) r
		order by r.used desc limit 1
	) u
$$;

create or replace function sluice.key_get(p_id text) returns json
language plpgsql stable set search_path = '' security definer as $$
declare
	v_key sluice.api_key := sluice.key_find(p_id, 'key_id');
begin
	return sluice.key_object(v_key)::jsonb
		|| jsonb_build_object('limits_met', sluice.key_limits(v_key));
end $$;

-- The lanes of a batch whose key was revoked are closed for good: its lines stay
-- until it is cancelled or its time is over.  Lines that nobody has taken come
-- back.  Lock order: batch, lane, run, retry.
create or replace function sluice.key_pause(p_key bigint) returns void
language plpgsql set search_path = '' as $$
declare
	v_batches bigint[];
begin
	v_batches := array(select b.id from sluice.batch b
		where b.key_id = p_key and b.state in ('validating', 'in_progress')
		order by b.id for update);
	perform sluice.lanes_stop(v_batches, 'key revoked');
end $$;

drop function if exists sluice.key_revoke(bigint);
create or replace function sluice.key_revoke(p_id text, p_cancel boolean) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_key sluice.api_key := sluice.key_find(p_id, 'key_id');
	v_cancelled integer := 0;
	v_paused integer;
begin
	perform from sluice.config for update;
	-- A batch that is being made now is let in by dispatch_poll(), which looks.
	update sluice.api_key k set revoked_at = coalesce(k.revoked_at, now())
	where k.id = v_key.id returning * into v_key;
	if p_cancel then
		update sluice.batch b
		set state = 'cancelling', ending = 'cancelled', cancelling_at = now()
		where b.key_id = v_key.id
		    and b.state in ('validating', 'in_progress', 'finalizing');
		get diagnostics v_cancelled = row_count;
	end if;
	perform sluice.key_pause(v_key.id);
	perform sluice.callers_changed(array['revoked']);
	select count(*) into v_paused from sluice.batch b
	where b.key_id = v_key.id and b.state in ('validating', 'in_progress');
	return sluice.key_object(v_key)::jsonb || jsonb_build_object(
		'batches_cancelled', v_cancelled, 'batches_paused', v_paused);
end $$;

-- Named limits ------------------------------------------------------------------

create or replace function sluice.named_object(p_named sluice.named_limit) returns json
language sql stable set search_path = '' as $$
	with attached as (
		select t.key_id, t.model, k.name, case when t.key_id is not null
			then 'key:' || t.key_id else 'model:' || t.model end as subject
		from sluice.named_attach t left join sluice.api_key k on k.id = t.key_id
		where t.named_id = p_named.id
	)
	select json_build_object('object', 'limit', 'name', p_named.name,
		'status', 'ACTIVE',
		'limits', sluice.caller_limit_objects(null, null, null, p_named.id),
		'models', (select coalesce(json_agg(a.model order by a.model), '[]')
			from attached a where a.model is not null),
		'keys', (select coalesce(json_agg('key_' || a.key_id order by a.key_id), '[]')
			from attached a where a.key_id is not null),
		'key_names', (select coalesce(json_agg(a.name order by a.key_id), '[]')
			from attached a where a.key_id is not null),
		'used', (select coalesce(json_agg(json_strip_nulls(json_build_object(
				'key', 'key_' || a.key_id, 'model', a.model,
				'dimension', l.dimension, 'window_s', l.window_s,
				'used', u.used, 'amount', l.amount,
				'reset_s', ceil(u.reset_us / 1e6)))
				order by a.key_id, a.model, l.dimension), '[]')
			from attached a
			join sluice.caller_limit l on l.named_id = p_named.id
				and l.removed_at is null
			cross join lateral sluice.caller_glance(l, a.subject) u),
		'created_at', sluice.epoch(p_named.created_at))
$$;

create or replace function sluice.named_find(p_name text) returns sluice.named_limit
language plpgsql stable set search_path = '' as $$
declare
	v_named sluice.named_limit;
begin
	select * into v_named from sluice.named_limit n
	where n.name = p_name and n.removed_at is null;
	if not found then
		perform sluice.refuse(404, null, 'limit', format('No such limit: "%s".', p_name));
	end if;
	return v_named;
end $$;

-- Attach to exactly these keys (ids) and models; null: to those it has.
create or replace function sluice.named_attach_to(
    p_named integer, p_where text, p_keys bigint[], p_models text[]
) returns text[]
language sql set search_path = '' as $$
	with gone as (
		delete from sluice.named_attach t
		where t.named_id = p_named and (t.key_id is not null
			and t.key_id <> all (p_keys) or t.model is not null
			and t.model <> all (p_models))
		returning *
	), come as (
		insert into sluice.named_attach (named_id, key_id)
		select p_named, k.id from (select distinct unnest(p_keys) as id) k
		where not exists (select from sluice.named_attach t
			where t.named_id = p_named and t.key_id = k.id)
		returning *
	), come_models as (
		insert into sluice.named_attach (named_id, model)
		select p_named, m.model from (select distinct unnest(p_models) as model) m
		where not exists (select from sluice.named_attach t
			where t.named_id = p_named and t.model = m.model)
		returning *
	), said as (
		select format('%s: %s %s', p_where, coalesce('key key_' || c.key_id,
			'model ' || c.model), c.word) as text
		from (select *, 'attached' as word from come
			union all select *, 'attached' from come_models
			union all select *, 'detached' from gone) c
	)
	select coalesce(array_agg(s.text order by s.text), '{}') from said s
$$;

-- Members that are not there stay as they are.
create or replace function sluice.named_set(p_doc jsonb) returns text[]
language plpgsql set search_path = '' as $$
declare
	v_name text := p_doc ->> 'name';
	v_where text := 'limit ' || v_name;
	v_changes text[] := array[]::text[];
	v_id integer;
	v_keys bigint[];
begin
	select n.id into v_id from sluice.named_limit n
	where n.name = v_name and n.removed_at is null;
	if v_id is null then
		insert into sluice.named_limit (name) values (v_name) returning id into v_id;
		v_changes := array[format('%s: added', v_where)];
	end if;
	if p_doc -> 'limits' is not null then
		v_changes := v_changes || sluice.caller_limits_set(null, null, null, v_id,
			v_where, p_doc -> 'limits');
	end if;
	if p_doc -> 'keys' is not null then
		v_keys := array(select (sluice.key_find(k, 'keys')).id
			from jsonb_array_elements_text(p_doc -> 'keys') k);
	end if;
	return v_changes || sluice.named_attach_to(v_id, v_where, v_keys,
		case when p_doc -> 'models' is not null then array(
			select jsonb_array_elements_text(p_doc -> 'models')) end);
end $$;

create or replace function sluice.named_unset(p_name text) returns text[]
language plpgsql set search_path = '' as $$
declare
	v_named sluice.named_limit := sluice.named_find(p_name);
begin
	update sluice.named_limit n set removed_at = now() where n.id = v_named.id;
	update sluice.caller_limit l set removed_at = now()
	where l.named_id = v_named.id and l.removed_at is null;
	delete from sluice.named_attach t where t.named_id = v_named.id;
	return array[format('limit %s: removed', p_name)];
end $$;

create or replace function sluice.named_list() returns json
language sql stable set search_path = '' security definer as $$
	select json_build_object('object', 'list', 'data', coalesce(json_agg(
		sluice.named_object(n) order by n.name), '[]'))
	from sluice.named_limit n where n.removed_at is null
$$;

create or replace function sluice.named_get(p_name text) returns json
language sql stable set search_path = '' security definer as $$
	select sluice.named_object(sluice.named_find(p_name))
$$;

create or replace function sluice.named_create(p_doc text) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_doc jsonb := p_doc;
begin
	perform from sluice.config for update;
	if exists (select from sluice.named_limit n
	    where n.name = v_doc ->> 'name' and n.removed_at is null) then
		perform sluice.refuse(409, 'already_exists', 'name',
			format('There is a limit "%s" already.', v_doc ->> 'name'));
	end if;
	perform sluice.callers_changed(sluice.named_set(v_doc));
	return sluice.named_get(v_doc ->> 'name');
end $$;

create or replace function sluice.named_edit(p_name text, p_doc text) returns json
language plpgsql set search_path = '' security definer as $$
begin
	perform from sluice.config for update;
	perform sluice.named_find(p_name);
	perform sluice.callers_changed(sluice.named_set(
		p_doc::jsonb || jsonb_build_object('name', p_name)));
	return sluice.named_get(p_name);
end $$;

create or replace function sluice.named_delete(p_name text) returns json
language plpgsql set search_path = '' security definer as $$
begin
	perform from sluice.config for update;
	perform sluice.callers_changed(sluice.named_unset(p_name));
	return json_build_object('object', 'limit', 'name', p_name, 'deleted', true);
end $$;
