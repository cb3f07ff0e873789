-- migrate: on change
--
-- The cache of answers (001j_cache.sql).  It may always be emptied: nothing but
-- calls to upstreams is saved by it.

-- How long an answer is good, and how many bytes of them an account may have.
create or replace function sluice.cache_ttl() returns interval
language sql immutable set search_path = '' as $$ select interval '1 hour' $$;
create or replace function sluice.cache_bytes_max() returns bigint
language sql immutable set search_path = '' as $$ select 64::bigint << 20 $$;

-- May the account keep so many bytes more before the next sweep?  Then they count.
create or replace function sluice.cache_room(p_account bigint, p_bytes bigint)
returns boolean
language plpgsql set search_path = '' as $$
begin
	insert into sluice.answer_cache_new as n (account_id, bytes)
	values (p_account, p_bytes)
	on conflict (account_id) do update set bytes = n.bytes + excluded.bytes
	where n.bytes + excluded.bytes <= sluice.cache_bytes_max();
	return found;
end $$;

create or replace function sluice.cache_get(p_account bigint, p_key bytea)
returns table (type text, body bytea)
language plpgsql stable set search_path = '' security definer as $$
begin
	perform set_config('sluice.account', p_account::text, true);
	return query select c.type, c.body from sluice.answer_cache c
	where c.account_id = p_account and c.key = p_key and c.expires_at > now();
end $$;

-- Keep answers, each under its key; not when the account does not want it any more.
create or replace function sluice.cache_write(
    p_account bigint, p_keys bytea[], p_type text, p_bodies bytea[]
) returns void
language plpgsql set search_path = '' as $$
begin
	perform set_config('sluice.account', p_account::text, true);
	perform set_config('synchronous_commit', 'off', true);
	perform from sluice.account a where a.id = p_account and a.cache for key share;
	if not found or not sluice.cache_room(p_account, (select sum(octet_length(b))
	    from unnest(p_bodies) b)) then
		return;
	end if;
	-- In one order, or two workers might wait for each other.
	insert into sluice.answer_cache as c (account_id, key, type, body, expires_at)
	select distinct on (u.key) p_account, u.key, p_type, u.body,
		now() + sluice.cache_ttl()
	from unnest(p_keys, p_bodies) u (key, body)
	order by u.key
	on conflict (account_id, key) do update set type = excluded.type,
		body = excluded.body, made_at = now(), expires_at = excluded.expires_at;
end $$;

create or replace function sluice.cache_put(
    p_account bigint, p_key bytea, p_type text, p_body bytea
) returns void
language plpgsql set search_path = '' security definer as $$
begin
	perform sluice.cache_write(p_account, array[p_key], p_type, array[p_body]);
end $$;

-- Rows that one sweep deletes, for each reason.
create or replace function sluice.cache_sweep_max() returns integer
language sql immutable set search_path = '' as $$ select 50000 $$;

-- What is too old, and of each account the oldest beyond its bytes.  It waits for
-- nobody: who keeps answers may wait for it.  Before it has caught up, no account may
-- keep more than it was left.
create or replace function sluice.cache_sweep() returns void
language plpgsql set search_path = '' as $$
declare
	v_over integer;
begin
	with old as materialized (
		select d.account_id, d.key from sluice.answer_cache d
		where d.expires_at <= now()
		order by d.account_id, d.key limit sluice.cache_sweep_max()
		for update skip locked
	)
	delete from sluice.answer_cache c using old
	where c.account_id = old.account_id and c.key = old.key;
	with kept as materialized (
		select d.account_id, d.key, sum(octet_length(d.body)) over (
			partition by d.account_id order by d.made_at desc, d.key) as upto
		from sluice.answer_cache d
	), over as materialized (
		select d.account_id, d.key
		from kept k
		join sluice.answer_cache d on d.account_id = k.account_id and d.key = k.key
		where k.upto > sluice.cache_bytes_max()
		order by d.account_id, d.key limit sluice.cache_sweep_max()
		for update of d skip locked
	)
	delete from sluice.answer_cache c using over
	where c.account_id = over.account_id and c.key = over.key;
	get diagnostics v_over = row_count;
	if v_over < sluice.cache_sweep_max() then
		delete from sluice.answer_cache_new n where n.account_id in (
			select m.account_id from sluice.answer_cache_new m
			for update skip locked);
	end if;
end $$;
