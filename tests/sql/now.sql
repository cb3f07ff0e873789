-- What the dispatcher says of a path just now, and what a batch waits for.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(19);

insert into sluice.account (name) values ('sql');
select sluice.config_apply('{"paths": [
	{"name": "p", "url": "http://x", "models": ["a*"]},
	{"name": "q", "url": "http://x", "models": ["a1", "b"]}]}', false, false);
insert into sluice.file (account_id, purpose, name, state, purge_day, bytes, lines,
	models, model_lines, endpoint, expires_at)
select id, 'batch', 'f', 'ready', '2030-01-01', 1, 2, '{a1,b}', '{1,1}', '/v1/x',
	'2029-12-30'
from sluice.account where name = 'sql';
insert into sluice.batch (account_id, input_id, endpoint, priority, window_text,
	state, lines, deadline)
select f.account_id, f.id, '/v1/x', 2, '1h', 'in_progress', 2, now() + interval '1 h'
from sluice.file f where f.name = 'f';
insert into sluice.batch_lane (batch_id, account_id, file_id, purge_day, model,
	model_index, endpoint, priority, deadline, open, lines_left)
select b.id, b.account_id, b.input_id, '2030-01-01', 'a1', 1, '/v1/x', 2, now(),
	true, 1
from sluice.batch b;

-- The path's row, with an age in seconds.
create function pg_temp.say(p_path text, p_age numeric, p_binds json)
returns void language sql as $$
	insert into sluice.path_state (path_id, now)
	select p.id, json_build_object('at', extract(epoch from now()) - p_age,
		'binds', p_binds, 'waiting', 7, 'in_flight', 2)
	from sluice.path p where p.name = p_path
	on conflict (path_id) do update set now = excluded.now
$$;
create function pg_temp.binds(p_limit text, p_model text, p_until numeric)
returns json language sql as $$
	select json_build_object('limit', p_limit, 'of', 'path', 'model', p_model,
		'used', 595, 'amount', 600, 'until', p_until, 'why', 'full')
$$;
create function pg_temp.waits() returns json language sql as $$
	select sluice.batch_object(b) -> 'sluice' -> 'waiting' from sluice.batch b
$$;
create function pg_temp.path(p_name text) returns json language sql as $$
	select sluice.path_get(p_name)
$$;

select is(pg_temp.waits()::text, null, 'without news a batch waits for nothing');
select is((pg_temp.path('p') -> 'now')::text, null, 'nor does a path say anything');

select pg_temp.say('p', 0, null);
select is((pg_temp.path('p') #>> '{now,waiting}'), '7', 'news of a path are shown');
select pg_temp.say('p', 9, null);
select isnt((pg_temp.path('p') -> 'now')::text, null, 'also at nine seconds');
select pg_temp.say('p', 11, pg_temp.binds('requests/1m', '*', 100.5));
select is((pg_temp.path('p') -> 'now')::text, null, 'not at eleven');
select is(pg_temp.waits()::text, null, 'old news hold no batch back');

select pg_temp.say('p', 0, pg_temp.binds('requests/1m', '*', 100.5));
select is(pg_temp.waits()::jsonb, '{"limit": "requests/1m", "path": "p",
	"used": 595, "amount": 600, "until": 100.5, "why": "full"}'::jsonb,
	'the limit that binds is what the batch waits for');
select pg_temp.say('p', 0, pg_temp.binds('requests/1m', 'a?', 100.5));
select is(pg_temp.waits() ->> 'limit', 'a?:requests/1m',
	'a limit of its model counts, and is named with it');
select pg_temp.say('p', 0, pg_temp.binds('requests/1m', 'a?c', 100.5));
select is(pg_temp.waits()::text, null, 'one of another model does not');

select pg_temp.say('p', 0, pg_temp.binds('requests/1m', '*', 100.5));
select pg_temp.say('q', 0, null);
select is(pg_temp.waits()::text, null, 'another way that is free will do');
select pg_temp.say('q', 0, pg_temp.binds('tokens/1m', '*', 99));
select is(pg_temp.waits() ->> 'path', 'q', 'of two the one that lets go first');
update sluice.path_state s set health = 'down' from sluice.path p
where p.id = s.path_id and p.name = 'q';
select is(pg_temp.waits() ->> 'path', 'p', 'a path that is down is no way');
update sluice.path p set removed_at = now() where p.name = 'p';
select is(pg_temp.waits()::text, null, 'nor is one that is gone');
update sluice.path p set removed_at = null where p.name = 'p';

update sluice.batch_lane set open = false;
select is(pg_temp.waits()::text, null, 'with nothing to send there is no waiting');
insert into sluice.retry (lane_id, line, batch_id, not_before, tries, sends, why)
select l.id, 1, l.batch_id, now(), 0, 1, 'x' from sluice.batch_lane l;
select is(pg_temp.waits() ->> 'path', 'p', 'a line that goes again is something');
update sluice.batch set state = 'completed';
select is(pg_temp.waits()::text, null, 'what is over does not wait');

-- What was learned.
select is((pg_temp.path('p') -> 'learned')::jsonb, '{}'::jsonb,
	'at first nothing is learned');
insert into sluice.estimate (path_id, model, learned)
select p.id, 'a1', '{"n": 41.7, "ratio": 0.25, "output": 99.6, "output2": 9,
	"ms": 812.3, "ms2": 1}' from sluice.path p where p.name = 'p';
update sluice.path_state s set learned = '{"dialect": "relay", "late_ms": 3}'
from sluice.path p where p.id = s.path_id and p.name = 'p';
select is((pg_temp.path('p') -> 'learned')::jsonb, '{"dialect": "relay",
	"late_ms": 3, "models": [{"model": "a1", "answers": 42,
	"bytes_per_token": 4.00, "output_tokens": 100, "latency_ms": 812}]}'::jsonb,
	'of the path and of each model, in units for people');
update sluice.estimate set learned = '{"n": 1, "ratio": 0, "output": 1, "ms": 1}';
select is((pg_temp.path('p') #> '{learned,models,0}')::jsonb, '{"model": "a1",
	"answers": 1, "output_tokens": 1, "latency_ms": 1}'::jsonb,
	'what is not known is not said');

select * from finish();
rollback;
