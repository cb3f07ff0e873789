-- migrate: once
--
-- Answers to live requests that have the same answer each time, of accounts that
-- ask for it.  What they hold is the callers': an account reaches its own alone.

create table sluice.answer_cache (
	account_id bigint not null references sluice.account,
	key bytea not null check (octet_length(key) = 32),	-- SHA-256 of the request
	type text not null,			-- Content-Type
	body bytea compression lz4 not null,
	made_at timestamptz not null default now(),
	expires_at timestamptz not null,
	primary key (account_id, key)
);
create index on sluice.answer_cache (expires_at);
create index on sluice.answer_cache (account_id, made_at desc);
alter table sluice.answer_cache enable row level security;
alter table sluice.answer_cache force row level security;
create policy mine on sluice.answer_cache to sluice_api
	using (account_id = sluice.me());

do $$
begin
	-- Where a transaction speaks for an account that holds for functions, too.
	execute format('create policy owner on sluice.answer_cache to %I '
		'using (sluice.me() is null or account_id = sluice.me())', current_user);
end $$;
