-- migrate: on change
--
-- An upstream's own batches (paths of kind batches), step by step.
--
-- The dispatcher makes runs with tokens; provider_pack() (006h_pack.sql) puts them
-- together into a provider_batch; workers claim what is due (provider_next), do one
-- step and say what came of it (provider_step).  A claim ends with its worker: what
-- was begun and not told is found out by whoever comes next.  worker_id and fence
-- keep out who lost a claim.
--
-- Lock order: provider_batch, run, retry; provider_pack() locks runs that have
-- none and makes one.

-- Steps that are due, for this worker: was is the state it was found in (it is
-- uploading or creating from now on, for good: what came of it nobody knows until
-- provider_step() says).
create or replace function sluice.provider_next(p_worker bigint, p_most integer)
returns table (id bigint, fence integer, uid text, path_id integer, model text,
    endpoint text, was text, lines integer, tokens bigint, cancel boolean,
    told boolean, uploads integer, file text,
    batch text, output_file text, error_file text, status text, faults text,
    failures integer, age_ms bigint, ran_ms bigint, cancel_ms bigint)
language plpgsql set search_path = '' security definer as $$
begin
	if not exists (select from sluice.provider_batch b where b.state <> 'cleaned'
	    and b.next_at <= clock_timestamp()) then
		return;
	end if;
	-- Who finds the worker dead must find its claims, too.
	perform from sluice.worker w
	where w.id = p_worker and w.state = 'live'
	    and w.lease_until > clock_timestamp() for share;
	if not found then
		raise exception using errcode = 'SL410', message = 'lease lost';
	end if;
	return query
		with due as (
			select b.id, b.state as was from sluice.provider_batch b
			where b.state <> 'cleaned' and b.next_at <= clock_timestamp()
			    and (b.worker_id is null or not exists (
				select from sluice.worker w where w.id = b.worker_id
				    and w.state <> 'dead' and w.lease_until > clock_timestamp()))
			order by b.next_at limit p_most
			for update skip locked
		), mine as (
			update sluice.provider_batch b
			set worker_id = p_worker, fence = b.fence + 1,
				state = case when b.cancel_at is not null then b.state
					when b.state = 'packed' then 'uploading'
					when b.state = 'uploaded' then 'creating'
					else b.state end,
				uploads = b.uploads + case when b.cancel_at is null
					and b.state in ('packed', 'uploading') then 1 else 0 end
			from due d
			where b.id = d.id
			returning b.*, d.was
		)
		select m.id, m.fence, replace(m.uid::text, '-', ''), m.path_id, m.model,
			m.endpoint, m.was, m.lines, m.tokens, m.cancel_at is not null, m.cancelled_at is not null,
			m.uploads, m.file, m.batch, m.output_file, m.error_file, m.status,
			m.faults::text, m.failures,
			(extract(epoch from clock_timestamp() - m.created_at) * 1000)::bigint,
			(extract(epoch from coalesce(m.ended_at, clock_timestamp())
				- m.running_at) * 1000)::bigint,
			(extract(epoch from clock_timestamp() - m.cancel_at) * 1000)::bigint
		from mine m order by m.next_at;
end $$;

-- The batch, if p_worker may still write to it.
create or replace function sluice.provider_fence(
    p_worker bigint, p_id bigint, p_fence integer
) returns void
language plpgsql set search_path = '' as $$
begin
	perform from sluice.provider_batch b
	where b.id = p_id and b.worker_id = p_worker and b.fence = p_fence for share;
	if not found then
		raise exception using errcode = 'SL410', message = 'claim lost';
	end if;
end $$;

-- The runs of a batch in the order of its file.  p_ids: with the lines' custom_ids
-- (joined, and how long each is) and what their bodies take.
create or replace function sluice.provider_lines(
    p_worker bigint, p_id bigint, p_fence integer, p_ids boolean
) returns table (id bigint, batch_id bigint, batch_uid text, lane_id bigint,
    purge_day text, chunk_id bigint, first_line integer, line smallint[],
    open text, tries smallint[], sends smallint[], refused smallint[],
    max_tokens integer, ids bytea, id_len integer[], body_len integer[])
language plpgsql set search_path = '' security definer
set plan_cache_mode = force_custom_plan as $$
begin
	perform sluice.provider_fence(p_worker, p_id, p_fence);
	return query
		select r.id, r.batch_id, replace(b.uid::text, '-', ''), r.lane_id,
			to_char(r.purge_day, 'YYYY-MM-DD'), r.chunk_id, r.first_line, r.line,
			r.open::text, r.tries, r.sends, r.refused, l.max_tokens,
			c.ids, c.id_len, c.body_len
		from sluice.run r
		join sluice.batch b on b.id = r.batch_id
		join sluice.batch_lane l on l.id = r.lane_id
		left join lateral (
			select string_agg(substring(k.bytes from k.id_at[u.line] + 1
					for k.id_len[u.line]), ''::bytea order by u.i) as ids,
				array_agg(k.id_len[u.line] order by u.i) as id_len,
				array_agg(k.body_len[u.line] order by u.i) as body_len
			from (	-- decompressed once
				select q.bytes || ''::bytea as bytes, q.id_at, q.id_len,
					q.body_len
				from sluice.chunk q
				where q.purge_day = r.purge_day and q.id = r.chunk_id
				offset 0
			) k, unnest(r.line) with ordinality u (line, i)
		) c on p_ids
		where r.provider_id = p_id
		order by r.id;
end $$;

-- As settle_runs(), for lines of a batch that is being fetched.
create or replace function sluice.provider_settle(
    p_worker bigint, p_id bigint, p_fence integer, p_closed json, p_again json,
    p_seen json
) returns void
language plpgsql set search_path = '' security definer as $$
begin
	perform sluice.provider_fence(p_worker, p_id, p_fence);
	perform sluice.runs_close(null, p_id, p_closed);
	perform sluice.lines_again(p_again);
	perform sluice.live_seen(p_seen);
end $$;

-- As runs_open().
create or replace function sluice.provider_open(
    p_worker bigint, p_id bigint, p_fence integer, p_runs bigint[]
) returns table (id bigint, open text)
language sql stable set search_path = '' security definer as $$
	select r.id, r.open::text
	from sluice.provider_batch b
	join sluice.run r on r.provider_id = b.id and r.id = any (p_runs)
	where b.id = p_id and b.worker_id = p_worker and b.fence = p_fence
$$;

-- Lines that failed by themselves, by their number in the batch's file: [{line,
-- code, message}].
create or replace function sluice.provider_faults(p_id bigint, p_faults json)
returns void
language plpgsql set search_path = '' as $$
declare
	v_fault record;
begin
	for v_fault in
		with numbered as (
			select r.id, u.line, u.i, row_number() over (order by r.id, u.i) as n
			from sluice.run r, unnest(r.line) with ordinality u (line, i)
			where r.provider_id = p_id
		)
		select distinct on (n.n) n.id, n.line, n.i::integer, r.batch_id, r.purge_day,
			r.chunk_id, r.first_line, coalesce(r.sends[n.i], 0) + 1 as sends,
			f.code, f.message
		from json_to_recordset(p_faults) as f (line integer, code text, message text)
		join numbered n on n.n = f.line
		join sluice.run r on r.id = n.id
		where get_bit(r.open, n.i::integer - 1) = 1
		order by n.n
	loop
		perform sluice.end_lines(b, v_fault.purge_day, v_fault.chunk_id,
			v_fault.first_line, array[v_fault.line::integer],
			array[v_fault.sends::smallint], v_fault.code, v_fault.message)
		from sluice.batch b where b.id = v_fault.batch_id;
		update sluice.run r set open = set_bit(r.open, v_fault.i - 1, 0)
		where r.id = v_fault.id;
	end loop;
end $$;

-- What has no outcome goes again: {counts, sent, in_ms, code, why, attempts}.
-- With counts it is a try, and after the last one the line fails with code.
create or replace function sluice.provider_rest(p_id bigint, p_rest json)
returns void
language plpgsql set search_path = '' as $$
declare
	v_counts integer := case when (p_rest ->> 'counts')::boolean then 1 else 0 end;
	v_sent integer := case when (p_rest ->> 'sent')::boolean then 1 else 0 end;
	v_again timestamptz := now()
		+ make_interval(secs => coalesce((p_rest ->> 'in_ms')::bigint, 0) / 1000.0);
	v_run sluice.run;
	v_over integer[];
	v_sends smallint[];
begin
	for v_run in delete from sluice.run r where r.provider_id = p_id returning * loop
		select array_agg(u.line::integer order by u.i), array_agg(
			(coalesce(v_run.sends[u.i], 0) + v_sent)::smallint order by u.i)
		into v_over, v_sends
		from unnest(v_run.line) with ordinality u (line, i)
		where get_bit(v_run.open, u.i::integer - 1) = 1 and v_counts = 1
		    and coalesce(v_run.tries[u.i], 0) + 1 >= (p_rest ->> 'attempts')::integer;
		if v_over is not null then
			perform sluice.end_lines(b, v_run.purge_day, v_run.chunk_id,
				v_run.first_line, v_over, v_sends,
				coalesce(p_rest ->> 'code', 'outcome_unknown'), p_rest ->> 'why')
			from sluice.batch b where b.id = v_run.batch_id;
		end if;
		insert into sluice.retry (lane_id, line, batch_id, not_before, tries, sends,
			refused, most, why)
		select v_run.lane_id, v_run.first_line + u.line - 1, v_run.batch_id, v_again,
			coalesce(v_run.tries[u.i], 0) + v_counts,
			coalesce(v_run.sends[u.i], 0) + v_sent,
			coalesce(v_run.refused[u.i], 0), coalesce(v_run.most[u.i], 0),
			p_rest ->> 'why'
		from unnest(v_run.line) with ordinality u (line, i)
		where get_bit(v_run.open, u.i::integer - 1) = 1
		    and u.line <> all (coalesce(v_over, '{}'));
	end loop;
end $$;

-- What came of a step; ends the claim.  {state, in_ms, failed, why, file, batch,
-- output_file, error_file, status, faults, done, told, rest, seen}; what is left
-- out stays.
create or replace function sluice.provider_step(
    p_worker bigint, p_id bigint, p_fence integer, p_doc json
) returns void
language plpgsql set search_path = '' security definer as $$
begin
	update sluice.provider_batch b
	set state = coalesce(p_doc ->> 'state', b.state), worker_id = null,
		file = coalesce(p_doc ->> 'file', b.file),
		batch = coalesce(p_doc ->> 'batch', b.batch),
		output_file = coalesce(p_doc ->> 'output_file', b.output_file),
		error_file = coalesce(p_doc ->> 'error_file', b.error_file),
		status = coalesce(p_doc ->> 'status', b.status),
		faults = coalesce(p_doc -> 'faults', b.faults),
		done = coalesce((p_doc ->> 'done')::integer, b.done),
		cancelled_at = case when (p_doc ->> 'told')::boolean
			then coalesce(b.cancelled_at, now()) else b.cancelled_at end,
		failures = case when (p_doc ->> 'failed')::boolean
			then b.failures + 1 else 0 end,
		why = case when (p_doc ->> 'failed')::boolean then p_doc ->> 'why' end,
		running_at = case when p_doc ->> 'state' = 'running'
			then coalesce(b.running_at, now()) else b.running_at end,
		ended_at = case when p_doc ->> 'state' in ('fetching', 'settled')
			then coalesce(b.ended_at, now()) else b.ended_at end,
		-- To be cancelled, and not yet told so: at once.
		next_at = case when b.cancel_at is not null and b.cancelled_at is null
			and not coalesce((p_doc ->> 'failed')::boolean
				or (p_doc ->> 'told')::boolean, false) then now()
			else now() + make_interval(
				secs => coalesce((p_doc ->> 'in_ms')::bigint, 0) / 1000.0) end
	where b.id = p_id and b.worker_id = p_worker and b.fence = p_fence;
	if not found then
		raise exception using errcode = 'SL410', message = 'claim lost';
	end if;
	if p_doc #>> '{faults,fault}' = 'over' then
		-- Was it too much, or was too much else there?
		update sluice.provider_batch b set faults = json_build_object(
			'fault', 'over', 'alone', not exists (
				select from sluice.provider_batch q
				where q.path_id = b.path_id and q.model = b.model
				    and q.id <> b.id and q.state = 'running'))
		where b.id = p_id;
	end if;
	if p_doc ->> 'state' = 'settled' then
		perform sluice.provider_faults(p_id, b.faults)
		from sluice.provider_batch b where b.id = p_id and b.faults is not null
		    and json_typeof(b.faults) = 'array';
		perform sluice.provider_rest(p_id, p_doc -> 'rest');
	end if;
	if p_doc -> 'seen' is not null then
		perform sluice.live_seen(json_build_array(p_doc -> 'seen'));
	end if;
end $$;

-- The lines of a batch are wanted elsewhere, or not at all: those that the
-- upstream has finished are kept, the rest goes as its batches say.  What it has
-- not been given is free at once; else it is told, and awaited.
create or replace function sluice.provider_cancel(p_id bigint) returns void
language plpgsql set search_path = '' as $$
declare
	v_batch sluice.provider_batch;
begin
	select * into v_batch from sluice.provider_batch b
	where b.id = p_id and b.cancel_at is null
	    and b.state in ('packed', 'uploading', 'uploaded', 'creating', 'running')
	for update skip locked;
	if not found then
		return;
	end if;
	if v_batch.worker_id is null and v_batch.state in ('packed', 'uploading', 'uploaded')
	then
		perform sluice.provider_rest(p_id, json_build_object('why', 'cancelled'));
		update sluice.provider_batch b
		set state = case when b.uploads = 0 then 'cleaned' else 'settled' end,
			cancel_at = now(), ended_at = now(), status = 'cancelled',
			next_at = now()
		where b.id = p_id;
	else
		update sluice.provider_batch b set cancel_at = now(), next_at = now()
		where b.id = p_id;
	end if;
end $$;

-- A batch of ours ends before its lines: its upstream's batches are cancelled, all
-- of them.  What others of the account have in there goes again.
create or replace function sluice.provider_cancel_for(p_batch bigint) returns void
language sql set search_path = '' as $$
	select sluice.provider_cancel(q.id)
	from (select b.id from sluice.provider_batch b
		where b.cancel_at is null
		    and b.state in ('packed', 'uploading', 'uploaded', 'creating', 'running')
		    and b.id in (select r.provider_id from sluice.run r
			where r.batch_id = p_batch and r.provider_id is not null)
		order by b.id) q
$$;

-- Lines that are out on paths of kind batches, for the planner; going: of these,
-- those that are not with the upstream yet.
create or replace function sluice.provider_out() returns json
language sql stable set search_path = '' as $$
	select json_agg(json_build_object('path', g.path_id, 'model', g.model,
		'lines', g.lines, 'tokens', g.tokens, 'going', g.going))
	from (
		select q.path_id, q.model, sum(q.lines) as lines, sum(q.tokens) as tokens,
			sum(q.lines) filter (where q.going) as going
		from (
			select r.path_id, l.model, bit_count(r.open) as lines, r.tokens,
				true as going
			from sluice.run r join sluice.batch_lane l on l.id = r.lane_id
			where r.tokens is not null and r.provider_id is null
			union all
			select b.path_id, b.model, b.lines, b.tokens, b.state <> 'running'
			from sluice.provider_batch b
			where b.state in ('packed', 'uploading', 'uploaded', 'creating',
				'running')
		) q
		group by q.path_id, q.model
	) g
$$;
