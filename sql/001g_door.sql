-- migrate: once
--
-- Who let a call in, who carries it: when either dies, what the call holds is
-- not waited for until expires_at.

create table sluice.door (
	id bigint generated always as identity primary key,
	name text not null,
	lease_until timestamptz not null
);

alter table sluice.admission
	add column door_id bigint,		-- null: a batch
	add column worker_id bigint,		-- null: a batch
	add column input bigint not null default 0,	-- tokens, as estimated
	add column output bigint not null default 0,
	-- Held by a batch until it has ended: lines and tokens in the queue, money.
	add column batch_id bigint;
create index on sluice.admission (batch_id) where batch_id is not null;
