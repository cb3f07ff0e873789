-- migrate: once
--
-- The callers' side: plans, and limits before callers.  Rates of upstreams
-- stand in rate_limit and are planned ahead by one dispatcher; these are
-- judged at the door, call by call, by any number of sluiced.

create table sluice.plan (
	id integer generated always as identity primary key,
	name text not null check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
	dialect text not null default 'openai' check (dialect in
		('account', 'priority', 'chunks', 'relay', 'openai', 'ietf')),
	max_priority smallint not null default 4 check (max_priority between 1 and 4),
	created_at timestamptz not null default now(),
	removed_at timestamptz
);
create unique index plan_name on sluice.plan (name) where removed_at is null;

-- null: the plan's, or no limit.  A key's own settings win over its account's.
alter table sluice.account
	add column plan_id integer references sluice.plan,
	add column max_priority smallint check (max_priority between 1 and 4),
	add column weight integer not null default 1 check (weight between 1 and 1000),
	add column cache boolean not null default false;	-- answers to equal requests
alter table sluice.api_key
	add column plan_id integer references sluice.plan,
	add column max_priority smallint check (max_priority between 1 and 4);

-- A named limit: its thresholds (caller_limit rows) are counted for each key
-- and each model it is attached to, apart.
create table sluice.named_limit (
	id integer generated always as identity primary key,
	name text not null check (name ~ '^[a-z0-9-]{5,100}$'),
	created_at timestamptz not null default now(),
	removed_at timestamptz
);
create unique index named_limit_name on sluice.named_limit (name)
	where removed_at is null;
create table sluice.named_attach (
	named_id integer not null references sluice.named_limit,
	key_id bigint references sluice.api_key,
	model text check (length(model) between 1 and 256),	-- the very name
	check ((key_id is null) <> (model is null))
);
create unique index on sluice.named_attach (named_id, coalesce(key_id, 0),
	coalesce(model, ''));
create index on sluice.named_attach (key_id) where key_id is not null;
create index on sluice.named_attach (model) where model is not null;

-- A limit before callers.  It hangs on one of: a plan, an account, a key, a
-- named limit; on none: on everybody.  One on a key or an account replaces those
-- of the plan (and a key's those of its account) with the same dimension,
-- window, model and resource.
create table sluice.caller_limit (
	id integer generated always as identity primary key,
	plan_id integer references sluice.plan,
	account_id bigint references sluice.account,
	key_id bigint references sluice.api_key,
	named_id integer references sluice.named_limit,
	-- whose counter: account, key, all callers together; named limits count
	-- by attachment
	per text not null check (per in ('account', 'key', 'all', 'attached')),
	model text not null default '*' check (length(model) between 1 and 256),
	-- false: one counter for all that match; true: one for each model
	each_model boolean not null default false,
	resource text not null default '*' check (resource in
		('*', 'chat', 'embeddings', 'moderations', 'images', 'audio')),
	each_resource boolean not null default false,
	dimension text not null check (dimension in ('requests', 'tokens',
		'input_tokens', 'output_tokens', 'concurrent', 'enqueued_requests',
		'enqueued_tokens', 'money')),
	window_s integer not null check (window_s between 0 and 31 * 86400),
	-- how the window runs: over the last window_s; by the calendar of zone;
	-- from the first request; or refilled steadily
	algorithm text not null default 'sliding' check (algorithm in
		('sliding', 'fixed', 'anchored', 'bucket')),
	zone text not null default 'UTC',
	amount bigint not null check (amount between 0 and 1000000000000000),
	action text not null default 'reject' check (action in ('reject', 'shape')),
	applies text not null default 'live' check (applies in ('live', 'batch', 'both')),
	stream_cost text not null default 'once' check (stream_cost in ('once', 'chunk')),
	created_at timestamptz not null default now(),
	removed_at timestamptz,
	check (num_nonnulls(plan_id, account_id, key_id, named_id) <= 1),
	check ((window_s = 0) = (dimension in
		('concurrent', 'enqueued_requests', 'enqueued_tokens')))
);
create index on sluice.caller_limit (plan_id) where removed_at is null;
create index on sluice.caller_limit (account_id) where removed_at is null;
create index on sluice.caller_limit (key_id) where removed_at is null;
create index on sluice.caller_limit (named_id) where removed_at is null;

-- Bumped by every change of plans, accounts, keys' plans and caller_limit:
-- who has resolved which limits a call meets compares.
alter table sluice.config add column callers_revision bigint not null default 1;

-- What is used of a limit by one subject ("key:7", "account:3|chat", ...).
-- Used, never left: an edit of the amount acts at once.
create table sluice.caller_state (
	limit_id integer not null,
	subject text not null,
	used bigint not null default 0,		-- of the window (bucket: above empty)
	reserved bigint not null default 0,	-- by calls under way
	since timestamptz not null default now(),	-- the window's begin, or of used
	peak bigint not null default 0,		-- most ever used in a window
	primary key (limit_id, subject)
) with (fillfactor = 50);

-- Sliding windows: what was used in each second that still counts.
create table sluice.caller_cell (
	limit_id integer not null,
	subject text not null,
	second bigint not null,			-- Unix time
	units bigint not null,
	primary key (limit_id, subject, second)
) with (fillfactor = 50);

-- A call that was let in and has not been settled: what it holds.
create table sluice.admission (
	id bigint generated always as identity primary key,
	account_id bigint not null,
	key_id bigint not null,
	path_id integer,			-- by which way; null: none was chosen
	model text not null,
	resource text not null,
	made_at timestamptz not null default now(),
	expires_at timestamptz not null,	-- then nobody settles it any more
	-- reservations with callers, one element each
	limit_id integer[] not null default '{}',
	subject text[] not null default '{}',
	units bigint[] not null default '{}',
	-- with upstreams: rate_limit ids, the cells of live_cell, units
	rate_id integer[] not null default '{}',
	cell bigint[] not null default '{}',
	rate_units bigint[] not null default '{}'
);
create index on sluice.admission (expires_at);

-- Live calls in the ledgers of upstream limits, beside grant_cell (same cells).
create table sluice.live_cell (
	limit_id integer not null,
	cell bigint not null,
	units bigint not null,
	primary key (limit_id, cell)
) with (fillfactor = 50);

-- Workers that take live calls: where, and the word that opens.
alter table sluice.worker
	add column live_url text check (live_url ~ '^http://|^unix:'),
	add column live_token text;

-- Money: millionths of the operator's unit for a million tokens.
create table sluice.price (
	path_id integer not null references sluice.path,
	model text not null,			-- a glob
	input bigint not null default 0 check (input >= 0),
	cached_input bigint check (cached_input >= 0),	-- null: as input
	output bigint not null default 0 check (output >= 0),
	primary key (path_id, model)
);

-- Who used what, by the minute; rolled up into hours and days as it ages.
create table sluice.usage (
	span_s integer not null check (span_s in (60, 3600, 86400)),
	at timestamptz not null,		-- begin of the span
	account_id bigint not null,
	key_id bigint not null default 0,	-- 0: not known
	path_id integer not null default 0,	-- 0: none was chosen
	model text not null,
	kind text not null check (kind in ('live', 'batch')),
	requests bigint not null default 0,
	failed bigint not null default 0,	-- of them, answered with an error
	refused bigint not null default 0,	-- 429 at the door, not in requests
	input_tokens bigint not null default 0,
	cached_tokens bigint not null default 0,
	output_tokens bigint not null default 0,
	money bigint not null default 0,	-- millionths
	primary key (span_s, at, account_id, key_id, path_id, model, kind)
) with (fillfactor = 70);
create index on sluice.usage (account_id, at);
