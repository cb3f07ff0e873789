-- migrate: once
--
-- Which way a line goes: kinds of paths, and what a batch says about its way.
--
--   direct   one call for a line, at full price
--   suffix   the same with a suffix to the model's name: the upstream's cheaper,
--            slower queue
--   batches  lines are packed into the upstream's own /v1/files + /v1/batches

alter table sluice.path drop constraint path_kind_check;
alter table sluice.path
	add column suffix text check (suffix ~ '^[:@/+._A-Za-z0-9-]{1,64}$'),
	add check (kind in ('direct', 'suffix', 'batches')),
	add check ((kind = 'suffix') = (suffix is not null));

alter table sluice.rate_limit drop constraint rate_limit_dimension_check,
	drop constraint rate_limit_check;
alter table sluice.rate_limit
	add check (dimension in ('requests', 'tokens', 'input_tokens',
		'output_tokens', 'concurrent', 'enqueued_requests',
		'enqueued_tokens')),
	add check ((window_s = 0) = (dimension in
		('concurrent', 'enqueued_requests', 'enqueued_tokens')));

alter table sluice.batch
	add column choice text not null default 'auto'
		check (choice in ('auto', 'direct', 'cheap')),
	add column escalate boolean not null default true,	-- cheap, then direct
	add column cap bigint check (cap > 0),		-- money, millionths
	add column not_before timestamptz,
	add column hours text,				-- only then
	add column details boolean not null default false,	-- in output lines
	add column dedupe boolean not null default false,
	add column paused_at timestamptz;
