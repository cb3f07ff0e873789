-- migrate: on change
--
-- The door: may this call go now, and by which way?
--
-- Exact under any number of sluiced: every decision on a counter is made under
-- the lock of its caller_state row, by the time after the lock.  Lock order:
-- caller_state by (limit_id, subject), bytes compared; rate_limit_state and
-- live_cell (room_lock()); admission.  Nothing is kept of a call that is refused.
-- What runs for each call here and in settling is plpgsql, which keeps its plans:
-- language sql plans anew each time, under the locks.

-- Money a call may cost: by the dearest path that serves the model.
create or replace function sluice.money_most(p_model text, p_input bigint, p_output bigint)
returns bigint
language plpgsql stable set search_path = '' as $$
begin
	return coalesce((
		select max(sluice.money_of(p.id, p_model, p_input, 0::bigint, p_output))
		from sluice.path p
		where p.removed_at is null and exists (select from unnest(p.models) g
			where sluice.glob_match(g, p_model))), 0);
end $$;

/*
 * Judge calls in their order.  No rows: what the caller knows of limits is stale
 * (their revision, or a counter has gone), ask door_limits() again.
 *
 * p_limit .. p_zone: the counters that these calls meet, each once, in lock order.
 *   p_algorithm: 0 no window, 1 sliding, 2 fixed, 3 anchored, 4 bucket.
 *   p_hold: 0 counted for good, 1 reserved until settled, 2 counted and told of
 *   when settled, 3 reserved, in money.
 * p_account .. p_head: the calls; call i meets uses p_last[i-1]+1 .. p_last[i];
 *   p_head: the counter that headers speak of, 0 for none.
 *   p_cheap: 1 by a cheaper path, 2 by none: its answer is known, and what it
 *   counts it counts for good.
 * p_use, p_units: which counter, and how much of it (money: filled in here).
 *
 * leave_us: 0, or when it is late (dispatcher's time): then live_late() is to be told.
 * p_as_of: of each call, the revision under which auth() said whose its key is.
 *
 * verdict: 0 yes, 1 a limit before the caller (which: state), 2 the upstream's
 * limits (which: why), 3 no path for the model, 4 no cheaper one, 5 no path or no
 * worker, 6 ask auth() again: not judged.
 */
drop function if exists sluice.admit(bigint, bigint, integer[], text[], bigint[],
    integer[], smallint[], text[], smallint[], bigint[], bigint[], text[], text[], bigint[],
    bigint[], smallint[], smallint[], integer[], integer[], integer[], bigint[],
    timestamptz);
create or replace function sluice.admit(
    p_door bigint, p_revision bigint,
    p_limit integer[], p_subject text[], p_amount bigint[], p_window integer[],
    p_algorithm smallint[], p_zone text[], p_hold smallint[],
    p_account bigint[], p_key bigint[], p_model text[], p_resource text[],
    p_input bigint[], p_output bigint[], p_priority smallint[], p_cheap smallint[],
    p_head integer[], p_last integer[], p_use integer[], p_units bigint[],
    p_now timestamptz default null, p_as_of bigint[] default null
) returns table (
    verdict integer, admission bigint, path integer, wait_us bigint, state integer,
    why text, used bigint, reset_us bigint, url text, token text, leave_us bigint
)
language plpgsql set search_path = '' security definer
set plan_cache_mode = force_generic_plan set enable_hashjoin = off
set enable_mergejoin = off set enable_seqscan = off set jit = off as $$
declare
	v_n integer := cardinality(p_limit);
	v_revision bigint;
	v_open boolean;
	v_now_us bigint;
	v_second bigint;
	v_used bigint[];
	v_reserved bigint[];
	v_since bigint[];
	v_room bigint[];
	v_reset bigint[];
	v_took bigint[] := array_fill(0::bigint, array[v_n]);
	v_over integer[];	-- whose window may be over
	v_roll integer[];
	v_from bigint[];
	v_first integer;
	v_until integer := 0;
	v_wait bigint;
	v_room_of record;
	v_room_model text;
	v_room_cheap smallint;
	v_verdict integer;
	v_holds boolean;
	v_live integer;
	v_live_id bigint[];
	v_live_url text[];
	v_live_token text[];
	v_at integer := 1;
	-- of those let in, and of what they hold, flat: call i up to [i]
	v_ask integer[];
	v_id bigint[];
	v_path integer[];
	v_worker bigint[];
	v_held_last integer[];
	v_held integer[];
	v_held_units bigint[];
	v_rate_last integer[];
	v_rate integer[];
	v_cell bigint[];
	v_rate_units bigint[];
	v_made timestamptz;
	v_window record;
	v_level record;
	v_row record;
	s integer;
begin
	if v_n > 0 then
		select array_agg(q.used), array_agg(q.reserved), array_agg(q.since_us)
		into v_used, v_reserved, v_since
		from (
			select t.used, t.reserved,
				(date_part('epoch', t.since) * 1e6)::bigint as since_us
			from unnest(p_limit, p_subject) with ordinality c (limit_id, subject, i)
			join sluice.caller_state t on t.limit_id = c.limit_id
			    and t.subject = c.subject
			order by c.i for update of t
		) q;
	end if;
	select c.callers_revision, exists (select from sluice.door d
		where d.id = p_door and d.lease_until > clock_timestamp())
	into v_revision, v_open from sluice.config c;
	if not v_open then
		raise exception using errcode = 'SL410', message = 'the door was closed';
	end if;
	if coalesce(cardinality(v_used), 0) <> v_n or p_revision <> v_revision then
		return;
	end if;
	v_now_us := (date_part('epoch', coalesce(p_now, clock_timestamp())) * 1e6)::bigint;
	v_second := v_now_us / 1000000;
	v_made := to_timestamp(v_now_us / 1e6::double precision);

	-- Windows that are over.  Most are not: what SQL can see of many at once is
	-- not looked at one by one.
	if v_n > 0 then
		select array_agg(c.amount - c.used - c.reserved), array_agg(c.i::integer)
			filter (where case c.algorithm when 0 then false
				when 1 then (v_second - c.window_s) * 1000000 > c.since_us
				when 2 then c.zone <> 'UTC'
				    or c.window_s < 86400 and 86400 % c.window_s <> 0
				    or c.since_us < v_now_us
					- v_now_us % (c.window_s * 1000000::bigint)
				else true end)
		into v_room, v_over
		from unnest(p_amount, p_window, p_algorithm, p_zone, v_used, v_reserved, v_since)
			with ordinality c (amount, window_s, algorithm, zone, used, reserved,
				since_us, i);
	end if;
	v_reset := array_fill(null::bigint, array[v_n]);
	foreach s in array coalesce(v_over, '{}') loop
		if p_algorithm[s] = 1 then
			v_roll := v_roll || s;
			v_from := v_from || v_second - p_window[s];
			v_since[s] := (v_second - p_window[s]) * 1000000;
		elsif p_algorithm[s] = 2 then
			v_window := sluice.calendar_window(p_window[s], p_zone[s], v_now_us);
			if v_since[s] < v_window.begin_us then
				v_used[s] := 0;
				v_since[s] := v_window.begin_us;
			end if;
		elsif p_algorithm[s] = 3 then
			-- It begins with the first call, not when the last one ended.
			if v_since[s] + p_window[s] * 1000000::bigint <= v_now_us
			    or v_used[s] = 0 and v_reserved[s] = 0 then
				v_used[s] := 0;
				v_since[s] := v_now_us;
			end if;
		else
			v_level := sluice.bucket_level(v_used[s], v_since[s], p_amount[s],
				p_window[s], v_now_us);
			v_used[s] := v_level.used;
			v_since[s] := v_level.since_us;
		end if;
		v_room[s] := p_amount[s] - v_used[s] - v_reserved[s];
	end loop;
	if v_roll is not null then
		for v_row in
			delete from sluice.caller_cell k
			using unnest(v_roll, v_from) r (i, second)
			where k.limit_id = p_limit[r.i] and k.subject = p_subject[r.i]
			    and k.second < r.second
			returning r.i, k.units
		loop
			v_used[v_row.i] := v_used[v_row.i] - v_row.units;
			v_room[v_row.i] := v_room[v_row.i] + v_row.units;
		end loop;
	end if;

	for i in 1..cardinality(p_account) loop
		v_first := v_until + 1;
		v_until := p_last[i];
		-- A newer one was lost with the server that had it.
		verdict := case when p_as_of[i] <> p_revision then 6 else 0 end;
		wait_us := 0;
		state := 0;
		why := null;
		for j in v_first..case verdict when 0 then v_until else 0 end loop
			s := p_use[j];
			if p_hold[s] = 3 and p_cheap[i] < 2 then
				p_units[j] := sluice.money_most(p_model[i], p_input[i], p_output[i]);
			end if;
			if p_units[j] > v_room[s] and (p_cheap[i] < 2 or p_units[j] > 0) then
				v_wait := sluice.door_wait_us(p_limit[s], p_subject[s],
					p_algorithm[s], p_window[s], p_zone[s], p_amount[s],
					p_units[j], p_units[j] - v_room[s], v_since[s], v_now_us);
				if verdict = 0 or wait_us >= 0 and (v_wait < 0 or v_wait > wait_us) then
					wait_us := v_wait;
					state := s;
				end if;
				verdict := 1;
			end if;
		end loop;

		if verdict = 0 and p_cheap[i] < 2 then
			if v_live_id is null then
				perform sluice.room_lock(case when p_model[1] = all (p_model)
					then p_model[1:1]
					else array(select distinct m from unnest(p_model) m) end);
				select coalesce(array_agg(w.id), '{}'), array_agg(w.live_url),
					array_agg(w.live_token)
				into v_live_id, v_live_url, v_live_token
				from sluice.worker w
				where w.state = 'live' and w.lease_until > clock_timestamp()
				    and w.live_url is not null;
				v_live := cardinality(v_live_id);
			end if;
			-- Where a way holds nothing, the next call finds it, too.
			if v_live > 0 and (v_room_model is distinct from p_model[i]
			    or v_room_cheap <> p_cheap[i]) then
				v_room_of := sluice.upstream_room(p_model[i], p_input[i],
					p_output[i], p_priority[i], p_cheap[i] = 1);
				v_verdict := case v_room_of.verdict when 'yes' then 0
					when 'busy' then 2 when 'no_model' then 3
					when 'no_cheap' then 4 else 5 end;
				v_holds := coalesce(cardinality(v_room_of.rate_id), 0) > 0;
				v_room_cheap := p_cheap[i];
				v_room_model := case when v_verdict <> 2 and not v_holds
					then p_model[i] end;
			end if;
			if v_live = 0 then
				verdict := 5;
				why := 'no worker takes live calls';
			elsif v_verdict > 0 then
				verdict := v_verdict;
				wait_us := v_room_of.wait_us;
				why := v_room_of.why;
			end if;
		end if;

		if verdict = 0 then
			for j in v_first..v_until loop
				s := p_use[j];
				v_room[s] := v_room[s] - p_units[j];
				v_took[s] := v_took[s] + p_units[j];
				if p_hold[s] > 0 and p_cheap[i] < 2 then
					v_held := v_held || s;
					v_held_units := v_held_units || case p_hold[s] when 2
						then 0 else p_units[j] end;
				end if;
			end loop;
		end if;
		if verdict = 0 and p_cheap[i] < 2 then
			if v_live > 1 then
				v_at := 1 + floor(random() * v_live)::integer;
			end if;
			admission := nextval('sluice.admission_id_seq');
			path := v_room_of.path_id;
			url := v_live_url[v_at];
			token := v_live_token[v_at];
			leave_us := v_room_of.leave_us;
			v_ask := v_ask || i;
			v_id := v_id || admission;
			v_path := v_path || path;
			v_worker := v_worker || v_live_id[v_at];
			if v_holds then
				v_rate := v_rate || v_room_of.rate_id;
				v_cell := v_cell || v_room_of.cell;
				v_rate_units := v_rate_units || v_room_of.rate_units;
			end if;
			v_held_last := v_held_last || coalesce(cardinality(v_held), 0);
			v_rate_last := v_rate_last || coalesce(cardinality(v_rate), 0);
		else
			admission := null; path := null; url := null; token := null;
		end if;

		s := p_head[i];
		if s > 0 then
			used := p_amount[s] - v_room[s];
			if used = 0 then
				reset_us := 0;
			elsif p_algorithm[s] = 4 then
				reset_us := ceil(used::double precision * p_window[s] * 1e6
					/ greatest(p_amount[s], 1));
			elsif p_algorithm[s] = 1 and v_took[s] > 0 then
				reset_us := (v_second + p_window[s] + 1) * 1000000 - v_now_us;
			else
				if v_reset[s] is null then
					v_reset[s] := sluice.door_reset_us(p_limit[s],
						p_subject[s], p_algorithm[s], p_window[s],
						p_zone[s], v_since[s], v_now_us);
				end if;
				reset_us := v_reset[s];
			end if;
		end if;
		return next;
	end loop;

	-- What is counted must outlast a crash of the database, or a limit would let
	-- in what it had let in before.  Where nothing is, nobody waits for the disk:
	-- a call that is forgotten is missing in usage, and that is all.
	if v_n = 0 and v_rate is null then
		perform set_config('synchronous_commit', 'off', true);
	end if;
	if v_ask is not null then
		insert into sluice.admission (id, account_id, key_id, path_id, model, resource,
			made_at, expires_at, door_id, worker_id, input, output, limit_id,
			subject, units, rate_id, cell, rate_units)
		overriding system value
		select a.id, p_account[a.i], p_key[a.i], a.path, p_model[a.i],
			p_resource[a.i], v_made, v_made + make_interval(mins => 10,
				secs => p.whole_ms / 1000.0), p_door,
			a.worker, p_input[a.i], p_output[a.i],
			case when a.h > a.h0 then array(select p_limit[x.s]
				from unnest(v_held[a.h0 + 1 : a.h]) x (s)) else '{}' end,
			case when a.h > a.h0 then array(select p_subject[x.s]
				from unnest(v_held[a.h0 + 1 : a.h]) x (s)) else '{}' end,
			case when a.h > a.h0 then v_held_units[a.h0 + 1 : a.h] else '{}' end,
			case when a.r > a.r0 then v_rate[a.r0 + 1 : a.r] else '{}' end,
			case when a.r > a.r0 then v_cell[a.r0 + 1 : a.r] else '{}' end,
			case when a.r > a.r0 then v_rate_units[a.r0 + 1 : a.r] else '{}' end
		from unnest(v_ask, v_id, v_path, v_worker, v_held_last, 0 || v_held_last,
			v_rate_last, 0 || v_rate_last) a (i, id, path, worker, h, h0, r, r0)
		join sluice.path p on p.id = a.path
		where a.i is not null;
	end if;
	if v_n = 0 then
		return;
	end if;
	update sluice.caller_state t
	set used = w.used + case when w.hold in (0, 2) then w.took else 0 end,
		reserved = w.reserved + case when w.hold in (1, 3) then w.took else 0 end,
		since = to_timestamp(w.since_us / 1e6::double precision),
		peak = greatest(t.peak, case when w.algorithm = 0 then w.reserved + w.took
			when w.hold in (0, 2) then w.used + w.took else w.used end)
	from unnest(p_limit, p_subject, v_used, v_reserved, v_since, p_algorithm, p_hold,
			v_took) with ordinality
		w (limit_id, subject, used, reserved, since_us, algorithm, hold, took, i)
	where t.limit_id = w.limit_id and t.subject = w.subject
	    and (w.took > 0 or w.i = any (v_roll));
	insert into sluice.caller_cell as k (limit_id, subject, second, units)
	select w.limit_id, w.subject, v_second, w.took
	from unnest(p_limit, p_subject, v_took, p_algorithm, p_hold)
		w (limit_id, subject, took, algorithm, hold)
	where w.algorithm = 1 and w.hold in (0, 2) and w.took > 0
	on conflict on constraint caller_cell_pkey do update
	set units = k.units + excluded.units;
end $$;
