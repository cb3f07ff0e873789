-- Webhooks: which events are written, tried, settled and given up.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(31);

insert into sluice.account (name) values ('sql'), ('quiet');
create function pg_temp.batch(p_account text, p_fault boolean default false)
returns bigint language plpgsql as $$
declare
	a bigint := (select id from sluice.account where name = p_account);
	t text := '{"custom_id":"r","body":{}}' || E'\n';
	n integer := octet_length(t);
	f record;
	v_batch json;
begin
	select * into f from sluice.file_begin(a, 'in.jsonl');
	perform sluice.file_chunk(f.id, f.purge_day::date, 0, 1, convert_to(t, 'utf8'),
		array[n], '{13}', '{3}', '{24}', '{2}', '{1}', '{0}', '{0}', '{null}');
	perform sluice.file_publish(a, f.id, n, 1, '\x00', '/v1/chat/completions', '{m}',
		'{1}', case when p_fault then '[{"code":"x"}]'::json end, 86400 * 30,
		null, null);
	v_batch := sluice.batch_create(a, null, (select uid from sluice.file
		where id = f.id), '/v1/chat/completions', '24h', 86400, '{"job":"x"}',
		86400, null, null, '{"priority":2}');
	return (select id from sluice.batch where sluice.batch_name(uid) =
		v_batch ->> 'id');
end $$;
create temp table changes as select sluice.config_apply(
	'{"paths":[{"name":"p","url":"http://x","models":["m"]}]}', false, false);
create temp table hook as select sluice.webhook_create(
	'{"account":"sql","url":"https://a.example/x","secret_file":"/k"}', 2) ->> 'id' as all_of,
	sluice.webhook_create('{"account":"sql","url":"https://b.example/",
		"secret_file":"/k","events":["batch.failed"]}', 2) ->> 'id' as failed;
select throws_ok($$ select sluice.webhook_create('{"account":"sql",
	"url":"https://c.example","secret_file":"/k"}', 2) $$, 'SL409', null,
	'an account has so many and no more');
select throws_ok($$ select sluice.webhook_create('{"account":"nobody",
	"url":"https://c.example","secret_file":"/k"}', 2) $$, 'SL404');

-- What is written
create temp table t as select sluice.lease_take('me', 5000) as epoch,
	pg_temp.batch('sql') as batch, pg_temp.batch('quiet') as other;
select is((select count(*) from sluice.outbox)::integer, 0, 'nothing has ended');
update sluice.batch b set state = 'finalizing' from t where b.id in (t.batch, t.other);
select is((select count(*) from sluice.outbox)::integer, 0,
	'nor is it said on the way');
update sluice.batch b set state = 'completed', done_lines = 1, failed_lines = 0
from t where b.id in (t.batch, t.other);
select results_eq($$ select type, state, batch_id = (select batch from t)
	from sluice.outbox $$, $$ values ('batch.completed', 'due', true) $$,
	'an end is an event for each endpoint of the account that wants it');
select is(body::json ->> 'id', sluice.event_name(uid)) from sluice.outbox;
select is(body::json ->> 'type', 'batch.completed') from sluice.outbox;
select is(body::json ->> 'object', 'event') from sluice.outbox;
select is((body::json -> 'data')::jsonb - array['id', 'input_file_id', 'output_file_id',
	'created_at'], '{"object":"batch","status":"completed",
	"endpoint":"/v1/chat/completions","metadata":{"job":"x"},
	"request_counts":{"total":1,"completed":1,"failed":0}}') from sluice.outbox;
select is(body::json #>> '{data,id}', sluice.batch_name(b.uid))
from sluice.outbox o join sluice.batch b on b.id = o.batch_id;
delete from sluice.outbox;
select is(pg_temp.batch('sql', true) > 0, true);
select is((select count(*) from sluice.outbox where type = 'batch.failed')::integer, 2,
	'a batch that fails at once is told, too');

-- How it is tried
create temp table taken as select * from sluice.hooks_take(10, 60);
select is((select count(*) from taken where tries = 1)::integer, 2);
select is_empty('select * from sluice.hooks_take(10, 60)', 'not twice at once');
select is(sluice.hooks_due(), false);
create temp view one as select k.id, k.tries, w.url, o.state, o.status, o.due_at,
	o.why, o.tries as now_tries from taken k join sluice.outbox o on o.id = k.id
	join sluice.webhook w on w.id = o.webhook_id where k.url like '%a.example%';
create temp view two as select k.id, k.tries, o.state, o.status
	from taken k join sluice.outbox o on o.id = k.id where k.url like '%b.example%';
select is(sluice.hook_settle(id, 1, 500, 'HTTP 500', 0), true) from one;
select results_eq('select state, status, due_at > now() + interval ''4 s''
	and due_at < now() + interval ''6 s'' from one', $$ values ('due', 500, true) $$,
	'what failed is due again, later');
select is(sluice.hook_settle(id, 1, 200, null, 0), true) from two;
select is(state, 'delivered') from two;
select is(sluice.hook_settle(id, 1, 500, 'late', 0), false,
	'what is delivered stays so') from two;
-- A worker that died: due again when the hold is over
update sluice.outbox o set due_at = now(), held_until = now() - interval '1 s' from one
where o.id = one.id;
select is((select tries from sluice.hooks_take(10, 60))::integer, 2);
select is(sluice.hook_settle(id, 1, 200, null, 0), false,
	'the try before has no say any more') from one;
select is(sluice.hook_settle(id, 2, 429, 'HTTP 429', 3600), true) from one;
select is(due_at > now() + interval '59 min', true, 'not sooner than asked for') from one;
-- The last of eleven
update sluice.outbox o set tries = 11 from one where o.id = one.id;
select is(sluice.hook_settle(id, 11, 0, 'gone', 0), true) from one;
select is(state, 'gave_up') from one;

-- 410
select is((sluice.webhook_test(failed)) ->> 'type', 'webhook.test') from hook;
select is(sluice.hook_settle(id, 1, 410, 'HTTP 410', 0), true)
from sluice.hooks_take(10, 60);
select is(w ->> 'status', 'disabled', 'who says 410 is told nothing more')
from hook, lateral sluice.webhook_get(failed) w;
select is(pg_temp.batch('sql', true) > 0, true);
select results_eq($$ select w.url from sluice.outbox o join sluice.webhook w
	on w.id = o.webhook_id where o.state = 'due' $$,
	$$ values ('https://a.example/x') $$);

select * from finish();
rollback;
