-- migrate: on change
--
-- The backlog as the dispatcher reads it: lanes, and lines of them.

-- Its owner's times: not before, only between.
create or replace function sluice.batch_may_go(p_batch sluice.batch) returns boolean
language plpgsql stable set search_path = '' as $$
begin
	return coalesce(p_batch.not_before <= now(), true)
	    and (p_batch.hours is null or sluice.hours_hold(p_batch.hours, now()));
end $$;

create or replace function sluice.lane_rests(p_batch bigint) returns boolean
language plpgsql stable set search_path = '' as $$
begin
	return exists (select from sluice.batch b where b.id = p_batch
	    and (b.not_before is not null or b.hours is not null)
	    and not sluice.batch_may_go(b));
end $$;

-- What a batch has spent, with what its lines that are out may cost; busy: there are
-- such, or results that have no place yet.
create or replace function sluice.batch_spent(
    p_batch bigint, out spent bigint, out busy boolean
)
language plpgsql stable set search_path = '' as $$
begin
	select r.money::bigint + u.money::bigint + coalesce((select sum(w.money)
			from sluice.batch_path w where w.batch_id = p_batch), 0)::bigint,
		r.n > 0 or u.n > 0
	into spent, busy
	from (select count(*) as n, coalesce(sum(r.est_money * bit_count(r.open)
			/ greatest(cardinality(r.line), 1)), 0) as money
		from sluice.run r where r.batch_id = p_batch) r
	cross join (select count(*) as n, coalesce(sum((j ->> 'money')::bigint), 0) as money
		from sluice.unplaced u
		left join lateral json_array_elements(u.paths) j on true
		where u.batch_id = p_batch) u;
end $$;

-- What a batch may still spend, of its own cap and of the money that it holds with
-- callers' limits; wait: when the next line does not fit, more may come.
drop function if exists sluice.batch_purse(sluice.batch);
create or replace function sluice.batch_purse(
    p_batch sluice.batch, p_held bigint, out cap_left bigint, out wait boolean
)
language plpgsql stable set search_path = '' as $$
declare
	v_spent record;
begin
	if p_batch.cap is null and p_held is null then
		return;
	end if;
	v_spent := sluice.batch_spent(p_batch.id);
	cap_left := least(p_batch.cap, p_held) - v_spent.spent;
	wait := v_spent.busy or p_held < coalesce(p_batch.cap, p_held + 1);
end $$;

-- Money that batches hold with callers' limits that meet all their lines.
create or replace function sluice.purses()
returns table (batch_id bigint, admission_id bigint, i bigint, limit_id integer,
    subject text, held bigint)
language plpgsql stable set search_path = '' as $$
begin
	return query
		select a.batch_id, a.id, u.i, u.limit_id, u.subject, u.held
		from sluice.admission a
		cross join unnest(a.limit_id, a.subject, a.units, a.whole) with ordinality
			u (limit_id, subject, held, whole, i)
		join sluice.caller_limit l on l.id = u.limit_id and l.dimension = 'money'
		    and l.removed_at is null and l.action = 'reject'
		    and l.applies in ('batch', 'both')
		where a.batch_id is not null and u.whole;
end $$;

-- The working set: of every account, model and class the lanes that can least
-- wait and the oldest, p_each in all, fewer when there are many of those.  A lane
-- that is at its end but has lines to go again is there by p_due.  None of a
-- revoked key or a paused batch, none whose time has not come.
drop function if exists sluice.dispatch_lanes(integer, bigint[]);
create function sluice.dispatch_lanes(p_each integer, p_due bigint[])
returns table (id bigint, batch_id bigint, account_id bigint, file_id bigint,
    purge_day date, model text, priority smallint, deadline_us bigint,
    next_line integer, lines_left integer, open boolean, max_tokens integer,
    weight integer, shapes integer[], choice text, escalate boolean, cap_left bigint,
    cap_out boolean)
language sql stable set search_path = '' security definer as $$
	with recursive flow as (
		(select l.account_id, l.model, l.priority from sluice.batch_lane l
		 where l.open order by l.account_id, l.model, l.priority limit 1)
		union all
		select n.account_id, n.model, n.priority
		from flow f cross join lateral (
			select l.account_id, l.model, l.priority from sluice.batch_lane l
			where l.open and (l.account_id, l.model, l.priority)
				> (f.account_id, f.model, f.priority)
			order by l.account_id, l.model, l.priority limit 1
		) n
	), each as (
		select greatest(2, least(p_each, 16384 / greatest(count(*), 1))) / 2 as n
		from flow
	), held as (	-- the least of what it holds is what it may spend
		select p.batch_id, min(p.held) as money from sluice.purses() p
		group by p.batch_id
	), chosen as (
		select h.id from flow f cross join each e cross join lateral (
			select l.id from sluice.batch_lane l
			where l.open and l.account_id = f.account_id and l.model = f.model
			    and l.priority = f.priority
			    and not sluice.lane_rests(l.batch_id)
			order by l.start_by, l.id
			limit e.n
		) h
		union
		select h.id from flow f cross join each e cross join lateral (
			select l.id from sluice.batch_lane l
			where l.open and l.account_id = f.account_id and l.model = f.model
			    and l.priority = f.priority
			    and not sluice.lane_rests(l.batch_id)
			order by l.id
			limit e.n
		) h
		union
		select d.id from unnest(p_due) d (id)
	)
	select l.id, l.batch_id, l.account_id, l.file_id, l.purge_day, l.model,
		l.priority, sluice.epoch_us(l.deadline), l.next_line, l.lines_left, l.open,
		l.max_tokens, a.weight, l.shapes, b.choice, b.escalate,
		p.cap_left, p.wait
	from chosen c join sluice.batch_lane l on l.id = c.id
	join sluice.batch b on b.id = l.batch_id
	join sluice.account a on a.id = l.account_id
	left join held h on h.batch_id = b.id
	cross join lateral sluice.batch_purse(b, h.money) p
	where b.state = 'in_progress' and b.ending is null and b.paused_at is null
	    and not sluice.key_is_revoked(b.key_id) and sluice.batch_may_go(b)
	order by l.priority desc, l.id
$$;

-- The next lines of a lane: per chunk, their indexes in it and what the planner
-- must know of each.  A chunk that holds none of them has its row as well (line
-- null), so that the reader gets past any number of those.  combine: lines with
-- the same, not 0, may share a call.
drop function if exists sluice.lane_lines(bigint, integer, integer);
create or replace function sluice.lane_lines(
    p_lane bigint, p_from integer, p_chunks integer
) returns table (chunk_id bigint, first_line integer, line smallint[],
    bytes integer[], cap integer[], lines integer, combine integer[])
language plpgsql stable set search_path = '' security definer
set plan_cache_mode = force_custom_plan as $$
declare
	v_lane sluice.batch_lane;
	v_passes boolean;
begin
	select * into v_lane from sluice.batch_lane l where l.id = p_lane;
	v_passes := (select sluice.batch_passes(b) from sluice.batch b
		where b.id = v_lane.batch_id);
	return query
		select p.chunk_id, p.first_line, c.line, c.bytes, c.cap, p.lines, c.combine
		from (
			select * from sluice.place q
			where q.purge_day = v_lane.purge_day and q.file_id = v_lane.file_id
			    and q.first_line >= (
				select max(s.first_line) from sluice.place s
				where s.purge_day = v_lane.purge_day
				    and s.file_id = v_lane.file_id and s.first_line <= p_from)
			order by q.first_line
			limit p_chunks
		) p
		cross join lateral (
			select array_agg(m.i::smallint order by m.i) as line,
				array_agg(k.body_len[m.i] order by m.i) as bytes,
				array_agg(coalesce(k.cap[m.i], -1) order by m.i) as cap,
				array_agg(coalesce(k.combine[m.i], 0) order by m.i) as combine
			from sluice.chunk k, unnest(k.model) with ordinality m (model, i)
			where k.purge_day = v_lane.purge_day and k.id = p.chunk_id
			    and m.model = v_lane.model_index
			    and p.first_line + m.i - 1 >= p_from
			    and not (v_passes and exists (select from sluice.twin t
				where t.batch_id = v_lane.batch_id
				    and t.line = p.first_line + m.i - 1))
			offset 0
		) c
		order by p.first_line;
end $$;

-- The lines of a lane that must go again soon; most: share a call at most.
drop function if exists sluice.lane_retries(bigint, integer, integer);
create function sluice.lane_retries(
    p_lane bigint, p_ahead_ms integer, p_most integer
) returns table (chunk_id bigint, first_line integer, line smallint,
    bytes integer, cap integer, tries smallint, sends smallint, refused smallint,
    combine integer, most smallint)
language plpgsql stable set search_path = '' security definer
set plan_cache_mode = force_custom_plan as $$
declare
	v_lane sluice.batch_lane;
begin
	select * into v_lane from sluice.batch_lane l where l.id = p_lane;
	return query
		select p.chunk_id, p.first_line, (r.line - p.first_line + 1)::smallint,
			c.body_len, c.cap, r.tries, r.sends, r.refused, c.combine, r.most
		from (
			select * from sluice.retry q
			where q.lane_id = p_lane and q.not_before <=
				now() + make_interval(secs => p_ahead_ms / 1000.0)
			order by q.line
			limit p_most
		) r
		cross join lateral (
			select q.chunk_id, q.first_line from sluice.place q
			where q.purge_day = v_lane.purge_day and q.file_id = v_lane.file_id
			    and q.first_line <= r.line and q.lines > 0
			order by q.first_line desc
			limit 1
		) p
		cross join lateral (
			select k.body_len[r.line - p.first_line + 1] as body_len,
				coalesce(k.cap[r.line - p.first_line + 1], -1) as cap,
				coalesce(k.combine[r.line - p.first_line + 1], 0) as combine
			from sluice.chunk k
			where k.purge_day = v_lane.purge_day and k.id = p.chunk_id offset 0
		) c
		order by r.line;
end $$;
