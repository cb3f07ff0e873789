-- migrate: on change
--
-- The operator's side: accounts, keys, workers.

create or replace function sluice.auth(p_hash bytea)
returns table (account_id bigint, key_id bigint, scopes text[])
language sql stable set search_path = '' security definer as $$
	select k.account_id, k.id, k.scopes from sluice.api_key k
	where k.hash = p_hash and k.revoked_at is null
	    and (k.expires_at is null or k.expires_at > now())
$$;

create or replace function sluice.account_object(p_account sluice.account) returns json
language sql stable set search_path = '' as $$
	select json_build_object('object', 'account', 'name', p_account.name,
		'created_at', sluice.epoch(p_account.created_at))
$$;

create or replace function sluice.account_create(p_name text) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_account sluice.account;
begin
	insert into sluice.account (name) values (p_name) returning * into v_account;
	return sluice.account_object(v_account);
exception when unique_violation then
	perform sluice.refuse(409, 'already_exists', 'name',
		format('There is an account "%s" already.', p_name));
end $$;

create or replace function sluice.account_list() returns json
language sql stable set search_path = '' security definer as $$
	select json_build_object('object', 'list', 'data', coalesce(json_agg(
		sluice.account_object(a) order by a.name), '[]'))
	from sluice.account a
$$;

create or replace function sluice.key_object(p_key sluice.api_key) returns json
language sql stable set search_path = '' as $$
	select json_strip_nulls(json_build_object('object', 'key',
		'id', 'key_' || p_key.id, 'name', p_key.name,
		'account', (select a.name from sluice.account a where a.id = p_key.account_id),
		'hint', 'sk-slc-...' || p_key.hint, 'scopes', p_key.scopes,
		'created_at', sluice.epoch(p_key.created_at),
		'expires_at', sluice.epoch(p_key.expires_at),
		'revoked_at', sluice.epoch(p_key.revoked_at)))
$$;

create or replace function sluice.key_create(
    p_account text, p_name text, p_hash bytea, p_hint text, p_scopes text[]
) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_key sluice.api_key;
begin
	insert into sluice.api_key (account_id, name, hash, hint, scopes)
	select a.id, p_name, p_hash, p_hint, p_scopes
	from sluice.account a where a.name = p_account
	returning * into v_key;
	if v_key.id is null then
		perform sluice.refuse(404, null, 'account',
			format('No such account: "%s".', p_account));
	end if;
	return sluice.key_object(v_key);
end $$;

create or replace function sluice.key_list() returns json
language sql stable set search_path = '' security definer as $$
	select json_build_object('object', 'list', 'data', coalesce(json_agg(
		sluice.key_object(k) order by k.id), '[]'))
	from sluice.api_key k
$$;

create or replace function sluice.key_revoke(p_id bigint) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_key sluice.api_key;
begin
	update sluice.api_key k set revoked_at = coalesce(k.revoked_at, now())
	where k.id = p_id returning * into v_key;
	if v_key.id is null then
		perform sluice.refuse(404, null, 'key_id',
			format('No such key: key_%s.', p_id));
	end if;
	return sluice.key_object(v_key);
end $$;

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
