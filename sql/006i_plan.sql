-- migrate: on change
--
-- What a batch will take and cost: before it is made, and while it runs.  Time by
-- what limits let through at an even pace, budgets at the pace that the deadline
-- needs; money by what was learned of tokens.

-- Of a file by model: its lines, their bodies' bytes and declared output, on
-- average over so many of its chunks; alike: they share calls, where a path
-- combines lines.
drop function if exists sluice.file_lines(sluice.file, integer);
create function sluice.file_lines(p_file sluice.file, p_chunks integer)
returns table (model text, lines bigint, bytes double precision, cap double precision,
    alike boolean)
language plpgsql stable set search_path = '' as $$
begin
	return query
		with sample as (
			select p.chunk_id from (
				select q.chunk_id, row_number() over (order by q.first_line) as n,
					count(*) over () as all_n
				from sluice.place q
				where q.purge_day = p_file.purge_day and q.file_id = p_file.id
			) p
			where p.n % greatest(1, p.all_n / p_chunks) = 0
		)
		select p_file.models[m.model], p_file.model_lines[m.model]::bigint,
			avg(k.body_len[m.i])::double precision,
			(avg(k.cap[m.i]) filter (where k.cap[m.i] >= 0))::double precision,
			bool_and(coalesce(k.combine[m.i], 0) <> 0)
		from sample s
		join sluice.chunk k on k.purge_day = p_file.purge_day and k.id = s.chunk_id
		cross join unnest(k.model) with ordinality m (model, i)
		group by m.model;
end $$;

-- What is to be done, with its tokens as they were learned, else as
-- scheduler/estimate.h guesses: p_lines is [{model, lines, bytes, cap, alike}].
drop function if exists sluice.plan_work(json, integer);
create function sluice.plan_work(p_lines json, p_max_tokens integer)
returns table (model text, lines double precision, input double precision,
    output double precision, cap double precision, answers double precision,
    share double precision)
language sql stable set search_path = '' as $$
	select l.model, l.lines, case when e.ratio > 0 then l.bytes * e.ratio
			else l.bytes / 3 + 1 end,
		least(coalesce(e.output, 512), coalesce(l.cap, p_max_tokens)),
		coalesce(l.cap, p_max_tokens), coalesce(e.n, 0), sluice.call_share(l.alike, l.bytes)
	from json_to_recordset(p_lines) as l (model text, lines double precision,
		bytes double precision, cap double precision, alike boolean)
	left join lateral (
		select (s.learned ->> 'ratio')::double precision as ratio,
			(s.learned ->> 'output')::double precision as output,
			(s.learned ->> 'n')::double precision as n
		from sluice.estimate s
		where s.model = l.model and (s.learned ->> 'n')::double precision > 0
		order by 3 desc limit 1
	) e on true
$$;

-- Every way of every model: what a line costs by it and how long a call takes, and
-- of each limit on it what a line takes and what there is in a second.  One row
-- without a limit where none is known.
create or replace function sluice.plan_ways(p_lines json, p_max_tokens integer)
returns table (model text, lines double precision, path_id integer, kind text,
    money double precision, priced boolean, latency double precision,
    limit_id integer, units double precision, rate double precision)
language plpgsql stable set search_path = '' as $$
#variable_conflict use_column
begin
	return query
		select w.model, w.lines, p.id, p.kind,
			coalesce((w.input * c.input + w.output * c.output) / 1e6, 0), c.path_id is not null,
			e.ms / 1000, l.id,
			(case when l.dimension in ('concurrent', 'requests')
				then 1 / least(p.combine, w.share)
				else sluice.limit_units(l, p.charge,
				round(w.input)::bigint, round(case when p.charge like 'declared%'
					then coalesce(w.cap, w.output) else w.output end)::bigint)
				end)::double precision,
			l.amount * (1 - l.headroom) * (1 - l.reserve) / case
				when l.dimension = 'concurrent' then e.ms / 1000
				-- A part stays free against answers longer than thought
				-- (bench/unknown_tokens).
				when l.dimension in ('tokens', 'output_tokens') and p.charge = 'actual'
				then l.window_s / 0.965
				else l.window_s + 0.45 end
		from sluice.plan_work(p_lines, p_max_tokens) w
		join sluice.path p on p.removed_at is null and exists (
			select from unnest(p.models) g where sluice.glob_match(g, w.model))
		left join lateral sluice.price_of(p.id, w.model) c on true
		left join lateral (select nullif((s.learned ->> 'ms')::double precision, 0) as ms
			from sluice.estimate s where s.path_id = p.id and s.model = w.model) e on true
		left join sluice.rate_limit l on l.pool_id = p.pool_id and l.removed_at is null
		    and (l.path_id is null or l.path_id = p.id)
		    and sluice.glob_match(l.model, w.model) and l.dimension not like 'enqueued%'
		    and (l.window_s > 0 or e.ms is not null);
end $$;

-- Seconds that all lines need when they go by these paths, each by all that serve
-- its model in proportion to their speed, after what is due before them
-- (plan_ahead()); what it costs; the limit that binds, and whether it is a budget
-- that is hurried for the deadline, so many seconds after the beginning (null: all
-- as fast as may be).
drop function if exists sluice.plan_need(json, integer, integer[]);
create or replace function sluice.plan_need(
    p_lines json, p_max_tokens integer, p_paths integer[], p_ahead jsonb,
    p_left_s double precision, out need_s double precision,
    out money double precision, out latency double precision, out limit_id integer,
    out missing boolean, out hurried boolean
)
language plpgsql stable set search_path = '' as $$
begin
	with even as materialized (
		select w.*, coalesce((p_ahead ->> w.limit_id::text)::double precision, 0)
			as ahead
		from sluice.plan_ways(p_lines, p_max_tokens) w
		where w.path_id = any (p_paths)
	), due as (
		select d.limit_id, sum(d.units) + min(d.ahead) as units,
			max(d.latency) as latency
		from (select e.limit_id, e.lines * max(e.units) as units,
				min(e.ahead) as ahead, max(e.latency) as latency
			from even e where e.limit_id is not null
			group by e.limit_id, e.model, e.lines) d
		group by d.limit_id
	), pace as materialized (
		select l.id, sluice.budget_pace(l, d.units, p_left_s, d.latency) as rate,
			sluice.budget_pace(l, 0, p_left_s, d.latency) as even
		from due d join sluice.rate_limit l on l.id = d.limit_id
		where sluice.is_budget(l)
	), way as materialized (
		select w.*, coalesce(min(w.pace / w.units) over (
			partition by w.model, w.path_id), 1e6) as speed
		from (select e.*, coalesce(p.rate, e.rate) as pace
			from even e left join pace p on p.id = e.limit_id) w
	), flow as (
		select f.*, f.speed / sum(f.speed) over (partition by f.model) as share
		from (select distinct on (w.model, w.path_id) w.model, w.path_id, w.lines,
				w.money, w.latency, w.speed
			from way w) f
	), load as (
		select w.limit_id, max(w.pace) as pace,
			sum(w.lines * f.share * w.units) + min(w.ahead) as units
		from way w join flow f on f.model = w.model and f.path_id = w.path_id
		where w.limit_id is not null
		group by w.limit_id
	), need as (
		select o.limit_id, p.rate > p.even as hurried,
			greatest(case when p.id is null or p.rate = p.even
					or o.units <= sluice.budget_by(l, p_left_s)
					then o.units / o.pace end,
				case when p.id is not null
					then sluice.budget_need_s(l, o.units) end) as s
		from load o join sluice.rate_limit l on l.id = o.limit_id
		left join pace p on p.id = o.limit_id
	)
	select n.s, n.limit_id, n.hurried, f.money, f.latency,
		exists (select from json_array_elements(p_lines) j
			where not exists (select from flow f where f.model = j ->> 'model'))
	into need_s, limit_id, hurried, money, latency, missing
	from (select sum(f.lines * f.share * f.money) as money,
			max(f.latency) as latency from flow f) f
	left join (select * from need x order by x.s desc, x.limit_id limit 1) n on true;
	hurried := coalesce(hurried, false);
end $$;

-- Of the paths those that go first: the cheapest of each model by the rules of
-- scheduler/route.c, or with p_direct those that are direct.
create or replace function sluice.plan_paths(
    p_lines json, p_max_tokens integer, p_direct boolean
) returns integer[]
language sql stable set search_path = '' as $$
	with way as (
		select distinct w.model, w.path_id, w.kind, w.money, w.priced
		from sluice.plan_ways(p_lines, p_max_tokens) w
	), guessed as (
		select w.*, case when w.priced then w.money when w.kind = 'direct' then 0
			else coalesce(nullif(min(w.money) filter (where w.kind = 'direct'
				and w.priced) over (partition by w.model), 0) / 2, -1) end as cost
		from way w
	), ranked as (
		select g.*, min(g.cost) filter (where not p_direct or g.kind = 'direct')
			over (partition by g.model) as least
		from guessed g
	)
	select array_agg(distinct r.path_id)
	from ranked r
	where case when p_direct then r.kind = 'direct'
		else r.cost <= r.least + abs(r.least) * 1e-6 end
$$;

-- Units of each limit that others take, due before: {limit: units}.
drop function if exists sluice.plan_ahead_s(integer, bigint, timestamptz);
create or replace function sluice.plan_ahead(p_batch bigint, p_deadline timestamptz)
returns jsonb
language plpgsql stable set search_path = '' as $$
begin
	return (select jsonb_object_agg(a.limit_id, a.units)
	from (select r.limit_id, sum(g.lines * r.share * r.units) as units
		from sluice.waiting(p_batch, p_deadline) g
		cross join lateral sluice.way_rates(g.model, g.input, g.output, g.share) r
		where not g.own and r.limit_id is not null
		group by r.limit_id) a);
end $$;

create or replace function sluice.plan_limit(p_limit integer) returns text
language plpgsql stable set search_path = '' as $$
begin
	return (select sluice.limit_text(l) || ' of ' || coalesce('path ' || p.name,
		'pool ' || o.name)
	from sluice.rate_limit l join sluice.pool o on o.id = l.pool_id
	left join sluice.path p on p.id = l.path_id
	where l.id = p_limit);
end $$;

-- By each path alone.
drop function if exists sluice.plan_by_path(json, integer, timestamptz, bigint, timestamptz);
drop function if exists sluice.plan_by_path(json, integer, timestamptz, text, bigint,
    timestamptz);
create or replace function sluice.plan_by_path(
    p_lines json, p_max_tokens integer, p_begin timestamptz, p_hours text,
    p_ahead jsonb, p_deadline timestamptz
) returns json
language plpgsql stable set search_path = '' as $$
begin
	return (select json_agg(json_strip_nulls(json_build_object('path', p.name, 'kind', p.kind,
		'cost', round(n.money), 'need_s', ceil(n.need_s),
		'ends_at', sluice.epoch(sluice.hours_after(p_hours, p_begin,
			n.need_s + coalesce(n.latency, 0) + 1)),
		'limit', sluice.plan_limit(n.limit_id),
		'serves_all', case when n.missing then false end)) order by n.money, p.name)
	from sluice.path p
	cross join lateral sluice.plan_need(p_lines, p_max_tokens, array[p.id], p_ahead,
		extract(epoch from p_deadline - p_begin)) n
	where p.removed_at is null and n.money is not null);
end $$;

/*
 * As it will be routed: {ends_at, ends_between, cost, by, limit, ...}.  Patient lines
 * by the cheapest paths; what those do not carry by the latest start goes direct.
 */
drop function if exists sluice.plan_routed(json, integer, timestamptz, bigint, timestamptz,
    text, boolean, integer);
drop function if exists sluice.plan_routed(json, integer, timestamptz, text, bigint,
    timestamptz, text, boolean, integer);
create or replace function sluice.plan_routed(
    p_lines json, p_max_tokens integer, p_begin timestamptz, p_hours text,
    p_ahead jsonb, p_deadline timestamptz, p_choice text, p_escalate boolean,
    p_priority integer
) returns json
language plpgsql stable set search_path = '' as $$
declare
	v_patient boolean := p_choice = 'cheap' or p_choice = 'auto' and p_priority < 3;
	v_main integer[] := sluice.plan_paths(p_lines, p_max_tokens, not v_patient);
	v_rest integer[] := sluice.plan_paths(p_lines, p_max_tokens, true);
	v_m record;
	v_r record;
	v_left_s double precision := sluice.hours_left_s(p_hours, p_begin, p_deadline);
	v_due_s double precision := extract(epoch from p_deadline - p_begin);
	v_guard_s double precision;
	v_part double precision := 1;	-- of the lines goes by the main paths
	v_need_s double precision;
	v_answers double precision;
	v_off double precision;
	v_rest_money double precision;
begin
	if v_main is null and p_choice = 'auto' then
		v_main := sluice.plan_paths(p_lines, p_max_tokens, false);
	end if;
	v_m := sluice.plan_need(p_lines, p_max_tokens, v_main, p_ahead, v_due_s);
	v_need_s := coalesce(v_m.need_s, 0);
	v_r := sluice.plan_need(p_lines, p_max_tokens, v_rest, null, null);
	v_guard_s := sluice.guard_s(v_left_s, v_r.latency);
	if v_patient and p_escalate and not v_main @> v_rest
	    and v_need_s > greatest(0, v_left_s - v_guard_s) * (1 + 1e-9) then
		v_rest_money := v_r.money;
		v_part := least(1, greatest(0, (v_left_s - v_guard_s) / v_need_s));
		if (1 - v_part) * coalesce(v_r.need_s, 0) > v_left_s - v_guard_s then
			-- Both at once from the beginning, and late all the same.
			v_part := coalesce(v_r.need_s, 0) / (v_need_s + coalesce(v_r.need_s, 0));
			v_need_s := v_need_s * v_part;
		else
			v_need_s := v_left_s - v_guard_s;
		end if;
	end if;
	select min(w.answers) into v_answers
	from sluice.plan_work(p_lines, p_max_tokens) w;
	v_off := case when v_answers >= 100 then 0.05 when v_answers >= 10 then 0.1
		else 0.5 end;
	return json_strip_nulls(json_build_object(
		'need_s', ceil(least(1e9, v_need_s)),
		'ends_at', sluice.epoch(sluice.hours_after(p_hours, p_begin, least(1e9 - 1,
			v_need_s + coalesce(v_m.latency, 0) + 1))),
		'ends_between', json_build_array(
			sluice.epoch(sluice.hours_after(p_hours, p_begin, least(1e9 - 1,
				v_need_s * (1 - v_off)))),
			sluice.epoch(sluice.hours_after(p_hours, p_begin, least(1e9 - 1,
				v_need_s * (1 + v_off) + 2 * coalesce(v_m.latency, 5) + 1)))),
		'cost', round(v_m.money * v_part + coalesce(v_rest_money * (1 - v_part), 0)),
		'in_time', v_need_s <= v_left_s,
		'hurried', case when v_m.hurried then true end,
		'direct_part', case when v_part < 1 then round((1 - v_part)::numeric, 3) end,
		'paths', (select json_agg(p.name order by p.name) from sluice.path p
			where p.id = any (v_main || case when v_part < 1 then v_rest end)),
		'limit', sluice.plan_limit(v_m.limit_id),
		'confidence', case when v_answers >= 100 then 'high'
			when v_answers >= 10 then 'medium' else 'low' end,
		'answers', round(v_answers)));
end $$;

-- When a batch with these options would begin.
create or replace function sluice.plan_begin(p_not_before timestamptz, p_hours text)
returns timestamptz
language sql stable set search_path = '' as $$
	select case when p_hours is null then b.at
		else coalesce(sluice.hours_next(p_hours, b.at), b.at) end
	from (select greatest(now(), p_not_before) as at) b
$$;

-- A batch that is not made: what it would take and cost.
create or replace function sluice.batch_plan(
    p_file sluice.file, p_deadline timestamptz, p_options json
) returns json
language plpgsql stable security definer set search_path = '' set jit = off as $$
declare
	v_lines json := (select json_agg(l) from sluice.file_lines(p_file, 10000) l);
	v_most integer := (p_options ->> 'max_tokens')::integer;
	v_begin timestamptz := sluice.plan_begin(
		to_timestamp((p_options ->> 'not_before')::bigint), p_options ->> 'hours');
	v_ahead jsonb := sluice.plan_ahead(null, p_deadline);
begin
	return json_strip_nulls(json_build_object('object', 'batch.plan',
		'input_file_id', sluice.file_name(p_file.uid),
		'lines', p_file.lines,
		'input_tokens', (select round(sum(w.lines * w.input))
			from sluice.plan_work(v_lines, v_most) w),
		'output_tokens', (select round(sum(w.lines * w.output))
			from sluice.plan_work(v_lines, v_most) w),
		'begins_at', sluice.epoch(v_begin), 'deadline', sluice.epoch(p_deadline),
		'routed', sluice.plan_routed(v_lines, v_most, v_begin,
			p_options ->> 'hours', v_ahead, p_deadline,
			coalesce(p_options ->> 'path', 'auto'),
			coalesce((p_options ->> 'escalate')::boolean, true),
			(p_options ->> 'priority')::integer),
		'paths', sluice.plan_by_path(v_lines, v_most, v_begin,
			p_options ->> 'hours', v_ahead, p_deadline)));
end $$;

-- The rest of one that runs: the same as routed, with what it has cost so far.  Once
-- a twentieth has been answered, money by what those lines cost; and where they all
-- go one way, time by their speed.
create or replace function sluice.batch_forecast(p_batch sluice.batch) returns json
language plpgsql stable security definer set search_path = '' set jit = off as $$
declare
	v_file sluice.file;
	v_lines json;
	v_left bigint;		-- not handed out
	v_all bigint;		-- that are sent
	v_rest bigint;		-- not answered
	v_routed jsonb;
	v_paid record;
	v_cost numeric;
	v_weight double precision;	-- of what was seen, to what limits tell
	v_need_s double precision;
begin
	select * into v_file from sluice.file f where f.id = p_batch.input_id;
	select coalesce(sum(w.lines), 0) as lines, coalesce(sum(w.money), 0) as money,
		sum(w.lines - w.first_lines) as seen,
		sum((w.lines - w.first_lines) / nullif(extract(epoch from
			w.last_at - w.first_at)::double precision, 0)) as speed,
		extract(epoch from max(w.last_at) - min(w.first_at)) as span_s
	into v_paid from sluice.batch_path w where w.batch_id = p_batch.id;
	v_all := p_batch.lines - coalesce(p_batch.duplicates, 0)
		- coalesce(p_batch.cached, 0);
	v_rest := v_all - v_paid.lines;
	select json_agg(json_build_object('model', l.model, 'lines', x.lines,
			'bytes', coalesce(f.bytes, v_file.bytes / greatest(v_file.lines, 1)),
			'cap', f.cap, 'alike', f.alike)), sum(x.lines)
	into v_lines, v_left
	from sluice.batch_lane l
	cross join lateral (select l.lines_left + (select count(*)
		from sluice.retry r where r.lane_id = l.id) as lines) x
	left join sluice.file_lines(v_file, 8) f on f.model = l.model
	where l.batch_id = p_batch.id;
	if v_left is null or v_rest <= 0 then
		return null;
	end if;
	v_routed := sluice.plan_routed(v_lines, p_batch.max_tokens,
		sluice.plan_begin(p_batch.not_before, p_batch.hours), p_batch.hours,
		sluice.plan_ahead(p_batch.id, p_batch.deadline), p_batch.deadline,
		p_batch.choice, p_batch.escalate, p_batch.priority);
	v_cost := case when v_paid.lines * 20 >= v_all
		    and v_routed -> 'direct_part' is null
		then v_paid.money::numeric / v_paid.lines * v_all
		else v_paid.money + coalesce((v_routed ->> 'cost')::numeric, 0)
			* v_rest / greatest(v_left, 1) end;
	v_routed := v_routed || jsonb_build_object('cost',
		round(least(v_cost, p_batch.cap)));
	if v_paid.speed > 0 and v_routed -> 'direct_part' is null
	    and v_routed -> 'hurried' is null and p_batch.hours is null then
		-- By its own speed, which says little before a minute of it was seen, as
		-- windows fill; what limits let through counts as 200 lines seen.  Lines
		-- that are out are as far behind as new ones ahead.
		v_weight := case when v_left > 0 then v_paid.seen / (v_paid.seen + 200.0)
			* least(1, v_paid.span_s / 60) else 1 end;
		v_need_s := v_rest / v_paid.speed * v_weight + coalesce(
			(v_routed ->> 'need_s')::double precision * v_rest / nullif(v_left, 0)
				* (1 - v_weight), 0);
		v_routed := v_routed || jsonb_build_object('need_s', ceil(v_need_s),
			'ends_at', sluice.epoch(now() + make_interval(secs => v_need_s + 0.5)),
			'ends_between', json_build_array(
				sluice.epoch(now() + make_interval(secs => v_need_s * 0.95)),
				sluice.epoch(now() + make_interval(secs => v_need_s * 1.05 + 1))),
			'in_time', now() + make_interval(secs => v_need_s) <= p_batch.deadline);
	end if;
	return v_routed::json;
end $$;
