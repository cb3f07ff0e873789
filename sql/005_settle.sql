-- migrate: on change
--
-- The worker's side (take, settle) and what follows from it: places in the
-- files, the end of batches.

create or replace function sluice.worker_start(
    p_name text, p_max_in_flight integer, p_lease_ms integer
) returns bigint
language sql set search_path = '' security definer as $$
	insert into sluice.worker (name, max_in_flight, lease_until)
	values (p_name, p_max_in_flight,
		clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0))
	returning id
$$;

-- Still here.  p_held says for each concurrency limit how many calls are open or
-- could be opened at once; granted falls to it, never rises.  SL410 when the
-- lease was over and the work is another's now.
create or replace function sluice.worker_beat(
    p_worker bigint, p_lease_ms integer, p_in_flight integer, p_stopping boolean,
    p_held json
) returns json
language plpgsql set search_path = '' security definer as $$
begin
	update sluice.worker w
	set beat_at = clock_timestamp(), in_flight = p_in_flight,
		lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0),
		state = case when p_stopping then 'stopping' else w.state end
	where w.id = p_worker and w.state <> 'dead';
	if not found then
		raise exception using errcode = 'SL410', message = 'lease lost';
	end if;
	update sluice.seat s set granted = greatest(s.target, least(s.granted, h.held))
	from json_to_recordset(p_held) as h ("limit" integer, held integer)
	where s.worker_id = p_worker and s.limit_id = h."limit"
	    and s.granted > greatest(s.target, least(s.granted, h.held));
	return json_build_object(
		'revision', (select revision from sluice.config),
		'hooks', sluice.hooks_due(),
		'seats', (select coalesce(json_agg(json_build_object('limit', s.limit_id,
				'target', s.target)), '[]')
			from sluice.seat s where s.worker_id = p_worker));
end $$;

-- Gone for good: nothing is out any more, unless it has abandoned calls or lines.
drop function if exists sluice.worker_stop(bigint);
create or replace function sluice.worker_stop(
    p_worker bigint, p_abandoned boolean default true
) returns void
language plpgsql set search_path = '' security definer as $$
declare
	v_run sluice.run;
begin
	update sluice.worker w set state = 'dead', lease_until = now(), in_flight = 0
	where w.id = p_worker;
	update sluice.provider_batch b set worker_id = null where b.worker_id = p_worker;
	for v_run in delete from sluice.run r where r.worker_id = p_worker returning * loop
		perform sluice.run_give_back(v_run, p_abandoned, 'worker stopped');
	end loop;
	if p_abandoned then
		perform sluice.seats_freeze(p_worker);
	else
		delete from sluice.seat s where s.worker_id = p_worker;
	end if;
end $$;

create or replace function sluice.worker_config() returns json
language sql stable set search_path = '' security definer as $$
	select json_build_object(
		'revision', (select revision from sluice.config),
		'paths', (select coalesce(json_agg(json_build_object('id', p.id,
				'pool', p.pool_id, 'kind', p.kind, 'suffix', p.suffix,
				'name', p.name, 'url', p.url,
				'secret_file', p.secret_file, 'ca_file', p.ca_file,
				'http2', p.http2, 'dialect', p.dialect,
				'attempts', p.attempts, 'connect_ms', p.connect_ms,
				'idle_ms', p.idle_ms, 'whole_ms', p.whole_ms,
				'answer_max', p.answer_max, 'poll_ms', p.poll_ms)), '[]')
			from sluice.path p where p.removed_at is null or exists (
				select from sluice.provider_batch b
				where b.path_id = p.id and b.state <> 'cleaned')),
		'limits', (select coalesce(json_agg(json_build_object('id', l.id,
				'pool', l.pool_id, 'path', l.path_id, 'model', l.model)), '[]')
			from sluice.rate_limit l
			where l.removed_at is null and l.dimension = 'concurrent'))
$$;

-- Runs whose slots are near, for a worker that has room for so many calls of
-- each path: p_want = [{path, lines, open}].  Open: those that a seat is free for
-- (left out: for all).  Runs that must leave within a second of their slots go to
-- who has one, or they would lapse there while others have seats.  Times go out as
-- durations.
drop function if exists sluice.take_runs(bigint, json, bigint);
drop function if exists sluice.take_runs(bigint, json, bigint, integer);
create function sluice.take_runs(
    p_worker bigint, p_want json, p_ahead_us bigint, p_era integer default 0
) returns table (id bigint, batch_id bigint, batch_uid text, lane_id bigint,
    model text, endpoint text, path_id integer, purge_day text, chunk_id bigint,
    first_line integer, line smallint[], slot_us integer[], est_input integer[],
    est_output integer[], tries smallint[], sends smallint[], send_us bigint,
    in_us bigint, keep_us bigint, refused smallint[], max_tokens integer,
    leads text, most smallint[], cache boolean)
language plpgsql set search_path = '' security definer as $$
declare
	v_want record;
	v_due boolean := exists (
		select from json_to_recordset(p_want)
		    as j (path integer, lines integer, open integer)
		join sluice.run r on r.path_id = j.path and r.worker_id is null
		    and r.tokens is null
		    and (coalesce(j.open, j.lines) > 0 or r.keep_us > 1000000)
		    and r.send_at <= statement_timestamp()
			+ make_interval(secs => p_ahead_us / 1e6));
begin
	-- Who finds the worker dead must find its runs, too: the row is locked until
	-- they are committed.  Not for nothing: a lock costs a synchronous commit.
	if v_due then
		perform from sluice.worker w
		where w.id = p_worker and w.state = 'live' and w.era = p_era
		    and w.lease_until > clock_timestamp() for share;
	else
		perform from sluice.worker w
		where w.id = p_worker and w.state = 'live' and w.era = p_era
		    and w.lease_until > clock_timestamp();
	end if;
	if not found then
		raise exception using errcode = 'SL410', message = 'lease lost';
	end if;
	if not v_due then
		return;
	end if;
	for v_want in
		select j.path, j.lines, coalesce(j.open, j.lines) as open
		from json_to_recordset(p_want)
		    as j (path integer, lines integer, open integer)
	loop
		return query
			with due as materialized (	-- locked and limited once
				select r.id, r.send_at, sluice.run_calls(r) as lines,
					r.keep_us <= 1000000 as strict
				from sluice.run r
				where r.path_id = v_want.path and r.worker_id is null
				    and r.tokens is null
				    and (v_want.open > 0 or r.keep_us > 1000000)
				    and r.send_at <= statement_timestamp()
					+ make_interval(secs => p_ahead_us / 1e6)
				order by r.send_at, r.id
				limit least(v_want.lines, 256)
				for update skip locked
			), fits as (
				select d.id, d.strict, sum(d.lines) over (order by d.send_at, d.id)
					- d.lines as before
				from due d
			), taken as (
				update sluice.run r
				set worker_id = p_worker, taken_at = clock_timestamp()
				from fits f
				where r.id = f.id and f.before <
				    case when f.strict then v_want.open else v_want.lines end
				returning r.*
			)
			select t.id, t.batch_id, replace(b.uid::text, '-', ''), t.lane_id, l.model, l.endpoint,
				t.path_id, to_char(t.purge_day, 'YYYY-MM-DD'), t.chunk_id, t.first_line, t.line,
				t.slot_us, t.est_input, t.est_output, t.tries, t.sends,
				sluice.epoch_us(t.send_at),
				sluice.epoch_us(t.send_at) - sluice.epoch_us(clock_timestamp()),
				t.keep_us, t.refused, l.max_tokens, t.leads::text, t.most, a.cache
			from taken t
			join sluice.batch b on b.id = t.batch_id
			join sluice.account a on a.id = b.account_id
			join sluice.batch_lane l on l.id = t.lane_id
			order by t.send_at, t.id;
	end loop;
end $$;

-- After a take whose answer was lost: the worker holds these runs and no others.
-- A take that is still on its way waits for the row or comes too late for its
-- era.  What the worker never heard of was never sent.  Returns its lines.
create or replace function sluice.runs_keep(
    p_worker bigint, p_era integer, p_runs bigint[]
) returns integer
language plpgsql set search_path = '' security definer as $$
declare
	v_lines integer := 0;
	v_run sluice.run;
begin
	update sluice.worker w set era = p_era
	where w.id = p_worker and w.state <> 'dead' and w.era <= p_era;
	if not found then
		raise exception using errcode = 'SL410', message = 'lease lost';
	end if;
	for v_run in delete from sluice.run r
	    where r.worker_id = p_worker and r.id <> all (p_runs) returning * loop
		perform sluice.run_give_back(v_run, false, 'take lost');
		v_lines := v_lines + bit_count(v_run.open);
	end loop;
	return v_lines;
end $$;

drop function if exists sluice.run_chunk(date, bigint);
create or replace function sluice.run_chunk(p_day date, p_chunk bigint)
returns table (bytes bytea, id_at integer[], id_len integer[], body_at integer[],
    body_len integer[], model_at integer[], model_len integer[])
language sql stable set search_path = '' security definer
set plan_cache_mode = force_custom_plan as $$
	select c.bytes, c.id_at, c.id_len, c.body_at, c.body_len, c.model_at, c.model_len
	from sluice.chunk c where c.purge_day = p_day and c.id = p_chunk
$$;

-- Close lines of runs that a worker or a provider_batch has.  All must still be
-- there and open, else nothing happens (SL410).
create or replace function sluice.runs_close(
    p_worker bigint, p_provider bigint, p_closed json
) returns void
language plpgsql set search_path = '' as $$
declare
	v_want integer;
	v_got integer;
begin
	with closed as (
		select c.run, c.bits::bit varying as bits
		from json_to_recordset(p_closed) as c (run bigint, bits text)
	), held as materialized (
		select r.id, r.open, c.bits
		from sluice.run r join closed c on c.run = r.id
		where r.worker_id = p_worker or r.provider_id = p_provider
		order by r.id
		for update of r
	), mine as (
		select h.id, h.open & ~h.bits as rest from held h
		where h.open & h.bits = h.bits
	), narrowed as (
		update sluice.run r set open = m.rest from mine m
		where r.id = m.id and bit_count(m.rest) > 0
		returning 1
	), finished as (
		delete from sluice.run r using mine m
		where r.id = m.id and bit_count(m.rest) = 0
		returning 1
	)
	select (select count(*) from closed),
		(select count(*) from narrowed) + (select count(*) from finished)
	into v_want, v_got;
	if v_want <> v_got then
		raise exception using errcode = 'SL410', message = 'lines lost';
	end if;
end $$;

create or replace function sluice.lines_again(p_again json) returns void
language sql set search_path = '' as $$
	insert into sluice.retry (lane_id, line, batch_id, not_before, tries, sends,
		refused, most, why)
	select a.lane, a.line, a.batch, now() + make_interval(secs => a.in_ms / 1000.0),
		a.tries, a.sends, coalesce(a.refused, 0), coalesce(a.most, 0), a.why
	from json_to_recordset(p_again) as a (lane bigint, line integer, batch bigint,
		in_ms bigint, tries smallint, sends smallint, refused smallint,
		most smallint, why text)
$$;

-- First statement of a flush: close lines, queue those that go again, say what
-- was seen.  All lines must still be this worker's and open, else nothing
-- happens (SL410) and the worker asks runs_open() which are.
create or replace function sluice.settle_runs(
    p_worker bigint, p_closed json, p_again json, p_seen json
) returns void
language plpgsql set search_path = '' security definer as $$
begin
	perform sluice.runs_close(p_worker, null, p_closed);
	perform sluice.lines_again(p_again);
	insert into sluice.observation (path_id, seen)
	select (s.seen ->> 'path')::integer, s.seen
	from json_array_elements(p_seen) s (seen);
end $$;

-- Which lines a worker still holds, of the runs it asks for.
create or replace function sluice.runs_open(p_worker bigint, p_runs bigint[])
returns table (id bigint, open text)
language sql stable set search_path = '' security definer as $$
	select r.id, r.open::text from sluice.run r
	where r.id = any (p_runs) and r.worker_id = p_worker
$$;

-- The results of one batch in one flush: a chunk of its output or error file,
-- without a place yet.  Always in the transaction of settle_runs().  p_lane and
-- p_cached_each, of each line, are for what it cost; null: nothing is reckoned.
-- p_shared: how many lines shared its call.
drop function if exists sluice.settle_chunk(bigint, boolean, bytea, integer[],
    integer[], smallint[], integer[], smallint[], integer[], integer[], bigint, bigint);
drop function if exists sluice.settle_chunk(bigint, boolean, bytea, integer[],
    integer[], smallint[], integer[], smallint[], integer[], integer[], bigint, bigint,
    bigint[], integer[]);
create or replace function sluice.settle_chunk(
    p_batch bigint, p_failed boolean, p_bytes bytea, p_line_end integer[],
    p_answers integer[], p_status smallint[], p_path_id integer[],
    p_sends smallint[], p_input_tokens integer[], p_output_tokens integer[],
    p_cached bigint, p_reasoning bigint, p_lane bigint[] default null,
    p_cached_each integer[] default null, p_shared smallint[] default null
) returns void
language plpgsql set search_path = '' security definer
set plan_cache_mode = force_custom_plan as $$
declare
	v_chunk bigint := nextval('sluice.chunk_id');
	v_file bigint;
	v_day date;
	v_details boolean;
	v_passes boolean;
	v_plain_end integer[] := p_line_end;
	v_cost record;
begin
	select f.id, f.purge_day, b.details, sluice.batch_passes(b)
	into strict v_file, v_day, v_details, v_passes
	from sluice.batch b
	join sluice.file f on f.id = case when p_failed then b.error_id else b.output_id end
	where b.id = p_batch;
	v_cost := sluice.chunk_money(p_lane, p_path_id, p_input_tokens, p_cached_each,
		p_output_tokens);
	if v_details and p_path_id is not null then
		select d.bytes, d.line_end into p_bytes, p_line_end
		from sluice.chunk_details(p_bytes, p_line_end, p_path_id, p_sends,
			p_input_tokens, p_output_tokens, v_cost.money, v_cost.direct_money,
			p_shared) d;
	end if;
	insert into sluice.chunk (purge_day, id, file_id, bytes, line_end, answers,
		status, path_id, sends, input_tokens, output_tokens, money, direct_money)
	values (v_day, v_chunk, v_file, p_bytes, p_line_end, p_answers, p_status,
		p_path_id, p_sends, p_input_tokens, p_output_tokens, v_cost.money,
		v_cost.direct_money);
	insert into sluice.unplaced (chunk_id, purge_day, file_id, batch_id, bytes, lines,
		input_tokens, cached_tokens, output_tokens, reasoning_tokens, paths)
	values (v_chunk, v_day, v_file, p_batch, octet_length(p_bytes),
		cardinality(p_line_end),
		(select coalesce(sum(t), 0) from unnest(p_input_tokens) t), p_cached,
		(select coalesce(sum(t), 0) from unnest(p_output_tokens) t), p_reasoning,
		sluice.chunk_paths(p_path_id, v_cost.money, v_cost.direct_money));
	if v_passes then
		perform sluice.twins_note(p_batch, p_failed, v_day, v_chunk, p_answers,
			v_plain_end);
	end if;
end $$;
