-- Batches whose paths are down or gone: what they say, and what they do not.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(31);

insert into sluice.account (name) values ('sql');
create function pg_temp.apply(p_doc text) returns json language sql as $$
	select sluice.config_apply(p_doc::json, false, false)
$$;
select pg_temp.apply('{"pools": [{"name": "o", "limits": [
	{"dimension": "requests", "window_s": 60, "amount": 600}]}], "paths": [
	{"name": "p", "pool": "o", "url": "http://h", "models": ["m*"]},
	{"name": "q", "pool": "o", "url": "http://h", "models": ["m"]},
	{"name": "c", "pool": "o", "url": "http://h", "models": ["n"], "suffix": ":b"},
	{"name": "d", "pool": "o", "url": "http://h", "models": ["n"]}]}') is not null;
create temp table t as select sluice.lease_take('me', 5000) as epoch,
	(select id from sluice.account where name = 'sql') as account;
create temp table made (what text, uid uuid, n bigint);

-- A batch of ten lines of a model.
create function pg_temp.batch(p_what text, p_model text, p_more jsonb default '{}')
returns bigint language plpgsql as $$
declare
	v_file uuid;
	v_uid uuid;
begin
	insert into sluice.file (account_id, purpose, name, state, purge_day, bytes,
		lines, endpoint, models, model_lines, expires_at)
	select account, 'batch', 'f', 'ready', '2030-01-01', 3000, 10, '/v1/x',
		array[p_model], '{10}', '2029-12-30' from t
	returning uid into v_file;
	v_uid := replace(sluice.batch_create((select account from t), null, v_file,
		'/v1/x', 'x', 600, null, 86400, null, null,
		('{"priority": 2}'::jsonb || p_more)::json) ->> 'id', 'batch_', '')::uuid;
	insert into made select p_what, b.uid, b.id from sluice.batch b
	where b.uid = v_uid;
	return (select n from made where what = p_what);
end $$;
create function pg_temp.told(p_what text) returns json language sql as $$
	select sluice.batch_get(t.account, m.uid) -> 'sluice'
	from t, made m where m.what = p_what
$$;
create function pg_temp.waits(p_what text) returns json language sql as $$
	select pg_temp.told(p_what) -> 'waiting'
$$;
-- The path's health, to be tried again in so many seconds.
create function pg_temp.health(p_path text, p_health text, p_why text, p_in_s integer)
returns void language sql as $$
	insert into sluice.path_state (path_id, health, why, until)
	select p.id, p_health, p_why, now() + make_interval(secs => p_in_s)
	from sluice.path p where p.name = p_path
	on conflict (path_id) do update set health = excluded.health,
		why = excluded.why, until = excluded.until
$$;

select pg_temp.batch('a', 'm') > 0, pg_temp.batch('n', 'n') > 0,
	pg_temp.batch('direct', 'n', '{"path": "direct"}') > 0,
	pg_temp.batch('stay', 'n', '{"escalate": false}') > 0,
	pg_temp.batch('gone', 'mx') > 0;
select sluice.dispatch_poll(epoch, 5000, 500) is not null from t;

select is(pg_temp.waits('a')::text, null, 'while paths are up nothing is waited for');
select isnt((pg_temp.told('a') #> '{outlook,forecast}')::text, null,
	'and there is a forecast');

-- Down
select pg_temp.health('p', 'down', 'HTTP 401', 30);
select is(pg_temp.waits('a')::text, null, 'another path will do');
select is(pg_temp.waits('gone') ->> 'path', 'p', 'where it serves the model');
select pg_temp.health('q', 'down', 'Failed to connect to 127.0.0.1 port 1', 20);
select is(pg_temp.waits('a')::jsonb, jsonb_build_object('path', 'q', 'health', 'down',
	'why', 'Failed to connect to 127.0.0.1 port 1',
	'until', extract(epoch from now()) + 20,
	'fix', 'is it there? else sluice path edit q --url URL'),
	'of several that are down the one tried first');
select is((pg_temp.told('a') -> 'outlook')::jsonb - 'left_s', '{}'::jsonb,
	'then nobody knows when it ends, or if in time');
update sluice.fairness set at = clock_timestamp(), late = array(select n from made);
select is((pg_temp.told('a') -> 'outlook')::jsonb - 'left_s', '{}'::jsonb,
	'also when the dispatcher reckons with nothing');
update sluice.fairness set late = '{}';
select lives_ok($$select pg_temp.batch('must', 'm', '{"require_feasible": true}')$$,
	'what limits allow is feasible all the same');
select sluice.dispatch_poll(epoch, 5000, 500) is not null from t;
select pg_temp.health('q', 'probing', 'HTTP 401', 0);
select results_eq($$select w ->> 'health', w ->> 'fix' from pg_temp.waits('a') w$$,
	$$values ('probing', 'the upstream refuses its key: '
		'sluice path edit q --secret-file FILE')$$, 'nor is one up that is tried');
select is(sluice.path_fix('q', 'secret file /x: is empty'),
	'mend that file, or sluice path edit q --secret-file FILE');
select is(sluice.path_fix('q', 'SSL certificate problem: self-signed certificate'),
	'to trust it: sluice path edit q --ca-file FILE');
select is(sluice.path_fix('q', 'HTTP 503'), null);

-- Old news
select pg_temp.health('q', 'down', 'HTTP 503', -61);
select is(pg_temp.waits('a')::text, null, 'what nobody has tried since is not known');
insert into sluice.run (batch_id, lane_id, path_id, purge_day, chunk_id, first_line,
	line, send_at, keep_us, open, worker_id)
select l.batch_id, l.id, p.id, '2030-01-01', 1, 1, '{1}', now(), 1000, b'1', 7
from sluice.batch_lane l join made m on m.n = l.batch_id and m.what = 'must',
	sluice.path p
where p.name = 'q';
select is(pg_temp.waits('a') ->> 'why', 'HTTP 503', 'unless a line is out just now');
update sluice.batch_lane set lines_left = 0, open = false
where batch_id = (select n from made where what = 'must');
select is(pg_temp.waits('must') ->> 'path', 'q', 'which its batch waits for');
select pg_temp.health('q', 'up', null, 0);
select is(pg_temp.waits('a')::text, null);

-- Which ways
select pg_temp.health('c', 'down', 'HTTP 503', 9);
select is(pg_temp.waits('n') ->> 'path', 'c', 'patient lines wait for the cheap path');
select isnt((pg_temp.told('n') #> '{outlook,forecast}')::text, null,
	'and go direct when they must');
select is(pg_temp.waits('direct')::text, null, 'others do not');
select is((pg_temp.told('stay') #> '{outlook,forecast}')::text, null,
	'and where they may not there is no forecast');
select pg_temp.health('d', 'down', 'HTTP 402', 99);
select is(pg_temp.waits('direct') ->> 'path', 'd', 'nor by a cheap path');

-- Gone
select is((pg_temp.apply('{"remove_paths": ["q"]}') -> 'warnings')::text, null,
	'one path of two may go');
select is((pg_temp.apply('{"remove_paths": ["p"]}') -> 'warnings')::jsonb,
	'["no path serves the model m any more; what waits for one: 2 batches with 11 lines",
	"no path serves the model mx any more; what waits for one: 1 batch with 10 lines"]',
	'who removes the last is told of what waits');
select is((pg_temp.apply('{"remove_paths": ["c"]}') -> 'warnings')::text, null,
	'once');
select is((pg_temp.apply('{"remove_paths": ["d"]}') -> 'warnings') ->> 0,
	'no path serves the model n any more; what waits for one: 3 batches with 30 lines');
select is(pg_temp.waits('gone')::jsonb, jsonb_build_object('model', 'mx',
	'why', 'no path serves the model mx any more', 'gone', 'p',
	'gone_at', extract(epoch from now()), 'fix', 'sluice path add NAME --models mx'),
	'and the batch says so');
select is((pg_temp.told('gone') -> 'outlook')::jsonb - 'left_s', '{}'::jsonb);

-- In one voice
select pg_temp.apply('{"paths": [
	{"name": "p", "pool": "o", "url": "http://h", "models": ["m*"]}]}') is not null;
select pg_temp.health('p', 'up', null, 0);
create function pg_temp.voices(p_what text) returns text language sql as $$
	select concat_ws(' ', o ->> 'feasible', o #>> '{forecast,in_time}', o ->> 'danger',
		o #>> '{forecast,ends_at}' is not null)
	from (select pg_temp.told(p_what) -> 'outlook' as o) x
$$;
select is(pg_temp.voices('gone'), 'true true t', 'all say that it is in time');
update sluice.fairness set at = clock_timestamp(), late = array(select n from made);
select is(pg_temp.voices('gone'), 'false false will miss it f',
	'or that it is not, and none when it would be');
update sluice.fairness set late = '{}';
update sluice.batch set deadline = now() + interval '1 s'
where id = (select n from made where what = 'gone');
select is(pg_temp.voices('gone'), 'false false t',
	'too late by the limits, and it says until when');

-- What is left says what it waited for.
select is(sluice.batch_waited(n), ' It waited: no path serves the model n any more.')
from made where what = 'stay';

select * from finish();
rollback;
