-- migrate: once
--
-- Calls that were given up (their worker or sluiced died) while the upstream may
-- still work on them: of its concurrency they hold this until then.
create table sluice.live_orphan (
	admission_id bigint not null,
	limit_id integer not null,
	units bigint not null,
	until timestamptz not null,
	primary key (admission_id, limit_id)
);
create index on sluice.live_orphan (until);
