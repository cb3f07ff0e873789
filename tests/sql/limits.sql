-- Limits that are removed and come back: what they granted still counts.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(13);

create function pg_temp.apply(p_doc text, p_prune boolean default false)
returns text[] language sql as $$
	select array(select json_array_elements_text(sluice.config_apply(p_doc::json,
		p_prune, false) -> 'changes'))
$$;
create function pg_temp.doc(p_limits text) returns text language sql as $$
	select format('{"paths":[{"name":"p","url":"http://x","models":["m"],
		"limits":[%s]}]}', p_limits)
$$;
create function pg_temp.minute(p_amount integer) returns text language sql as $$
	select pg_temp.doc(format('{"dimension":"requests","window_s":60,"amount":%s}',
		p_amount))
$$;
create temp table t as select sluice.lease_take('me', 5000) as epoch;
create temp table s (files integer, partitions integer);
select is(pg_temp.apply(pg_temp.minute(10)), array['pool p: added', 'path p: added (dialect auto, charge actual)',
	'path p: limit requests/1m = 10 added']);
create temp table was as select p.id as path, p.pool_id as pool, l.id as rate
from sluice.path p join sluice.rate_limit l on l.path_id = p.id;
insert into sluice.grant_cell (limit_id, cell, units)
select rate, sluice.epoch_us(now()) / sluice.cell_us(60), 7 from was;

-- The limit goes and comes
select is(pg_temp.apply(pg_temp.doc('')), '{path p: limit requests/1m = 10 removed}');
insert into s select r.* from t, lateral sluice.sweep(epoch) r;
select is((select sum(units) from sluice.grant_cell)::integer, 7,
	'a removed limit keeps its ledger for a while');
select is(pg_temp.apply(pg_temp.minute(20)), array['path p: limit requests/1m = 10 '
	'added, with what it had granted', 'path p: limit requests/1m 10 '
	'(headroom 0, reserve 0) -> 20 (0, 0)']);
select results_eq('select id, amount from sluice.rate_limit where removed_at is null',
	'select rate, 20::bigint from was', 'it is the same limit, of another amount');

-- The path
select is(pg_temp.apply('{"remove_paths":["p"]}'), '{path p: removed}');
select is(pg_temp.apply(pg_temp.minute(20)), array['path p: added',
	'path p: limit requests/1m = 20 added, with what it had granted']);
select results_eq('select p.id, l.id from sluice.path p join sluice.rate_limit l on
	l.path_id = p.id where p.removed_at is null and l.removed_at is null',
	'select path, rate from was', 'a path comes back as it was');

-- All of it, and to another pool
select is(pg_temp.apply('{}', true), '{path p: removed,pool p: removed}');
select pg_temp.apply(pg_temp.minute(20)) is not null;
select results_eq('select p.id, p.pool_id, l.id, l.pool_id from sluice.path p
	join sluice.rate_limit l on l.path_id = p.id
	where p.removed_at is null and l.removed_at is null',
	'select path, pool, rate, pool from was', 'so does a pool');
select pg_temp.apply('{"remove_paths":["p"]}') is not null;
select pg_temp.apply(replace(pg_temp.minute(20), '"name"', '"pool":"q","name"'))
	is not null;
select results_eq('select p.id, l.id, o.name from sluice.path p join sluice.rate_limit l
	on l.path_id = p.id join sluice.pool o on o.id = l.pool_id
	where p.removed_at is null and l.removed_at is null',
	$$ select path, rate, 'q' from was $$);

-- Long ago
select pg_temp.apply(pg_temp.doc('')) is not null;
update sluice.rate_limit set removed_at = now() - interval '5 min';
update sluice.grant_cell set cell = cell - 300000000 / sluice.cell_us(60);
insert into s select r.* from t, lateral sluice.sweep(epoch) r;
select is((select count(*) from sluice.grant_cell)::integer, 0);
select pg_temp.apply(pg_temp.minute(20)) is not null;
select is((select count(*) from sluice.rate_limit, was where removed_at is null
	and id <> rate)::integer, 1, 'what is too old to count is made anew');

select * from finish();
rollback;
