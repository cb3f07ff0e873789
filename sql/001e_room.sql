-- migrate: once
--
-- Live calls beside batches under the same upstream limits (006g_room.sql).

alter table sluice.rate_limit_state
	-- Units that live calls ever took, never less: who planned against an
	-- older number sees how many have come since.
	add column live_total bigint not null default 0,
	-- A live call found no room then.
	add column live_waited_at timestamptz,
	-- Units that neither batches nor live calls may use: others', doubts.
	add column kept bigint not null default 0;

alter table sluice.live_cell
	add column changed_at timestamptz not null default clock_timestamp();
create index on sluice.live_cell (changed_at);
