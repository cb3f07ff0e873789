-- migrate: on change
--
-- Can it be done in time?  What the upstreams' limits let through, against what
-- must be done by then.

-- Do the lines of a file share calls, where a path combines them?
create or replace function sluice.file_alike(p_file sluice.file) returns boolean
language plpgsql stable set search_path = '' as $$
begin
	return coalesce((select k.combine[1] <> 0
		from (select q.chunk_id from sluice.place q
			where q.purge_day = p_file.purge_day and q.file_id = p_file.id
			    and q.lines > 0
			order by q.first_line limit 1) c
		join sluice.chunk k on k.purge_day = p_file.purge_day and k.id = c.chunk_id),
		false);
end $$;

-- Lines of such a length that share a call, where a path lets any number: those of
-- a chunk (SLC_CHUNK_LINES_MAX, SLC_CHUNK_BYTES_MAX).
create or replace function sluice.call_share(p_alike boolean, p_bytes double precision)
returns double precision
language sql immutable set search_path = '' as $$
	select case when p_alike
		then greatest(1, least(256, 131072 / greatest(p_bytes, 1))) else 1 end
$$;

-- What a line of a model with so many tokens takes of each limit on its way by a
-- path, and how much of it there is in a second.  Concurrency: calls, for as long
-- as they take on average, once that is known.  p_share: lines that share a call,
-- where the path lets them.  p_paces: of budgets that are not spent evenly
-- (budget_paces()).
drop function if exists sluice.path_rates(integer, text, double precision,
    double precision);
drop function if exists sluice.path_rates(integer, text, double precision,
    double precision, boolean);
drop function if exists sluice.path_rates(integer, text, double precision,
    double precision, double precision);
create or replace function sluice.path_rates(
    p_path integer, p_model text, p_input double precision, p_output double precision,
    p_share double precision default 1, p_paces jsonb default null
) returns table (limit_id integer, units double precision, rate double precision)
language plpgsql stable set search_path = '' as $$
#variable_conflict use_column
begin
	return query
		select l.id, case when l.dimension in ('concurrent', 'requests')
				then 1 / least(p.combine, p_share)
				else sluice.limit_units(l, p.charge, p_input::bigint,
					p_output::bigint)::double precision end,
			coalesce((p_paces ->> l.id::text)::double precision,
				l.amount * (1 - l.headroom) * (1 - l.reserve)
				/ case l.dimension when 'concurrent' then e.ms / 1000
					else l.window_s end)
		from sluice.path p
		join sluice.rate_limit l on l.pool_id = p.pool_id and l.removed_at is null
		    and (l.path_id is null or l.path_id = p.id)
		    and sluice.glob_match(l.model, p_model)
		left join lateral (select nullif((q.learned ->> 'ms')::double precision, 0) as ms
			from sluice.estimate q where q.path_id = p.id and q.model = p_model) e on true
		where p.id = p_path and l.dimension not like 'enqueued%'
		    and (l.window_s > 0 or e.ms is not null);
end $$;

-- The same of all paths that serve the model, each with its share of the lines:
-- in proportion to what it lets through.  Of a path without any limit: one row
-- that has none.
drop function if exists sluice.way_rates(text, double precision, double precision);
drop function if exists sluice.way_rates(text, double precision, double precision,
    boolean);
drop function if exists sluice.way_rates(text, double precision, double precision,
    double precision);
create or replace function sluice.way_rates(
    p_model text, p_input double precision, p_output double precision,
    p_share double precision default 1, p_paces jsonb default null
) returns table (path_id integer, limit_id integer, units double precision,
    rate double precision, lines_s double precision, share double precision)
language plpgsql stable set search_path = '' as $$
#variable_conflict use_column
begin
	return query
		with way as (
			select p.id, r.limit_id, r.units, r.rate,
				coalesce(min(r.rate / r.units) over (partition by p.id), 1e9) as lines_s
			from sluice.path p
			left join lateral sluice.path_rates(p.id, p_model, p_input, p_output,
				p_share, p_paces) r on true
			where p.removed_at is null and p.kind <> 'batches' and exists (
				select from unnest(p.models) g where sluice.glob_match(g, p_model))
		)
		select w.id, w.limit_id, w.units, w.rate, w.lines_s,
			w.lines_s / (select sum(d.lines_s)
				from (select distinct on (o.id) o.id, o.lines_s from way o) d)
		from way w;
end $$;

-- What was learned of the model's tokens, null where nothing was.
create or replace function sluice.model_tokens(
    p_model text, out ratio double precision, out output double precision
)
language plpgsql stable set search_path = '' as $$
begin
	select avg((e.learned ->> 'ratio')::double precision),
		avg((e.learned ->> 'output')::double precision)
	into ratio, output
	from sluice.estimate e
	where e.model = p_model and (e.learned ->> 'n')::double precision > 0;
end $$;

-- Lines that wait in batches due before one (and in itself: own), with their
-- tokens on average: as learned, else as scheduler/estimate.h guesses.  What was
-- learned is asked once for a model, not for a lane: there may be many thousands.
drop function if exists sluice.waiting(bigint, timestamptz);
create function sluice.waiting(p_batch bigint, p_deadline timestamptz)
returns table (model text, own boolean, lines numeric, input double precision,
    output double precision, share double precision)
language plpgsql stable set search_path = '' as $$
#variable_conflict use_column
begin
	return query
		select w.model, w.own, w.lines, w.bytes / w.lines * coalesce(t.ratio, 1.0 / 3),
			coalesce(t.output, w.cap / w.lines),
			sluice.call_share(w.alike, w.bytes / w.lines)
		from (
			select n.model, n.own, sum(n.lines) as lines, sum(n.lines * n.bytes) as bytes,
				sum(n.lines * n.cap)::double precision as cap,
				bool_and(n.alike) as alike
			from (
				select l.model, l.alike, l.batch_id is not distinct from p_batch as own,
					f.bytes::double precision / greatest(f.lines, 1) as bytes,
					coalesce(l.max_tokens, 512) as cap,
					l.lines_left + case when l.batch_id = p_batch then (
						select count(*) from sluice.retry r
						where r.lane_id = l.id) else 0 end as lines
				from sluice.batch_lane l
				join sluice.batch b on b.id = l.batch_id
				join sluice.file f on f.id = l.file_id
				where b.state in ('validating', 'in_progress')
				    and b.paused_at is null
				    and (l.batch_id = p_batch or l.lines_left > 0
					and (b.deadline, b.id) < (p_deadline,
						coalesce(p_batch, 1::bigint << 62)))
			) n
			where n.lines > 0
			group by n.model, n.own
		) w
		cross join lateral sluice.model_tokens(w.model) t;
end $$;

drop function if exists sluice.line_tokens(sluice.file, text, integer);

-- Seconds that so many lines of a file need with all of what there is.
create or replace function sluice.lines_need_s(
    p_file sluice.file, p_model text, p_max_tokens integer, p_lines bigint
) returns double precision
language plpgsql stable set search_path = '' as $$
begin
	return (select p_lines / nullif(sum(w.lines_s), 0)
	from (
		select distinct on (r.path_id) r.path_id, r.lines_s
		from sluice.model_tokens(p_model) t
		cross join lateral sluice.way_rates(p_model,
			p_file.bytes::double precision / greatest(p_file.lines, 1)
				* coalesce(t.ratio, 1.0 / 3),
			coalesce(t.output, p_max_tokens, 512), sluice.call_share(
				sluice.file_alike(p_file),
				p_file.bytes::double precision / greatest(p_file.lines, 1))) r
	) w);
end $$;

-- The budgets' paces (budget_paces()) when all that waits is due in so many seconds.
create or replace function sluice.waiting_paces(p_waiting json, p_left_s double precision)
returns jsonb
language plpgsql stable set search_path = '' as $$
begin
	if not exists (select from sluice.rate_limit l
	    where l.removed_at is null and sluice.is_budget(l)) then
		return null;
	end if;
	return sluice.budget_paces((select jsonb_object_agg(d.limit_id, d.units)
		from (select x.limit_id, sum(x.units) as units
			from (select r.limit_id, n.lines * max(r.units) as units
				from json_to_recordset(p_waiting) n (model text, own boolean,
					lines double precision, input double precision,
					output double precision, share double precision)
				cross join lateral sluice.way_rates(n.model, n.input, n.output,
					n.share) r
				where r.limit_id is not null
				group by n.model, n.own, n.lines, r.limit_id) x
			group by x.limit_id) d), p_left_s);
end $$;

-- How a batch stands to its deadline, if all that are due by then (p_ahead, and
-- their lines) go first and in that order: of the limits on its ways the one that
-- needs longest.  A twentieth of the time is kept for retries.
create or replace function sluice.batch_outlook(p_batch sluice.batch) returns json
language plpgsql stable security definer set search_path = '' as $$
declare
	v_from timestamptz := greatest(now(), p_batch.not_before);
	v_left_s double precision := sluice.hours_left_s(p_batch.hours, v_from,
		p_batch.deadline);	-- in which it may go
	v_waiting json := (select json_agg(n)
		from sluice.waiting(p_batch.id, p_batch.deadline) n);
	-- Budgets are spent for deadlines, whatever the hours.
	v_paces jsonb := sluice.waiting_paces(v_waiting,
		extract(epoch from p_batch.deadline - v_from));
	v_limit record;
	v_fair sluice.fairness;
begin
	with load as (
		select r.limit_id, max(r.rate) as rate, bool_or(n.own) as own,
			sum(n.lines * r.share * r.units) as units,
			sum(n.lines) filter (where n.own) as own_lines,
			sum(n.lines) filter (where not n.own) as ahead,
			coalesce(sum(n.lines * r.share * r.units) filter (where not n.own), 0)
				as ahead_units
		from json_to_recordset(v_waiting) n (model text, own boolean,
			lines double precision, input double precision,
			output double precision, share double precision)
		cross join lateral sluice.way_rates(n.model, n.input, n.output, n.share,
			v_paces) r
		where r.limit_id is not null
		group by r.limit_id
	), stand as (
		select x.*, l, sluice.is_budget(l) as budget, sluice.is_budget(l)
			and p_batch.hours is null and not (sluice.budget_stand(l)).steady
			as hurried
		from load x join sluice.rate_limit l on l.id = x.limit_id
		where x.own
	), need as (
		select s.*, s.units <= b.by_then as feasible, b.by_then, greatest(
			case when s.budget then sluice.budget_need_s(s.l, s.units) end,
			case when not s.hurried then s.units / s.rate
				when s.units <= b.by_then then s.units / s.rate end) as need_s
		from stand s
		cross join lateral (select least(
			case when s.budget then sluice.budget_by(s.l, v_left_s * 0.95) end,
			case when not s.hurried then s.rate * v_left_s * 0.95 end)
			* (1 + 1e-9) as by_then) b
	)
	select x.*, sluice.limit_text(x.l) as text,
		case when (x.l).path_id is null then 'pool ' || o.name
			else 'path ' || p.name end as whose
	into v_limit
	from need x
	join sluice.pool o on o.id = (x.l).pool_id
	left join sluice.path p on p.id = (x.l).path_id
	order by x.feasible, x.need_s desc, x.limit_id limit 1;
	select * into v_fair from sluice.fairness f where f.at > now() - interval '10 s';
	return json_strip_nulls(json_build_object(
		'feasible', coalesce(v_limit.feasible, true),
		'danger', case when p_batch.id = any (v_fair.late) then 'will miss it'
			when p_batch.id = any (v_fair.danger) then 'goes first' end,
		'need_s', ceil(v_limit.need_s), 'left_s', floor(v_left_s),
		'ends_at', case when v_limit.need_s is not null then sluice.epoch(
			sluice.hours_after(p_batch.hours, v_from,
				least(v_limit.need_s, 1e9 - 1))) end,
		'lines', v_limit.own_lines, 'lines_ahead', v_limit.ahead,
		-- Of its own, how many can be done by then.
		'lines_in_time', case when not v_limit.feasible then
			floor(v_limit.own_lines * greatest(0, least(1,
				(v_limit.by_then - v_limit.ahead_units)
				/ nullif(v_limit.units - v_limit.ahead_units, 0)))) end,
		'limit', v_limit.text, 'of', v_limit.whose));
end $$;

-- Refuse what cannot be done in time, with the numbers.
create or replace function sluice.batch_require_feasible(p_batch sluice.batch)
returns void
language plpgsql stable security definer set search_path = '' as $$
declare
	v_outlook json := sluice.batch_outlook(p_batch);
begin
	if (v_outlook ->> 'feasible')::boolean then
		return;
	end if;
	perform sluice.refuse(422, 'not_feasible', 'completion_window', format(
		'The batch cannot be done in time: its %s lines, with %s of other batches '
		'due before, take %s s under %s of %s, and there are %s s; %s of its lines '
		'can be done by then.', v_outlook ->> 'lines',
		coalesce(v_outlook ->> 'lines_ahead', '0'), v_outlook ->> 'need_s',
		v_outlook ->> 'limit', v_outlook ->> 'of', v_outlook ->> 'left_s',
		v_outlook ->> 'lines_in_time'));
end $$;
