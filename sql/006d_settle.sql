-- migrate: on change
--
-- What calls that were let in gave back, and who let them in.

-- What a counter has come to at a time: what is used of its window, and when that
-- began.  from_us: a call that was let in before does not count in it any more.
create or replace function sluice.state_now(
    p_limit sluice.caller_limit, p_state sluice.caller_state, p_now_us bigint,
    out used bigint, out since_us bigint, out from_us bigint
)
language plpgsql stable set search_path = '' as $$
begin
	used := p_state.used;
	since_us := (date_part('epoch', p_state.since) * 1e6)::bigint;
	from_us := 0;
	if p_limit.window_s = 0 then
		from_us := p_now_us + 1;
	elsif p_limit.algorithm = 'sliding' then
		from_us := (p_now_us / 1000000 - p_limit.window_s) * 1000000;
		used := used - coalesce((select sum(k.units) from sluice.caller_cell k
			where k.limit_id = p_state.limit_id and k.subject = p_state.subject
			    and k.second < from_us / 1000000), 0);
		from_us := greatest(from_us, since_us);
	elsif p_limit.algorithm = 'fixed' then
		from_us := (sluice.calendar_window(p_limit.window_s, p_limit.zone,
			p_now_us)).begin_us;
		if since_us < from_us then
			used := 0;
			since_us := from_us;
		end if;
	elsif p_limit.algorithm = 'anchored' then
		if since_us + p_limit.window_s * 1000000::bigint <= p_now_us
		    or used = 0 and p_state.reserved = 0 then
			used := 0;
			since_us := p_now_us;
		end if;
		from_us := since_us;
	else
		select b.used, b.since_us into used, since_us
		from sluice.bucket_level(used, since_us, p_limit.amount, p_limit.window_s,
			p_now_us) b;
	end if;
end $$;

-- What is neither used nor reserved of a counter of money now.
create or replace function sluice.money_free(p_limit integer, p_subject text)
returns bigint
language plpgsql stable set search_path = '' as $$
begin
	return (select l.amount - s.reserved - (sluice.state_now(l, s,
			(date_part('epoch', clock_timestamp()) * 1e6)::bigint)).used
		from sluice.caller_limit l join sluice.caller_state s on s.limit_id = l.id
		where l.id = p_limit and s.subject = p_subject);
end $$;

-- Batches whose next line costs more than they may spend, as the dispatcher said a
-- moment ago.
create or replace function sluice.dear() returns table (batch_id bigint, want bigint)
language plpgsql stable set search_path = '' as $$
begin
	return query
		select (w ->> 0)::bigint, (w ->> 1)::bigint
		from sluice.fairness f cross join json_array_elements(f.dear) w
		where f.at > clock_timestamp() - interval '10 s';
end $$;

-- Holds fall, and what was used counts in the window in which the call was let in,
-- if that is still the current one.  For one counter, which is locked; the
-- arrays have an element for each call.
create or replace function sluice.state_settle(
    p_limit sluice.caller_limit, p_state sluice.caller_state, p_units bigint[],
    p_took bigint[], p_made_us bigint[]
) returns void
language plpgsql set search_path = '' as $$
declare
	v_now record := sluice.state_now(p_limit, p_state,
		(date_part('epoch', clock_timestamp()) * 1e6)::bigint);
	v_sliding boolean := p_limit.window_s > 0 and p_limit.algorithm = 'sliding';
	v_held bigint := (select sum(h) from unnest(p_units) h);
	v_took bigint := coalesce((select sum(t.took) from unnest(p_took, p_made_us)
		t (took, made_us) where t.made_us >= v_now.from_us), 0);
begin
	update sluice.caller_state s
	-- Cells leave a sliding window when admit() looks.
	set used = case when v_sliding then s.used else v_now.used end + v_took,
		reserved = greatest(0, s.reserved - v_held),
		since = to_timestamp(v_now.since_us / 1e6::double precision),
		peak = greatest(s.peak, v_now.used + v_took)
	where s.limit_id = p_state.limit_id and s.subject = p_state.subject;
	if v_sliding and v_took > 0 then
		insert into sluice.caller_cell as k (limit_id, subject, second, units)
		select p_state.limit_id, p_state.subject, t.made_us / 1000000, sum(t.took)
		from unnest(p_took, p_made_us) t (took, made_us)
		where t.made_us >= v_now.from_us and t.took > 0
		group by 3 order by 3
		on conflict (limit_id, subject, second) do update
		set units = k.units + excluded.units;
	end if;
end $$;

-- Calls are over: rows that were deleted from sluice.admission in this
-- transaction, and what each took.  p_requests: what it counts as where each chunk
-- of a stream is a request.
create or replace function sluice.admissions_settle(
    p_ended sluice.admission[], p_input bigint[], p_output bigint[],
    p_requests bigint[], p_money bigint[]
) returns void
language plpgsql set search_path = '' as $$
declare
	v_state record;
begin
	for v_state in
		select l, s, h.units, h.took, h.made_us
		from (
			select u.limit_id, u.subject, array_agg(u.units) as units,
				array_agg(case l.dimension
					when 'requests' then greatest(p_requests[i], 1) - 1
					when 'tokens' then p_input[i] + p_output[i]
					when 'input_tokens' then p_input[i]
					when 'output_tokens' then p_output[i]
					when 'money' then p_money[i]
					else 0 end) as took,
				array_agg((date_part('epoch', p_ended[i].made_at) * 1e6)::bigint)
					as made_us
			from generate_subscripts(p_ended, 1) i
			cross join unnest(p_ended[i].limit_id, p_ended[i].subject,
				p_ended[i].units) u (limit_id, subject, units)
			join sluice.caller_limit l on l.id = u.limit_id
			group by u.limit_id, u.subject
		) h
		join sluice.caller_limit l on l.id = h.limit_id
		join sluice.caller_state s on s.limit_id = h.limit_id
		    and s.subject = h.subject
		order by s.limit_id, s.subject collate "C" for update of s
	loop
		perform sluice.state_settle(v_state.l, v_state.s, v_state.units,
			v_state.took, v_state.made_us);
	end loop;
end $$;

-- Live calls are over: rows that were deleted from sluice.admission in this
-- transaction.  Null tokens: not known; then an answer with an error cost
-- nothing, any other what was estimated.
drop function if exists sluice.calls_settle(sluice.admission[], integer[], bigint[],
    bigint[], bigint[], bigint[], boolean[]);
create or replace function sluice.calls_settle(
    p_ended sluice.admission[], p_status integer[], p_input bigint[], p_cached bigint[],
    p_output bigint[], p_chunks bigint[], p_ok boolean[], p_sent_us bigint default null
) returns void
language plpgsql set search_path = '' as $$
declare
	v sluice.admission;
	v_input bigint[] := p_input;
	v_output bigint[] := p_output;
	v_money bigint[] := p_input;
	v_held boolean := false;
begin
	for i in 1..cardinality(p_ended) loop
		v := p_ended[i];
		v_input[i] := coalesce(p_input[i],
			case when p_status[i] >= 400 then 0 else v.input end);
		v_output[i] := coalesce(p_output[i],
			case when p_status[i] >= 400 then 0 else v.output end);
		v_money[i] := sluice.money_of(v.path_id, v.model, v_input[i],
			coalesce(p_cached[i], 0), v_output[i]);
		v_held := v_held or cardinality(v.rate_id) > 0;
	end loop;
	perform sluice.admissions_settle(p_ended, v_input, v_output, p_chunks, v_money);
	if v_held and cardinality(p_ended) > 1 then
		perform sluice.room_lock(array(select distinct a.model
			from unnest(p_ended) a where cardinality(a.rate_id) > 0));
	end if;
	for i in 1..cardinality(p_ended) loop
		v := p_ended[i];
		if cardinality(v.rate_id) > 0 then
			perform sluice.room_settle(v,
				case when p_input[i] is null and p_status[i] < 400 then null
					else v_input[i] end,
				case when p_output[i] is null and p_status[i] < 400 then null
					else v_output[i] end, p_chunks[i], p_sent_us);
		end if;
		perform sluice.usage_add(v.account_id, v.key_id, v.path_id, v.model, 'live',
			1, case when p_ok[i] then 0 else 1 end, 0, v_input[i],
			coalesce(p_cached[i], 0), v_output[i], v_money[i], v.resource);
	end loop;
end $$;

-- Calls that were given up are over upstream, too: their seats there are free.
-- None: those whose time has come.
create or replace function sluice.orphans_end(p_admission bigint default null)
returns void
language plpgsql set search_path = '' as $$
declare
	v_ended bigint[] := array(select distinct o.admission_id
		from sluice.live_orphan o
		where o.admission_id = p_admission
		    or p_admission is null and o.until < clock_timestamp());
begin
	if v_ended = '{}' then
		return;
	end if;
	perform from sluice.rate_limit_state s where s.limit_id in (
		select o.limit_id from sluice.live_orphan o
		where o.admission_id = any (v_ended))
	order by s.limit_id for update;
	with gone as (
		delete from sluice.live_orphan o where o.admission_id = any (v_ended)
		returning o.limit_id, o.units
	)
	update sluice.live_cell c set units = greatest(0, c.units - g.units),
		changed_at = clock_timestamp()
	from (select limit_id, sum(units) as units from gone group by 1) g
	where c.limit_id = g.limit_id and c.cell = 0;
end $$;

-- A call whose worker or sluiced has died, without the seats it holds upstream:
-- they stay taken as long as the upstream may work on it, or until its worker,
-- which may have been out of reach only, says that it is over.
create or replace function sluice.admission_orphan(p_admission sluice.admission)
returns sluice.admission
language plpgsql set search_path = '' as $$
declare
	v sluice.admission := p_admission;
	v_stays boolean[] := array(select u.cell <> 0
		from unnest(v.cell) with ordinality u (cell, i) order by u.i);
begin
	if true = all (v_stays) or v.expires_at < clock_timestamp() then
		return v;
	end if;
	insert into sluice.live_orphan (admission_id, limit_id, units, until)
	select v.id, u.id, u.units, v.expires_at
	from unnest(v.rate_id, v.rate_units, v_stays) u (id, units, stays)
	where not u.stays;
	select coalesce(array_agg(u.id order by u.i), '{}'),
		coalesce(array_agg(u.cell order by u.i), '{}'),
		coalesce(array_agg(u.units order by u.i), '{}')
	into v.rate_id, v.cell, v.rate_units
	from unnest(v.rate_id, v.cell, v.rate_units, v_stays) with ordinality
		u (id, cell, units, stays, i)
	where u.stays;
	return v;
end $$;

-- A live call is over; once: false when it was settled before, or given up.
-- p_status: the upstream's, 0 when there was no answer.  p_input, p_output: tokens,
-- null when not known.  p_chunks: streamed pieces.  p_ms: since it was sent.  p_ok:
-- the caller has the whole answer, and it is none of an error.  Not synchronous:
-- what a crash of the database loses is settled as estimated by admissions_reap().
create or replace function sluice.live_settle(
    p_admission bigint, p_worker bigint, p_status integer, p_input bigint,
    p_cached bigint, p_output bigint, p_reasoning bigint, p_chunks bigint, p_ms bigint,
    p_ok boolean
) returns boolean
language plpgsql set search_path = '' security definer as $$
declare
	v sluice.admission;
begin
	perform set_config('synchronous_commit', 'off', true);
	delete from sluice.admission a where a.id = p_admission and a.batch_id is null
	returning * into v;
	if v.id is null then
		perform sluice.orphans_end(p_admission);
		return false;
	end if;
	perform sluice.calls_settle(array[v], array[coalesce(p_status, 0)],
		array[p_input], array[p_cached], array[p_output], array[p_chunks],
		array[p_ok], case when p_ms > 0 then sluice.room_now_us() - p_ms * 1000 end);
	return true;
end $$;

-- A call that was let in and never went: it used nothing but its request.
create or replace function sluice.admission_drop(p_admission bigint) returns void
language plpgsql set search_path = '' security definer as $$
declare
	v sluice.admission;
begin
	perform set_config('synchronous_commit', 'off', true);
	delete from sluice.admission a where a.id = p_admission and a.batch_id is null
	returning * into v;
	if v.id is not null then
		perform sluice.admissions_settle(array[v], '{0}', '{0}', '{1}', '{0}');
		if cardinality(v.rate_id) > 0 then
			perform sluice.room_settle(v, 0, 0, 0);
		end if;
	else
		perform sluice.orphans_end(p_admission);
	end if;
end $$;

-- Calls that nobody settles any more, as estimated: their sluiced or worker is
-- dead or their time is over.  Called once a second by reap(); some at a time.
create or replace function sluice.admissions_reap() returns integer
language plpgsql set search_path = '' security definer as $$
declare
	v sluice.admission[];
	v_n integer;
begin
	delete from sluice.door d where d.lease_until < clock_timestamp();
	with gone as (
		delete from sluice.admission a where a.id in (
			select b.id from sluice.admission b
			where b.batch_id is null and (b.expires_at < clock_timestamp()
			    or not exists (select from sluice.door d where d.id = b.door_id)
			    or not exists (select from sluice.worker w
				where w.id = b.worker_id and w.state <> 'dead'))
			order by b.id limit 1000
			for update skip locked)
		returning a
	)
	select array_agg(sluice.admission_orphan(g.a)) into v from gone g;
	v_n := coalesce(cardinality(v), 0);
	-- Counters are locked in their order once in a transaction.
	if v_n = 0 then
		perform sluice.batches_lock();
		perform sluice.batches_settle();
		perform sluice.batches_hold_more();
		perform sluice.orphans_end();
	else
		perform sluice.calls_settle(v, array_fill(0, array[v_n]),
			array_fill(null::bigint, array[v_n]),
			array_fill(null::bigint, array[v_n]),
			array_fill(null::bigint, array[v_n]),
			array_fill(1::bigint, array[v_n]), array_fill(false, array[v_n]));
	end if;
	return v_n;
end $$;

-- Who lets calls in, and is still there.
create or replace function sluice.door_open(p_name text, p_lease_ms integer)
returns bigint
language sql set search_path = '' security definer as $$
	insert into sluice.door (name, lease_until)
	values (p_name, clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0))
	returning id
$$;

-- False: its calls have been given up; it needs another door_open().
create or replace function sluice.door_beat(p_door bigint, p_lease_ms integer)
returns boolean
language plpgsql set search_path = '' security definer as $$
begin
	update sluice.door d
	set lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0)
	where d.id = p_door;
	return found;
end $$;

create or replace function sluice.door_close(p_door bigint) returns void
language sql set search_path = '' security definer as $$
	delete from sluice.door d where d.id = p_door
$$;
