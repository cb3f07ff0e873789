-- migrate: once
--
-- What was found missing when rows outlive what they speak of.

-- Takes of an earlier era are refused: runs_keep() begins a new one.
alter table sluice.worker add column era integer not null default 0;
