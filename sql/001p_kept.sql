-- migrate: once
--
-- What an account has had kept (001j_cache.sql) since the last sweep: only so much, or
-- what is there between two sweeps would have no bound.

create unlogged table sluice.answer_cache_new (
	account_id bigint primary key references sluice.account,
	bytes bigint not null
);
alter table sluice.answer_cache_new enable row level security;
alter table sluice.answer_cache_new force row level security;

do $$
begin
	-- As on what it counts.
	execute format('create policy owner on sluice.answer_cache_new to %I '
		'using (sluice.me() is null or account_id = sluice.me())', current_user);
end $$;
