-- Plans, accounts, keys and named limits: what an edit changes and what it keeps.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select no_plan();

create function pg_temp.apply(p_doc text, p_prune boolean default false)
returns text[] language sql as $$
	select array(select json_array_elements_text(sluice.config_apply(p_doc::json,
		p_prune, false) -> 'changes'))
$$;
create function pg_temp.rev() returns bigint language sql as
	'select callers_revision from sluice.config';
create function pg_temp.hash(p text) returns bytea language sql as
	$$select sha256(p::bytea)$$;
create function pg_temp.key(p_account text, p_name text, p_doc text default '{}')
returns bigint language sql as $$
	select substr(sluice.key_create(p_account, p_name, pg_temp.hash(p_name), 'hint',
		'{batch,live,read}', p_doc) ->> 'id', 5)::bigint
$$;
create temp table was (what text primary key, n bigint);

-- Plans
select lives_ok($$select sluice.plan_create('{"name":"pro","dialect":"priority",
	"limits":[{"dimension":"requests","window_s":60,"amount":100,
	"algorithm":"fixed","each_resource":true},{"dimension":"tokens","window_s":60,
	"amount":1000}]}')$$);
select throws_ok($$select sluice.plan_create('{"name":"pro"}')$$, 'SL409');
insert into was select 'limit', id from sluice.caller_limit where dimension = 'requests';
insert into was select 'rev', pg_temp.rev();
select is(pg_temp.apply('{"plans":[{"name":"pro","dialect":"priority","limits":[
	{"dimension":"requests","window_s":60,"amount":50,"algorithm":"fixed",
	"each_resource":true}]}]}'), array['plan pro: limit requests/1m 100 -> 50',
	'plan pro: limit tokens/1m = 1000 removed'], 'an edit says what it changes');
select is(pg_temp.rev(), (select n + 1 from was where what = 'rev'),
	'and bumps the revision');
select is((select id::bigint from sluice.caller_limit where dimension = 'requests'),
	(select n from was where what = 'limit'), 'a new amount keeps the counter');
select is(pg_temp.apply('{"plans":[{"name":"pro","dialect":"priority","limits":[
	{"dimension":"requests","window_s":60,"amount":50,"algorithm":"fixed",
	"each_resource":true}]}]}'), '{}', 'twice the same changes nothing');
select is(pg_temp.rev(), (select n + 1 from was where what = 'rev'));
select is(pg_temp.apply('{"plans":[{"name":"pro","dialect":"priority","limits":[]}]}'),
	array['plan pro: limit requests/1m = 50 removed']);
select is(pg_temp.apply('{"plans":[{"name":"pro","dialect":"priority","limits":[
	{"dimension":"requests","window_s":60,"amount":60,"algorithm":"fixed",
	"each_resource":true}]}]}'),
	array['plan pro: limit requests/1m = 60 added, with what it had counted'],
	'one that comes back at once is the same');
select is((select id::bigint from sluice.caller_limit where removed_at is null),
	(select n from was where what = 'limit'));
select isnt(pg_temp.apply('{"plans":[{"name":"pro","dialect":"priority","limits":[
	{"dimension":"requests","window_s":60,"amount":60,"algorithm":"sliding"}]}]}'),
	'{}', 'one that counts otherwise is another');
select isnt((select id::bigint from sluice.caller_limit where removed_at is null),
	(select n from was where what = 'limit'));

-- What a limit leaves open
select pg_temp.apply('{"plans":[{"name":"open-ended","limits":[
	{"dimension":"requests","window_s":60,"amount":1},
	{"dimension":"requests","window_s":86400,"amount":2},
	{"dimension":"requests","window_s":3600,"amount":3,"action":"shape"},
	{"dimension":"enqueued_tokens","amount":4},
	{"dimension":"money","window_s":86400,"amount":5},
	{"dimension":"concurrent","amount":6}]}]}') is not null;
select results_eq('select amount::integer, algorithm, applies, per from
	sluice.caller_limit l join sluice.plan p on p.id = l.plan_id
	where p.name = ''open-ended'' order by amount',
	$$values (1, 'sliding', 'live', 'key'), (2, 'fixed', 'live', 'key'),
	(3, 'sliding', 'batch', 'key'), (4, 'sliding', 'batch', 'key'),
	(5, 'fixed', 'both', 'key'), (6, 'sliding', 'live', 'key')$$);
select throws_ok($$select sluice.plan_edit('pro', '{"limits":[{"dimension":"requests",
	"window_s":60,"amount":1,"zone":"Europe/Atlantis"}]}')$$, 'SL400', null,
	'zones exist');
select throws_ok($$select sluice.plan_edit('pro', '{"limits":[{"dimension":"requests",
	"window_s":60,"amount":1,"per":"attached"}]}')$$, 'SL400');
select throws_ok($$select sluice.plan_edit('pro', '{"limits":[{"dimension":"requests",
	"window_s":60,"amount":1,"action":"shape","applies":"live"}]}')$$, 'SL400');

-- Accounts
select lives_ok($$select sluice.account_create('{"name":"acme","plan":"pro"}')$$);
select throws_ok($$select sluice.account_create('{"name":"acme"}')$$, 'SL409');
select throws_ok($$select sluice.account_edit('nobody', '{}')$$, 'SL404');
select throws_ok($$select sluice.account_edit('acme', '{"plan":"no-such"}')$$, 'SL404');
select is(sluice.account_edit('acme', '{"weight":5,"max_priority":3}') ->> 'plan',
	'pro', 'what is not given stays');
select is(sluice.account_edit('acme', '{"max_priority":null}') ->> 'max_priority',
	null, 'null unsets');
select throws_ok($$select sluice.plan_remove('pro')$$, 'SL409', null,
	'a plan in use stays');

-- Keys
insert into was select 'key', pg_temp.key('acme', 'mee-agent');
insert into was select 'twin', pg_temp.key('acme', 'twin');
select is((sluice.key_find('mee-agent', 'x')).id, (select n from was where what = 'key'),
	'a key is found by its name');
select lives_ok($$select pg_temp.key('acme', 'twin2')$$);
update sluice.api_key set name = 'twin' where name = 'twin2';
select throws_ok($$select sluice.key_find('twin', 'keys')$$, 'SL400', null,
	'unless two have it');
select throws_ok($$select pg_temp.key('acme', 'late', '{"expires_at":1000}')$$, 'SL400',
	null, 'a key for the past is a slip');
select is(sluice.key_edit('mee-agent', '{"max_priority":1,"name":"mee"}') ->> 'name',
	'mee');
select is((select max_priority from sluice.auth(pg_temp.hash('mee-agent'))), 1::smallint,
	'a key''s own setting wins');
select sluice.account_edit('acme', '{"max_priority":2}') is not null;
select is((select max_priority from sluice.auth(pg_temp.hash('twin'))), 2::smallint,
	'else its account''s');
select sluice.account_edit('acme', '{"max_priority":null}') is not null;
select is((select max_priority from sluice.auth(pg_temp.hash('twin'))), 4::smallint,
	'else its plan''s');

-- The headline: requests, the shortest window, the nearest of several
select results_eq($$select dialect, resource, amount, used, window_s
	from sluice.auth(pg_temp.hash('twin'))$$,
	$$values ('priority', null::text, 60::bigint, 0::bigint, 60)$$);
select sluice.account_edit('acme', '{"limits":[{"dimension":"requests","window_s":60,
	"amount":7},{"dimension":"requests","window_s":1,"amount":1,"model":"gpt-*"},
	{"dimension":"tokens","window_s":1,"amount":1}]}') is not null;
insert into was select 'own', id from sluice.caller_limit
	where amount = 7 and removed_at is null;
insert into sluice.caller_cell select (select n from was where what = 'own')::integer,
	'account:' || a.id, floor(extract(epoch from clock_timestamp()))::bigint - s, 2
from sluice.account a, (values (0), (30), (300)) as v (s) where a.name = 'acme';
select results_eq($$select amount, used, reset_us > 59000000 and reset_us <= 61000000
	from sluice.auth(pg_temp.hash('twin'))$$, $$values (7::bigint, 4::bigint, true)$$,
	'sliding: the seconds of the window, none before');
select sluice.account_edit('acme', '{"limits":[]}') is not null;
select sluice.plan_edit('pro', '{"limits":[{"dimension":"requests","window_s":60,
	"amount":9,"algorithm":"anchored","each_resource":true}]}') is not null;
insert into sluice.caller_state (limit_id, subject, used, since)
select l.id, format('key:%s|chat', k.id), 5, clock_timestamp() - interval '20 s'
from sluice.caller_limit l, sluice.api_key k
where l.amount = 9 and l.removed_at is null;
select results_eq($$select resource, used, reset_us between 35000000 and 40000000
	from sluice.auth(pg_temp.hash('mee-agent'))$$,
	$$values ('chat', 5::bigint, true)$$, 'anchored: until a window after its begin');
update sluice.caller_state set since = since - interval '1 minute';
select results_eq($$select used, reset_us from sluice.auth(pg_temp.hash('mee-agent'))$$,
	$$values (0::bigint, 0::bigint)$$, 'a window that is over is empty');
select sluice.plan_edit('pro', '{"limits":[{"dimension":"requests","window_s":60,
	"amount":60,"algorithm":"bucket"}]}') is not null;
insert into sluice.caller_state (limit_id, subject, used, since)
select l.id, format('key:%s', k.id), 30, clock_timestamp() - interval '10.5 s'
from sluice.caller_limit l, sluice.api_key k
where l.algorithm = 'bucket' and l.removed_at is null;
select results_eq($$select used, reset_us from sluice.auth(pg_temp.hash('mee-agent'))$$,
	$$values (20::bigint, 20000000::bigint)$$, 'a bucket drains');
select sluice.plan_edit('pro', '{"limits":[]}') is not null;
select is((select amount from sluice.auth(pg_temp.hash('twin'))), null,
	'no limit, no headline');
select sluice.everybody_edit('{"limits":[{"dimension":"requests","window_s":1,
	"amount":1000}]}') is not null;
select is((select amount from sluice.auth(pg_temp.hash('twin'))), 1000::bigint,
	'what holds for everybody');
update sluice.api_key set expires_at = now() where name = 'mee';
select is_empty($$select * from sluice.auth(pg_temp.hash('mee-agent'))$$,
	'a key ends when it expires');
update sluice.api_key set expires_at = null where name = 'mee';

-- Named limits
select lives_ok($$select sluice.named_create('{"name":"rate-limit-01","limits":[
	{"dimension":"requests","window_s":86400,"amount":50},
	{"dimension":"tokens","window_s":86400,"amount":1000000}],
	"keys":["mee"],"models":["gpt-5"]}')$$);
select throws_ok($$select sluice.named_create('{"name":"rate-limit-01"}')$$, 'SL409');
select throws_ok($$select sluice.named_edit('rate-limit-01', '{"keys":["nobody"]}')$$,
	'SL404');
select is((select array_agg(algorithm || ' ' || per) from sluice.caller_limit
	where named_id is not null), '{fixed attached,fixed attached}',
	'periods of the calendar');
insert into sluice.caller_state (limit_id, subject, used, since)
select l.id, s.subject, s.used, clock_timestamp() from sluice.caller_limit l,
	(select 'key:' || n as subject, 12 as used from was where what = 'key'
	union all select 'model:gpt-5', 3) s
where l.named_id is not null and l.dimension = 'requests';
select is(sluice.named_get('rate-limit-01')::jsonb - 'created_at' - 'limits' - 'used',
	jsonb_build_object('object', 'limit', 'name', 'rate-limit-01', 'status', 'ACTIVE',
	'models', array['gpt-5'], 'keys', array['key_' || (select n from was
	where what = 'key')], 'key_names', array['mee']));
select is((select array_agg(u ->> 'used' order by u ->> 'key', u ->> 'dimension')
	from jsonb_array_elements(sluice.named_get('rate-limit-01')::jsonb -> 'used') u),
	'{12,0,3,0}', 'each attachment has its own counter');
insert into was select 'named', id from sluice.caller_limit
	where named_id is not null and dimension = 'requests';
select sluice.named_edit('rate-limit-01', '{"limits":[{"dimension":"requests",
	"window_s":3600,"amount":30}]}') is not null;
select results_eq($$select id::bigint, amount, window_s from sluice.caller_limit
	where named_id is not null and removed_at is null$$,
	$$select n, 30::bigint, 3600 from was where what = 'named'$$,
	'an edit acts within the period: what is used stays');
select is(json_array_length(sluice.named_edit('rate-limit-01', '{"models":[]}')
	-> 'models'), 0);
select is(json_array_length(sluice.named_get('rate-limit-01') -> 'keys'), 1,
	'keys that are not named stay');
select lives_ok($$select sluice.named_delete('rate-limit-01')$$);
select throws_ok($$select sluice.named_get('rate-limit-01')$$, 'SL404');
select is_empty('select from sluice.named_attach');

-- A file that has upstreams alone leaves callers as they are, one with callers not
select sluice.named_create('{"name":"some-limit","limits":[{"dimension":"requests",
	"window_s":60,"amount":1}]}') is not null;
select is(pg_temp.apply('{"paths":[],"pools":[]}', true), '{}');
select is(pg_temp.apply('{"plans":[{"name":"pro"}],"everybody":{}}', true),
	array['plan pro: dialect priority -> openai',
	'everybody: limit requests/1s = 1000 removed',
	'limit some-limit: removed', 'plan open-ended: removed'],
	'what it does not name goes, and what it leaves open is as in a new one');
select is(sluice.config_apply('{"plans":[{"name":"dry"}]}', false, true)
	#>> '{changes,0}', 'plan dry: added (dialect openai, priority to 4)');
select is_empty($$select from sluice.plan where name = 'dry'$$, 'dry is dry');

-- Revoking: what waits pauses, what is out ends
create temp table t as select sluice.lease_take('me', 5000) as epoch;
create function pg_temp.batch(p_key text) returns bigint language sql as $$
	with f as (
		insert into sluice.file (account_id, purpose, name, state, purge_day, bytes,
			lines, endpoint, models, model_lines, expires_at)
		select k.account_id, 'batch', 'f', 'ready', '2030-01-01', 1, 5, '/v1/x',
			'{m}', '{5}', now() + interval '1 day'
		from sluice.api_key k where k.name = p_key returning *
	), b as (
		insert into sluice.batch (account_id, key_id, input_id, endpoint, priority,
			window_text, state, lines, deadline)
		select f.account_id, k.id, f.id, '/v1/x', 2, '24h', 'validating', 5,
			now() + interval '1 day'
		from f, sluice.api_key k where k.name = p_key returning *
	)
	insert into sluice.batch_lane (batch_id, account_id, file_id, purge_day, model,
		model_index, endpoint, priority, deadline, lines_left)
	select b.id, b.account_id, b.input_id, '2030-01-01', 'm', 1, '/v1/x', 2,
		b.deadline, 5 from b
	returning batch_id
$$;
select pg_temp.key('acme', 'bulk') is not null;
insert into was select 'b1', pg_temp.batch('bulk');
insert into was select 'other', pg_temp.batch('mee');
select sluice.dispatch_poll(epoch, 5000, 500) is not null from t;
select is((select count(*) from sluice.dispatch_lanes(10, '{}')), 2::bigint);
insert into sluice.run (batch_id, lane_id, path_id, purge_day, chunk_id, first_line,
	line, send_at, keep_us, open, worker_id)
select l.batch_id, l.id, 1, '2030-01-01', 1, 1, '{1}', now(), 1000, b'1', w
from sluice.batch_lane l, (values (null), (7)) as v (w)
where l.batch_id = (select n from was where what = 'b1');
insert into was select 'b2', pg_temp.batch('bulk');
select is((sluice.key_revoke('bulk', false) ->> 'batches_paused')::integer, 2);
select is_empty($$select * from sluice.auth(pg_temp.hash('bulk'))$$);
select is((select array_agg(batch_id) from sluice.dispatch_lanes(10, '{}')),
	array[(select n from was where what = 'other')], 'its lanes are not dispatched');
select is((select count(*) from sluice.dispatch_lanes(10, array(
	select id from sluice.batch_lane))), 1::bigint, 'nor with lines to go again');
select results_eq('select worker_id from sluice.run', 'values (7::bigint)',
	'what nobody has taken comes back, the rest ends');
select is((select why from sluice.retry), 'key revoked');
select is((sluice.dispatch_poll(epoch, 5000, 500) ->> 'due'), null) from t;
select is((select array_agg(open) from sluice.batch_lane where batch_id in (
	select n from was where what in ('b1', 'b2'))), '{f,f}',
	'one that was let in since is not opened');
select throws_ok(format($$select sluice.dispatch_commit(%s, '{"lanes":[{"id":%s,
	"from":1,"next":3,"lines":2}]}')$$, t.epoch, l.id), 'SL409', null,
	'a plan made before is refused')
from t, sluice.batch_lane l where l.batch_id = (select n from was where what = 'b1');
select is(sluice.batch_waiting((select n from was where what = 'b1')) ->> 'why',
	'its key was revoked');
select is((sluice.key_revoke('key_' || (select id from sluice.api_key
	where name = 'bulk'), true) ->> 'batches_cancelled')::integer, 2);
select results_eq($$select state, ending from sluice.batch b join was on n = b.id
	and what in ('b1', 'b2')$$, $$values ('cancelling', 'cancelled'),
	('cancelling', 'cancelled')$$);

select * from finish();
rollback;
