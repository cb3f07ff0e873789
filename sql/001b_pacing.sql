-- migrate: once
--
-- What the pacer knows of upstreams beyond their limits.

alter table sluice.path
	-- how its answers speak of limits: lib/dialect_table.c, or auto
	add column dialect text not null default 'auto'
		check (dialect ~ '^[a-z][a-z0-9-]{0,31}$'),
	-- what it charges against token limits, and when it knows
	add column charge text not null default 'actual' check (charge in
		('declared', 'declared-refunded', 'actual', 'input-only'));

-- Against a request limit a streamed answer counts once, or each of its chunks.
alter table sluice.rate_limit
	add column stream_cost text not null default 'once'
		check (stream_cost in ('once', 'chunk'));

-- The ladder, the foreign share, ... of a limit (scheduler/learned.h).
alter table sluice.rate_limit_state add column learned json;
-- The dialect, concurrency, jitter, ... of a path; and how it stands just now,
-- for people: which limit binds, how full, until when.
alter table sluice.path_state
	add column learned json,
	add column now json;

-- Refusals (429) in a row, of lines that go again.
alter table sluice.run add column refused smallint[];
alter table sluice.retry add column refused smallint not null default 0;

-- The output cap that the submitter lets Sluice set where a line has none.
alter table sluice.batch add column max_tokens integer
	check (max_tokens between 1 and 1000000000);
alter table sluice.batch_lane add column max_tokens integer;

-- The timeline of the database that the last dispatcher wrote to: another one
-- means a failover, and what the old one committed last may be lost.
alter table sluice.dispatch_lease add column timeline integer;
-- What makes up for jumps of the database's clock (scheduler/clock.h).
alter table sluice.dispatch_lease
	add column clock_offset_us bigint not null default 0;
