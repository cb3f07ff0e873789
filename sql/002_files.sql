-- migrate: on change
--
-- Files: bytes in as chunks, bytes out in order.
--
-- Errors for callers are raised with SQLSTATE SLnnn, where nnn is the HTTP
-- status; detail is OpenAI's error code, hint the parameter at fault.

create or replace function sluice.refuse(
    p_status integer, p_code text, p_param text, p_message text
) returns void
language plpgsql set search_path = '' as $$
begin
	raise exception using errcode = 'SL' || p_status, message = p_message,
		detail = coalesce(p_code, ''), hint = coalesce(p_param, '');
end $$;

create or replace function sluice.epoch(p_at timestamptz) returns bigint
language sql immutable set search_path = '' as $$
	select floor(extract(epoch from p_at))::bigint
$$;

create or replace function sluice.epoch_us(p_at timestamptz) returns bigint
language plpgsql immutable set search_path = '' as $$
begin
	return (extract(epoch from p_at) * 1000000)::bigint;
end $$;

create or replace function sluice.at_us(p_us bigint) returns timestamptz
language plpgsql immutable set search_path = '' as $$
begin
	return timestamptz 'epoch' + make_interval(secs => p_us / 1000000)
	    + make_interval(secs => (p_us % 1000000) / 1e6);
end $$;

create or replace function sluice.file_name(p_uid uuid) returns text
language sql immutable set search_path = '' as $$
	select 'file-' || replace(p_uid::text, '-', '')
$$;

-- The day on which the chunks of something that expires then may be dropped:
-- at least a day later, so that who still reads it can finish.
create or replace function sluice.purge_day(p_expires timestamptz) returns date
language sql immutable set search_path = '' as $$
	select (p_expires at time zone 'utc')::date + 2
$$;

-- Make the partitions of a day.  Attaching does not block readers or writers.
create or replace function sluice.ensure_day(p_day date) returns void
language plpgsql security definer set search_path = '' as $$
declare
	v_name text;
	v_parent text;
begin
	if to_regclass('sluice.place_' || to_char(p_day, 'YYYYMMDD')) is not null then
		return;
	end if;
	perform pg_advisory_xact_lock(hashtext('sluice.ensure_day'));
	foreach v_parent in array array['chunk', 'place'] loop
		v_name := v_parent || '_' || to_char(p_day, 'YYYYMMDD');
		if to_regclass('sluice.' || v_name) is null then
			execute format('create table sluice.%I (like sluice.%I including all)',
				v_name, v_parent);
			execute format('alter table sluice.%I attach partition sluice.%I '
				'for values in (%L)', v_parent, v_name, p_day);
		end if;
	end loop;
end $$;

-- What a file holds so far: published chunks only.
create or replace function sluice.file_extent(
    p_file sluice.file, out bytes bigint, out lines integer,
    out input_tokens bigint, out cached_tokens bigint,
    out output_tokens bigint, out reasoning_tokens bigint
)
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_custom_plan as $$
begin
	select p.first_byte + p.bytes, p.first_line + p.lines - 1, p.input_tokens,
		p.cached_tokens, p.output_tokens, p.reasoning_tokens
	into bytes, lines, input_tokens, cached_tokens, output_tokens,
		reasoning_tokens
	from sluice.place p
	where p.purge_day = p_file.purge_day and p.file_id = p_file.id
	order by p.first_byte desc
	limit 1;
	bytes := coalesce(bytes, 0);
	lines := coalesce(lines, 0);
	input_tokens := coalesce(input_tokens, 0);
	cached_tokens := coalesce(cached_tokens, 0);
	output_tokens := coalesce(output_tokens, 0);
	reasoning_tokens := coalesce(reasoning_tokens, 0);
end $$;

create or replace function sluice.file_object(p_file sluice.file) returns json
language sql stable set search_path = '' as $$
	select json_strip_nulls(json_build_object(
		'id', sluice.file_name(p_file.uid),
		'object', 'file',
		'bytes', case when p_file.state = 'growing'
			then (sluice.file_extent(p_file)).bytes else p_file.bytes end,
		'created_at', sluice.epoch(p_file.created_at),
		'expires_at', sluice.epoch(p_file.expires_at),
		'filename', p_file.name,
		'purpose', p_file.purpose,
		'status', case when p_file.faults is null then 'processed' else 'error' end,
		'status_details', case when p_file.faults is not null then
			format('wrong lines: %s (a batch on it fails); first, line %s: %s',
				json_array_length(p_file.faults), p_file.faults -> 0 ->> 'line',
				p_file.faults -> 0 ->> 'message') end,
		'sluice', json_build_object(
			'lines', case when p_file.state = 'growing'
				then (sluice.file_extent(p_file)).lines else p_file.lines end,
			'sha256', encode(p_file.sha256, 'hex'))))
$$;

-- The account's own file that can be read, or 404.
create or replace function sluice.file_mine(p_account bigint, p_uid uuid, p_param text)
returns sluice.file
language plpgsql stable set search_path = '' as $$
declare
	v_file sluice.file;
begin
	select * into v_file from sluice.file f
	where f.uid = p_uid and f.account_id = p_account
	    and f.state in ('growing', 'ready') and f.expires_at > now();
	if not found then
		perform sluice.refuse(404, null, p_param,
			format('No such File object: %s', sluice.file_name(p_uid)));
	end if;
	return v_file;
end $$;

-- How long to keep it may come after the bytes (file_publish() is told): the
-- purge day is that of the longest time.
create or replace function sluice.file_begin(p_account bigint, p_name text)
returns table (id bigint, uid text, purge_day text)
language plpgsql set search_path = '' as $$
declare
	v_expires timestamptz := now() + interval '30 days';
begin
	perform set_config('sluice.account', p_account::text, true);
	perform sluice.ensure_day(sluice.purge_day(v_expires));
	return query
		insert into sluice.file as f
			(account_id, purpose, name, state, purge_day, expires_at)
		values (p_account, 'batch', p_name, 'receiving',
			sluice.purge_day(v_expires), v_expires)
		returning f.id, sluice.file_name(f.uid),
			to_char(f.purge_day, 'YYYY-MM-DD');
end $$;

-- One chunk of an upload.  Not synchronous: the upload is acknowledged by
-- file_publish(), whose synchronous commit comes after these in the log and
-- which counts what arrived.
drop function if exists sluice.file_chunk(bigint, date, bigint, integer, bytea,
    integer[], integer[], integer[], integer[], integer[], smallint[], integer[],
    integer[], integer[]);
create or replace function sluice.file_chunk(
    p_file bigint, p_day date, p_first_byte bigint, p_first_line integer,
    p_bytes bytea, p_line_end integer[], p_id_at integer[], p_id_len integer[],
    p_body_at integer[], p_body_len integer[], p_model smallint[],
    p_model_at integer[], p_model_len integer[], p_cap integer[],
    p_combine integer[] default null
) returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
	v_chunk bigint := nextval('sluice.chunk_id');
begin
	perform from sluice.file f where f.id = p_file and f.state = 'receiving';
	if not found then
		perform sluice.refuse(503, 'upload_lost', null,
			'The upload was given up; send the file again.');
	end if;
	perform set_config('synchronous_commit', 'off', true);
	insert into sluice.chunk (purge_day, id, file_id, bytes, line_end, id_at,
		id_len, body_at, body_len, model, model_at, model_len, cap, combine)
	values (p_day, v_chunk, p_file, p_bytes, p_line_end, p_id_at, p_id_len,
		p_body_at, p_body_len, p_model, p_model_at, p_model_len, p_cap,
		nullif(p_combine, '{}'));
	insert into sluice.place (purge_day, file_id, first_byte, bytes, first_line,
		lines, chunk_id)
	values (p_day, p_file, p_first_byte, octet_length(p_bytes), p_first_line,
		cardinality(p_line_end), v_chunk);
end $$;

create or replace function sluice.file_received(
    p_file bigint, p_day date, out bytes bigint, out lines bigint
)
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_custom_plan as $$
begin
	select coalesce(sum(p.bytes), 0), coalesce(sum(p.lines), 0)
	into file_received.bytes, file_received.lines
	from sluice.place p
	where p.purge_day = p_day and p.file_id = p_file;
end $$;

-- What a key made before: null for a new key, an error for a key that was used
-- for another request.
create or replace function sluice.idempotent_before(
    p_account bigint, p_key text, p_hash bytea
) returns bigint
language plpgsql set search_path = '' as $$
declare
	v_seen sluice.idempotency;
begin
	select * into v_seen from sluice.idempotency i
	where i.account_id = p_account and i.key = p_key;
	if found and v_seen.hash is distinct from p_hash then
		perform sluice.refuse(422, 'idempotency_key_reused', 'Idempotency-Key',
			'This Idempotency-Key was used for a different request.');
	end if;
	return v_seen.object_id;
end $$;

-- The same, and a new key is remembered.  Two at once with one key: the second
-- waits here.
create or replace function sluice.idempotent(
    p_account bigint, p_key text, p_hash bytea, p_object bigint
) returns bigint
language plpgsql set search_path = '' as $$
begin
	insert into sluice.idempotency (account_id, key, hash, object_id)
	values (p_account, p_key, p_hash, p_object)
	on conflict (account_id, key) do nothing;
	if found then
		return null;
	end if;
	return sluice.idempotent_before(p_account, p_key, p_hash);
end $$;

create or replace function sluice.file_publish(
    p_account bigint, p_file bigint, p_bytes bigint, p_lines integer,
    p_sha256 bytea, p_endpoint text, p_models text[], p_model_lines integer[],
    p_faults json, p_keep_s integer, p_key text, p_hash bytea
) returns json
language plpgsql set search_path = '' as $$
declare
	v_file sluice.file;
	v_got record;
	v_before bigint;
begin
	perform set_config('sluice.account', p_account::text, true);
	select * into v_file from sluice.file f
	where f.id = p_file and f.state = 'receiving' for update;
	select * into v_got from sluice.file_received(p_file, v_file.purge_day);
	if v_file.id is null or v_got.bytes <> p_bytes or v_got.lines <> p_lines then
		perform sluice.refuse(503, 'upload_lost', null,
			'The database lost part of the upload; send the file again.');
	end if;
	if p_key is not null then
		v_before := sluice.idempotent(p_account, p_key, p_hash, p_file);
		if v_before is not null then
			update sluice.file f set state = 'broken' where f.id = p_file;
			select * into v_file from sluice.file f where f.id = v_before;
			return sluice.file_object(v_file);
		end if;
	end if;
	update sluice.file f
	set state = 'ready', bytes = p_bytes, lines = p_lines, sha256 = p_sha256,
		endpoint = p_endpoint, models = p_models, model_lines = p_model_lines,
		faults = p_faults,
		expires_at = f.created_at + make_interval(secs => p_keep_s)
	where f.id = p_file
	returning * into v_file;
	return sluice.file_object(v_file);
end $$;

-- Give up an upload; the sweeper removes its chunks.
create or replace function sluice.file_abandon(p_account bigint, p_file bigint)
returns void
language plpgsql set search_path = '' as $$
begin
	perform set_config('sluice.account', p_account::text, true);
	update sluice.file f set state = 'broken'
	where f.id = p_file and f.state = 'receiving';
end $$;

create or replace function sluice.file_get(p_account bigint, p_uid uuid)
returns json
language plpgsql stable set search_path = '' as $$
begin
	perform set_config('sluice.account', p_account::text, true);
	return sluice.file_object(sluice.file_mine(p_account, p_uid, 'file_id'));
end $$;

create or replace function sluice.file_list(
    p_account bigint, p_purpose text, p_after uuid, p_limit integer, p_desc boolean
) returns json
language plpgsql stable set search_path = '' as $$
declare
	v_after bigint;
	v_files sluice.file[];
begin
	perform set_config('sluice.account', p_account::text, true);
	if p_after is not null then
		select f.id into v_after from sluice.file f
		where f.uid = p_after and f.account_id = p_account;
		if not found then
			perform sluice.refuse(400, 'invalid_value', 'after',
				format('No such File object: %s', sluice.file_name(p_after)));
		end if;
	end if;
	-- Two queries, so that each walks the index in its direction.
	if p_desc then
		v_files := array(select f from sluice.file f
			where f.account_id = p_account and f.state in ('growing', 'ready')
			    and f.expires_at > now()
			    and (p_purpose is null or f.purpose = p_purpose)
			    and (f.state = 'ready' or (sluice.file_extent(f)).lines > 0)
			    and (v_after is null or f.id < v_after)
			order by f.id desc limit p_limit + 1);
	else
		v_files := array(select f from sluice.file f
			where f.account_id = p_account and f.state in ('growing', 'ready')
			    and f.expires_at > now()
			    and (p_purpose is null or f.purpose = p_purpose)
			    and (f.state = 'ready' or (sluice.file_extent(f)).lines > 0)
			    and (v_after is null or f.id > v_after)
			order by f.id limit p_limit + 1);
	end if;
	return json_build_object(
		'object', 'list',
		'data', coalesce((select json_agg(sluice.file_object(u.f) order by u.n)
			from (select v_files[i] as f, i as n
				from generate_series(1, least(p_limit, cardinality(v_files))) i) u),
			'[]'::json),
		'first_id', case when least(p_limit, cardinality(v_files)) > 0
			then sluice.file_name(v_files[1].uid) else '' end,
		'last_id', case when least(p_limit, cardinality(v_files)) > 0
			then sluice.file_name(
				v_files[least(p_limit, cardinality(v_files))].uid) else '' end,
		'has_more', cardinality(v_files) > p_limit);
end $$;

-- The bytes of a file from p_from on: the chunk that holds it and the next few,
-- about p_bytes (0: none, only what the file is).  total is what is published now.
create or replace function sluice.file_read(
    p_account bigint, p_uid uuid, p_from bigint, p_bytes integer
) returns table (total bigint, name text, growing boolean, first_byte bigint, bytes bytea)
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
	v_file sluice.file := sluice.file_mine(p_account, p_uid, 'file_id');
	v_total bigint;
	v_start bigint;
begin
	if v_file.state = 'growing' then
		v_total := (sluice.file_extent(v_file)).bytes;
	else
		v_total := v_file.bytes;
	end if;
	if p_bytes = 0 or p_from >= v_total then
		return query select v_total, v_file.name, v_file.state = 'growing',
			null::bigint, null::bytea;
		return;
	end if;
	select max(p.first_byte) into v_start from sluice.place p
	where p.purge_day = v_file.purge_day and p.file_id = v_file.id
	    and p.first_byte <= p_from;
	return query
		select v_total, v_file.name, v_file.state = 'growing', p.first_byte, c.bytes
		from (
			select * from sluice.place q
			where q.purge_day = v_file.purge_day and q.file_id = v_file.id
			    and q.first_byte >= v_start
			    and q.first_byte < greatest(v_start + 1, p_from + p_bytes)
			order by q.first_byte
			limit 256
		) p
		cross join lateral (
			select k.bytes from sluice.chunk k
			where k.purge_day = v_file.purge_day and k.id = p.chunk_id offset 0
		) c
		order by p.first_byte;
end $$;

create or replace function sluice.file_delete(p_account bigint, p_uid uuid)
returns json
language plpgsql set search_path = '' as $$
declare
	v_file sluice.file;
	v_batch uuid;
begin
	perform set_config('sluice.account', p_account::text, true);
	v_file := sluice.file_mine(p_account, p_uid, 'file_id');
	-- batch_create() holds the row shared while it makes a batch on it.
	perform from sluice.file f where f.id = v_file.id for update;
	select b.uid into v_batch from sluice.batch b
	where v_file.id in (b.input_id, b.output_id, b.error_id)
	    and b.account_id = p_account
	    and b.state in ('validating', 'in_progress', 'finalizing', 'cancelling')
	limit 1;
	if found then
		perform sluice.refuse(409, 'file_in_use', 'file_id',
			format('The file is in use by batch %s; cancel that first.',
				sluice.batch_name(v_batch)));
	end if;
	update sluice.file f set state = 'deleted' where f.id = v_file.id;
	return json_build_object('id', sluice.file_name(p_uid), 'object', 'file',
		'deleted', true);
end $$;
