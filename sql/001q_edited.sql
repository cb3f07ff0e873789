-- migrate: once
--
-- When the settings of a path that was not up were changed last: it is tried anew
-- then, whatever was found before.

alter table sluice.path_state add column edited_at timestamptz;
