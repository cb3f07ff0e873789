-- Who goes first: the working set, pauses, priorities, deadlines, outlooks.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(35);

insert into sluice.account (name, weight) values ('sql', 3);
select sluice.config_apply('{"pools": [{"name": "p", "limits": [
	{"dimension": "requests", "window_s": 60, "amount": 600}]}],
	"paths": [{"name": "p", "pool": "p", "url": "http://h", "models": ["m*"]}]}',
	false, false);
create temp table was (what text, uid uuid, n bigint);
create temp table t as select sluice.lease_take('me', 5000) as epoch,
	(select id from sluice.account where name = 'sql') as account;

-- A batch of so many lines of model m, by the options.
create function pg_temp.batch(p_what text, p_lines integer, p_options text,
    p_window_s integer default 86400
) returns bigint language plpgsql as $$
declare
	v_file uuid;
	v_uid uuid;
begin
	insert into sluice.file (account_id, purpose, name, state, purge_day, bytes,
		lines, endpoint, models, model_lines, expires_at)
	select account, 'batch', 'f', 'ready', '2030-01-01', p_lines * 300, p_lines,
		'/v1/x', '{m}', array[p_lines], '2029-12-30' from t
	returning uid into v_file;
	v_uid := replace(sluice.batch_create((select account from t), null, v_file,
		'/v1/x', 'x', p_window_s, null, 86400, null, null,
		p_options::json) ->> 'id', 'batch_', '')::uuid;
	insert into was select p_what, b.uid, b.id from sluice.batch b
	where b.uid = v_uid;
	return (select n from was where what = p_what);
end $$;
create function pg_temp.n(p_what text) returns bigint language sql as $$
	select n from was where what = p_what
$$;
create function pg_temp.edit(p_what text, p_options text) returns json
language sql as $$
	select sluice.batch_edit(t.account, w.uid, p_options::json)
	from t, was w where w.what = p_what
$$;
create function pg_temp.poll() returns json language sql as $$
	select sluice.dispatch_poll(epoch, 5000, 500) from t
$$;

-- The working set
select count(pg_temp.batch('many ' || i, 10, '{"priority":3}'))
from generate_series(1, 40) i;
select pg_temp.batch('low', 10, '{"priority":1}') > 0;
select pg_temp.batch('soon', 10, '{"priority":3}', 600) > 0;
select pg_temp.batch('long', 40000, '{"priority":3}', 80000) > 0;
select pg_temp.poll() is not null;
select is((select start_by from sluice.batch_lane l where l.batch_id = pg_temp.n('soon')),
	now() + interval '599 s', 'ten lines need a second at ten a second');
select results_eq($$select l.batch_id from sluice.dispatch_lanes(4, '{}') l order by 1$$,
	$$select n from was where what in ('many 1', 'many 2', 'low', 'soon', 'long')
	order by 1$$,
	'of each class the oldest and those that can least wait');
select is((select max(weight) from sluice.dispatch_lanes(4, '{}')), 3,
	'with the weight of the account');

-- A pause
select pg_temp.batch('b', 100, '{"priority":2}') > 0;
select pg_temp.poll() is not null;
insert into sluice.run (batch_id, lane_id, path_id, purge_day, chunk_id, first_line,
	line, send_at, keep_us, open, worker_id)
select l.batch_id, l.id, 1, '2030-01-01', 1, 1, '{1}', now(), 1000, b'1', w
from sluice.batch_lane l, (values (null), (7)) as v (w)
where l.batch_id = pg_temp.n('b');
select isnt(pg_temp.edit('b', '{"paused":true}') #>> '{sluice,paused_at}', null,
	'a batch is paused');
select results_eq($$select worker_id from sluice.run$$, $$values (7::bigint)$$,
	'what nobody has taken comes back, the rest ends');
select is((select why from sluice.retry), 'paused');
select is((select open from sluice.batch_lane where batch_id = pg_temp.n('b')), false,
	'its lane is closed');
select is(pg_temp.poll() ->> 'due', null, 'no line of it is due');
select is((select count(*) from sluice.dispatch_lanes(4, array(
	select id from sluice.batch_lane where batch_id = pg_temp.n('b'))) l
	where l.batch_id = pg_temp.n('b')), 0::bigint, 'nor in the working set');
select is(pg_temp.edit('b', '{}') #>> '{sluice,waiting,why}', 'it is paused');
select is(sluice.dispatch_commit(epoch, format('{"of":[%s],"lanes":[{"id":%1$s,
	"from":1,"next":3,"lines":2}],"runs":[{"lane":%1$s,"path":1,"chunk":1,
	"first_line":1,"send_us":1,"keep_us":1,"line":[1,2]}],"again":[{"lane":%1$s,
	"line":1}]}', l.id)::json), 0, 'a plan made before leaves it out')
from t, sluice.batch_lane l where l.batch_id = pg_temp.n('b');
select results_eq($$select next_line, lines_left from sluice.batch_lane
	where batch_id = pg_temp.n('b')$$, $$values (1, 100)$$);
select is((select count(*) from sluice.retry), 1::bigint);
select is(pg_temp.edit('b', '{"paused":false}') #>> '{sluice,paused_at}', null);
select is((select open from sluice.batch_lane where batch_id = pg_temp.n('b')), false);
select is(sluice.dispatch_commit(epoch, format('{"of":[%s],"lanes":[{"id":%1$s,
	"from":3,"next":5,"lines":2}]}', l.id)::json), 0,
	'nor is it taken for what it was before the dispatcher has looked')
from t, sluice.batch_lane l where l.batch_id = pg_temp.n('b');
select is(pg_temp.poll() ->> 'opened', (select json_build_array(id)::text
	from sluice.batch_lane where batch_id = pg_temp.n('b')),
	'the dispatcher lets it go on, and reads it anew');
select is((select open from sluice.batch_lane where batch_id = pg_temp.n('b')), true);
select is(pg_temp.poll() ->> 'opened', null, 'once');

-- One that is made paused, or paused while it is validated
select pg_temp.batch('asleep', 10, '{"priority":2,"paused":true}') > 0;
select pg_temp.poll() is not null;
select results_eq($$select b.state, l.open from sluice.batch b
	join sluice.batch_lane l on l.batch_id = b.id where b.id = pg_temp.n('asleep')$$,
	$$values ('in_progress', false)$$, 'a batch may begin paused');
update sluice.batch set deadline = now() where id = pg_temp.n('asleep');
select sluice.batches_end(epoch, 0) is not null from t;
select is((select ending from sluice.batch where id = pg_temp.n('asleep')), 'expired',
	'and it expires as others do');
select throws_ok($$select pg_temp.edit('asleep', '{"paused":false}')$$, 'SL409',
	'Cannot change a batch with status ''finalizing''.');

-- Priority and deadline
select is(pg_temp.edit('b', '{"priority":4,"deadline":"+7200"}') ->> 'expires_at',
	sluice.epoch(now() + interval '2 h')::text);
select results_eq($$select priority, deadline, start_by from sluice.batch_lane
	where batch_id = pg_temp.n('b')$$, $$values (4::smallint, now() + interval '2 h',
	now() + interval '7190 s')$$, 'its lanes follow');
select throws_ok(format($$select pg_temp.edit('b', '{"deadline":%s}')$$,
	sluice.epoch(now()) - 1), 'SL400', null, 'a deadline lies ahead');
select throws_ok($$select pg_temp.edit('b', '{"deadline":1999999999}')$$, 'SL400',
	null, 'and before the files go');
select throws_ok($$select sluice.batch_edit(0, uid, '{"priority":1}') from was
	where what = 'b'$$, 'SL404', null, 'a batch of another account is not there');

-- In time?
delete from sluice.retry;
select results_eq($$select o ->> 'feasible', o ->> 'need_s', o ->> 'lines_ahead',
	o ->> 'limit', o ->> 'of' from (select pg_temp.edit('b', '{}')
		#> '{sluice,outlook}' as o) x$$,
	$$values ('true', '11', '10', 'requests/1m', 'pool p')$$,
	'100 lines, and ten that are due before');
select is((select (o ->> 'lines_in_time')::integer
	from (select pg_temp.edit('b', '{"deadline":"+5"}') #> '{sluice,outlook}' as o) x),
	47, 'five seconds less a twentieth are for 47 lines');
select is(pg_temp.edit('b', '{}') #>> '{sluice,outlook,feasible}', 'false');
select throws_ok($$select pg_temp.batch('x', 7000,
	'{"priority":2,"require_feasible":true}', 600)$$, 'SL422',
	'The batch cannot be done in time: its 7000 lines, with 110 of other batches '
	'due before, take 711 s under requests/1m of pool p, and there are 600 s; 5590 '
	'of its lines can be done by then.', 'what cannot be done is refused');
select lives_ok($$select pg_temp.batch('y', 4600,
	'{"priority":2,"require_feasible":true}', 600)$$);
select throws_like(format($$select pg_temp.batch('z', 4600,
	'{"priority":2,"require_feasible":true,"hours":"%s-%s"}', 600)$$,
	to_char(now() at time zone 'utc' - interval '1 min', 'HH24:MI'),
	to_char(now() at time zone 'utc' + interval '5 min', 'HH24:MI')),
	'The batch cannot be done in time: its 4600 lines%', 'nor outside its hours');
update sluice.fairness set at = clock_timestamp(), danger = array[pg_temp.n('b')];
select is(pg_temp.edit('b', '{}') #>> '{sluice,outlook,danger}', 'goes first');
update sluice.fairness set at = now() - interval '11 s';
select is(pg_temp.edit('b', '{}') #>> '{sluice,outlook,danger}', null,
	'old news are none');
select * from finish();
rollback;
