-- migrate: once
--
-- The tables of Sluice.  doc/design.md says why they are shaped so; the rule
-- that matters most: bytes are written once, many lines to a row, and no row is
-- updated for each request.

-- Callers -------------------------------------------------------------------

create table sluice.account (
	id bigint generated always as identity primary key,
	name text not null unique check (name ~ '^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$'),
	created_at timestamptz not null default now()
);

create table sluice.api_key (
	id bigint generated always as identity primary key,
	account_id bigint not null references sluice.account,
	name text not null check (length(name) between 1 and 100),
	hash bytea not null unique check (octet_length(hash) = 32),	-- SHA-256
	hint text not null,			-- its last four characters
	scopes text[] not null check (scopes <@ array['batch', 'live', 'read', 'admin']),
	created_at timestamptz not null default now(),
	expires_at timestamptz,
	revoked_at timestamptz
);
create index on sluice.api_key (account_id);

-- Files ---------------------------------------------------------------------

create table sluice.file (
	id bigint generated always as identity primary key,
	uid uuid not null unique default gen_random_uuid(),
	account_id bigint not null references sluice.account,
	purpose text not null check (purpose in ('batch', 'batch_output')),
	name text not null check (octet_length(name) between 1 and 255),
	-- receiving -> ready | broken; growing -> ready; ready -> deleted
	state text not null
		check (state in ('receiving', 'growing', 'ready', 'broken', 'deleted')),
	purge_day date not null,		-- part of its chunks' key: never changes
	bytes bigint,				-- these when ready
	lines integer,
	sha256 bytea,
	endpoint text,				-- inputs: the url of all its lines
	models text[],				-- inputs: in order of appearance
	model_lines integer[],			-- inputs: lines of each
	faults json,				-- inputs: [{code, message, param, line}]
	created_at timestamptz not null default now(),
	expires_at timestamptz not null
);
create index on sluice.file (account_id, id) where state in ('growing', 'ready');
create index on sluice.file (expires_at) where state in ('growing', 'ready');
create index on sluice.file (id)
	where state in ('receiving', 'broken', 'deleted') and bytes is distinct from -1;

-- A run of whole lines of one file.  All arrays have one element for each line.
create table sluice.chunk (
	purge_day date not null,
	id bigint not null,
	file_id bigint not null,
	bytes bytea compression lz4 not null,
	line_end integer[] not null,		-- offset after the line's last byte
	-- inputs: where things are in the line, offsets from the chunk's start
	id_at integer[],			-- custom_id, a JSON string with quotes
	id_len integer[],
	body_at integer[],
	body_len integer[],
	model smallint[],			-- index in file.models, from 1
	model_at integer[],			-- from the chunk's start, quotes included
	model_len integer[],
	cap integer[],				-- output tokens the body allows, or null
	-- outputs: what happened
	answers integer[],			-- line of the input, from 1
	status smallint[],			-- HTTP status, 0 when there was none
	path_id integer[],			-- null when never sent
	sends smallint[],			-- attempts recorded
	input_tokens integer[],
	output_tokens integer[],
	primary key (purge_day, id)
) partition by list (purge_day);
create sequence sluice.chunk_id;

-- Where a chunk stands in its file.  Readers see only chunks that have a place.
create table sluice.place (
	purge_day date not null,
	file_id bigint not null,
	first_byte bigint not null,
	bytes integer not null check (bytes > 0),
	first_line integer not null,		-- from 1
	lines integer not null check (lines >= 0),	-- 0: blank lines alone
	chunk_id bigint not null,
	-- outputs: running totals up to and with this chunk
	input_tokens bigint not null default 0,
	cached_tokens bigint not null default 0,
	output_tokens bigint not null default 0,
	reasoning_tokens bigint not null default 0,
	primary key (purge_day, file_id, first_byte)
) partition by list (purge_day);
create index on sluice.place (purge_day, file_id, first_line);

-- Chunks of results that the publisher has not given a place yet.
create table sluice.unplaced (
	chunk_id bigint primary key,
	purge_day date not null,
	file_id bigint not null,
	batch_id bigint not null,
	bytes integer not null,
	lines integer not null,
	input_tokens bigint not null default 0,
	cached_tokens bigint not null default 0,
	output_tokens bigint not null default 0,
	reasoning_tokens bigint not null default 0
);

-- Upstreams and their limits --------------------------------------------------

create table sluice.pool (
	id integer generated always as identity primary key,
	name text not null check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
	created_at timestamptz not null default now(),
	removed_at timestamptz
);
create unique index pool_name on sluice.pool (name) where removed_at is null;

create table sluice.path (
	id integer generated always as identity primary key,
	name text not null check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
	pool_id integer not null references sluice.pool,
	kind text not null default 'direct' check (kind in ('direct')),
	url text not null check (url ~ '^https?://[^[:space:]]+$'),
	secret_file text,			-- read by the worker alone
	ca_file text,				-- authorities; null: the system's
	models text[] not null check (cardinality(models) between 1 and 100),
	http2 boolean not null default false,
	attempts smallint not null default 5 check (attempts between 1 and 20),
	connect_ms integer not null default 10000 check (connect_ms between 100 and 120000),
	idle_ms integer not null default 600000 check (idle_ms between 1000 and 3600000),
	whole_ms integer not null default 900000 check (whole_ms between 1000 and 7200000),
	answer_max integer not null default 8388608
		check (answer_max between 1024 and 268435456),
	created_at timestamptz not null default now(),
	removed_at timestamptz
);
create unique index path_name on sluice.path (name) where removed_at is null;

-- A limit on an upstream account: a whole pool or one path of it, all models
-- or those that match.
create table sluice.rate_limit (
	id integer generated always as identity primary key,
	pool_id integer not null references sluice.pool,
	path_id integer references sluice.path,	-- null: the whole pool
	model text not null default '*',	-- a glob; one counter for all it matches
	dimension text not null check (dimension in
		('requests', 'tokens', 'input_tokens', 'output_tokens', 'concurrent')),
	window_s integer not null check (window_s between 0 and 31 * 86400),
	amount bigint not null check (amount between 1 and 1000000000000),
	headroom double precision not null default 0 check (headroom between 0 and 0.99),
	reserve double precision not null default 0 check (reserve between 0 and 0.99),
	created_at timestamptz not null default now(),
	removed_at timestamptz,
	check ((dimension = 'concurrent') = (window_s = 0))
);
create unique index rate_limit_key on sluice.rate_limit
	(pool_id, coalesce(path_id, 0), model, dimension, window_s)
	where removed_at is null;

-- Bumped by every change of pools, paths and limits; who caches them compares.
create table sluice.config (
	only_row boolean primary key default true check (only_row),
	revision bigint not null default 1
);
insert into sluice.config default values;

create table sluice.rate_limit_state (
	limit_id integer primary key references sluice.rate_limit,
	next_at timestamptz,			-- the grid: no earlier slot
	paused_until timestamptz,		-- after a refusal
	paused_why text
);

-- The ledger: units granted for slots in a cell of time (cell widths follow
-- from the window, scheduler/ledger.h).
create table sluice.grant_cell (
	limit_id integer not null,
	cell bigint not null,
	units bigint not null,
	primary key (limit_id, cell)
);

create table sluice.path_state (
	path_id integer primary key references sluice.path,
	health text not null default 'up' check (health in ('up', 'down', 'probing')),
	until timestamptz,
	why text,
	failures integer not null default 0,
	changed_at timestamptz not null default now()
);

-- What was learned, by model and path: bytes per token, output, latency.
create table sluice.estimate (
	path_id integer not null,
	model text not null,
	learned json not null,
	changed_at timestamptz not null default now(),
	primary key (path_id, model)
);

-- Batches -------------------------------------------------------------------

create table sluice.batch (
	id bigint generated always as identity primary key,
	uid uuid not null unique default gen_random_uuid(),
	account_id bigint not null references sluice.account,
	key_id bigint references sluice.api_key,
	input_id bigint not null references sluice.file,
	output_id bigint references sluice.file,
	error_id bigint references sluice.file,
	endpoint text not null,
	priority smallint not null check (priority between 1 and 4),
	window_text text not null,		-- as the caller wrote it
	metadata json,
	state text not null check (state in ('validating', 'failed', 'in_progress',
		'finalizing', 'completed', 'expired', 'cancelling', 'cancelled')),
	ending text check (ending in ('expired', 'cancelled')),	-- rest gets this
	lines integer not null,
	errors json,
	created_at timestamptz not null default now(),
	deadline timestamptz not null,
	in_progress_at timestamptz,
	finalizing_at timestamptz,
	completed_at timestamptz,
	failed_at timestamptz,
	expired_at timestamptz,
	cancelling_at timestamptz,
	cancelled_at timestamptz
);
create index on sluice.batch (account_id, id);
create index on sluice.batch (input_id);
create index batch_open on sluice.batch (id)
	where state in ('validating', 'in_progress', 'finalizing', 'cancelling');
create index batch_deadline on sluice.batch (deadline)
	where state in ('validating', 'in_progress');

-- A cursor over the lines of one model of one batch.  open falls once.
create table sluice.batch_lane (
	id bigint generated always as identity primary key,
	batch_id bigint not null,
	account_id bigint not null,
	file_id bigint not null,
	purge_day date not null,
	model text not null,
	model_index smallint not null,
	endpoint text not null,
	priority smallint not null,
	deadline timestamptz not null,
	open boolean not null default false,	-- has lines that were never handed out
	next_line integer not null default 1,
	lines_left integer not null
) with (fillfactor = 70);
create index on sluice.batch_lane (batch_id);
create index lane_open on sluice.batch_lane (account_id, model, priority desc, id)
	where open;

-- Lines of one chunk handed out together, and to one worker at most, ever: the
-- run's id is the fence.  line, slot_us, ... have one element for each line.
create table sluice.run (
	id bigint generated always as identity primary key,
	batch_id bigint not null,
	lane_id bigint not null,
	path_id integer not null,
	purge_day date not null,
	chunk_id bigint not null,
	first_line integer not null,		-- of the chunk
	line smallint[] not null,		-- index in the chunk, from 1
	slot_us integer[],			-- after send_at; null: all 0
	est_input integer[],			-- tokens reserved; null: not metered
	est_output integer[],
	tries smallint[],			-- failures so far; null: all 0
	sends smallint[],			-- attempts so far; null: all 0
	send_at timestamptz not null,
	keep_us bigint not null,		-- a line leaves within [slot, slot + keep]
	open bit varying not null,		-- lines without an outcome
	worker_id bigint,
	taken_at timestamptz
) with (fillfactor = 70);
create index run_untaken on sluice.run (path_id, send_at) where worker_id is null;
create index run_taken on sluice.run (worker_id) where worker_id is not null;
create index run_batch on sluice.run (batch_id);

-- A line that must go again.
create table sluice.retry (
	lane_id bigint not null,
	line integer not null,			-- of the file, from 1
	batch_id bigint not null,
	not_before timestamptz not null,
	tries smallint not null,		-- failures that count against path.attempts
	sends smallint not null,		-- attempts recorded
	why text not null,
	primary key (lane_id, line)
);
create index on sluice.retry (not_before);
create index on sluice.retry (batch_id);

-- Who works -----------------------------------------------------------------

create table sluice.dispatch_lease (
	only_row boolean primary key default true check (only_row),
	epoch bigint not null default 0,	-- one more for every new holder
	holder text,
	until timestamptz not null default '-infinity'
);
insert into sluice.dispatch_lease default values;

create table sluice.worker (
	id bigint generated always as identity primary key,
	name text not null,
	max_in_flight integer not null check (max_in_flight between 1 and 100000),
	in_flight integer not null default 0,
	started_at timestamptz not null default now(),
	beat_at timestamptz not null default now(),
	lease_until timestamptz not null,
	state text not null default 'live' check (state in ('live', 'stopping', 'dead'))
);
create index worker_live on sluice.worker (id) where state <> 'dead';

-- Concurrent calls that a worker may have open under one limit.  The sum of
-- granted over a limit never exceeds it; to shrink, the dispatcher lowers target
-- and the worker lowers granted once it is below.
create table sluice.seat (
	limit_id integer not null,
	worker_id bigint not null,
	granted integer not null check (granted >= 0),
	target integer not null check (target >= 0),
	frozen_until timestamptz,	-- of a dead worker: calls may still be open
	primary key (limit_id, worker_id)
);

-- What a worker saw, for the dispatcher, which deletes what it has read.
create table sluice.observation (
	id bigint generated always as identity primary key,
	path_id integer not null,
	seen json not null
);

create table sluice.idempotency (
	account_id bigint not null,
	key text not null check (octet_length(key) <= 255),
	hash bytea not null,			-- of the request
	object_id bigint not null,		-- the file or batch it made
	created_at timestamptz not null default now(),
	primary key (account_id, key)
);
create index on sluice.idempotency (created_at);

-- Whose it is: row-level security ---------------------------------------------

-- The account the transaction speaks for; no account, no rows.
create function sluice.me() returns bigint
language sql stable set search_path = '' as $$
	select nullif(current_setting('sluice.account', true), '')::bigint
$$;

do $$
declare
	t text;
begin
	foreach t in array array['file', 'batch', 'idempotency'] loop
		execute format('alter table sluice.%I enable row level security', t);
		execute format('alter table sluice.%I force row level security', t);
		execute format('create policy mine on sluice.%I to sluice_api '
			'using (account_id = sluice.me())', t);
		-- The functions of dispatch and settling run as the owner.
		execute format('create policy owner on sluice.%I to %I using (true)',
			t, current_user);
	end loop;
end $$;
