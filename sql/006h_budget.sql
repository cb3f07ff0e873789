-- migrate: on change
--
-- Budgets, limits with long windows: what is left of them, and how fast they are
-- spent.  The arithmetic of scheduler/dispatch_hurry.c and pace.c, for plans and
-- outlooks.

create or replace function sluice.is_budget(p_limit sluice.rate_limit) returns boolean
language sql immutable set search_path = '' as $$
	select p_limit.window_s >= 600		-- PACE_BUDGET_US
$$;

-- units: that lines of batches may take in a window, without what is reserved, kept
-- for others, or taken by live calls beyond the reserve.  span_us: for so long a
-- grant counts.  steady: the upstream has refused what was within the budget, so
-- that nothing is hurried.  wait_s: nothing goes before.
create or replace function sluice.budget_stand(
    p_limit sluice.rate_limit, out units double precision, out span_us bigint,
    out now_us bigint, out steady boolean, out wait_s double precision
)
language plpgsql stable set search_path = '' as $$
declare
	v_most double precision := p_limit.amount * (1 - p_limit.headroom);
	v_kept double precision;
	v_live double precision;
	v_step integer;
begin
	-- What arrivals may jitter, and a cell.
	span_us := p_limit.window_s * 1000000::bigint + 200000
		+ sluice.cell_us(p_limit.window_s);
	now_us := sluice.epoch_us(now())
		+ (select l.clock_offset_us from sluice.dispatch_lease l);
	select s.kept, (s.learned ->> 'step')::integer,
		extract(epoch from s.paused_until - now())
	into v_kept, v_step, wait_s
	from sluice.rate_limit_state s where s.limit_id = p_limit.id;
	select sum(c.units) into v_live from sluice.live_cell c
	where c.limit_id = p_limit.id
	    and c.cell > (now_us - span_us) / sluice.cell_us(p_limit.window_s);
	steady := coalesce(v_step, 0) > 0;
	wait_s := greatest(0, coalesce(wait_s, 0));
	units := floor(v_most * (1 - p_limit.reserve) * (1 + 1e-6)) - steady::integer;
	units := greatest(1, units * 0.02, units - greatest(0, coalesce(v_kept, 0)
		+ coalesce(v_live, 0) - v_most * p_limit.reserve));
end $$;

-- Units of it that stand in the window a while from now, of those that stand in it
-- already.
create or replace function sluice.budget_used(
    p_limit sluice.rate_limit, p_span_us bigint, p_at_us bigint
) returns double precision
language plpgsql stable set search_path = '' as $$
begin
	return (select coalesce(sum(g.units), 0) from sluice.grant_cell g
	where g.limit_id = p_limit.id
	    and g.cell > (p_at_us - p_span_us) / sluice.cell_us(p_limit.window_s));
end $$;

-- Units that go within so many seconds, if each goes as soon as it may: what is left
-- now and comes back by then, and all of it once for each window.
create or replace function sluice.budget_by(
    p_limit sluice.rate_limit, p_s double precision
) returns double precision
language plpgsql stable set search_path = '' as $$
declare
	v record := sluice.budget_stand(p_limit);
	v_us bigint := greatest(0, p_s) * 1000000;
begin
	if p_s <= v.wait_s then
		return 0;
	end if;
	return v_us / v.span_us * v.units + greatest(0, v.units
		- sluice.budget_used(p_limit, v.span_us, v.now_us + v_us % v.span_us));
end $$;

-- Seconds after which so many units have gone, if each goes as soon as it may.
create or replace function sluice.budget_need_s(
    p_limit sluice.rate_limit, p_units double precision
) returns double precision
language plpgsql stable set search_path = '' as $$
declare
	v record := sluice.budget_stand(p_limit);
	v_width_us bigint := sluice.cell_us(p_limit.window_s);
	v_whole double precision := greatest(0, ceil(p_units / v.units) - 1);
	v_rest double precision := p_units - v_whole * v.units;
	v_free_us bigint;	-- the rest fits from then on
begin
	select max(u.cell) * v_width_us + v.span_us - v.now_us into v_free_us
	from (select g.cell, sum(g.units) over (order by g.cell desc) as used
		from sluice.grant_cell g
		where g.limit_id = p_limit.id
		    and g.cell > (v.now_us - v.span_us) / v_width_us) u
	where u.used > v.units - v_rest;
	return greatest(v.wait_s, (v_whole * v.span_us + greatest(0,
		coalesce(v_free_us, 0))) / 1e6);
end $$;

-- So long before a deadline all shall have gone (scheduler/route.h).
create or replace function sluice.guard_s(
    p_left_s double precision, p_latency_s double precision
) returns double precision
language sql immutable set search_path = '' as $$
	select greatest(20, p_left_s / 20, 6 * coalesce(p_latency_s, 5))
$$;

-- Units a second at which it is spent when so many are due in so many seconds:
-- evenly, unless that is too slow for them; and what cannot be done hurries nobody.
-- Null seconds: as fast as may be.
create or replace function sluice.budget_pace(
    p_limit sluice.rate_limit, p_units double precision, p_left_s double precision,
    p_latency_s double precision
) returns double precision
language plpgsql stable set search_path = '' as $$
declare
	v record := sluice.budget_stand(p_limit);
	v_even double precision := v.units * 1e6 / (v.span_us + 200000);
	v_time_s double precision := greatest(1, p_left_s - sluice.guard_s(p_left_s,
		p_latency_s));
	v_by double precision;
	v_windows double precision := floor(p_left_s * 1e6 / v.span_us);
	v_whole double precision := v_windows * v.units;
begin
	if p_left_s is null and not v.steady then
		return 1e9;
	end if;
	if v.steady or p_left_s < 1 or p_units <= v_even * v_time_s then
		return v_even;
	end if;
	v_by := sluice.budget_by(p_limit, p_left_s);
	return greatest(v_even, case when p_units > v_by then v_by / p_left_s
		else p_units / v_time_s end, case when p_units between v_whole and v_by
		then (p_units - v_whole)
			/ greatest(1, p_left_s - v_windows * v.span_us / 1e6) end);
end $$;

-- The pace of each budget of which something is due, {limit: units}.
create or replace function sluice.budget_paces(p_due jsonb, p_left_s double precision)
returns jsonb
language plpgsql stable set search_path = '' as $$
begin
	return (select jsonb_object_agg(l.id, sluice.budget_pace(l, d.value::double precision,
		p_left_s, (select max((e.learned ->> 'ms')::double precision) / 1000
			from sluice.path p
			join sluice.estimate e on e.path_id = p.id
			where p.pool_id = l.pool_id and p.removed_at is null
			    and (l.path_id is null or l.path_id = p.id)
			    and sluice.glob_match(l.model, e.model))))
	from jsonb_each_text(p_due) d
	join sluice.rate_limit l on l.id = d.key::integer
	where sluice.is_budget(l));
end $$;
