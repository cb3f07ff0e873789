-- migrate: on change
--
-- Paths that are down or gone, and the batches that wait for them.

-- What an operator can do about it, where that is known.
create or replace function sluice.path_fix(p_name text, p_why text) returns text
language sql immutable set search_path = '' as $$
	select case
		when p_why like 'HTTP 401%' then format('the upstream refuses its key: '
			'sluice path edit %s --secret-file FILE', p_name)
		when p_why like 'secret file %' then format('mend that file, or '
			'sluice path edit %s --secret-file FILE', p_name)
		when p_why ilike '%certificate%' then format('to trust it: '
			'sluice path edit %s --ca-file FILE', p_name)
		when p_why ilike '%connect to %' or p_why ilike '%resolve host%'
			then format('is it there? else sluice path edit %s --url URL', p_name)
		end
$$;

-- Why a path is not up, or null: {path, health, why, until, fix}; callers see it, and
-- where files of the operator's are is not for them.  What was found a
-- minute ago and not tried again since, as nothing was to be sent, is no news.
create or replace function sluice.path_down(p_path integer) returns json
language plpgsql stable set search_path = '' as $$
begin
	return (select json_strip_nulls(json_build_object('path', p.name,
		'health', s.health, 'why', case when s.why like 'secret file %'
			then 'its secret file cannot be used' else nullif(s.why, '') end,
		'until', extract(epoch from s.until), 'fix', sluice.path_fix(p.name, s.why)))
	from sluice.path_state s join sluice.path p on p.id = s.path_id
	where s.path_id = p_path and s.health <> 'up'
	    and (s.until > now() - interval '1 min' or exists (
		select from sluice.run r
		where r.path_id = p_path and r.worker_id is not null)));
end $$;

-- That no path serves a model any more.
create or replace function sluice.model_gone(p_model text, p_direct boolean)
returns json
language plpgsql stable set search_path = '' as $$
begin
	return (select json_strip_nulls(json_build_object('model', p_model,
		'why', format('no %spath serves the model %s any more', case when p_direct
			then 'direct ' else '' end, p_model), 'gone', p.name,
		'gone_at', extract(epoch from p.removed_at),
		'fix', format('sluice path add NAME --models %s', p_model)))
	from (select 1) one
	left join lateral (select q.name, q.removed_at from sluice.path q
		where q.removed_at is not null and (not p_direct or q.kind = 'direct')
		    and exists (select from unnest(q.models) g
			where sluice.glob_match(g, p_model))
		order by q.removed_at desc limit 1) p on true);
end $$;

-- Of the models whose lines have no result yet one that nothing can be sent of, as
-- all its paths are down or gone; of these the one that is tried again first.
-- Null: there is a way for each.  With p_now, of patient lines only the cheap ways
-- count, where there are any: the others are not for now.
create or replace function sluice.batch_down(p_batch bigint, p_now boolean)
returns json
language plpgsql stable security definer set search_path = '' as $$
begin
	return (with want as (
		select distinct l.model, b.choice, b.escalate,
			b.choice = 'cheap' or b.choice = 'auto' and b.priority < 3 as patient
		from sluice.batch_lane l join sluice.batch b on b.id = l.batch_id
		where l.batch_id = p_batch and (l.lines_left > 0
			or exists (select from sluice.retry r where r.lane_id = l.id)
			or exists (select from sluice.run r
				where r.batch_id = p_batch and r.lane_id = l.id))
	), way as (
		select w.*, p.id, p.kind <> 'direct' as cheap,
			bool_or(p.kind <> 'direct') over (partition by w.model) as some_cheap,
			sluice.path_down(p.id) as down
		from want w join sluice.path p on p.removed_at is null and exists (
			select from unnest(p.models) g where sluice.glob_match(g, w.model))
	), open as (	-- as scheduler/route.c
		select y.* from way y
		where case when y.choice = 'direct' then not y.cheap
			when y.patient and y.some_cheap and (p_now or not y.escalate)
			then y.cheap else true end
	)
	select d.why from (
		select w.model, sluice.model_gone(w.model, w.choice = 'direct') as why,
			0 as until
		from want w
		where not exists (select from open o where o.model = w.model)
		union all
		(select distinct on (o.model) o.model, o.down,
			(o.down ->> 'until')::double precision
		from open o
		where not exists (select from open u
			where u.model = o.model and u.down is null)
		order by o.model, (o.down ->> 'until')::double precision, o.id)
	) d
	order by d.until, d.model limit 1);
end $$;

-- Models that have lines in open batches and no path, in words.
create or replace function sluice.stranded() returns table (model text, said text)
language plpgsql stable set search_path = '' as $$
#variable_conflict use_column
begin
	return query
		with lane as materialized (
			select l.model, b.choice = 'direct' as direct, array_agg(l.id) as ids
			from sluice.batch_lane l join sluice.batch b on b.id = l.batch_id
			group by 1, 2
		), lost as (
			select n.model, l.batch_id, l.lines_left + (select count(*)
				from sluice.retry r where r.lane_id = l.id) + (
				select coalesce(sum(bit_count(r.open)), 0) from sluice.run r
				where r.batch_id = l.batch_id and r.lane_id = l.id) as lines
			from lane n join sluice.batch_lane l on l.id = any (n.ids)
			where not exists (select from sluice.path p, unnest(p.models) g
				where p.removed_at is null and (p.kind = 'direct' or not n.direct)
				    and sluice.glob_match(g, n.model))
		)
		select t.model, format('no path serves the model %s any more; what waits '
			'for one: %s with %s', t.model, case when t.batches = 1
				then '1 batch' else t.batches || ' batches' end,
			case when t.lines = 1 then '1 line' else t.lines || ' lines' end)
		from (
			select o.model, count(distinct o.batch_id) as batches,
				sum(o.lines) as lines
			from lost o where o.lines > 0 group by o.model
		) t;
end $$;

-- What its lines waited for, for those that are ended without having been sent.
create or replace function sluice.batch_waited(p_batch bigint) returns text
language plpgsql stable set search_path = '' as $$
declare
	v json := sluice.batch_waiting(p_batch);
begin
	return case when v ->> 'health' is not null then format(
			' It waited for path %s, which is down%s.', v ->> 'path',
			': ' || (v ->> 'why'))
		when v ->> 'model' is not null then format(' It waited: %s.', v ->> 'why')
		when v ->> 'paused' is not null then ' Its batch was paused.'
		when v ->> 'limit' is not null then format(' It waited for %s of %s.',
			v ->> 'limit', coalesce(v ->> 'of', 'path ' || (v ->> 'path')))
		else '' end;
end $$;

-- How a batch stands to its deadline, with a forecast, in one voice: where the
-- limits, the speed until now or the dispatcher say that it will be late, none says
-- otherwise.  While nothing can be sent nobody knows.
create or replace function sluice.batch_stands(p_batch sluice.batch) returns json
language plpgsql stable security definer set search_path = '' as $$
declare
	v_outlook jsonb := sluice.batch_outlook(p_batch)::jsonb;
	v_forecast jsonb;
	v_in_time boolean;
begin
	if sluice.batch_down(p_batch.id, false) is not null then
		return json_build_object('left_s', v_outlook -> 'left_s');
	end if;
	v_forecast := sluice.batch_forecast(p_batch)::jsonb;
	v_in_time := (v_outlook ->> 'feasible')::boolean
		and coalesce((v_forecast ->> 'in_time')::boolean, true)
		and coalesce(v_outlook ->> 'danger' <> 'will miss it', true);
	if v_forecast is not null then
		if (v_outlook ->> 'feasible')::boolean and not v_in_time then
			v_outlook := v_outlook || jsonb_strip_nulls(jsonb_build_object(
				'need_s', greatest((v_outlook ->> 'need_s')::double precision,
					(v_forecast ->> 'need_s')::double precision)));
		end if;
		v_forecast := v_forecast || jsonb_build_object('in_time', v_in_time);
		-- It will not end then.
		if not v_in_time and (v_forecast ->> 'ends_at')::double precision
		    <= extract(epoch from p_batch.deadline) then
			v_forecast := v_forecast - 'ends_at' - 'ends_between';
		end if;
	end if;
	return v_outlook || jsonb_build_object('feasible', v_in_time,
		'forecast', v_forecast);
end $$;
