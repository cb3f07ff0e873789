-- Usage: prices, what is added comes out whole however often it is folded.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(16);

insert into sluice.account (name) values ('a'), ('b');
create temp table t as select
	(select id from sluice.account where name = 'a') as a,
	(select id from sluice.account where name = 'b') as b,
	null::integer as path;
create temp table changes as select sluice.config_apply('{"paths":[{"name":"p",
	"url":"http://x","models":["*"]}]}', false, false);
update t set path = (select id from sluice.path where name = 'p');
insert into sluice.price (path_id, model, input, cached_input, output)
select path, model, input, cached, output from t, (values
	('*', 1000, null, 2000),
	('gpt-*', 150000, 75000, 600000),
	('gpt-5*', 1250000, null, 10000000),
	('gpt-5?', 7, 7, 7)) as p (model, input, cached, output);

-- Prices
select is((select p.model from t, sluice.price_of(path, 'gpt-4') p), 'gpt-*');
select is((select p.model from t, sluice.price_of(path, 'gpt-5') p), 'gpt-5*');
select is((select p.model from t, sluice.price_of(path, 'x') p), '*');
select is((select sluice.money_of(path, 'gpt-4', 1000000, 400000, 10) from t),
	90000::bigint + 30000 + 6, 'cached tokens at their own price');
select is((select sluice.money_of(path, 'gpt-5', 1000000, 400000, 0) from t),
	1250000::bigint, 'or, without one, as input');
select is((select sluice.money_of(path, 'gpt-4', 10, 0, 0) from t), 2::bigint,
	'to the nearest');
select is(sluice.money_of(0, 'gpt-4', 10, 0, 0), 0::bigint, 'no price, no money');

-- What comes is seen at once, and folded
select sluice.usage_add(a, 7, path, 'm', 'live', 1, 0, 0, 10, 2, 3, 4) is null,
	sluice.usage_add(a, 7, path, 'm', 'live', 1, 1, 0, 10, 2, 3, 4) is null,
	sluice.usage_add(a, null, null, 'm', 'live', 0, 0, 1, 0, 0, 0, 0) is null
from t;
create function pg_temp.sums() returns text language sql as $$
	select concat_ws(' ', sum(requests), sum(failed), sum(refused),
		sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(money))
	from sluice.usage_all
$$;
select is(pg_temp.sums(), '2 1 1 20 4 6 8');
select is(sluice.usage_fold(2) + sluice.usage_fold(2) + sluice.usage_fold(2), 3,
	'bounded, and no row twice');
select is(pg_temp.sums(), '2 1 1 20 4 6 8');
select results_eq('select path_id, requests, refused from sluice.usage order by 1',
	'select 0, 0::bigint, 1::bigint union all select path, 2, 0 from t order by 1');

-- Ten thousand minutes before now, two keys each: minutes, hours, days
insert into sluice.usage (span_s, at, account_id, key_id, path_id, model, kind,
	requests, failed, refused, input_tokens, cached_tokens, output_tokens, money)
select 60, date_trunc('minute', now()) - i * interval '37 min', b, k, path, 'm',
	'batch', 1, i % 2, 1, i, i / 2, 3 * i, i * k
from t, generate_series(1, 10000) i, generate_series(1, 2) k;
create temp table before as select pg_temp.sums() as sums;
create function pg_temp.fold_all() returns integer language plpgsql as $$
declare
	v_calls integer := 0;
begin
	while sluice.usage_fold(1500) > 0 loop
		v_calls := v_calls + 1;
	end loop;
	return v_calls;
end $$;
select cmp_ok(pg_temp.fold_all(), '>', 10, 'in pieces');
select is(pg_temp.sums(), (select sums from before), 'nothing is lost in rolling up');
select is_empty($$ select * from sluice.usage
	where span_s = 60 and at < now() - interval '2 days 1 hour'
	    or span_s = 3600 and at < now() - interval '91 days'
	    or extract(epoch from at)::bigint % span_s <> 0 $$);
select is((select count(distinct span_s)::integer from sluice.usage), 3);
select is(pg_temp.fold_all(), 0, 'once rolled up, it stays');

select * from finish();
rollback;
