-- migrate: once
--
-- Lines of a batch whose answer was known when it was made (006k_known.sql).
-- They stand in sluice.twin as lines of no first, for cursors to pass.

alter table sluice.batch add column cached integer;
