-- migrate: once
--
-- How fast the lines of a batch are answered by a path, seen from its first results:
-- what comes before them is no measure of its speed.

alter table sluice.batch_path
	add column first_at timestamptz not null default clock_timestamp(),
	add column first_lines integer not null default 0,
	add column last_at timestamptz not null default clock_timestamp();
update sluice.batch_path set first_lines = lines;
