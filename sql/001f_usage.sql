-- migrate: once
--
-- Usage as it comes.  A row for each flush and call, never an update: a busy
-- key's minute would be one row that every commit waits for.  The sweep folds
-- them into sluice.usage (usage_fold()); who reads adds both (usage_all).

create table sluice.usage_delta (
	at timestamptz not null,		-- begin of the minute
	account_id bigint not null,
	key_id bigint not null,
	path_id integer not null,
	model text not null,
	kind text not null check (kind in ('live', 'batch')),
	requests bigint not null,
	failed bigint not null,
	refused bigint not null,
	input_tokens bigint not null,
	cached_tokens bigint not null,
	output_tokens bigint not null,
	money bigint not null
);

do $$
declare
	t text;
begin
	-- Whatever of accounts came since 001_tables and is not guarded yet.
	for t in select c.relname from pg_catalog.pg_class c
	    where c.oid = any ('{sluice.usage, sluice.usage_delta, sluice.admission,
		sluice.caller_limit}'::regclass[]) and not c.relrowsecurity
	loop
		execute format('alter table sluice.%I enable row level security', t);
		execute format('alter table sluice.%I force row level security', t);
		execute format('create policy owner on sluice.%I to %I using (true)',
			t, current_user);
	end loop;
end $$;
