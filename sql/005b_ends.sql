-- migrate: on change
--
-- Places for what was settled, and the ends of batches.

-- The files of a batch that is over are as long as they are now; the batch keeps
-- their totals.
create or replace function sluice.batch_close(p_batch sluice.batch) returns void
language sql set search_path = '' as $$
	with extent as materialized (
		select f.id, x.*
		from sluice.file f cross join lateral sluice.file_extent(f) x
		where f.id in (p_batch.output_id, p_batch.error_id)
	), closed as (
		update sluice.file f
		set state = case when e.lines = 0 then 'broken' else 'ready' end,
			bytes = e.bytes, lines = e.lines
		from extent e
		where f.id = e.id and f.state = 'growing'
	), lanes as (
		delete from sluice.batch_lane l where l.batch_id = p_batch.id
	), total as (
		select sum(e.lines) filter (where e.id = p_batch.output_id) as done,
			sum(e.lines) filter (where e.id = p_batch.error_id) as failed,
			sum(e.input_tokens) as input, sum(e.cached_tokens) as cached,
			sum(e.output_tokens) as output, sum(e.reasoning_tokens) as reasoning
		from extent e
	)
	update sluice.batch b
	set done_lines = t.done, failed_lines = t.failed, input_tokens = t.input,
		cached_tokens = t.cached, output_tokens = t.output,
		reasoning_tokens = t.reasoning
	from total t
	where b.id = p_batch.id
$$;

-- An open batch that nothing can complete fails with what it has.  Unless p_now,
-- not while lines are out or results have no place yet; nor while another has
-- it locked.  True when it has failed.
create or replace function sluice.batch_fail(
    p_batch bigint, p_now boolean, p_state text, p_why text
) returns boolean
language plpgsql set search_path = '' as $$
declare
	v_batch sluice.batch;
	v_lost boolean := p_state = 'SL500';
begin
	select * into v_batch from sluice.batch b where b.id = p_batch
	    and b.state in ('in_progress', 'finalizing', 'cancelling')
	for update skip locked;
	if not found or not p_now and (
		exists (select from sluice.unplaced u where u.batch_id = p_batch)
		or exists (select from sluice.run r
			where r.batch_id = p_batch and (r.worker_id is not null
				or r.provider_id is not null))) then
		return false;
	end if;
	delete from sluice.run r where r.batch_id = p_batch;
	delete from sluice.retry r where r.batch_id = p_batch;
	delete from sluice.unplaced u where u.batch_id = p_batch;
	perform sluice.twins_drop(p_batch);
	perform sluice.batch_close(v_batch);
	update sluice.batch b
	set state = 'failed', failed_at = now(), errors = json_build_array(
		json_build_object('code', case when v_lost then 'input_lost'
				else 'server_error' end,
			'message', case when v_lost then p_why
				else 'The batch could not be completed.' end,
			'param', null, 'line', null))
	where b.id = p_batch;
	raise warning '% failed: % (%)', sluice.batch_name(v_batch.uid), p_why, p_state;
	return true;
end $$;

-- Of errors: it may go by itself.
create or replace function sluice.passes(p_state text) returns boolean
language sql immutable set search_path = '' as $$
	select left(p_state, 2) in ('08', '40', '53', '55', '57', '58')
$$;

-- The end of a batch whose lines all have a published result.
create or replace function sluice.batch_finish(p_batch bigint) returns boolean
language plpgsql set search_path = '' as $$
declare
	v_batch sluice.batch;
	v_file sluice.file;
	v_lines integer := 0;
begin
	select * into v_batch from sluice.batch b where b.id = p_batch
	    and b.state in ('in_progress', 'finalizing', 'cancelling') for update;
	if not found then
		return false;
	end if;
	for v_file in select * from sluice.file f
	    where f.id in (v_batch.output_id, v_batch.error_id) loop
		v_lines := v_lines + (sluice.file_extent(v_file)).lines;
	end loop;
	if v_lines < v_batch.lines then
		return false;
	end if;
	perform sluice.batch_close(v_batch);
	if sluice.batch_passes(v_batch) then
		perform sluice.twins_drop(p_batch);
	end if;
	update sluice.batch b
	set state = coalesce(b.ending, 'completed'),
		finalizing_at = case when b.ending is null then now()
			else b.finalizing_at end,
		completed_at = case when b.ending is null then now() end,
		expired_at = case when b.ending = 'expired' then now() end,
		cancelled_at = case when b.ending = 'cancelled' then now() end
	where b.id = p_batch;
	return true;
end $$;

create or replace function sluice.place_chunks(
    p_day date, p_file bigint, p_chunks sluice.unplaced[]
) returns void
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
	v_last sluice.place;
begin
	select * into v_last from sluice.place p
	where p.purge_day = p_day and p.file_id = p_file
	order by p.first_byte desc
	limit 1;
	insert into sluice.place (purge_day, file_id, first_byte, bytes, first_line,
		lines, chunk_id, input_tokens, cached_tokens, output_tokens,
		reasoning_tokens)
	select p_day, p_file,
		coalesce(v_last.first_byte + v_last.bytes, 0)
			+ sum(u.bytes) over w - u.bytes, u.bytes,
		coalesce(v_last.first_line + v_last.lines, 1)
			+ sum(u.lines) over w - u.lines, u.lines, u.chunk_id,
		coalesce(v_last.input_tokens, 0) + sum(u.input_tokens) over w,
		coalesce(v_last.cached_tokens, 0) + sum(u.cached_tokens) over w,
		coalesce(v_last.output_tokens, 0) + sum(u.output_tokens) over w,
		coalesce(v_last.reasoning_tokens, 0) + sum(u.reasoning_tokens) over w
	from unnest(p_chunks) u
	window w as (order by u.chunk_id);
end $$;

-- All files' chunks.  With care, a batch whose chunks cannot be placed fails and
-- stops no other; that costs a subtransaction for each file.
create or replace function sluice.place_all(p_taken sluice.unplaced[], p_care boolean)
returns void
language plpgsql set search_path = '' as $$
declare
	v_file record;
begin
	for v_file in
		select u.purge_day, u.file_id, min(u.batch_id) as batch_id,
			array_agg(u) as chunks
		from unnest(p_taken) u group by 1, 2 order by 3
	loop
		if not p_care then
			perform sluice.place_chunks(v_file.purge_day, v_file.file_id,
				v_file.chunks::sluice.unplaced[]);
			continue;
		end if;
		begin
			perform sluice.place_chunks(v_file.purge_day, v_file.file_id,
				v_file.chunks::sluice.unplaced[]);
		exception when others then
			if sluice.passes(sqlstate) then
				raise;
			end if;
			perform sluice.batch_fail(v_file.batch_id, true, sqlstate, sqlerrm);
		end;
	end loop;
end $$;

-- Give settled chunks their places, in the order of their ids, and end the
-- batches that are whole; then, results for some twins.  One publisher (the dispatcher): places have no gaps.
create or replace function sluice.publish(p_epoch bigint, p_chunks integer)
returns table (placed integer, finished integer)
language plpgsql set search_path = '' security definer
set plan_cache_mode = force_custom_plan as $$
declare
	v_taken sluice.unplaced[];
	v_batch bigint;
begin
	perform sluice.fence(p_epoch);
	with u as (
		delete from sluice.unplaced d
		where d.chunk_id in (select c.chunk_id from sluice.unplaced c
			order by c.chunk_id limit p_chunks)
		returning d
	)
	select array_agg(u.d) into v_taken from u;
	begin
		perform sluice.place_all(v_taken, false);
	exception when others then
		if sluice.passes(sqlstate) then
			raise;
		end if;
		perform sluice.place_all(v_taken, true);
	end;
	perform sluice.batch_paths_add(v_taken);
	placed := coalesce(cardinality(v_taken), 0);
	finished := 0;
	for v_batch in select distinct u.batch_id from unnest(v_taken) u order by 1 loop
		if sluice.batch_finish(v_batch) then
			finished := finished + 1;
		end if;
	end loop;
	perform sluice.twins_answer();
	return next;
end $$;

create or replace function sluice.input_lost() returns void
language plpgsql set search_path = '' as $$
begin
	raise exception using errcode = 'SL500',
		message = 'The rest of the input file is not there any more.';
end $$;

-- Results for lines that will not be sent any more, as a chunk of the error file.
drop function if exists sluice.end_lines(sluice.batch, date, bigint, integer,
    integer[], smallint[]);
create or replace function sluice.end_lines(
    p_batch sluice.batch, p_day date, p_chunk bigint, p_first_line integer,
    p_line integer[], p_sends smallint[], p_code text, p_message text
) returns void
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
	v_rest bytea := convert_to(format(
		',"response":null,"error":{"code":%s,"message":%s}}' || E'\n',
		to_json(p_code), to_json(p_message)), 'UTF8');
	v_bytes bytea;
	v_end integer[];
begin
	with ended as (
		select u.i, convert_to('{"id":"batch_req_'
			|| replace(gen_random_uuid()::text, '-', '') || '","custom_id":', 'UTF8')
			|| substring(c.bytes from c.id_at[u.line] + 1 for c.id_len[u.line])
			|| v_rest as line
		from sluice.chunk c, unnest(p_line) with ordinality u (line, i)
		where c.purge_day = p_day and c.id = p_chunk
	), measured as (
		select e.i, e.line, sum(octet_length(e.line)) over (order by e.i) as line_end
		from ended e
	)
	select string_agg(m.line, ''::bytea order by m.i),
		array_agg(m.line_end::integer order by m.i)
	into v_bytes, v_end
	from measured m;
	if v_bytes is null then
		perform sluice.input_lost();
	end if;
	perform sluice.settle_chunk(p_batch.id, true, v_bytes, v_end,
		(select array_agg(p_first_line + u.line - 1 order by u.i)
			from unnest(p_line) with ordinality u (line, i)),
		array_fill(0::smallint, array[cardinality(p_line)]), null, p_sends,
		null, null, 0, 0);
end $$;

-- The same for a batch that was cancelled or ran out of time; p_waited: what its
-- lines waited for, as a sentence.
drop function if exists sluice.end_rest(sluice.batch, date, bigint, integer,
    integer[], smallint[]);
create or replace function sluice.end_rest(
    p_batch sluice.batch, p_day date, p_chunk bigint, p_first_line integer,
    p_line integer[], p_sends smallint[], p_waited text
) returns void
language sql set search_path = '' as $$
	select sluice.end_lines(p_batch, p_day, p_chunk, p_first_line, p_line, p_sends,
		'batch_' || p_batch.ending, case p_batch.ending when 'expired'
			then 'This request could not be executed before the completion window expired.'
				|| p_waited
			else 'This request was cancelled before it was executed.' end)
$$;

-- Some steps towards the end of one batch: runs nobody took are revoked, then
-- what is not out is ended chunk by chunk.  What is out is awaited.
create or replace function sluice.batch_end(p_batch sluice.batch, p_steps integer)
returns integer
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
	v_steps integer := 0;
	v_run sluice.run;
	v_lane sluice.batch_lane;
	v_place sluice.place;
	v_again record;
	v_line integer[];
	v_passes boolean := sluice.batch_passes(p_batch);
	v_waited text := '';	-- for, by those that are left
begin
	for v_run in delete from sluice.run r
	    where r.batch_id = p_batch.id and r.worker_id is null
		and r.provider_id is null returning * loop
		perform sluice.run_give_back(v_run, false, p_batch.ending);
	end loop;
	perform sluice.provider_cancel_for(p_batch.id);
	if p_batch.ending = 'expired' and (
		exists (select from sluice.retry r where r.batch_id = p_batch.id)
		or exists (select from sluice.batch_lane l
			where l.batch_id = p_batch.id and l.lines_left > 0)) then
		v_waited := sluice.batch_waited(p_batch.id);
	end if;
	for v_again in
		with gone as (
			delete from sluice.retry r
			where (r.lane_id, r.line) in (
				select q.lane_id, q.line from sluice.retry q
				where q.batch_id = p_batch.id limit 2000)
			returning r.*
		), located as (
			select g.line, g.sends, l.purge_day, p.chunk_id, p.first_line
			from gone g
			join sluice.batch_lane l on l.id = g.lane_id
			left join lateral (
				select q.chunk_id, q.first_line from sluice.place q
				where q.purge_day = l.purge_day and q.file_id = l.file_id
				    and q.first_line <= g.line and q.lines > 0
				order by q.first_line desc limit 1
			) p on true
		)
		select d.purge_day, d.chunk_id, d.first_line,
			array_agg(d.line - d.first_line + 1 order by d.line) as line,
			array_agg(d.sends order by d.line) as sends
		from located d
		group by d.purge_day, d.chunk_id, d.first_line
	loop
		perform sluice.end_rest(p_batch, v_again.purge_day, v_again.chunk_id,
			v_again.first_line, v_again.line, v_again.sends, v_waited);
		v_steps := v_steps + 1;
	end loop;
	while v_steps < p_steps loop
		select * into v_lane from sluice.batch_lane l
		where l.batch_id = p_batch.id and l.lines_left > 0
		order by l.id limit 1;
		exit when not found;
		select * into v_place from sluice.place p
		where p.purge_day = v_lane.purge_day and p.file_id = v_lane.file_id
		    and p.first_line <= v_lane.next_line
		    and p.first_line + p.lines > v_lane.next_line
		order by p.first_line desc limit 1;
		select array_agg(m.i::integer order by m.i) into v_line
		from sluice.chunk c, unnest(c.model) with ordinality m (model, i)
		where c.purge_day = v_lane.purge_day and c.id = v_place.chunk_id
		    and m.model = v_lane.model_index
		    and v_place.first_line + m.i - 1 >= v_lane.next_line
		    and not (v_passes and exists (select from sluice.twin t
			where t.batch_id = p_batch.id
			    and t.line = v_place.first_line + m.i - 1));
		if v_line is not null then
			perform sluice.end_rest(p_batch, v_lane.purge_day,
				v_place.chunk_id, v_place.first_line, v_line,
				array_fill(0::smallint, array[cardinality(v_line)]), v_waited);
		elsif not exists (select from sluice.chunk c
		    where c.purge_day = v_lane.purge_day and c.id = v_place.chunk_id) then
			perform sluice.input_lost();
		end if;
		update sluice.batch_lane l
		set next_line = v_place.first_line + v_place.lines,
			lines_left = l.lines_left - coalesce(cardinality(v_line), 0),
			open = l.open and l.lines_left > coalesce(cardinality(v_line), 0)
		where l.id = v_lane.id;
		v_steps := v_steps + 1;
	end loop;
	return v_steps;
end $$;

-- A few steps towards the end of batches that were cancelled or ran out of time.
-- One that cannot be ended fails by itself and stops no other.  Returns the steps
-- made; 0: nothing to do now.
create or replace function sluice.batches_end(p_epoch bigint, p_steps integer)
returns integer
language plpgsql set search_path = '' security definer
set plan_cache_mode = force_custom_plan as $$
declare
	v_steps integer := 0;
	v_batch sluice.batch;
begin
	perform sluice.fence(p_epoch);
	update sluice.batch b
	set state = 'finalizing', ending = 'expired', finalizing_at = now(),
		in_progress_at = coalesce(b.in_progress_at, now())
	where b.id in (select d.id from sluice.batch d
		where d.id in (select c.id from sluice.batch c
			where c.state in ('validating', 'in_progress')
			    and c.deadline <= now()
			order by c.deadline limit 100)
		order by d.id for update)	-- as publish() locks them
	    and b.state in ('validating', 'in_progress');
	for v_batch in select * from sluice.batch b
	    where b.state in ('finalizing', 'cancelling') and b.ending is not null
	    order by b.id
	loop
		begin
			v_steps := v_steps + sluice.batch_end(v_batch, p_steps - v_steps);
		exception when others then
			if sluice.passes(sqlstate) then
				raise warning '% cannot be ended now: % (%)',
					sluice.batch_name(v_batch.uid), sqlerrm, sqlstate;
			else
				perform sluice.batch_fail(v_batch.id, sqlstate <> 'SL500',
					sqlstate, sqlerrm);
			end if;
		end;
		exit when v_steps >= p_steps;
	end loop;
	return v_steps;
end $$;
