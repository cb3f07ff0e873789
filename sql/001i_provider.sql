-- migrate: once
--
-- Lines that are out in an upstream's own /v1/files + /v1/batches.

alter table sluice.path
	-- kind batches: how often a batch is asked for, and how long lines wait for
	-- others to fill one
	add column poll_ms integer not null default 30000
		check (poll_ms between 100 and 3600000),
	add column linger_ms integer not null default 10000
		check (linger_ms between 0 and 3600000);

-- Lines of one account, path, model and endpoint, sent together.  What is to be
-- done next follows from the state; any worker can do it (sql/006h_provider.sql).
create table sluice.provider_batch (
	id bigint generated always as identity primary key,
	uid uuid not null unique default gen_random_uuid(),	-- in its metadata there
	path_id integer not null,
	account_id bigint not null,
	model text not null,
	endpoint text not null,
	-- packed -> uploading -> uploaded -> creating -> running -> fetching ->
	-- settled -> cleaned; back to packed or uploaded when the upstream refuses
	state text not null default 'packed' check (state in ('packed', 'uploading',
		'uploaded', 'creating', 'running', 'fetching', 'settled', 'cleaned')),
	lines integer not null,
	tokens bigint not null,			-- against enqueued_tokens, as estimated
	deadline timestamptz not null,		-- the first of its batches'
	uploads integer not null default 0,	-- begun
	file text,				-- these are the upstream's own names
	batch text,
	output_file text,
	error_file text,
	status text,
	faults json,				-- errors.data of one that failed
	done integer,				-- lines, as the upstream counts
	cancel_at timestamptz,			-- it is to be cancelled since
	cancelled_at timestamptz,		-- the upstream has been told
	worker_id bigint,			-- it is worked on just now by
	fence integer not null default 0,	-- one more each time somebody begins
	next_at timestamptz not null default now(),
	failures integer not null default 0,	-- of this step, in a row
	why text,				-- the last of them
	created_at timestamptz not null default now(),
	running_at timestamptz,
	ended_at timestamptz			-- there
);
create index provider_due on sluice.provider_batch (next_at) where state <> 'cleaned';
create index provider_path on sluice.provider_batch (path_id) where state <> 'cleaned';

alter table sluice.run
	-- of a path of kind batches: of all its lines, for packing; null: to be sent
	-- line by line
	add column tokens bigint,
	add column bytes bigint,
	add column provider_id bigint;		-- it is packed
create index run_unpacked on sluice.run (path_id, id)
	where tokens is not null and provider_id is null;
create index run_packed on sluice.run (provider_id) where provider_id is not null;
drop index sluice.run_untaken;
create index run_untaken on sluice.run (path_id, send_at)
	where worker_id is null and tokens is null;
