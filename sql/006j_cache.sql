-- migrate: on change
--
-- The cache of answers (001j_cache.sql).  It may always be emptied: nothing but
-- calls to upstreams is saved by it.

-- How long an answer is good, and how many bytes of them an account may have.
create or replace function sluice.cache_ttl() returns interval
language sql immutable set search_path = '' as $$ select interval '1 hour' $$;
create or replace function sluice.cache_bytes_max() returns bigint
language sql immutable set search_path = '' as $$ select 64::bigint << 20 $$;

create or replace function sluice.cache_get(p_account bigint, p_key bytea)
returns table (type text, body bytea)
language plpgsql stable set search_path = '' security definer as $$
begin
	perform set_config('sluice.account', p_account::text, true);
	return query select c.type, c.body from sluice.answer_cache c
	where c.account_id = p_account and c.key = p_key and c.expires_at > now();
end $$;

-- Not when the account does not want it any more.
create or replace function sluice.cache_put(
    p_account bigint, p_key bytea, p_type text, p_body bytea
) returns void
language plpgsql set search_path = '' security definer as $$
begin
	perform set_config('sluice.account', p_account::text, true);
	perform set_config('synchronous_commit', 'off', true);
	perform from sluice.account a where a.id = p_account and a.cache for key share;
	if not found then
		return;
	end if;
	insert into sluice.answer_cache as c (account_id, key, type, body, expires_at)
	values (p_account, p_key, p_type, p_body, now() + sluice.cache_ttl())
	on conflict (account_id, key) do update set type = excluded.type,
		body = excluded.body, made_at = now(), expires_at = excluded.expires_at;
end $$;

-- What is too old, and of each account the oldest beyond its bytes.
create or replace function sluice.cache_sweep() returns void
language sql set search_path = '' as $$
	delete from sluice.answer_cache c where (c.account_id, c.key) in (
		select d.account_id, d.key from sluice.answer_cache d
		where d.expires_at <= now() limit 10000);
	delete from sluice.answer_cache c
	using (
		select d.account_id, d.key, sum(octet_length(d.body)) over (
			partition by d.account_id order by d.made_at desc, d.key) as upto
		from sluice.answer_cache d
	) s
	where s.upto > sluice.cache_bytes_max()
	    and c.account_id = s.account_id and c.key = s.key
$$;
