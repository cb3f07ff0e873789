-- migrate: once
--
-- Who goes first, and what may wait.

alter table sluice.batch_lane
	-- When it would have to begin to be done in time, as reckoned when it came;
	-- the dispatcher reckons anew all the time (scheduler/dispatch_order.c).
	add column start_by timestamptz not null default 'infinity';
update sluice.batch_lane set start_by = deadline;
-- Of an account, a model and a class the lanes that can least wait.
create index lane_order on sluice.batch_lane
	(account_id, model, priority, start_by, id) where open;

-- Goes on after a pause: the dispatcher opens its lanes.
alter table sluice.batch add column opening boolean not null default false;
create index batch_opening on sluice.batch (id) where opening;

-- Who stands where under contended limits (scheduler/dispatch_books.c), and
-- batches that are in danger of missing their deadline, or will: written with a
-- plan about once a second.
create table sluice.fairness (
	only_row boolean primary key default true check (only_row),
	books json not null default '[]',
	danger bigint[] not null default '{}',
	late bigint[] not null default '{}',
	at timestamptz not null default '-infinity'
);
insert into sluice.fairness default values;
