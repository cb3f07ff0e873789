-- migrate: once
--
-- Webhooks: who is told when a batch of an account has ended, and what has still
-- to be told.

create table sluice.webhook (
	id bigint generated always as identity primary key,
	account_id bigint not null references sluice.account,
	url text not null check (url ~ '^https?://[^[:space:]]+$'),
	secret_file text not null,		-- read by workers alone
	events text[] not null check (cardinality(events) > 0 and events <@ array[
		'batch.completed', 'batch.failed', 'batch.expired', 'batch.cancelled']),
	created_at timestamptz not null default now(),
	disabled_at timestamptz,		-- its receiver said that it is gone
	removed_at timestamptz
);
create index on sluice.webhook (account_id) where removed_at is null;
alter table sluice.webhook enable row level security;
alter table sluice.webhook force row level security;
create policy mine on sluice.webhook to sluice_api using (account_id = sluice.me());

-- One event for one endpoint, written in the transaction that ends the batch.
create table sluice.outbox (
	id bigint generated always as identity primary key,
	uid uuid not null unique,
	webhook_id bigint not null references sluice.webhook,
	batch_id bigint references sluice.batch on delete cascade,	-- null: a test
	type text not null,
	body text not null,			-- what is signed: the same bytes each time
	state text not null default 'due' check (state in ('due', 'delivered', 'gave_up')),
	tries smallint not null default 0,	-- begun
	due_at timestamptz not null default now(),
	held_until timestamptz,			-- by the worker that tries just now
	status integer,				-- HTTP, of the last try
	why text,				-- it failed
	created_at timestamptz not null default now(),
	settled_at timestamptz
);
create index outbox_due on sluice.outbox (due_at) where state = 'due';
create index outbox_of on sluice.outbox (webhook_id, due_at) where state = 'due';
create index on sluice.outbox (webhook_id, id);
create index on sluice.outbox (batch_id);
create index outbox_settled on sluice.outbox (settled_at) where state <> 'due';

do $$
begin
	-- The functions of dispatch and settling run as the owner.
	execute format('create policy owner on sluice.webhook to %I using (true)',
		current_user);
end $$;
