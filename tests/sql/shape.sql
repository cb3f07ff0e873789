-- Limits before callers that spread batches: which lanes meet which counter.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(19);

insert into sluice.account (name) values ('a'), ('b');
insert into sluice.api_key (account_id, name, hash, hint, scopes)
select a.id, a.name || i, sha256((a.name || i)::bytea), 'h', '{batch}'
from sluice.account a, generate_series(1, 2) i where a.name in ('a', 'b');
select sluice.config_apply('{"paths": [{"name": "p", "url": "http://h",
	"models": ["m*", "n"]}]}', false, false);
create temp table t as select sluice.lease_take('me', 5000) as epoch;

create function pg_temp.batch(p_key text, p_models text[]) returns bigint
language plpgsql as $$
declare
	v_file uuid;
	v_account bigint;
	v_key bigint;
begin
	select k.account_id, k.id into v_account, v_key
	from sluice.api_key k where k.name = p_key;
	insert into sluice.file (account_id, purpose, name, state, purge_day, bytes,
		lines, endpoint, models, model_lines, expires_at)
	values (v_account, 'batch', 'f', 'ready', '2030-01-01', 100,
		cardinality(p_models), '/v1/x', p_models,
		array_fill(1, array[cardinality(p_models)]), '2029-12-30')
	returning uid into v_file;
	perform sluice.batch_create(v_account, v_key, v_file, '/v1/x', 'x', 86400, null,
		86400, null, null, '{"priority":2}');
	return (select max(id) from sluice.batch);
end $$;
-- By model: what the lanes of a batch meet, as limit and subject.
create function pg_temp.met(p_batch bigint) returns text language sql as $$
	select string_agg(q.model || ' ' || coalesce((
		select string_agg(l.dimension || ' ' || l.amount || ' '
			|| split_part(p.subject, ':', 1), ', ' order by l.id, p.subject)
		from sluice.shape p join sluice.caller_limit l on l.id = p.limit_id
		where p.id = any (q.shapes)), '-'), '; ' order by q.model)
	from sluice.batch_lane q where q.batch_id = p_batch
$$;
create function pg_temp.edit(p_account text, p_limits text) returns json
language sql as $$
	select sluice.account_edit(p_account, format('{"limits":%s}', p_limits))
$$;
create function pg_temp.revision() returns bigint language sql as $$
	select revision from sluice.config
$$;

create temp table b as select pg_temp.batch('a1', '{m1,n}') as a1,
	pg_temp.batch('b1', '{m1}') as b1, pg_temp.revision() as was;
select is(pg_temp.met(a1), 'm1 -; n -', 'without limits nothing is met') from b;
select pg_temp.edit('a', '[{"dimension":"requests","window_s":10,"amount":5,
	"action":"shape"}]') is not null;
select is(pg_temp.met(a1), 'm1 requests 5 account; n requests 5 account',
	'batches that wait meet a new one') from b;
select is(pg_temp.met(b1), 'm1 -', 'another account does not') from b;
select cmp_ok(pg_temp.revision(), '>', was, 'dispatchers hear of it') from b;
select is(pg_temp.met(pg_temp.batch('a2', '{m2}')), 'm2 requests 5 account',
	'and so do those that come');
select is((select count(*) from sluice.shape), 1::bigint, 'one counter for all of them');
select is((select json_agg(x) from sluice.shape_limits() x)::jsonb
	#- '{0,id}', '[{"pool": -1, "model": "*", "dimension": "requests",
	"window_s": 10, "amount": 5, "headroom": 0, "reserve": 0, "next_us": null,
	"paused_us": null, "learned": null}]'::jsonb, 'the planner has it');
select pg_temp.edit('a', '[{"dimension":"requests","window_s":10,"amount":7,
	"action":"shape"},{"dimension":"tokens","window_s":3600,"amount":9,"model":"m*",
	"per":"key","action":"shape"}]') is not null;
select is(pg_temp.met(a1), 'm1 requests 7 account, tokens 9 key; n requests 7 account',
	'an edit acts at once, by model') from b;
select is((select count(*) from sluice.shape), 3::bigint, 'and by key');
select is((select max((x ->> 'amount')::integer) from sluice.shape_limits() x
	where x ->> 'dimension' = 'requests'), 7);
select pg_temp.edit('a', '[]') is not null;
select is(pg_temp.met(a1), 'm1 -; n -', 'what is removed holds nobody') from b;
select is((select count(*) from sluice.shape_limits()), 0::bigint);
select throws_ok($$select pg_temp.edit('a', '[{"dimension":"money","window_s":3600,
	"amount":9,"action":"shape"}]')$$, 'SL400', null, 'money is not spread');
select throws_ok($$select pg_temp.edit('a', '[{"dimension":"requests","window_s":3600,
	"amount":0,"action":"shape"}]')$$, 'SL400', null, 'nor nothing');

-- Live calls beside
select pg_temp.edit('a', '[{"dimension":"tokens","window_s":3600,"amount":9,
	"model":"m*","action":"shape","applies":"both"}]') is not null;
insert into sluice.usage_delta (at, account_id, key_id, path_id, model, kind, requests,
	failed, refused, input_tokens, cached_tokens, output_tokens, money)
select date_trunc('minute', now()) - make_interval(mins => m), a.id, 0, 0, model, kind,
	1, 0, 0, 10, 0, 5, 0
from sluice.account a, (values ('a', 'm1', 'live', 1), ('a', 'm2', 'live', 1),
	('a', 'n', 'live', 1), ('b', 'm1', 'live', 1), ('a', 'm1', 'batch', 1),
	('a', 'm1', 'live', 90)) u (account, model, kind, m)
where a.name = u.account;
select results_eq($$select cell, units from sluice.shapes_live()$$,
	$$select sluice.epoch_us(date_trunc('minute', now())) / sluice.cell_us(3600),
		30::bigint$$, 'what live calls took of a limit for both');
select pg_temp.edit('a', '[{"dimension":"tokens","window_s":3600,"amount":9,
	"model":"m*","action":"shape","applies":"batch"}]') is not null;
select is_empty('select * from sluice.shapes_live()', 'of one for batches: nothing');

-- What a batch waits for
select pg_temp.edit('b', '[{"dimension":"requests","window_s":3600,"amount":5,
	"action":"shape"}]') is not null;
update sluice.batch set state = 'in_progress';
select is(sluice.batch_waiting(b1)::text, null) from b;
select sluice.dispatch_commit(epoch, format('{"fair":[],"shaped":[[%s,1234.5]],
	"cells":[{"limit":%1$s,"cell":%s,"units":4}]}', p.id,
	sluice.room_now_us() / sluice.cell_us(3600))::json) is not null
from t, sluice.shape p join sluice.caller_limit l on l.id = p.limit_id
where l.account_id = (select id from sluice.account where name = 'b');
select is(sluice.batch_waiting(b1)::jsonb, '{"limit": "requests/1h",
	"of": "account b", "used": 4, "amount": 5, "until": 1234.5,
	"why": "batches are spread under it"}'::jsonb, 'is named') from b;
select is(sluice.batch_waiting(a1)::text, null, 'of those whose it is') from b;
select * from finish();
rollback;
