-- migrate: once
--
-- Limits before callers that shape: batches are spread under them.

-- One counter of such a limit: of its subject ("account:3", "key:7|model:m").
-- The planner takes it for a limit like those of upstreams, so that its id is
-- one of theirs; its ledger stands in grant_cell, its state in rate_limit_state.
alter table sluice.rate_limit_state
	drop constraint rate_limit_state_limit_id_fkey;
create table sluice.shape (
	id integer primary key
		default nextval(pg_get_serial_sequence('sluice.rate_limit', 'id')),
	limit_id integer not null references sluice.caller_limit,
	subject text not null,
	unique (limit_id, subject)
);

-- Those that the lane's lines meet.
alter table sluice.batch_lane add column shapes integer[] not null default '{}';
create index lane_shapes on sluice.batch_lane using gin (shapes);
-- [[id, until]]: shapes that lines wait for, and the next slot (Unix time).
alter table sluice.fairness add column shaped json not null default '[]';
