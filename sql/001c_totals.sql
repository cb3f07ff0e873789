-- migrate: once
--
-- What was found missing when rows outlive what they speak of.

-- Takes of an earlier era are refused: runs_keep() begins a new one.
alter table sluice.worker add column era integer not null default 0;

-- Of a batch that is over: its files may be gone before it is.
alter table sluice.batch
	add column done_lines integer,		-- with a response
	add column failed_lines integer,
	add column input_tokens bigint,		-- of both
	add column cached_tokens bigint,
	add column output_tokens bigint,
	add column reasoning_tokens bigint;
