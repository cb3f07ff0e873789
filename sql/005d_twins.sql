-- migrate: on change
--
-- Lines with the same body are sent once and answered each: found when the batch
-- is made, out of the cursors' way, and given their first's result in the steps
-- of publish().  A result of any kind will do: an answer, an error, expiry.

-- Find them, by model and SHA-256 of the body; the lanes have fewer lines to
-- hand out.  p_known: those are found, too, whose answer is kept, and are answered;
-- and without dedupe only those are twins that have the same answer each time
-- (006k_known.sql).  A chunk is decompressed once, and once more where that has to be
-- read from bodies.  In one statement: what is kept may be gone in the next.
drop function if exists sluice.twins_find(sluice.batch);
create or replace function sluice.twins_find(p_batch sluice.batch, p_known boolean)
returns void
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
	v_file sluice.file;
	v_before bytea := sluice.kept_before(p_batch.endpoint);
	v_after bytea := sluice.kept_after(p_batch.max_tokens);
	v_any boolean := p_batch.dedupe
		or p_batch.endpoint in ('/v1/embeddings', '/v1/moderations');
	v_known record;
	v_text bytea[] := '{}';
	v_end integer[] := '{}';
	v_line integer[] := '{}';
	v_model smallint[] := '{}';
	v_bytes integer := 0;
begin
	select * into v_file from sluice.file f where f.id = p_batch.input_id;
	for v_known in
		with line as materialized (
			select p.first_line + u.i::integer - 1 as line, u.model,
				p.chunk_id, u.i::integer as item,
				sha256(case when p_known then v_before
						|| int8send(u.body_len::bigint)
						|| substring(d.bytes from u.body_at + 1
							for u.body_len) || v_after
					else substring(d.bytes from u.body_at + 1
						for u.body_len) end) as hash,
				case when p_known then substring(d.bytes
					from u.id_at + 1 for u.id_len) end as id
			from sluice.place p
			join sluice.chunk c on c.purge_day = p.purge_day and c.id = p.chunk_id
			cross join lateral (select c.bytes || ''::bytea as bytes, c.model,
				c.body_at, c.body_len, c.id_at, c.id_len offset 0) d
			cross join lateral unnest(d.model, d.body_at, d.body_len, d.id_at,
				d.id_len) with ordinality
				u (model, body_at, body_len, id_at, id_len, i)
			where p.purge_day = v_file.purge_day and p.file_id = v_file.id
		), known as materialized (
			select * from (
				select l.*, a.body, sum(octet_length(a.body))
					over (order by l.line) as upto
				from line l join sluice.answer_cache a
				    on a.account_id = p_batch.account_id
					and a.key = l.hash and a.expires_at > now()
				where p_known) k
			where k.upto <= sluice.cache_bytes_max()
		), alike as materialized (
			select l.line, l.chunk_id, l.item, min(l.line) over same as first_line,
				count(*) over same as lines
			from line l
			where not exists (select from known k where k.line = l.line)
			window same as (partition by l.model, l.hash)
		), first as materialized (
			select a.line from alike a
			where a.line = a.first_line and a.lines > 1 and v_any
			union all
			select f.line
			from (select a.chunk_id, array_agg(a.line) as line,
					array_agg(a.item) as item
				from alike a
				where a.line = a.first_line and a.lines > 1 and not v_any
				group by a.chunk_id) q
			join sluice.chunk c on c.purge_day = v_file.purge_day
			    and c.id = q.chunk_id
			cross join lateral (select c.bytes || ''::bytea as bytes, c.body_at,
				c.body_len offset 0) d
			cross join lateral unnest(q.line, q.item) f (line, item)
			where sluice.body_repeats(substring(d.bytes
				from d.body_at[f.item] + 1 for d.body_len[f.item]))
		), found as (
			insert into sluice.twin (batch_id, line, first_line)
			select p_batch.id, a.line, a.first_line
			from alike a join first f on f.line = a.first_line
			where a.line <> a.first_line
			returning line
		), passed as (
			insert into sluice.twin (batch_id, line, first_line)
			select p_batch.id, k.line, 0 from known k
		), fewer as (
			select x.model, count(*) filter (where x.twin) as twins,
				count(*) as lines
			from (select l.model, true as twin
				from found f join line l on l.line = f.line
				union all select k.model, false from known k) x
			group by x.model
		), told as (
			update sluice.batch b
			set duplicates = case when b.dedupe or f.twins > 0 then f.twins end,
				cached = nullif(f.lines - f.twins, 0)
			from (select coalesce(sum(twins), 0) as twins,
				coalesce(sum(lines), 0) as lines from fewer) f
			where b.id = p_batch.id
		), narrowed as (
			update sluice.batch_lane b set lines_left = b.lines_left - f.lines
			from fewer f
			where b.batch_id = p_batch.id and b.model_index = f.model
		)
		select k.line, k.model, sluice.known_text(k.id, k.body, p_batch.details) as text
		from known k order by k.line
	loop
		if cardinality(v_line) = 256 or v_bytes > 0
		    and v_bytes + octet_length(v_known.text) > 131072 then
			perform sluice.known_chunk(p_batch.id, v_text, v_end, v_line);
			v_text := '{}';
			v_end := '{}';
			v_line := '{}';
			v_bytes := 0;
		end if;
		v_bytes := v_bytes + octet_length(v_known.text);
		v_text := v_text || v_known.text;
		v_end := v_end || v_bytes;
		v_line := v_line || v_known.line;
		v_model := v_model || v_known.model;
	end loop;
	if v_bytes > 0 then
		perform sluice.known_chunk(p_batch.id, v_text, v_end, v_line);
		perform sluice.known_end(p_batch, v_file, v_model);
	end if;
end $$;

-- Of settle_chunk(): which of these results their twins wait for.  p_line_end: of
-- the lines without details, which are the first's own.
create or replace function sluice.twins_note(
    p_batch bigint, p_failed boolean, p_day date, p_chunk bigint, p_answers integer[],
    p_line_end integer[]
) returns void
language sql set search_path = '' as $$
	insert into sluice.twin_due (batch_id, first_line, failed, purge_day, chunk_id, item,
		len)
	select p_batch, a.line, p_failed, p_day, p_chunk, a.i,
		p_line_end[a.i] - coalesce(p_line_end[a.i - 1], 0)
	from unnest(p_answers) with ordinality a (line, i)
	where exists (select from sluice.twin t
		where t.batch_id = p_batch and t.first_line = a.line)
$$;

-- The chunk and the place in it of a line of an input.
create or replace function sluice.line_chunk(
    p_day date, p_file bigint, p_line integer, out chunk_id bigint, out item integer
)
language sql stable set search_path = '' as $$
	select p.chunk_id, p_line - p.first_line + 1
	from sluice.place p
	where p.purge_day = p_day and p.file_id = p_file and p.first_line <= p_line
	    and p.lines > 0
	order by p.first_line desc limit 1
$$;

-- Results of twins of one batch, so many lines and bytes at most (one line at
-- least): what their firsts have, under their own custom_id and an id of their
-- own.  They were never sent and used nothing: no path, no attempts, no tokens.
create or replace function sluice.twins_copy(
    p_batch sluice.batch, p_lines integer, p_bytes bigint
) returns integer
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
	-- {"id":"batch_req_<32>","custom_id":
	c_before constant integer := 63;
	v_day date := (select f.purge_day from sluice.file f where f.id = p_batch.input_id);
	v_twin record;
	v_failed boolean;
	v_bytes bytea := '';
	v_end integer[] := '{}';
	v_line integer[] := '{}';
	v_status smallint[] := '{}';
	v_copied integer[] := '{}';
begin
	for v_twin in
		with due as materialized (
			select d.*, t.line, c.status[d.item] as status,
				coalesce(c.line_end[d.item - 1], 0) as at
			from (	-- each has a twin at least: no more of them are met
				select * from sluice.twin_due q where q.batch_id = p_batch.id
				order by q.failed, q.first_line limit p_lines
			) d
			join sluice.twin t on t.batch_id = d.batch_id
			    and t.first_line = d.first_line and t.line > d.upto
			join sluice.chunk c on c.purge_day = d.purge_day and c.id = d.chunk_id
			order by d.failed, d.first_line, t.line
			limit p_lines
		), fits as materialized (
			select * from (select d.*, sum(d.len) over (order by d.failed,
				d.first_line, d.line) - d.len as before from due d) s
			where s.before < p_bytes
		), answer as materialized (
			-- Without the brace and the newline at its end.
			select f.first_line, substring(c.bytes
				from f.at + c_before + i.id_len[l.item] + 1
				for f.len - c_before - i.id_len[l.item] - 2)
				|| case when p_batch.details then
					convert_to(',"sluice":{"attempts":0,"cost":0,'
						'"duplicate_of":', 'UTF8')
					|| substring(i.bytes from i.id_at[l.item] + 1
						for i.id_len[l.item])
					|| '}'::bytea else '' end
				|| convert_to(E'}\n', 'UTF8') as rest
			from (select distinct g.first_line, g.purge_day, g.chunk_id, g.at, g.len
				from fits g) f
			join sluice.chunk c on c.purge_day = f.purge_day and c.id = f.chunk_id
			cross join lateral sluice.line_chunk(v_day, p_batch.input_id,
				f.first_line) l
			join sluice.chunk i on i.purge_day = v_day and i.id = l.chunk_id
		)
		select f.failed, f.line, f.status, convert_to('{"id":"batch_req_'
			|| replace(gen_random_uuid()::text, '-', '') || '","custom_id":', 'UTF8')
			|| substring(i.bytes from i.id_at[l.item] + 1 for i.id_len[l.item])
			|| a.rest as text
		from fits f
		join answer a on a.first_line = f.first_line
		cross join lateral sluice.line_chunk(v_day, p_batch.input_id, f.line) l
		join sluice.chunk i on i.purge_day = v_day and i.id = l.chunk_id
		order by f.failed, f.first_line, f.line
	loop
		if cardinality(v_line) > 0 and (v_twin.failed <> v_failed
			or cardinality(v_line) = 256
			or octet_length(v_bytes) + octet_length(v_twin.text) > 131072) then
			perform sluice.settle_chunk(p_batch.id, v_failed, v_bytes, v_end, v_line,
				v_status, null, array_fill(0::smallint,
				array[cardinality(v_line)]), null, null, 0, 0);
			v_bytes := '';
			v_end := '{}';
			v_line := '{}';
			v_status := '{}';
		end if;
		v_failed := v_twin.failed;
		v_bytes := v_bytes || v_twin.text;
		v_end := v_end || octet_length(v_bytes);
		v_line := v_line || v_twin.line;
		v_status := v_status || v_twin.status;
		v_copied := v_copied || v_twin.line;
	end loop;
	if cardinality(v_line) = 0 then
		perform sluice.input_lost();
	end if;
	perform sluice.settle_chunk(p_batch.id, v_failed, v_bytes, v_end, v_line, v_status,
		null, array_fill(0::smallint, array[cardinality(v_line)]), null, null, 0, 0);
	update sluice.twin_due d set upto = u.line
	from (select t.first_line, max(t.line) as line from sluice.twin t
		where t.batch_id = p_batch.id and t.line = any (v_copied) group by 1) u
	where d.batch_id = p_batch.id and d.first_line = u.first_line;
	delete from sluice.twin_due d where d.batch_id = p_batch.id and d.upto > 0
	    and not exists (select from sluice.twin t where t.batch_id = d.batch_id
		and t.first_line = d.first_line and t.line > d.upto);
	return cardinality(v_copied);
end $$;

-- A step for some batches.  One whose twins cannot be answered fails by itself
-- and stops no other.  Returns the lines that have results now.
create or replace function sluice.twins_answer() returns integer
language plpgsql set search_path = '' as $$
declare
	v_batch sluice.batch;
	v_lines integer := 0;
begin
	for v_batch in select * from sluice.batch b where b.id in (
		select d.batch_id from sluice.twin_due d group by 1 order by 1 limit 4)
	    order by b.id
	loop
		begin
			v_lines := v_lines + sluice.twins_copy(v_batch, 1000, 4 << 20);
		exception when others then
			if sluice.passes(sqlstate) then
				raise warning '% cannot go on now: % (%)',
					sluice.batch_name(v_batch.uid), sqlerrm, sqlstate;
			else
				perform sluice.batch_fail(v_batch.id, true, sqlstate, sqlerrm);
			end if;
		end;
	end loop;
	return v_lines;
end $$;

create or replace function sluice.twins_drop(p_batch bigint) returns void
language sql set search_path = '' as $$
	delete from sluice.twin_due d where d.batch_id = p_batch;
	delete from sluice.twin t where t.batch_id = p_batch
$$;
