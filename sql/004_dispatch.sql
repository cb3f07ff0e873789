-- migrate: on change
--
-- What the one dispatcher reads and writes.  Every function that writes takes
-- the epoch of the caller's lease and fails with SL410 once another holds it:
-- that, not the clock, keeps a deposed dispatcher out.
--
-- Lock order: lease, batch, lane, run, retry.

-- The lease: the epoch to work under, or null while another holds it.  A new one
-- each time: a holder that starts over does not know what of its own is still on
-- the way.
create or replace function sluice.lease_take(p_holder text, p_hold_ms integer)
returns bigint
language sql set search_path = '' security definer as $$
	update sluice.dispatch_lease
	set epoch = epoch + 1, holder = p_holder,
		until = clock_timestamp() + make_interval(secs => p_hold_ms / 1000.0)
	where holder = p_holder or until < clock_timestamp()
	returning epoch
$$;

create or replace function sluice.lease_give(p_epoch bigint) returns void
language sql set search_path = '' security definer as $$
	update sluice.dispatch_lease set until = '-infinity' where epoch = p_epoch
$$;

create or replace function sluice.fence(p_epoch bigint) returns void
language plpgsql set search_path = '' as $$
begin
	perform from sluice.dispatch_lease where epoch = p_epoch for share;
	if not found then
		raise exception using errcode = 'SL410', message = 'deposed';
	end if;
end $$;

-- The prices of a path, those of hours with their times of the next month.
create or replace function sluice.dispatch_prices(p_path integer) returns json
language sql stable set search_path = '' as $$
	select coalesce(json_agg(json_build_object('model', p.model, 'input', p.input,
		'cached', coalesce(p.cached_input, p.input), 'output', p.output,
		'spans', case when p.hours <> '' then (
			select coalesce(json_agg(json_build_array(sluice.epoch_us(s.from_at),
				sluice.epoch_us(s.until_at)) order by s.from_at), '[]')
			from sluice.hours_spans(p.hours, now(), now() + interval '31 days') s)
			end)), '[]')
	from sluice.price p where p.path_id = p_path
$$;

-- Limits before callers that spread batches (006h_shape.sql), as if they were
-- limits of a pool that no path draws on.
create or replace function sluice.shape_limits() returns setof json
language sql stable set search_path = '' as $$
	select json_build_object('id', p.id, 'pool', -1, 'model', '*',
		'dimension', l.dimension, 'window_s', l.window_s,
		'amount', l.amount, 'headroom', 0, 'reserve', 0,
		'next_us', sluice.epoch_us(s.next_at),
		'paused_us', sluice.epoch_us(s.paused_until), 'learned', s.learned)
	from sluice.shape p
	join sluice.caller_limit l on l.id = p.limit_id and l.removed_at is null
	    and l.action = 'shape'
	left join sluice.rate_limit_state s on s.limit_id = p.id
	where exists (select from sluice.batch_lane q where q.shapes @> array[p.id])
	order by p.id
$$;

-- Pools, paths and limits as the planner wants them, with the state that must
-- outlive a dispatcher.
create or replace function sluice.dispatch_config() returns json
language sql stable set search_path = '' security definer as $$
	select json_build_object(
		'revision', (select revision from sluice.config),
		'now_us', sluice.epoch_us(clock_timestamp()),
		'timeline', ('x' || left(pg_catalog.pg_walfile_name(
			pg_catalog.pg_current_wal_lsn()), 8))::bit(32)::integer,
		'timeline_was', (select timeline from sluice.dispatch_lease),
		'clock_offset_us', (select clock_offset_us from sluice.dispatch_lease),
		'paths', (select coalesce(json_agg(json_build_object('id', p.id,
				'pool', p.pool_id, 'kind', p.kind, 'name', p.name,
				'models', p.models, 'prices', sluice.dispatch_prices(p.id),
				'whole_ms', p.whole_ms, 'dialect', p.dialect, 'charge', p.charge,
				'combine', p.combine,
				'learned', s.learned, 'health', coalesce(s.health, 'up'),
				'until_us', sluice.epoch_us(s.until),
				'edited_us', sluice.epoch_us(s.edited_at),
				'failures', coalesce(s.failures, 0)) order by p.id), '[]')
			from sluice.path p left join sluice.path_state s on s.path_id = p.id
			where p.removed_at is null),
		'limits', (select coalesce(json_agg(c.limits), '[]') from (
			select json_build_object('id', l.id, 'pool', l.pool_id, 'path', l.path_id,
				'model', l.model,
				'dimension', l.dimension, 'window_s', l.window_s,
				'amount', l.amount, 'headroom', l.headroom, 'reserve', l.reserve,
				'stream_cost', l.stream_cost,
				'next_us', sluice.epoch_us(s.next_at),
				'paused_us', sluice.epoch_us(s.paused_until),
				'learned', s.learned) as limits
			from sluice.rate_limit l
			left join sluice.rate_limit_state s on s.limit_id = l.id
			where l.removed_at is null
			union all
			select * from sluice.shape_limits()) c),
		'fair', (select f.books from sluice.fairness f),
		'estimates', (select coalesce(json_agg(json_build_object('path', e.path_id,
				'model', e.model, 'learned', e.learned)), '[]')
			from sluice.estimate e))
$$;

-- The ledger, for a dispatcher that takes over.
create or replace function sluice.dispatch_cells()
returns table (limit_id integer, cell bigint, units bigint)
language sql stable set search_path = '' security definer as $$
	select c.limit_id, c.cell, c.units from sluice.grant_cell c
	order by c.limit_id, c.cell
$$;

-- Batches of a revoked key pause: key_revoke() stops their lanes; this is for
-- those it could not see.
create or replace function sluice.key_is_revoked(p_key bigint) returns boolean
language sql stable set search_path = '' as $$
	select exists (select from sluice.api_key k
		where k.id = p_key and k.revoked_at is not null)
$$;

-- Lanes of batches that are let in, or go on after a pause, begin to be handed
-- out.
create or replace function sluice.lanes_open(p_batches bigint[]) returns void
language sql set search_path = '' as $$
	update sluice.batch_lane l set open = true
	from sluice.batch b
	where l.batch_id = any (p_batches) and l.lines_left > 0 and not l.open
	    and b.id = l.batch_id and b.paused_at is null
	    and not sluice.key_is_revoked(b.key_id)
$$;

-- Calls of a run that are open: a line that goes with the one before is none.
create or replace function sluice.run_calls(p_run sluice.run) returns bigint
language plpgsql immutable set search_path = '' as $$
begin
	return bit_count(p_run.open & coalesce(p_run.leads, p_run.open));
end $$;

-- One look at the world.  Validated batches are let in on the way.  p_live_us:
-- live cells that have changed since (database time; 0: all).
drop function if exists sluice.dispatch_poll(bigint, integer, integer);
create or replace function sluice.dispatch_poll(
    p_epoch bigint, p_hold_ms integer, p_ahead_ms integer, p_live_us bigint default 0
) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_admitted bigint[];
	v_opening bigint[];
	v_ending boolean;
begin
	perform sluice.fence(p_epoch);
	update sluice.dispatch_lease
	set until = clock_timestamp() + make_interval(secs => p_hold_ms / 1000.0)
	where epoch = p_epoch
	    and until < clock_timestamp() + make_interval(secs => p_hold_ms / 2000.0);
	with admitted as (
		update sluice.batch b set state = 'in_progress', in_progress_at = now()
		where b.id in (select c.id from sluice.batch c
			where c.state = 'validating' order by c.id limit 200
			for update skip locked)
		    and b.state = 'validating'
		returning b.id
	)
	select array_agg(a.id) into v_admitted from admitted a;
	if exists (select from sluice.batch b where b.opening) then
		with opening as (
			update sluice.batch b set opening = false
			where b.id in (select c.id from sluice.batch c
				where c.opening order by c.id limit 200
				for update skip locked)
			returning b.id
		)
		select array_agg(o.id) into v_opening from opening o;
	end if;
	if v_admitted is not null or v_opening is not null then
		perform sluice.lanes_open(v_admitted || v_opening);
	end if;
	v_ending := exists (select from sluice.batch b
		where b.state in ('finalizing', 'cancelling') and b.ending is not null)
	    or exists (select from sluice.batch b
		where b.state in ('validating', 'in_progress') and b.deadline <= now());
	return json_build_object(
		'now_us', sluice.epoch_us(clock_timestamp()),
		'revision', (select revision from sluice.config),
		'admitted', coalesce(cardinality(v_admitted || v_opening), 0),
		-- What is known of their lanes is old.
		'opened', (select json_agg(l.id) from sluice.batch_lane l
			where l.batch_id = any (v_opening)),
		'ending', v_ending,
		'unplaced', exists (select from sluice.unplaced)
			or exists (select from sluice.twin_due),
		'live', sluice.room_seen(sluice.at_us(p_live_us)),
		'out', (select json_agg(json_build_object('path', g.path_id,
				'model', g.model, 'lines', g.lines))
			from (select r.path_id, l.model, sum(sluice.run_calls(r)) as lines
				from sluice.run r join sluice.batch_lane l on l.id = r.lane_id
				where r.tokens is null
				group by r.path_id, l.model) g),
		'enqueued', sluice.provider_out(),
		'seen', (select json_agg(json_build_object('id', o.id, 'path', o.path_id,
				'seen', o.seen))
			from (select * from sluice.observation order by id limit 1000) o),
		'due', (select json_agg(distinct r.lane_id) from sluice.retry r
			where r.not_before <= now() + make_interval(secs => p_ahead_ms / 1000.0)
			    and not exists (select from sluice.batch b
				left join sluice.api_key k on k.id = b.key_id
				where b.id = r.batch_id and (b.paused_at is not null
					or k.revoked_at is not null))),
		'workers', (select json_agg(json_build_object('id', w.id,
				'most', w.max_in_flight, 'live', w.state = 'live'
					and w.lease_until > now()) order by w.id)
			from sluice.worker w where w.state <> 'dead'),
		'seats', (select json_agg(json_build_object('limit', s.limit_id,
				'worker', s.worker_id, 'granted', s.granted, 'target', s.target))
			from sluice.seat s));
end $$;

-- Of these lanes, those whose batch is paused, goes on when the dispatcher next
-- looks, or has lost its key.
create or replace function sluice.lanes_stopped(p_lanes bigint[]) returns bigint[]
language plpgsql volatile set search_path = '' as $$
begin
	return array(select l.id from sluice.batch_lane l
		join sluice.batch b on b.id = l.batch_id
		where l.id = any (p_lanes) and (b.paused_at is not null or b.opening
			or sluice.key_is_revoked(b.key_id)));
end $$;

-- Write a plan: the runs with their slots and the ledger that paid for them, in
-- one transaction.  A plan that does not fit what is there (a cursor elsewhere,
-- a retry gone) is refused whole with SL409: the dispatcher looks again.  What it
-- has of lanes that were stopped meanwhile is left out, at the price of its slots.
create or replace function sluice.dispatch_commit(p_epoch bigint, p_plan json)
returns integer
language plpgsql set search_path = '' security definer as $$
declare
	v_want integer;
	v_got integer;
	v_runs integer;
	v_stopped bigint[];	-- lanes: paused since the look, or their key revoked
	v_missed bigint[];
	v_of bigint[];		-- lanes of the plan
begin
	perform sluice.fence(p_epoch);
	v_of := array(select json_array_elements_text(p_plan -> 'of'))::bigint[];
	v_stopped := sluice.lanes_stopped(v_of);
	if p_plan -> 'lease' is not null then
		perform sluice.clock_jumped(l.clock_offset_us
			- (p_plan #>> '{lease,clock_offset_us}')::bigint)
		from sluice.dispatch_lease l;
	end if;

	with moved as (
		select * from json_to_recordset(p_plan -> 'lanes')
			as m (id bigint, "from" integer, next integer, lines integer)
		where m.id <> all (v_stopped)
	), done as (
		update sluice.batch_lane l
		set next_line = m.next, lines_left = l.lines_left - m.lines,
			open = l.open and l.lines_left > m.lines
		from moved m
		where l.id = m.id and l.next_line = m."from" and l.lines_left >= m.lines
		    and (l.open or m.lines = 0)	-- else it was stopped just now
		returning l.id
	)
	select coalesce(array_agg(m.id), '{}') into v_missed
	from moved m where m.id not in (select d.id from done d);
	if v_missed <> '{}' then
		-- Stopped just now.  Those that have moved are locked: none of them.
		v_stopped := v_stopped || array(select unnest(v_missed)
			intersect select unnest(sluice.lanes_stopped(v_of)));
		if not v_missed <@ v_stopped then
			raise exception using errcode = 'SL409',
				message = 'a lane has moved';
		end if;
	end if;

	with again as (
		select * from json_to_recordset(p_plan -> 'again')
			as a (lane bigint, line integer)
		where a.lane <> all (v_stopped)
	), done as (
		delete from sluice.retry r using again a
		where r.lane_id = a.lane and r.line = a.line
		returning 1
	)
	select (select count(*) from again), (select count(*) from done)
	into v_want, v_got;
	if v_want <> v_got then
		raise exception using errcode = 'SL409', message = 'a retry has gone';
	end if;

	-- Lines that others pass, after the cursor has passed them.
	insert into sluice.retry (lane_id, line, batch_id, not_before, tries, sends, why)
	select l.id, a.first_line + a.line - 1, l.batch_id, now(), 0, 0, a.why
	from json_to_recordset(p_plan -> 'aside')
		as a (lane bigint, first_line integer, line integer, why text)
	join sluice.batch_lane l on l.id = a.lane
	where a.lane <> all (v_stopped);

	perform sluice.end_lines(b, l.purge_day, f.chunk, f.first_line,
		array[f.line], array[f.sends], f.code, f.why)
	from json_to_recordset(p_plan -> 'failed') as f (lane bigint, chunk bigint,
		first_line integer, line integer, sends smallint, code text, why text)
	join sluice.batch_lane l on l.id = f.lane
	join sluice.batch b on b.id = l.batch_id
	where f.lane <> all (v_stopped);

	insert into sluice.run (batch_id, lane_id, path_id, purge_day, chunk_id,
		first_line, line, slot_us, est_input, est_output, tries, sends, refused,
		send_at, keep_us, open, est_money, tokens, bytes, leads, most)
	select l.batch_id, l.id, r.path, l.purge_day, r.chunk, r.first_line, r.line,
		r.slot_us, r.est_input, r.est_output, r.tries, r.sends, r.refused,
		sluice.at_us(r.send_us), r.keep_us,
		repeat('1', cardinality(r.line))::bit varying, coalesce(r.money, 0),
		r.tokens, r.bytes, r.leads, r.most
	from json_to_recordset(p_plan -> 'runs') as r (lane bigint, path integer,
		chunk bigint, first_line integer, line smallint[], slot_us integer[],
		est_input integer[], est_output integer[], tries smallint[],
		sends smallint[], refused smallint[], send_us bigint, keep_us bigint,
		money bigint, tokens bigint, bytes bigint, leads bit varying,
		most smallint[])
	join sluice.batch_lane l on l.id = r.lane
	where r.lane <> all (v_stopped);
	get diagnostics v_runs = row_count;
	if v_stopped = '{}'
	    and v_runs <> coalesce(json_array_length(p_plan -> 'runs'), 0) then
		raise exception using errcode = 'SL409', message = 'a lane has gone';
	end if;

	perform sluice.room_left(p_plan -> 'live');
	insert into sluice.grant_cell as g (limit_id, cell, units)
	select c."limit", c.cell, c.units
	from json_to_recordset(p_plan -> 'cells')
		as c ("limit" integer, cell bigint, units bigint)
	on conflict (limit_id, cell) do update set units = excluded.units;

	insert into sluice.rate_limit_state as s
		(limit_id, next_at, paused_until, paused_why, learned, kept)
	select c.id, sluice.at_us(c.next_us), sluice.at_us(c.paused_us), c.why,
		c.learned, coalesce(c.kept, 0)
	from json_to_recordset(p_plan -> 'limits') as c (id integer, next_us bigint,
		paused_us bigint, why text, learned json, kept bigint)
	on conflict (limit_id) do update set next_at = excluded.next_at,
		kept = excluded.kept,
		paused_until = excluded.paused_until, paused_why = excluded.paused_why,
		learned = excluded.learned;

	insert into sluice.path_state as s (path_id, health, until, why, failures)
	select c.id, c.health, sluice.at_us(c.until_us), c.why, c.failures
	from json_to_recordset(p_plan -> 'paths')
		as c (id integer, health text, until_us bigint, why text, failures integer)
	on conflict (path_id) do update set health = excluded.health,
		until = excluded.until, why = excluded.why,
		failures = excluded.failures, changed_at = now();

	perform sluice.room_learned(c.id)
	from json_to_recordset(p_plan -> 'explain') as c (id integer, learned json)
	left join sluice.path_state s on s.path_id = c.id
	where sluice.concurrency_learned(c.learned) is not null
	    and sluice.concurrency_learned(s.learned) is null;
	insert into sluice.path_state as s (path_id, now, learned)
	select c.id, c.now, c.learned
	from json_to_recordset(p_plan -> 'explain')
		as c (id integer, now json, learned json)
	on conflict (path_id) do update set now = excluded.now,
		learned = excluded.learned;

	update sluice.fairness f
	set books = p_plan -> 'fair', shaped = coalesce(p_plan -> 'shaped', '[]'),
		dear = coalesce(p_plan -> 'dear', '[]'), at = clock_timestamp(),
		danger = array(select json_array_elements_text(p_plan -> 'danger'))::bigint[],
		late = array(select json_array_elements_text(p_plan -> 'late'))::bigint[]
	where p_plan -> 'fair' is not null;

	insert into sluice.estimate as e (path_id, model, learned)
	select c.path, c.model, c.learned
	from json_to_recordset(p_plan -> 'estimates')
		as c (path integer, model text, learned json)
	on conflict (path_id, model) do update set learned = excluded.learned,
		changed_at = now();

	-- granted rises here and falls in worker_beat(), both under the row's lock.
	insert into sluice.seat as s (limit_id, worker_id, granted, target)
	select c."limit", c.worker, c.target, c.target
	from json_to_recordset(p_plan -> 'seats')
		as c ("limit" integer, worker bigint, target integer)
	on conflict (limit_id, worker_id) do update set target = excluded.target,
		granted = greatest(s.granted, excluded.target);

	if p_plan -> 'lease' is not null then
		update sluice.dispatch_lease l
		set timeline = (p_plan #>> '{lease,timeline}')::integer,
			clock_offset_us = (p_plan #>> '{lease,clock_offset_us}')::bigint
		where l.epoch = p_epoch;
	end if;

	delete from sluice.observation o
	using json_array_elements_text(p_plan -> 'seen') d (id)
	where o.id = d.id::bigint;

	return v_runs;
end $$;
