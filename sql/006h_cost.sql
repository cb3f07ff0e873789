-- migrate: on change
--
-- What results cost, and what they would have cost by the direct path.

-- The price that a direct path asks for a model: of this path, if it is one, else
-- of the cheapest there is.
create or replace function sluice.direct_price(p_path integer, p_model text)
returns setof sluice.price
language sql stable set search_path = '' as $$
	select r.*
	from sluice.path p cross join lateral sluice.price_of(p.id, p_model) r
	where p.kind = 'direct' and (p.id = p_path or p.removed_at is null
		and not exists (select from sluice.path o
			where o.id = p_path and o.kind = 'direct')
		and exists (select from unnest(p.models) g
			where sluice.glob_match(g, p_model)))
	order by r.input + r.output, p.id
	limit 1
$$;

-- What a million tokens of a lane's model cost by a path, and by the direct one:
-- input, cached input, output, each twice.
create or replace function sluice.way_prices(p_lane bigint, p_path integer)
returns double precision[]
language plpgsql stable set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
	v_model text := (select l.model from sluice.batch_lane l where l.id = p_lane);
	v_own sluice.price;
	v_direct sluice.price;
begin
	select * into v_own from sluice.price_of(p_path, v_model);
	select * into v_direct from sluice.direct_price(p_path, v_model);
	if v_direct.path_id is null then
		v_direct := v_own;
	end if;
	return array[coalesce(v_own.input, 0),
		coalesce(v_own.cached_input, v_own.input, 0), coalesce(v_own.output, 0),
		coalesce(v_direct.input, 0),
		coalesce(v_direct.cached_input, v_direct.input, 0),
		coalesce(v_direct.output, 0)];
end $$;

-- The money of the lines of one chunk, by the prices of now: of each what it cost
-- and what direct would have; null, null when nothing has a price.  Generic plans
-- for this and what follows: settling goes through it.
create or replace function sluice.chunk_money(
    p_lane bigint[], p_path integer[], p_input integer[], p_cached integer[],
    p_output integer[], out money bigint[], out direct_money bigint[]
)
language plpgsql stable set search_path = '' set plan_cache_mode = force_generic_plan
set jit = off as $$
declare
	v_n integer := cardinality(p_lane);
	v_ways text[] := '{}';			-- lane and path
	v_prices double precision[] := '{}';	-- six of each
	v_price double precision[];
	v_way integer;
begin
	if p_lane is null or not exists (select from sluice.price) then
		return;
	end if;
	-- Mostly all lines of a chunk went one way, or two.
	for i in 1..v_n loop
		if i = 1 or p_lane[i] <> p_lane[i - 1] or p_path[i] <> p_path[i - 1] then
			v_way := array_position(v_ways, p_lane[i] || ' ' || p_path[i]);
			if v_way is null then
				v_ways := v_ways || (p_lane[i] || ' ' || p_path[i]);
				v_way := cardinality(v_ways);
				v_prices := v_prices || sluice.way_prices(p_lane[i],
					p_path[i]);
			end if;
			v_price := v_prices[v_way * 6 - 5:v_way * 6];
		end if;
		money[i] := round((greatest(p_input[i] - p_cached[i], 0) * v_price[1]
			+ least(p_cached[i], p_input[i]) * v_price[2]
			+ p_output[i] * v_price[3]) / 1e6::double precision);
		direct_money[i] := round((greatest(p_input[i] - p_cached[i], 0) * v_price[4]
			+ least(p_cached[i], p_input[i]) * v_price[5]
			+ p_output[i] * v_price[6]) / 1e6::double precision);
	end loop;
end $$;

-- By path: [{path, lines, money, direct}].
create or replace function sluice.chunk_paths(
    p_path integer[], p_money bigint[], p_direct bigint[]
) returns json
language plpgsql immutable set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
	return (select json_agg(json_build_object('path', s.path, 'lines', s.lines,
			'money', s.money, 'direct', s.direct) order by s.path)
		from (
			select u.path, count(*) as lines, coalesce(sum(u.money), 0) as money,
				coalesce(sum(u.direct), 0) as direct
			from unnest(p_path, p_money, p_direct) u (path, money, direct)
			where u.path is not null
			group by u.path
		) s);
end $$;

-- The lines of a chunk, each with a member `sluice` that tells its way and cost.
drop function if exists sluice.chunk_details(bytea, integer[], integer[], smallint[],
    integer[], integer[], bigint[], bigint[]);
create or replace function sluice.chunk_details(
    p_bytes bytea, p_line_end integer[], p_path integer[], p_sends smallint[],
    p_input integer[], p_output integer[], p_money bigint[], p_direct bigint[],
    p_shared smallint[] default null,	-- lines of the call
    out bytes bytea, out line_end integer[]
)
language sql stable set search_path = '' as $$
	with told as (
		select u.i, substring(p_bytes from coalesce(p_line_end[u.i - 1], 0) + 1
			for p_line_end[u.i] - coalesce(p_line_end[u.i - 1], 0) - 2)
			|| convert_to(',"sluice":' || json_strip_nulls(json_build_object(
				'path', p.name, 'attempts', p_sends[u.i],
				'input_tokens', p_input[u.i], 'output_tokens', p_output[u.i],
				'cost', p_money[u.i], 'direct_cost', p_direct[u.i],
				'combined', case when p_shared[u.i] > 1 then p_shared[u.i] end))
			|| E'}\n', 'UTF8') as line
		from unnest(p_path) with ordinality u (path, i)
		left join sluice.path p on p.id = u.path
	)
	select string_agg(t.line, ''::bytea order by t.i),
		array_agg(t.line_end::integer order by t.i)
	from (select w.i, w.line, sum(octet_length(w.line)) over (order by w.i) as line_end
		from told w) t
$$;

-- What chunks that get their places add to their batches, in their order.
create or replace function sluice.batch_paths_add(p_taken sluice.unplaced[])
returns void
language sql set search_path = '' as $$
	insert into sluice.batch_path as b (batch_id, path_id, lines, money, direct_money,
		first_lines)
	select u.batch_id, w.path, sum(w.lines), sum(w.money), sum(w.direct), sum(w.lines)
	from unnest(p_taken) u
	cross join lateral json_to_recordset(u.paths)
		as w (path integer, lines integer, money bigint, direct bigint)
	join sluice.batch k on k.id = u.batch_id
	group by u.batch_id, w.path
	order by u.batch_id, w.path
	on conflict (batch_id, path_id) do update set lines = b.lines + excluded.lines,
		money = b.money + excluded.money,
		direct_money = b.direct_money + excluded.direct_money,
		last_at = excluded.last_at
$$;

-- For the batch's object: [{path, lines, cost, direct_cost}].
create or replace function sluice.batch_paths(p_batch bigint) returns json
language plpgsql stable set search_path = '' as $$
begin
	return (select json_agg(json_build_object('path', p.name, 'lines', b.lines,
		'cost', b.money, 'direct_cost', b.direct_money) order by b.lines desc, p.name)
	from sluice.batch_path b join sluice.path p on p.id = b.path_id
	where b.batch_id = p_batch);
end $$;
