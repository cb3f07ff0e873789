-- migrate: on change
--
-- Room for live calls at upstreams.  A live call takes its place in the ledgers
-- of the upstream's limits at once, under the lock of each limit's
-- rate_limit_state row; the dispatcher's commit takes the same locks and is
-- refused when live calls took more than its plan left them.  So whatever both
-- do at the same time, no window holds more than the limit.
--
-- Lock order: rate_limit_state by limit_id, live_cell.

-- How many calls a path takes at once, as the dispatcher has felt it where nobody
-- says so (scheduler/aimd.h); null: not known.
create or replace function sluice.concurrency_learned(p_learned json)
returns integer
language plpgsql immutable set search_path = '' as $$
begin
	return case when p_learned #>> '{concurrency,live}' = 'true'
		then (p_learned #>> '{concurrency,limit}')::integer end;
end $$;

-- It has been felt: calls that are open count.  But for those that are let in or
-- settled at this very moment.
create or replace function sluice.room_learned(p_path integer) returns void
language sql set search_path = '' as $$
	with uncounted as (
		select a.id from sluice.admission a
		where a.path_id = p_path and a.batch_id is null
		    and -p_path <> all (a.rate_id)
		for update skip locked
	), counted as (
		update sluice.admission a set rate_id = a.rate_id || -p_path,
			cell = a.cell || 0::bigint, rate_units = a.rate_units || 1::bigint
		from uncounted u where a.id = u.id
		returning a.id
	)
	insert into sluice.live_cell as c (limit_id, cell, units)
	select -p_path, 0, count(*) from counted
	on conflict on constraint live_cell_pkey do update
	set units = c.units + excluded.units, changed_at = clock_timestamp()
$$;

-- Lock, in their order, all limits that calls of these models may meet.  Once
-- before room is asked for, however many calls there are.
create or replace function sluice.room_lock(p_models text[]) returns void
language plpgsql set search_path = '' as $$
declare
	v_limits integer[] := array(
		select distinct l.id from sluice.rate_limit l
		join sluice.path p on p.pool_id = l.pool_id and p.removed_at is null
		where (l.path_id is null or l.path_id = p.id) and l.removed_at is null
		    and exists (select from unnest(p_models) m (model)
			where sluice.glob_match(l.model, m.model)
			    and exists (select from unnest(p.models) g
				where sluice.glob_match(g, m.model))));
begin
	if v_limits <> '{}' then
		insert into sluice.rate_limit_state (limit_id)
		select u.id from unnest(v_limits) u (id)
		where not exists (select from sluice.rate_limit_state s
			where s.limit_id = u.id)
		on conflict do nothing;
		perform from sluice.rate_limit_state s where s.limit_id = any (v_limits)
		order by s.limit_id for update;
	end if;
	if not exists (select from sluice.live_cell c where c.limit_id < 0) then
		return;
	end if;
	perform from sluice.live_cell c where c.cell = 0 and c.limit_id in (
		select -p.id from sluice.path p
		join sluice.path_state s on s.path_id = p.id
		where p.removed_at is null
		    and sluice.concurrency_learned(s.learned) is not null
		    and exists (select from unnest(p_models) m (model), unnest(p.models) g
			where sluice.glob_match(g, m.model)))
	order by c.limit_id for update;
end $$;

-- What a call takes of a limit.
create or replace function sluice.limit_units(
    p_limit sluice.rate_limit, p_charge text, p_input bigint, p_output bigint
) returns bigint
language plpgsql immutable set search_path = '' as $$
begin
	return case p_limit.dimension
		when 'tokens' then greatest(1, p_input
			+ case p_charge when 'input-only' then 0 else p_output end)
		when 'input_tokens' then greatest(1, p_input)
		when 'output_tokens' then greatest(1, p_output)
		else 1 end;
end $$;

-- The dispatcher's time, in whose cells all grants stand.
create or replace function sluice.room_now_us() returns bigint
language plpgsql volatile set search_path = '' as $$
begin
	return (select sluice.epoch_us(clock_timestamp()) + l.clock_offset_us
		from sluice.dispatch_lease l);
end $$;

-- Microseconds until units fit under the limit: 0 now, -1 never.  The state's
-- row is locked.  Of the reserve, calls below critical leave a half.
create or replace function sluice.limit_wait_us(
    p_limit sluice.rate_limit, p_units bigint, p_priority integer, p_now_us bigint
) returns bigint
language plpgsql set search_path = '' as $$
declare
	v_most bigint := floor(p_limit.amount * (1 - p_limit.headroom) * (1 + 1e-9)
		- case when p_priority < 4
			then p_limit.amount * (1 - p_limit.headroom) * p_limit.reserve / 2
			else 0 end);
	v_state sluice.rate_limit_state;
	v_used bigint;
	v_span_us bigint;
	v_width_us bigint;
	v_free record;
begin
	select * into v_state from sluice.rate_limit_state s
	where s.limit_id = p_limit.id;
	if p_limit.dimension = 'concurrent' then
		v_used := coalesce((select sum(s.granted) from sluice.seat s
			where s.limit_id = p_limit.id), 0)
		    + coalesce((select c.units from sluice.live_cell c
			where c.limit_id = p_limit.id and c.cell = 0), 0);
		return case when v_used + p_units <= greatest(v_most, 1) then 0
			else 200000 end;
	end if;
	if coalesce((v_state.learned ->> 'step')::integer, 0) >= 1 then
		v_most := v_most - 1;
	end if;
	v_most := greatest(v_most, 1);
	if p_units > v_most then
		return -1;
	end if;
	v_most := greatest(v_most - v_state.kept, 1);
	if v_state.paused_until > clock_timestamp() then
		return sluice.epoch_us(v_state.paused_until)
		    - sluice.epoch_us(clock_timestamp());
	end if;
	-- window + what arrivals may jitter + a cell + the ladder's second
	v_width_us := sluice.cell_us(p_limit.window_s);
	v_span_us := p_limit.window_s * 1000000::bigint + 350000 + v_width_us
	    + case when coalesce((v_state.learned ->> 'step')::integer, 0) >= 2
		then 1000000 else 0 end;
	select coalesce(sum(c.units), 0) into v_used from (
		select g.units from sluice.grant_cell g where g.limit_id = p_limit.id
		    and g.cell > (p_now_us - v_span_us) / v_width_us
		union all
		select v.units from sluice.live_cell v where v.limit_id = p_limit.id
		    and v.cell > (p_now_us - v_span_us) / v_width_us) c;
	if v_used + p_units <= v_most then
		return 0;
	end if;
	for v_free in
		select c.cell, sum(c.units) as units from (
			select g.cell, g.units from sluice.grant_cell g
			where g.limit_id = p_limit.id
			    and g.cell > (p_now_us - v_span_us) / v_width_us
			union all
			select v.cell, v.units from sluice.live_cell v
			where v.limit_id = p_limit.id
			    and v.cell > (p_now_us - v_span_us) / v_width_us) c
		group by c.cell order by c.cell
	loop
		v_used := v_used - v_free.units;
		if v_used + p_units <= v_most then
			return greatest(1000,
				(v_free.cell + 1) * v_width_us + v_span_us - p_now_us);
		end if;
	end loop;
	return v_span_us;
end $$;

-- Calls that may be opened beside those of a path, lines that are out included.
create or replace function sluice.learned_room(p_path integer, p_most integer)
returns integer
language sql stable set search_path = '' as $$
	select (p_most
		- coalesce((select c.units from sluice.live_cell c
			where c.limit_id = -p_path and c.cell = 0), 0)
		- (select coalesce(sum(sluice.run_calls(r)), 0) from sluice.run r
			where r.path_id = p_path))::integer
$$;

-- The way for one live call: the first path in order of their ids that is well
-- and has room under all its limits, where the call then stands in the ledgers
-- from now on.  p_cheap: the caller named it MODEL:batch, and goes by a path with
-- that suffix.  room_lock() was called for its model in this transaction.
--
-- verdict: yes; busy (wait_us: when a path has room; -1: the call is larger than
-- a limit of every path); no_model; no_cheap; no_path (all are down).
drop function if exists sluice.upstream_room(text, bigint, bigint, integer, boolean);
create function sluice.upstream_room(
    p_model text, p_input bigint, p_output bigint, p_priority integer, p_cheap boolean,
    out path_id integer, out verdict text, out wait_us bigint, out why text,
    out rate_id integer[], out cell bigint[], out rate_units bigint[],
    out leave_us bigint		-- when it is late, by the dispatcher's time; 0: never
)
language plpgsql set search_path = '' as $$
declare
	v_path record;
	v_limit sluice.rate_limit;
	v_now_us bigint;
	v_waits bigint;
	v_wait bigint;
	v_why text;
	v_units bigint;
	v_learned integer;
begin
	verdict := 'no_model';
	for v_path in
		select p.id, p.pool_id, p.name, p.charge, s.health, s.until,
			sluice.concurrency_learned(s.learned) as learned
		from sluice.path p
		left join sluice.path_state s on s.path_id = p.id
		where p.removed_at is null and exists (
			select from unnest(p.models) g where sluice.glob_match(g, p_model))
		    and case when p_cheap then p.suffix = ':batch'
			else p.kind = 'direct' end
		order by p.id
	loop
		-- One that is down is tried again when its time has come.
		if v_path.health = 'down' and v_path.until > clock_timestamp() then
			if verdict = 'no_model' then
				verdict := 'no_path';
				why := format('path %s is down', v_path.name);
			end if;
			continue;
		end if;
		v_waits := 0;
		v_why := null;
		v_learned := v_path.learned;
		rate_id := '{}'; cell := '{}'; rate_units := '{}';
		for v_limit in
			select l.* from sluice.rate_limit l
			where l.pool_id = v_path.pool_id and l.removed_at is null
			    and (l.path_id is null or l.path_id = v_path.id)
			    and sluice.glob_match(l.model, p_model)
			    and l.dimension not like 'enqueued%'
			order by l.id
		loop
			v_now_us := coalesce(v_now_us, sluice.room_now_us());
			v_units := sluice.limit_units(v_limit, v_path.charge, p_input, p_output);
			v_wait := sluice.limit_wait_us(v_limit, v_units, p_priority, v_now_us);
			if v_wait <> 0 and v_waits <> -1 and (v_wait = -1 or v_wait > v_waits) then
				v_waits := v_wait;
				v_why := sluice.limit_text(v_limit);
			end if;
			if v_limit.dimension = 'concurrent' then
				v_learned := null;	-- it is said how many
			end if;
			rate_id := rate_id || v_limit.id;
			-- Where it stands when it leaves at the latest, a second from now.
			cell := cell || case v_limit.window_s when 0 then 0::bigint
				else (v_now_us + 1000000) / sluice.cell_us(v_limit.window_s) end;
			rate_units := rate_units || v_units;
		end loop;
		if v_learned is not null then
			if sluice.learned_room(v_path.id, v_learned) < 1 then
				v_waits := case when v_waits >= 0
					then greatest(v_waits, 200000) else v_waits end;
				v_why := coalesce(v_why, 'concurrent');
			end if;
			rate_id := rate_id || -v_path.id;
			cell := cell || 0::bigint;
			rate_units := rate_units || 1::bigint;
		end if;
		if v_waits = 0 then
			path_id := v_path.id;
			verdict := 'yes';
			wait_us := 0;
			why := null;
			leave_us := coalesce(v_now_us + 1000000, 0);
			if rate_id = '{}' then
				return;
			end if;
			insert into sluice.live_cell as c (limit_id, cell, units)
			select * from unnest(rate_id, cell, rate_units)
			on conflict on constraint live_cell_pkey do update
			set units = c.units + excluded.units, changed_at = clock_timestamp();
			update sluice.rate_limit_state s set live_total = s.live_total + u.units
			from unnest(rate_id, rate_units) u (id, units)
			where s.limit_id = u.id;
			return;
		end if;
		update sluice.rate_limit_state s set live_waited_at = clock_timestamp()
		where s.limit_id = any (rate_id)
		    and s.live_waited_at is distinct from clock_timestamp();
		update sluice.live_cell c set waited_at = clock_timestamp()
		where c.limit_id = -v_path.id and c.cell = 0 and v_learned is not null;
		if verdict <> 'busy' or wait_us = -1 or (v_waits > 0 and v_waits < wait_us) then
			verdict := 'busy';
			wait_us := v_waits;
			why := v_why;
		end if;
	end loop;
	rate_id := '{}'; cell := '{}'; rate_units := '{}';
	if verdict = 'no_model' and p_cheap then
		verdict := 'no_cheap';
	end if;
end $$;

-- A live call is over: what it held becomes what it took (p_input null: not
-- known, the estimate stays), and its seats are free.  p_requests: what it
-- counted as where each chunk of a stream is a request.
-- One that left later than its cell says (a connection that took long) moves to
-- where it left, p_sent_us in the dispatcher's time: it must not be forgotten
-- before the upstream does.
drop function if exists sluice.room_settle(sluice.admission, bigint, bigint, bigint);
create or replace function sluice.room_settle(
    p_admission sluice.admission, p_input bigint, p_output bigint, p_requests bigint,
    p_sent_us bigint default null
) returns void
language plpgsql set search_path = '' as $$
begin
	perform from sluice.rate_limit_state s where s.limit_id = any (p_admission.rate_id)
	order by s.limit_id for update;
	with held as (
		select l, u.cell, u.units, p.charge
		from unnest(p_admission.rate_id, p_admission.cell, p_admission.rate_units)
			u (id, cell, units)
		join sluice.rate_limit l on l.id = u.id
		left join sluice.path p on p.id = p_admission.path_id
	), took as (
		select (h.l).id as limit_id, h.cell, h.units,
			greatest(h.cell, case when (h.l).window_s > 0
				then p_sent_us / sluice.cell_us((h.l).window_s) end) as left_at,
			case
			when (h.l).dimension = 'concurrent' then -h.units
			when (h.l).dimension = 'requests'
				then case (h.l).stream_cost when 'chunk'
					then greatest(p_requests, 1) - h.units else 0 end
			when p_input is null then 0
			when h.charge = 'declared' and (h.l).dimension <> 'input_tokens' then 0
			else sluice.limit_units(h.l, h.charge, p_input, p_output) - h.units
			end as more
		from held h
		union all
		select u.id, u.cell, u.units, u.cell, -u.units
		from unnest(p_admission.rate_id, p_admission.cell, p_admission.rate_units)
			u (id, cell, units)
		where u.id < 0
	), stays as (
		update sluice.live_cell c
		set units = greatest(0, c.units
				+ case t.left_at when t.cell then t.more else -t.units end),
			changed_at = clock_timestamp()
		from took t
		where c.limit_id = t.limit_id and c.cell = t.cell
		    and (t.more <> 0 or t.left_at <> t.cell)
	), moves as (
		insert into sluice.live_cell as c (limit_id, cell, units)
		select t.limit_id, t.left_at, greatest(0, t.units + t.more)
		from took t where t.left_at <> t.cell
		on conflict on constraint live_cell_pkey do update
		set units = c.units + excluded.units, changed_at = clock_timestamp()
	)
	update sluice.rate_limit_state s set live_total = s.live_total + t.more
	from took t where t.limit_id = s.limit_id and t.more > 0;
end $$;

-- A live call has left later than its cells say, just now: it stands where it left,
-- and long before it is over.
create or replace function sluice.live_late(p_admission bigint, p_sent_us bigint)
returns void
language plpgsql set search_path = '' security definer as $$
declare
	v sluice.admission;
begin
	perform set_config('synchronous_commit', 'off', true);
	select * into v from sluice.admission a where a.id = p_admission for update;
	perform from sluice.rate_limit_state s where s.limit_id = any (v.rate_id)
	order by s.limit_id for update;
	with held as (
		select l.id as limit_id, u.cell, u.units, u.i,
			p_sent_us / sluice.cell_us(l.window_s) as left_at
		from unnest(v.rate_id, v.cell, v.rate_units) with ordinality
			u (id, cell, units, i)
		join sluice.rate_limit l on l.id = u.id and l.window_s > 0
	), late as (
		select * from held h where h.left_at > h.cell
	), goes as (
		update sluice.live_cell c set units = greatest(0, c.units - t.units),
			changed_at = clock_timestamp()
		from late t where c.limit_id = t.limit_id and c.cell = t.cell
	), comes as (
		insert into sluice.live_cell as c (limit_id, cell, units)
		select t.limit_id, t.left_at, t.units from late t
		on conflict on constraint live_cell_pkey do update
		set units = c.units + excluded.units, changed_at = clock_timestamp()
	)
	update sluice.admission a set cell = array(
		select coalesce(t.left_at, u.cell)
		from unnest(v.cell) with ordinality u (cell, i)
		left join late t on t.i = u.i order by u.i)
	where a.id = p_admission;
end $$;

-- For the dispatcher's look: what live calls hold that may have changed since.
create or replace function sluice.room_seen(p_since timestamptz) returns json
language sql stable set search_path = '' as $$
	select json_build_object(
		'cells', (select json_agg(json_build_array(c.limit_id, c.cell, c.units))
			from sluice.live_cell c where c.changed_at >= p_since),
		'paths', (select json_agg(json_build_array(-c.limit_id,
				coalesce(c.waited_at > clock_timestamp() - interval '2 s', false)))
			from sluice.live_cell c where c.limit_id < 0),
		'limits', (select json_agg(json_build_array(s.limit_id, s.live_total,
				s.live_waited_at > clock_timestamp() - interval '2 s'))
			from sluice.rate_limit_state s where s.live_total > 0
			    or s.live_waited_at is not null))
$$;

-- The plan is refused if live calls took more since its look than it left them:
-- [[limit, live_total then, units left], ...].
create or replace function sluice.room_left(p_live json) returns void
language plpgsql set search_path = '' as $$
declare
	v_limit record;
begin
	for v_limit in
		select s.limit_id, s.live_total, (j ->> 1)::bigint + (j ->> 2)::bigint as most
		from json_array_elements(p_live) j
		join sluice.rate_limit_state s on s.limit_id = (j ->> 0)::integer
		order by s.limit_id for update of s
	loop
		if v_limit.live_total > v_limit.most then
			raise exception using errcode = 'SL409',
				message = 'live calls took the room';
		end if;
	end loop;
end $$;

-- Cells that no window holds any more; called by the sweep.
create or replace function sluice.room_sweep() returns void
language sql set search_path = '' as $$
	delete from sluice.live_cell c using sluice.rate_limit l
	where l.id = c.limit_id and c.cell > 0 and (c.cell + 1) * sluice.cell_us(l.window_s)
	    < sluice.room_now_us() - 2 * l.window_s * 1000000::bigint - 600000000
$$;
