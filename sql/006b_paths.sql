-- migrate: on change
--
-- Pools, paths and limits, made as a document says.

-- The upstream still counts what a limit let through before it was removed: of
-- these, those that the sweep has not emptied yet come back as they were.
create or replace function sluice.limits_revive(
    p_pool integer, p_path integer, p_where text, p_limits json
) returns text[]
language sql set search_path = '' security definer as $$
	with wanted as (
		select distinct coalesce(j.model, '*') as model, j.dimension,
			coalesce(j.window_s, 0) as window_s
		from json_to_recordset(p_limits) as j (model text, dimension text,
			window_s integer)
	), latest as (
		select distinct on (l.model, l.dimension, l.window_s) l.id, l.removed_at
		from sluice.rate_limit l
		join wanted w using (model, dimension, window_s)
		where l.pool_id = p_pool and l.path_id is not distinct from p_path
		order by l.model, l.dimension, l.window_s, l.removed_at desc nulls first
	), revived as (
		update sluice.rate_limit l set removed_at = null
		from latest t
		where l.id = t.id
		    and l.removed_at > now() - make_interval(secs => (l.window_s + 60) * 2)
		returning l
	)
	select coalesce(array_agg(format('%s: limit %s = %s added, with what it had granted',
		p_where, sluice.limit_text(r.l), (r.l).amount) order by (r.l).id), '{}')
	from revived r
$$;

-- A path that comes back under its name is the same path.
create or replace function sluice.path_revive(p_name text) returns text[]
language sql set search_path = '' security definer as $$
	with revived as (
		update sluice.path p set removed_at = null
		where p.id = (select q.id from sluice.path q where q.name = p_name
			order by q.removed_at desc nulls first limit 1)
		    and p.removed_at is not null
		returning p.name
	)
	select array(select format('path %s: added', r.name) from revived r)
$$;

-- Make the limits of a pool (p_path null) or path exactly these.  A limit that
-- only changes its amount keeps its ledger.
create or replace function sluice.limits_set(
    p_pool integer, p_path integer, p_where text, p_limits json
) returns text[]
language plpgsql set search_path = '' security definer as $$
declare
	v_changes text[] := array[]::text[];
	v_new sluice.rate_limit;
	v_old sluice.rate_limit;
	v_kept integer[] := array[]::integer[];
begin
	v_changes := sluice.limits_revive(p_pool, p_path, p_where, p_limits);
	for v_new in
		select null::integer as id, p_pool as pool_id, p_path as path_id,
			coalesce(j.model, '*') as model, j.dimension,
			coalesce(j.window_s, 0) as window_s, j.amount,
			coalesce(j.headroom, 0) as headroom, coalesce(j.reserve, 0) as reserve,
			now() as created_at, null::timestamptz as removed_at,
			coalesce(j.stream_cost, 'once') as stream_cost
		from json_to_recordset(p_limits) as j (model text, dimension text,
			window_s integer, amount bigint, headroom double precision,
			reserve double precision, stream_cost text)
	loop
		select * into v_old from sluice.rate_limit l
		where l.pool_id = p_pool and l.path_id is not distinct from p_path
		    and l.model = v_new.model and l.dimension = v_new.dimension
		    and l.window_s = v_new.window_s and l.removed_at is null;
		if v_old.id is null then
			insert into sluice.rate_limit (pool_id, path_id, model, dimension,
				window_s, amount, headroom, reserve, stream_cost)
			values (p_pool, p_path, v_new.model, v_new.dimension,
				v_new.window_s, v_new.amount, v_new.headroom, v_new.reserve,
				v_new.stream_cost)
			returning * into v_old;
			v_changes := v_changes || format('%s: limit %s = %s added%s', p_where,
				sluice.limit_text(v_new), v_new.amount,
				case when v_new.stream_cost <> 'once'
					then ', a stream costs each ' || v_new.stream_cost else '' end);
		elsif (v_old.amount, v_old.headroom, v_old.reserve)
		    is distinct from (v_new.amount, v_new.headroom, v_new.reserve) then
			update sluice.rate_limit l set amount = v_new.amount,
				headroom = v_new.headroom, reserve = v_new.reserve
			where l.id = v_old.id;
			v_changes := v_changes || format(
				'%s: limit %s %s (headroom %s, reserve %s) -> %s (%s, %s)', p_where,
				sluice.limit_text(v_new), v_old.amount, v_old.headroom,
				v_old.reserve, v_new.amount, v_new.headroom, v_new.reserve);
		end if;
		if v_old.stream_cost <> v_new.stream_cost then
			update sluice.rate_limit l set stream_cost = v_new.stream_cost
			where l.id = v_old.id;
			v_changes := v_changes || format('%s: limit %s stream cost %s -> %s',
				p_where, sluice.limit_text(v_new), v_old.stream_cost,
				v_new.stream_cost);
		end if;
		v_kept := v_kept || v_old.id;
	end loop;
	for v_old in
		update sluice.rate_limit l set removed_at = now()
		where l.pool_id = p_pool and l.path_id is not distinct from p_path
		    and l.removed_at is null and l.id <> all (v_kept)
		returning *
	loop
		v_changes := v_changes || format('%s: limit %s = %s removed', p_where,
			sluice.limit_text(v_old), v_old.amount);
	end loop;
	return v_changes;
end $$;

create or replace function sluice.money_text(p_micros bigint) returns text
language sql immutable set search_path = '' as $$
	select regexp_replace(to_char(p_micros / 1000000.0, 'FM9999999999999990.000000'),
		'(\.\d\d\d*?)0*$', '\1')
$$;

create or replace function sluice.price_text(p_price sluice.price) returns text
language sql immutable set search_path = '' as $$
	select case when p_price.hours <> '' then p_price.hours || ': ' else '' end
		|| 'input ' || sluice.money_text(p_price.input)
		|| coalesce(', cached ' || sluice.money_text(p_price.cached_input), '')
		|| ', output ' || sluice.money_text(p_price.output)
$$;

-- Make the prices of a path exactly these; of two for one model and the same hours
-- the last counts.
create or replace function sluice.prices_set(p_path integer, p_where text, p_prices json)
returns text[]
language plpgsql set search_path = '' security definer as $$
declare
	v_changes text[];
begin
	perform sluice.hours_check(j ->> 'hours', 'prices')
	from json_array_elements(p_prices) j where j ->> 'hours' is not null;
	with wanted as (
		select distinct on (w.model, w.hours) w.*
		from (
			select coalesce(j.model, '*') as model, coalesce(j.hours, '') as hours,
				coalesce(j.input, 0) as input,
				j.cached_input, coalesce(j.output, 0) as output, j.i
			from rows from (json_to_recordset(p_prices) as (model text, hours text,
				input bigint, cached_input bigint, output bigint))
				with ordinality as j (model, hours, input, cached_input, output, i)
		) w
		order by w.model, w.hours, w.i desc
	), gone as (
		delete from sluice.price p
		where p.path_id = p_path and (p.model, p.hours) not in (
			select w.model, w.hours from wanted w)
		returning p.*
	), made as (
		insert into sluice.price as p (path_id, model, hours, input, cached_input,
			output)
		select p_path, w.model, w.hours, w.input, w.cached_input, w.output
		from wanted w
		on conflict (path_id, model, hours) do update
		set input = excluded.input, cached_input = excluded.cached_input,
			output = excluded.output
		where (p.input, p.cached_input, p.output) is distinct from
			(excluded.input, excluded.cached_input, excluded.output)
		returning p
	), said as (
		select format('%s: price of %s removed', p_where, g.model
			|| case when g.hours <> '' then ', ' || g.hours else '' end) as text,
			g.model
		from gone g
		union all
		select format('%s: price of %s is %s', p_where, (m.p).model,
			sluice.price_text(m.p)), (m.p).model
		from made m
	)
	select coalesce(array_agg(s.text order by s.model), '{}') into v_changes from said s;
	return v_changes;
end $$;

create or replace function sluice.pool_set(p_name text, p_limits json)
returns text[]
language plpgsql set search_path = '' security definer as $$
declare
	v_pool integer;
	v_changes text[] := array[]::text[];
begin
	select o.id into v_pool from sluice.pool o
	where o.name = p_name and o.removed_at is null;
	if v_pool is null then
		update sluice.pool o set removed_at = null
		where o.id = (select q.id from sluice.pool q where q.name = p_name
			order by q.removed_at desc limit 1)
		returning o.id into v_pool;
		if not found then
			insert into sluice.pool (name) values (p_name) returning id into v_pool;
		end if;
		v_changes := array[format('pool %s: added', p_name)];
	end if;
	if p_limits is not null then
		v_changes := v_changes || sluice.limits_set(v_pool, null,
			'pool ' || p_name, p_limits);
	end if;
	return v_changes;
end $$;

-- A path that is not up is tried anew once workers have heard of new settings, which
-- takes them half a second (BREAKER_EDIT_US of scheduler/breaker.h); also where it is
-- only named again, as its secret may be another in the same file.
create or replace function sluice.path_retry(p_path integer, p_changed boolean)
returns text[]
language sql set search_path = '' security definer as $$
	with again as (
		update sluice.path_state s
		set health = 'down', until = now() + interval '1 s', failures = 0,
			why = 'its settings have just changed', edited_at = now(),
			changed_at = now()
		where s.path_id = p_path and s.health <> 'up'
		    and (p_changed or s.until > now() + interval '1 s')
		returning s.path_id
	)
	select array(select format('path %s: tried again at once', p.name)
		from again a join sluice.path p on p.id = a.path_id)
$$;

create or replace function sluice.path_set(p_path json) returns text[]
language plpgsql set search_path = '' security definer as $$
declare
	v_changes text[] := array[]::text[];
	v_name text := p_path ->> 'name';
	v_pool_name text := coalesce(p_path ->> 'pool', v_name);
	v_old sluice.path;
	v_new sluice.path;
	v_field record;
begin
	v_changes := sluice.pool_set(v_pool_name, null) || sluice.path_revive(v_name);
	select * into v_old from sluice.path p
	where p.name = v_name and p.removed_at is null;
	v_new := v_old;
	v_new.pool_id := (select o.id from sluice.pool o
		where o.name = v_pool_name and o.removed_at is null);
	v_new.url := p_path ->> 'url';
	v_new.secret_file := p_path ->> 'secret_file';
	v_new.ca_file := p_path ->> 'ca_file';
	v_new.models := array(select json_array_elements_text(p_path -> 'models'));
	v_new.suffix := p_path ->> 'suffix';
	v_new.kind := coalesce(p_path ->> 'kind', case when v_new.suffix is null
		then 'direct' else 'suffix' end);
	if (v_new.kind = 'suffix') <> (v_new.suffix is not null) then
		perform sluice.refuse(400, 'invalid_value', 'suffix', format(
			'path %s: a suffix belongs to kind "suffix", and is needed there.',
			v_name));
	end if;
	v_new.dialect := coalesce(p_path ->> 'dialect', 'auto');
	v_new.charge := coalesce(p_path ->> 'charge', 'actual');
	v_new.http2 := coalesce((p_path ->> 'http2')::boolean, false);
	v_new.attempts := coalesce((p_path ->> 'attempts')::smallint, 5);
	v_new.connect_ms := coalesce((p_path ->> 'connect_ms')::integer, 10000);
	v_new.idle_ms := coalesce((p_path ->> 'idle_ms')::integer, 600000);
	v_new.whole_ms := coalesce((p_path ->> 'whole_ms')::integer, 900000);
	v_new.answer_max := coalesce((p_path ->> 'answer_max')::integer, 8388608);
	v_new.poll_ms := coalesce((p_path ->> 'poll_ms')::integer, 30000);
	v_new.linger_ms := coalesce((p_path ->> 'linger_ms')::integer, 10000);
	v_new.combine := coalesce((p_path ->> 'combine')::integer, 1);
	if v_new.kind = 'batches' and v_new.combine > 1 then
		perform sluice.refuse(400, 'invalid_value', 'combine', format(
			'path %s: a path of kind "batches" has no calls to combine lines in.',
			v_name));
	end if;
	if v_old.id is null then
		insert into sluice.path (name, pool_id, kind, suffix, url, secret_file,
			ca_file, models, dialect, charge, http2, attempts, connect_ms, idle_ms,
			whole_ms, answer_max, poll_ms, linger_ms, combine)
		values (v_name, v_new.pool_id, v_new.kind, v_new.suffix, v_new.url,
			v_new.secret_file, v_new.ca_file, v_new.models, v_new.dialect,
			v_new.charge,
			v_new.http2, v_new.attempts, v_new.connect_ms, v_new.idle_ms,
			v_new.whole_ms, v_new.answer_max, v_new.poll_ms, v_new.linger_ms,
			v_new.combine)
		returning * into v_new;
		v_changes := v_changes || format('path %s: added (dialect %s, charge %s)',
			v_name, v_new.dialect, v_new.charge);
	elsif v_old is distinct from v_new then
		update sluice.path p set pool_id = v_new.pool_id, url = v_new.url,
			secret_file = v_new.secret_file, ca_file = v_new.ca_file,
			models = v_new.models,
			kind = v_new.kind, suffix = v_new.suffix,
			dialect = v_new.dialect, charge = v_new.charge,
			http2 = v_new.http2, attempts = v_new.attempts,
			connect_ms = v_new.connect_ms, idle_ms = v_new.idle_ms,
			whole_ms = v_new.whole_ms, answer_max = v_new.answer_max,
			poll_ms = v_new.poll_ms, linger_ms = v_new.linger_ms,
			combine = v_new.combine
		where p.id = v_old.id;
		update sluice.rate_limit l set pool_id = v_new.pool_id
		where l.path_id = v_old.id;
		for v_field in
			select case n.key when 'pool_id' then 'pool' else n.key end as key,
				case n.key when 'pool_id' then (select name from sluice.pool
					where id = o.value::integer) else o.value end as old,
				case n.key when 'pool_id' then v_pool_name
					else n.value end as new
			from json_each_text(row_to_json(v_old)) o
			join json_each_text(row_to_json(v_new)) n on n.key = o.key
			where n.value is distinct from o.value
		loop
			v_changes := v_changes || format('path %s: %s %s -> %s', v_name,
				v_field.key, coalesce(v_field.old, 'none'),
				coalesce(v_field.new, 'none'));
		end loop;
	end if;
	return v_changes || sluice.path_retry(v_new.id, v_old is distinct from v_new)
		|| sluice.limits_set(v_new.pool_id, v_new.id,
		'path ' || v_name, coalesce(p_path -> 'limits', '[]'))
		|| sluice.prices_set(v_new.id, 'path ' || v_name,
			coalesce(p_path -> 'prices', '[]'));
end $$;

-- Lines handed out and not taken come back for another path; taken ones end.
create or replace function sluice.path_remove(p_name text) returns text[]
language plpgsql set search_path = '' security definer as $$
declare
	v_path sluice.path;
	v_run sluice.run;
begin
	update sluice.path p set removed_at = now()
	where p.name = p_name and p.removed_at is null
	returning * into v_path;
	if not found then
		perform sluice.refuse(404, null, 'path', format('No such path: "%s".', p_name));
	end if;
	for v_run in delete from sluice.run r
	    where r.path_id = v_path.id and r.worker_id is null
		and r.provider_id is null returning * loop
		perform sluice.run_give_back(v_run, false, 'path removed');
	end loop;
	update sluice.rate_limit l set removed_at = now()
	where l.path_id = v_path.id and l.removed_at is null;
	return array[format('path %s: removed', p_name)];
end $$;

create or replace function sluice.pool_remove(p_name text) returns text[]
language plpgsql set search_path = '' security definer as $$
declare
	v_pool sluice.pool;
begin
	select * into v_pool from sluice.pool o
	where o.name = p_name and o.removed_at is null for update;
	if not found then
		perform sluice.refuse(404, null, 'pool', format('No such pool: "%s".', p_name));
	end if;
	if exists (select from sluice.path p
	    where p.pool_id = v_pool.id and p.removed_at is null) then
		perform sluice.refuse(409, 'pool_in_use', 'pool',
			format('The pool "%s" has paths; remove or move them first.', p_name));
	end if;
	update sluice.pool o set removed_at = now() where o.id = v_pool.id;
	update sluice.rate_limit l set removed_at = now()
	where l.pool_id = v_pool.id and l.removed_at is null;
	return array[format('pool %s: removed', p_name)];
end $$;

-- Make pools and paths as the document says: {pools: [{name, limits}], paths:
-- [{name, pool, url, ..., limits}], remove_pools: [..], remove_paths: [..]}, and
-- what callers_apply() knows.
-- With p_prune what it does not name is removed.  Returns what changed, in words, and
-- in warnings which open batches are left without a path; with p_dry nothing is kept.
create or replace function sluice.config_apply(p_doc json, p_prune boolean, p_dry boolean)
returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_changes text[] := array[]::text[];
	v_callers text[];
	v_item json;
	v_name text;
	v_stranded text[];	-- models, before
	v_warnings json;
begin
	perform from sluice.config for update;
	v_stranded := array(select s.model from sluice.stranded() s);
	begin
		for v_item in select json_array_elements(coalesce(p_doc -> 'pools', '[]')) loop
			v_changes := v_changes || sluice.pool_set(v_item ->> 'name',
				coalesce(v_item -> 'limits', '[]'));
		end loop;
		for v_item in select json_array_elements(coalesce(p_doc -> 'paths', '[]')) loop
			v_changes := v_changes || sluice.path_set(v_item);
		end loop;
		for v_name in
			select json_array_elements_text(coalesce(p_doc -> 'remove_paths', '[]'))
			union all
			select p.name from sluice.path p
			where p_prune and p.removed_at is null and p.name not in (
				select j ->> 'name' from json_array_elements(
					coalesce(p_doc -> 'paths', '[]')) j)
		loop
			v_changes := v_changes || sluice.path_remove(v_name);
		end loop;
		for v_name in
			select json_array_elements_text(coalesce(p_doc -> 'remove_pools', '[]'))
			union all
			select o.name from sluice.pool o
			where p_prune and o.removed_at is null and o.name not in (
				select j ->> 'name' from json_array_elements(
					coalesce(p_doc -> 'pools', '[]')) j
				union all
				select coalesce(j ->> 'pool', j ->> 'name')
				from json_array_elements(coalesce(p_doc -> 'paths', '[]')) j)
		loop
			v_changes := v_changes || sluice.pool_remove(v_name);
		end loop;
		v_callers := sluice.callers_apply(p_doc::jsonb, p_prune);
		if cardinality(v_changes) > 0 then
			update sluice.config set revision = revision + 1;
		end if;
		select json_agg(s.said order by s.model) into v_warnings
		from sluice.stranded() s where s.model <> all (v_stranded);
		if p_dry then
			raise exception using errcode = 'SL001', message = 'dry run';
		end if;
	exception when sqlstate 'SL001' then
		null;
	end;
	return json_strip_nulls(json_build_object('object', 'changes', 'dry_run', p_dry,
		'changes', to_json(v_changes || v_callers), 'warnings', v_warnings));
end $$;
