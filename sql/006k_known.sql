-- migrate: on change
--
-- Kept answers (006j_cache.sql) for lines of batches.  Looked up when a batch is
-- made, and written to its output in the same transaction: such a line is over
-- before any cursor moves, and nothing that happens to the batch later can happen
-- to it.

-- May lines of such a batch have an answer from there?  Endpoints as in lib/kept.c.
create or replace function sluice.kept_for(p_account bigint, p_endpoint text)
returns boolean
language sql stable set search_path = '' as $$
	select a.cache and p_endpoint in ('/v1/chat/completions', '/v1/completions',
		'/v1/embeddings', '/v1/moderations')
	from sluice.account a where a.id = p_account
$$;

-- What stands before the length of the body, and behind the body, in what an
-- answer is called (kept_key() of lib/kept.c): no query, no headers.
create or replace function sluice.kept_before(p_endpoint text) returns bytea
language sql immutable set search_path = '' as $$
	select int8send(octet_length(p_endpoint)::bigint) || convert_to(p_endpoint, 'UTF8')
		|| decode(repeat('00', 6 * 8), 'hex')
$$;
create or replace function sluice.kept_after(p_max_tokens integer) returns bytea
language sql immutable set search_path = '' as $$
	select case when p_max_tokens > 0 then int8send(octet_length(p_max_tokens::text)::bigint)
		|| convert_to(p_max_tokens::text, 'UTF8') else '' end
$$;

-- Does a chat or completion have the same answer each time?  As kept_repeats() of
-- lib/kept.c, for lines of which there are several in one batch.  Most say nothing of
-- it: they are not parsed.  Its plan is kept, whatever twins_find() has set.
drop function if exists sluice.line_repeats(sluice.file, text, integer);
create or replace function sluice.body_repeats(p_body bytea) returns boolean
language plpgsql immutable set search_path = ''
set plan_cache_mode = force_generic_plan as $$
begin
	if position('"temperature"'::bytea in p_body) = 0 then
		return false;
	end if;
	return (select count(*) = 1 and bool_and(json_typeof(j.value) = 'number'
			and j.value::text ~ '^-?0(\.0+)?([eE].*)?$')
		from json_each(convert_from(p_body, 'UTF8')::json) j
		where j.key = 'temperature');
exception when data_exception then	-- what json cannot hold
	return false;
end $$;

-- Of a batch: some of its lines stand in sluice.twin.
create or replace function sluice.batch_passes(p_batch sluice.batch) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
	return p_batch.duplicates is not null or p_batch.cached is not null;
end $$;

-- The result of a line whose answer is kept.  It was never sent and used nothing: no
-- path, no attempts, no tokens.
create or replace function sluice.known_text(p_id bytea, p_body bytea, p_details boolean)
returns bytea
language plpgsql volatile set search_path = '' as $$
declare
	v_name text := '"batch_req_' || replace(gen_random_uuid()::text, '-', '') || '"';
begin
	-- Line ends can only stand between tokens of valid JSON.
	if position('\x0a'::bytea in p_body) > 0 or position('\x0d'::bytea in p_body) > 0 then
		p_body := decode(translate(encode(p_body, 'escape'), E'\n\r', '  '), 'escape');
	end if;
	return convert_to('{"id":' || v_name || ',"custom_id":', 'UTF8') || p_id
		|| convert_to(',"response":{"status_code":200,"request_id":' || v_name
			|| ',"body":', 'UTF8') || p_body
		|| convert_to('},"error":null' || case when p_details then ',"sluice":{'
			'"attempts":0,"cost":0,"cached":true}' else '' end || E'}\n', 'UTF8');
end $$;

-- Some of them, as a chunk of the batch's output.
create or replace function sluice.known_chunk(
    p_batch bigint, p_text bytea[], p_line_end integer[], p_line integer[]
) returns void
language plpgsql set search_path = '' as $$
begin
	perform sluice.settle_chunk(p_batch, false,
		(select string_agg(t.text, ''::bytea order by t.i)
			from unnest(p_text) with ordinality t (text, i)),
		p_line_end, p_line, array_fill(200::smallint, array[cardinality(p_line)]), null,
		array_fill(0::smallint, array[cardinality(p_line)]), null, null, 0, 0);
end $$;

-- All are there, of these models: they are used.  A batch that has no other lines is
-- begun: no lane of it will be opened.
create or replace function sluice.known_end(
    p_batch sluice.batch, p_file sluice.file, p_model smallint[]
) returns void
language sql set search_path = '' as $$
	select sluice.usage_add(p_batch.account_id, p_batch.key_id, 0, m.name, 'batch',
		m.lines, 0, 0, 0, 0, 0, 0, sluice.resource_of(p_batch.endpoint))
	from (select p_file.models[x] as name, count(*) as lines
		from unnest(p_model) x group by x) m;
	update sluice.batch b set state = 'in_progress', in_progress_at = now()
	where b.id = p_batch.id and b.state = 'validating' and not exists (
		select from sluice.batch_lane l
		where l.batch_id = b.id and l.lines_left > 0)
$$;

-- Answers to lines that a worker has settled, of one batch, each under its key: of
-- 32 bytes, one behind the other, as are the answers (p_end: where each ends).
create or replace function sluice.cache_keep(
    p_batch bigint, p_keys bytea, p_answers bytea, p_end integer[]
) returns void
language plpgsql set search_path = '' security definer as $$
begin
	perform sluice.cache_write((select b.account_id from sluice.batch b
			where b.id = p_batch),
		array_agg(substring(p_keys from (u.i::integer - 1) * 32 + 1 for 32)),
		'application/json',
		array_agg(substring(p_answers from coalesce(p_end[u.i - 1], 0) + 1
			for u.upto - coalesce(p_end[u.i - 1], 0))))
	from unnest(p_end) with ordinality u (upto, i);
end $$;
