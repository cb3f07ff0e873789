-- migrate: on change
--
-- The door: may this call go now, and by which way?
--
-- Exact under any number of sluiced: every decision on a counter is made under
-- the lock of its caller_state row, by the time after the lock.  Lock order:
-- caller_state by (limit_id, subject), bytes compared; rate_limit_state and
-- live_cell (room_lock()); admission.  Nothing is kept of a call that is refused.

-- Which limits a call meets, each with the subject that it counts for.  Of a
-- key's plan (else its account's), its account's and its own limits the nearest
-- wins, of those with the same dimension, window, model and resource.
create or replace function sluice.limits_of(
    p_account bigint, p_key bigint, p_model text, p_resource text
) returns table (
    limit_id integer, subject text, scope text, dimension text, window_s integer,
    algorithm text, zone text, amount bigint, action text, applies text,
    stream_cost text
)
language plpgsql stable set search_path = '' as $$
#variable_conflict use_column
begin
	return query
	with who as (
		select a.id as account_id, k.id as key_id,
			coalesce(k.plan_id, a.plan_id) as plan_id
		from sluice.account a
		left join sluice.api_key k on k.id = p_key and k.account_id = a.id
		where a.id = p_account
	), own as (
		select l, 1 as near from who w
		join sluice.caller_limit l on l.plan_id = w.plan_id
		where l.removed_at is null
		union all
		select l, 2 from who w
		join sluice.caller_limit l on l.account_id = w.account_id
		where l.removed_at is null
		union all
		select l, 3 from who w
		join sluice.caller_limit l on l.key_id = w.key_id
		where l.removed_at is null
	), nearest as (
		select o.l, o.near = max(o.near) over (partition by (o.l).dimension,
			(o.l).window_s, (o.l).model, (o.l).resource) as wins
		from own o
	), met as (
		select n.l, case (n.l).per when 'key' then 'key:' || w.key_id
			when 'account' then 'account:' || w.account_id else 'all' end
			as subject, (n.l).per as scope
		from nearest n cross join who w where n.wins
		union all
		select l, case l.per when 'key' then 'key:' || w.key_id
			when 'account' then 'account:' || w.account_id else 'all' end, l.per
		from sluice.caller_limit l cross join who w
		where l.plan_id is null and l.account_id is null and l.key_id is null
		    and l.named_id is null and l.removed_at is null
		union all
		select l, case when t.key_id is not null then 'key:' || t.key_id
			else 'model:' || t.model end,
			case when t.key_id is not null then 'key' else 'model' end
		from (
			select t.* from sluice.named_attach t where t.key_id = p_key
			union all
			select t.* from sluice.named_attach t where t.model = p_model
		) t
		join sluice.named_limit d on d.id = t.named_id and d.removed_at is null
		join sluice.caller_limit l on l.named_id = t.named_id
		    and l.removed_at is null
	)
	select (m.l).id, m.subject
		|| case when (m.l).each_model then '|model:' || p_model else '' end
		|| case when (m.l).each_resource then '|' || p_resource else '' end,
		m.scope, (m.l).dimension, (m.l).window_s, (m.l).algorithm, (m.l).zone,
		(m.l).amount, (m.l).action, (m.l).applies, (m.l).stream_cost
	from met m
	where m.subject is not null and sluice.glob_match((m.l).model, p_model)
	    and (m.l).resource in ('*', p_resource);
end $$;

-- Their counters, where there are none yet.
create or replace function sluice.states_make(p_limit integer[], p_subject text[])
returns void
language plpgsql set search_path = '' as $$
begin
	insert into sluice.caller_state (limit_id, subject)
	select u.limit_id, u.subject from unnest(p_limit, p_subject) u (limit_id, subject)
	where not exists (select from sluice.caller_state s
		where s.limit_id = u.limit_id and s.subject = u.subject)
	order by u.limit_id, u.subject collate "C"
	on conflict do nothing;
end $$;

-- The same for sluiced, which keeps it until callers_revision moves, with
-- counters to lock.  served: some path takes the model; what comes of a model
-- that nobody serves is not worth a counter and must not be kept.
create or replace function sluice.door_limits(
    p_account bigint, p_key bigint, p_model text, p_resource text
) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_revision bigint := (select c.callers_revision from sluice.config c);
	v_limits json;
	v_limit integer[];
	v_subject text[];
begin
	if not exists (select from sluice.path p, unnest(p.models) g
	    where p.removed_at is null and sluice.glob_match(g, p_model)) then
		return json_build_object('revision', v_revision, 'served', false);
	end if;
	select json_agg(json_build_object('id', l.limit_id, 'subject', l.subject,
			'scope', l.scope, 'dimension', l.dimension, 'window_s', l.window_s,
			'algorithm', l.algorithm, 'zone', l.zone, 'amount', l.amount,
			'chunks', l.dimension = 'requests' and l.stream_cost = 'chunk',
			'text', l.dimension || case when l.window_s > 0
				then '/' || sluice.window_text(l.window_s) else '' end)
			order by l.limit_id, l.subject collate "C"),
		array_agg(l.limit_id), array_agg(l.subject)
	into v_limits, v_limit, v_subject
	from sluice.limits_of(p_account, p_key, p_model, p_resource) l
	where l.applies in ('live', 'both') and l.action = 'reject'
	    and l.dimension not like 'enqueued%';
	perform sluice.states_make(v_limit, v_subject);
	return json_build_object('revision', v_revision, 'served', true,
		'limits', coalesce(v_limits, '[]'));
end $$;

-- The calendar window of a zone at a time, Unix microseconds: days from local
-- midnight, longer ones from 1970 on, shorter ones within the day.
create or replace function sluice.calendar_window(
    p_window_s integer, p_zone text, p_now_us bigint, out begin_us bigint,
    out end_us bigint
)
language plpgsql stable set search_path = '' as $$
declare
	v_local timestamp;
	v_day timestamp;
	v_begin timestamp;
	v_now timestamptz := sluice.at_us(p_now_us);
begin
	if p_zone = 'UTC' and (86400 % p_window_s = 0 or p_window_s > 86400) then
		begin_us := p_now_us - p_now_us % (p_window_s * 1000000::bigint);
		end_us := begin_us + p_window_s * 1000000::bigint;
		return;
	end if;
	v_local := v_now at time zone p_zone;
	if p_window_s >= 86400 then
		v_begin := timestamp 'epoch' + make_interval(secs =>
			floor(extract(epoch from v_local) / p_window_s) * p_window_s);
		end_us := sluice.epoch_us((v_begin + make_interval(secs => p_window_s))
			at time zone p_zone);
	else
		v_day := date_trunc('day', v_local);
		v_begin := v_day + make_interval(secs => floor(
			extract(epoch from v_local - v_day) / p_window_s) * p_window_s);
		end_us := sluice.epoch_us(least(v_day + interval '1 day',
			v_begin + make_interval(secs => p_window_s)) at time zone p_zone);
	end if;
	begin_us := sluice.epoch_us(v_begin at time zone p_zone);
	-- An hour that clocks show twice or not at all.
	if end_us <= p_now_us then
		begin_us := p_now_us - p_now_us % 1000000;
		end_us := begin_us + 1000000;
	end if;
end $$;

-- What is left of a bucket's level since then; since moves by whole units.
create or replace function sluice.bucket_level(
    p_used bigint, p_since_us bigint, p_amount bigint, p_window_s integer,
    p_now_us bigint, out used bigint, out since_us bigint
)
language plpgsql immutable set search_path = '' as $$
declare
	v_unit_us double precision := p_window_s * 1e6 / nullif(p_amount, 0);
	v_units bigint := 0;
begin
	used := p_used;
	since_us := p_since_us;
	if p_used <= 0 then
		used := 0;
		since_us := p_now_us;
	elsif v_unit_us is not null and p_now_us > p_since_us then
		v_units := floor(least((p_now_us - p_since_us) / v_unit_us, p_used));
		if v_units = p_used then
			used := 0;
			since_us := p_now_us;
		else
			used := p_used - v_units;
			since_us := p_since_us + ceil(v_units * v_unit_us)::bigint;
		end if;
	end if;
end $$;

-- When a call of so many units would pass, of which p_need are too many now:
-- microseconds; -1: never, it is larger than the limit.
create or replace function sluice.door_wait_us(
    p_limit integer, p_subject text, p_algorithm smallint, p_window_s integer,
    p_zone text, p_amount bigint, p_units bigint, p_need bigint, p_since_us bigint,
    p_now_us bigint
) returns bigint
language plpgsql stable set search_path = '' as $$
declare
	v_second bigint := p_now_us / 1000000;
	v_free bigint;
begin
	if p_units > p_amount then
		return -1;
	elsif p_algorithm = 0 then	-- when some call ends, nobody knows
		return 1000000;
	elsif p_algorithm = 2 then
		return (sluice.calendar_window(p_window_s, p_zone, p_now_us)).end_us
			- p_now_us;
	elsif p_algorithm = 3 then
		return greatest(1, p_since_us + p_window_s * 1000000::bigint - p_now_us);
	elsif p_algorithm = 4 then
		return greatest(1, p_since_us - p_now_us
			+ ceil(p_need::double precision * p_window_s * 1e6 / p_amount)::bigint);
	end if;
	-- Cells leave the oldest first; what is not in one yet leaves last.
	select c.second into v_free from (
		select k.second, sum(k.units) over (order by k.second) as units
		from sluice.caller_cell k
		where k.limit_id = p_limit and k.subject = p_subject
		    and k.second >= v_second - p_window_s
	) c where c.units >= p_need order by c.second limit 1;
	return (coalesce(v_free, v_second) + p_window_s + 1) * 1000000 - p_now_us;
end $$;

-- When a counter is empty again if nothing is added: microseconds; not of buckets.
create or replace function sluice.door_reset_us(
    p_limit integer, p_subject text, p_algorithm smallint, p_window_s integer,
    p_zone text, p_since_us bigint, p_now_us bigint
) returns bigint
language plpgsql stable set search_path = '' as $$
begin
	return case p_algorithm
	when 1 then greatest(0, (coalesce((
			select max(k.second) from sluice.caller_cell k
			where k.limit_id = p_limit and k.subject = p_subject), 0)
		+ p_window_s + 1) * 1000000 - p_now_us)
	when 2 then (sluice.calendar_window(p_window_s, p_zone, p_now_us)).end_us - p_now_us
	when 3 then p_since_us + p_window_s * 1000000::bigint - p_now_us
	else 0 end;
end $$;

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
 * p_use, p_units: which counter, and how much of it (money: filled in here).
 *
 * verdict: 0 yes, 1 a limit before the caller (which: state), 2 the upstream's
 * limits (which: why), 3 no path for the model, 4 no cheaper one, 5 no path or no
 * worker.
 */
create or replace function sluice.admit(
    p_door bigint, p_revision bigint,
    p_limit integer[], p_subject text[], p_amount bigint[], p_window integer[],
    p_algorithm smallint[], p_zone text[], p_hold smallint[],
    p_account bigint[], p_key bigint[], p_model text[], p_resource text[],
    p_input bigint[], p_output bigint[], p_priority smallint[], p_cheap smallint[],
    p_head integer[], p_last integer[], p_use integer[], p_units bigint[],
    p_now timestamptz default null
) returns table (
    verdict integer, admission bigint, path integer, wait_us bigint, state integer,
    why text, used bigint, reset_us bigint, url text, token text
)
language plpgsql set search_path = '' security definer
set plan_cache_mode = force_generic_plan set enable_hashjoin = off
set enable_mergejoin = off set enable_seqscan = off set jit = off as $$
declare
	v_n integer := cardinality(p_limit);
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
	if not exists (select from sluice.door d
	    where d.id = p_door and d.lease_until > clock_timestamp()) then
		raise exception using errcode = 'SL410', message = 'the door was closed';
	end if;
	if coalesce(cardinality(v_used), 0) <> v_n
	    or p_revision <> (select c.callers_revision from sluice.config c) then
		return;
	end if;
	v_now_us := (date_part('epoch', coalesce(p_now, clock_timestamp())) * 1e6)::bigint;
	v_second := v_now_us / 1000000;
	v_made := to_timestamp(v_now_us / 1e6::double precision);

	-- Windows that are over.  Most are not: what SQL can see of many at once is
	-- not looked at one by one.
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
		verdict := 0;
		wait_us := 0;
		state := 0;
		why := null;
		for j in v_first..v_until loop
			s := p_use[j];
			if p_hold[s] = 3 then
				p_units[j] := sluice.money_most(p_model[i], p_input[i], p_output[i]);
			end if;
			if p_units[j] > v_room[s] then
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

		if verdict = 0 then
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
				if p_hold[s] > 0 then
					v_held := v_held || s;
					v_held_units := v_held_units || case p_hold[s] when 2
						then 0 else p_units[j] end;
				end if;
			end loop;
			if v_live > 1 then
				v_at := 1 + floor(random() * v_live)::integer;
			end if;
			admission := nextval('sluice.admission_id_seq');
			path := v_room_of.path_id;
			url := v_live_url[v_at];
			token := v_live_token[v_at];
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

	if v_ask is not null then
		insert into sluice.admission (id, account_id, key_id, path_id, model, resource,
			made_at, expires_at, door_id, worker_id, input, output, limit_id,
			subject, units, rate_id, cell, rate_units)
		overriding system value
		select a.id, p_account[a.i], p_key[a.i], a.path, p_model[a.i],
			p_resource[a.i], v_made, v_made + interval '2 h 10 min', p_door,
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
		where a.i is not null;
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
