-- Peaks beside limits, and what comes at this pace.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(31);

insert into sluice.account (name) values ('a'), ('b');
insert into sluice.api_key (account_id, name, hash, hint, scopes)
select id, 'k-' || name, sha256(name::bytea), 'hint', '{read}' from sluice.account
where name in ('a', 'b');
insert into sluice.plan (name) values ('free');
create temp table t as select
	(select id from sluice.account where name = 'a') as a,
	(select id from sluice.account where name = 'b') as b,
	(select id from sluice.api_key where name = 'k-a') as ka,
	(select id from sluice.api_key where name = 'k-b') as kb,
	(select id from sluice.plan where name = 'free') as plan;
update sluice.account set plan_id = plan from t where name in ('a', 'b');

create function pg_temp.limits(p_plan integer, p_key bigint, p_per text,
    p_dimension text, p_window integer, p_amount bigint, p_algorithm text)
returns integer language sql as $$
	insert into sluice.caller_limit (plan_id, key_id, per, dimension, window_s, amount,
		algorithm, applies, created_at)
	values (p_plan, p_key, p_per, p_dimension, p_window, p_amount, p_algorithm, 'both',
		now() - interval '30 days')
	returning id
$$;
create temp table l as select
	pg_temp.limits(plan, null, 'key', 'requests', 60, 100, 'sliding') as minute,
	pg_temp.limits(plan, null, 'key', 'requests', 86400, 1000, 'fixed') as day,
	pg_temp.limits(null, ka, 'key', 'requests', 86400, 500, 'anchored') as own,
	pg_temp.limits(plan, null, 'account', 'tokens', 3600, 900, 'sliding') as hour,
	pg_temp.limits(plan, null, 'account', 'money', 86400, 1000000, 'bucket') as money
from t;

-- Key a: 10 a minute for the last half hour, once 60; key b: 1.
insert into sluice.usage (span_s, at, account_id, key_id, model, kind, requests,
	input_tokens, output_tokens)
select 60, date_trunc('minute', now()) - i * interval '1 min', a, ka, 'm', 'live',
	case i when 7 then 60 else 10 end, 5, 5
from t, generate_series(1, 30) i
union all select 60, date_trunc('minute', now()), b, kb, 'm', 'batch', 1, 5, 5 from t;
create function pg_temp.ask(p_by text default '[]', p_more text default '')
returns json language sql as $$
	select format('{"by":%s,"most":1000,"since":%s,"until":%s,"per_s":0%s}', p_by,
		extract(epoch from now() - interval '15 days')::bigint,
		extract(epoch from now() + interval '1 min')::bigint, p_more)::json
$$;

-- Peaks of who was there
create temp table p as select p.* from json_to_recordset(
	sluice.usage_peak(0, pg_temp.ask('["account","key"]')) -> 'data') as p (
	account text, key_name text, dimension text, window_s integer, peak bigint,
	at bigint, amount bigint, share numeric);
select is((select count(*)::integer from p), 2 * 2 * 3);
select results_eq($$ select peak, amount, share from p where key_name = 'k-a'
	and dimension = 'requests' and window_s = 60 $$,
	$$ values (60::bigint, 100::bigint, 0.6) $$);
select is((select at from p where key_name = 'k-a' and dimension = 'requests'
	and window_s = 60), extract(epoch from date_trunc('minute', now()))::bigint - 420);
select results_eq($$ select max(amount) from p where window_s = 86400
	and dimension = 'requests' group by key_name order by key_name $$,
	$$ values (500::bigint), (1000) $$, 'a key''s own limit wins over the plan''s');
select is((select amount from p where key_name = 'k-a' and dimension = 'tokens'
	and window_s = 3600), null, 'an account''s limit is not a key''s');
select is((select x ->> 'amount' from json_array_elements(sluice.usage_peak(0,
	pg_temp.ask('["account"]')) -> 'data') x where x ->> 'account' = 'a'
	and x ->> 'dimension' = 'tokens' and x ->> 'window_s' = '3600'), '900');
select is_empty($$ select from json_array_elements(sluice.usage_peak(0,
	pg_temp.ask('["model"]')) -> 'data') x where x ->> 'amount' is not null $$);

-- And of limits
insert into sluice.caller_state (limit_id, subject, used, since, peak)
select l.own, 'key:' || ka, 400, now() - interval '6 hours', 450 from l, t
union all select l.day, 'key:' || kb, 999, now() - interval '25 hours', 1000 from l, t
union all select l.hour, 'account:' || a || '|model:m', 0, now(), 800 from l, t
union all select l.money, 'account:' || b, 400000, now() - interval '1 hour', 500000
	from l, t;
insert into sluice.caller_cell (limit_id, subject, second, units)
select l.hour, 'account:' || a || '|model:m',
	extract(epoch from now())::bigint - i, 100 from l, t, unnest(array[10, 3590, 3700]) i;
create temp table c as select c.* from json_to_recordset(
	sluice.usage_peak(0, pg_temp.ask()) -> 'limits') as c ("limit" text, subject text,
	key_name text, account text, used bigint, peak bigint, amount bigint,
	share numeric);
select results_eq($$ select used, peak, share from c where key_name = 'k-a' $$,
	$$ values (400::bigint, 450::bigint, 0.9) $$);
select is((select used from c where key_name = 'k-b'), 0::bigint,
	'a window that is over has nothing used');
select is((select used from c where subject like '%|model:m'), 200::bigint,
	'a sliding one what its seconds hold');
select cmp_ok((select used from c where "limit" = 'money/1d'), '<', 360000::bigint,
	'a bucket what was not refilled');
select is((select count(*)::integer from json_array_elements(sluice.usage_peak(
	(select b from t), pg_temp.ask()) -> 'limits')), 2, 'an account sees its own');
select is((select count(*)::integer from json_array_elements(sluice.usage_peak(
	(select b from t), pg_temp.ask('["account"]')) -> 'data')), 6);

-- Forecasts: key a used 400 of 500, 350 in the last hour
create function pg_temp.forecast() returns table ("limit" text, subject text,
    key_name text, pace bigint, reached_in bigint, ends_in bigint, days integer,
    days_above integer) language sql as $$
	select f."limit", f.subject, f.key_name, f.pace,
		f.reached_at - floor(extract(epoch from now()))::bigint,
		f.ends_at - floor(extract(epoch from now()))::bigint, f.days, f.days_above
	from json_to_recordset(sluice.usage_forecast(0, pg_temp.ask()) -> 'data')
	as f ("limit" text, subject text, key_name text, pace bigint, reached_at bigint,
		ends_at bigint, days integer, days_above integer)
$$;
select results_eq($$ select pace, days from pg_temp.forecast() where key_name = 'k-a' $$,
	$$ values (350::bigint, 14) $$);
select cmp_ok((select abs(reached_in - 100 * 3600 / 350) from pg_temp.forecast()
	where key_name = 'k-a'), '<=', 1::bigint, '100 at 350 an hour');
select cmp_ok((select abs(ends_in - 18 * 3600) from pg_temp.forecast()
	where key_name = 'k-a'), '<=', 1::bigint);
select cmp_ok((select abs(ends_in - extract(epoch from date_trunc('day',
	now() at time zone 'utc') + interval '1 day' - now() at time zone 'utc'))
	from pg_temp.forecast() where key_name = 'k-b'), '<=', 1::numeric,
	'a calendar''s day ends at midnight, whenever it was first used');
select is((select reached_in from pg_temp.forecast() where key_name = 'k-b'), null,
	'one request an hour does not reach 1000 a day');
select is((select pace from pg_temp.forecast() where subject like '%|model:m'), 300::bigint,
	'tokens of the account and model');
select is((select reached_in from pg_temp.forecast() where subject like '%|model:m'), null,
	'300 an hour never fill 900');
update sluice.caller_limit set amount = 250 where id = (select hour from l);
select cmp_ok((select abs(reached_in - 600) from pg_temp.forecast()
	where subject like '%|model:m'), '<=', 1::bigint, '50 at 300 an hour');
update sluice.caller_state set since = now() - interval '23 hours 50 min'
where limit_id = (select own from l);
select is((select reached_in from pg_temp.forecast() where key_name = 'k-a'), null,
	'the window ends before');
update sluice.caller_state set used = 500 where limit_id = (select own from l);
select is((select reached_in from pg_temp.forecast() where key_name = 'k-a'), 0::bigint);

-- Days above four fifths: of 500, days ago 1..5 use 401, 6..9 use 400
insert into sluice.usage (span_s, at, account_id, key_id, model, kind, requests)
select 3600, sluice.usage_span(now() - i * interval '1 day', 86400) + h * interval '1 hour',
	a, ka, 'm', 'live', case when i <= 5 and h = 0 then 201 else 200 end
from t, generate_series(1, 9) i, generate_series(0, 1) h;
select results_eq($$ select days_above, days from pg_temp.forecast()
	where key_name = 'k-a' $$, $$ values (5, 14) $$);
update sluice.caller_limit set created_at = now() - interval '2 days'
where id = (select own from l);
select results_eq($$ select days_above, days from pg_temp.forecast()
	where key_name = 'k-a' $$, $$ values (2, 3) $$, 'a young limit has fewer days');
update sluice.caller_limit set amount = 100 where id = (select hour from l);
select cmp_ok((select days_above from pg_temp.forecast() where subject like '%|model:m'),
	'>=', 1, 'of an hour''s limit: a day with such an hour');

-- Resources apart
insert into sluice.usage (span_s, at, account_id, key_id, model, kind, requests, resource)
select 60, date_trunc('minute', now()), b, kb, 'm', 'live', u.n, u.resource
from t, (values (70, 'images'), (7, 'chat')) u (n, resource);
select results_eq($$ select r.resource, r.requests from json_to_recordset(
	sluice.usage_get((select b from t), pg_temp.ask('["resource"]')) -> 'data')
	r (resource text, requests bigint) $$,
	$$ values ('images', 70::bigint), ('chat', 7), ('', 1) $$);
select is((select sluice.usage_get(b, pg_temp.ask(p_more =>
	',"resource":"images"')) #>> '{total,requests}' from t), '70');
select is((select max((r ->> 'peak')::bigint) from t, json_array_elements(sluice.usage_peak(b,
	pg_temp.ask('["resource"]')) -> 'data') r where r ->> 'resource' = 'chat'), 7::bigint);
insert into sluice.caller_state (limit_id, subject)
select l.day, 'key:' || kb || '|images' from l, t;
select is((select pace from pg_temp.forecast() where subject like '%|images'),
	71::bigint, 'a counter of images, and what was not told apart');
update sluice.caller_limit set resource = 'chat' where id = (select day from l);
select is((select max(pace) from pg_temp.forecast() where subject = (
	select 'key:' || kb from t)), 8::bigint, 'a limit on chat');

select * from finish();
rollback;
