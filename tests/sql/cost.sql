-- What results cost, and what direct would have.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(9);

select sluice.config_apply('{"paths": [
	{"name": "main", "url": "http://x", "models": ["*"],
		"prices": [{"model": "m", "input": 2000000, "output": 4000000}]},
	{"name": "dear", "url": "http://x", "models": ["*"],
		"prices": [{"input": 9000000, "output": 9000000}]},
	{"name": "cheap", "url": "http://x", "models": ["*"], "suffix": ":batch",
		"prices": [{"input": 1000000, "cached_input": 500000, "output": 2000000}]}
	]}', false, false) is not null;
insert into sluice.batch_lane (batch_id, account_id, file_id, purge_day, model,
	model_index, endpoint, priority, deadline, lines_left)
select 1, 1, 1, '2030-01-01', m, 1, '/v1/x', 2, now(), 1 from unnest(array['m', 'n']) m;
create function pg_temp.lane(p_model text) returns bigint language sql as
	$$select id from sluice.batch_lane where model = p_model$$;
create function pg_temp.path(p_name text) returns integer language sql as
	$$select id from sluice.path where name = p_name$$;
create function pg_temp.money(p_models text[], p_paths text[], p_cached integer)
returns text language sql as $$
	select m.money::text || ' ' || m.direct_money::text
	from sluice.chunk_money(array(select pg_temp.lane(x) from unnest(p_models) x),
		array(select pg_temp.path(x) from unnest(p_paths) x),
		array_fill(100, array[cardinality(p_models)]),
		array_fill(p_cached, array[cardinality(p_models)]),
		array_fill(10, array[cardinality(p_models)])) m
$$;

select is(pg_temp.money('{m}', '{cheap}', 0), '{120} {240}');
select is(pg_temp.money('{m}', '{cheap}', 40), '{100} {240}',
	'cached input has a price of its own by one path, not by the other');
select is(pg_temp.money('{m}', '{dear}', 0), '{990} {990}',
	'what goes direct costs what that path costs');
select is(pg_temp.money('{n}', '{cheap}', 0), '{120} {990}',
	'of direct paths the cheapest that has a price');
select is(pg_temp.money('{m,n,m,m}', '{cheap,cheap,main,cheap}', 0),
	'{120,120,240,120} {240,990,240,240}', 'several ways in one chunk');
select is((select money from sluice.chunk_money(null, array[1], array[1], array[0],
	array[1])), null, 'nobody said whose lines they are');
select is(sluice.chunk_paths(array[7, null, 7, 8], array[1, 5, 2, 3]::bigint[],
		array[2, 5, 4, 6]::bigint[])::jsonb,
	'[{"path": 7, "lines": 2, "money": 3, "direct": 6},
	  {"path": 8, "lines": 1, "money": 3, "direct": 6}]'::jsonb);
select is((select convert_from(d.bytes, 'UTF8') from sluice.chunk_details(
		convert_to(E'{"a":1}\n{"b":"\u00e9"}\n', 'UTF8'), array[8, 19],
		array[pg_temp.path('cheap'), pg_temp.path('main')], array[1, 2]::smallint[],
		array[100, 7], array[10, 8], array[120, 9]::bigint[], array[240, 9]::bigint[])
		d),
	'{"a":1,"sluice":{"path":"cheap","attempts":1,"input_tokens":100,"output_tokens":10,'
	'"cost":120,"direct_cost":240}}' || E'\n'
	'{"b":"\u00e9","sluice":{"path":"main","attempts":2,"input_tokens":7,'
	'"output_tokens":8,"cost":9,"direct_cost":9}}' || E'\n');
select is((select d.line_end[2] = octet_length(d.bytes) from sluice.chunk_details(
	convert_to(E'{"a":1}\n{"b":"\u00e9"}\n', 'UTF8'), array[8, 19],
	array[1, 1], array[1, 2]::smallint[], array[100, 7], array[10, 8],
	array[120, 9]::bigint[], array[240, 9]::bigint[]) d), true);

select * from finish();
rollback;
