-- migrate: once
--
-- Live calls where a path's concurrency was learned (sluice.path_state.learned):
-- live_cell of limit -PATH, cell 0, has those that are open.  One found no room
-- then.
alter table sluice.live_cell add column waited_at timestamptz;
