-- An upstream's own batches: what is packed, claims and their fences, the rest.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(53);

insert into sluice.account (name) values ('a'), ('b');
create temp table changes as select sluice.config_apply('{"paths":[{"name":"p",
	"url":"http://x","models":["m"],"kind":"batches","attempts":2,
	"limits":[{"dimension":"enqueued_tokens","amount":8000}]}]}', false, false);
create temp table t as select p.id as path, w.id as w1, v.id as w2
from sluice.path p, lateral sluice.worker_start('one', 10, 60000) w (id),
	lateral sluice.worker_start('two', 10, 60000) v (id);

-- A batch of an account with one lane and a chunk of lines; its name is its lane's.
create function pg_temp.lane(p_account text) returns bigint language plpgsql as $$
declare
	v_account bigint := (select id from sluice.account where name = p_account);
	v_file bigint;
	v_batch bigint;
	v_lane bigint;
begin
	insert into sluice.file (account_id, purpose, name, state, purge_day,
		expires_at) values (v_account, 'batch_output', 'out', 'growing',
		'2040-01-01', '2039-12-01') returning id into v_file;
	insert into sluice.batch (account_id, input_id, output_id, error_id, endpoint,
		priority, window_text, state, lines, deadline)
	values (v_account, v_file, v_file, v_file, '/v1/chat/completions', 2, '24h',
		'in_progress', 100, now() + interval '1 day') returning id into v_batch;
	insert into sluice.batch_lane (batch_id, account_id, file_id, purge_day, model,
		model_index, endpoint, priority, deadline, lines_left)
	values (v_batch, v_account, v_file, '2040-01-01', 'm', 1,
		'/v1/chat/completions', 2, now() + interval '1 day', 100)
	returning id into v_lane;
	return v_lane;
end $$;
select sluice.ensure_day('2040-01-01');
insert into sluice.chunk (purge_day, id, file_id, bytes, line_end, id_at, id_len,
	body_at, body_len, model, cap)
select '2040-01-01', 9, 1, convert_to(string_agg(format('"r%s"', i), ''), 'UTF8'),
	array_agg(i), array_agg(4 * i), array_agg(4), array_agg(0), array_agg(10 + i),
	array_agg(1), array_agg(null::integer)
from generate_series(0, 9) i;
create function pg_temp.run(p_lane bigint, p_lines integer, p_tokens bigint,
    p_tries integer default 0, p_age interval default '0') returns bigint
language sql as $$
	insert into sluice.run (batch_id, lane_id, path_id, purge_day, chunk_id,
		first_line, line, send_at, keep_us, open, tokens, bytes, tries)
	select l.batch_id, l.id, t.path, '2040-01-01', 9, 1,
		array(select i::smallint from generate_series(1, p_lines) i),
		now() - p_age, 600000000, repeat('1', p_lines)::bit varying, p_tokens,
		p_lines * 100, array_fill(p_tries::smallint, array[p_lines])
	from sluice.batch_lane l, t where l.id = p_lane
	returning id
$$;

-- Packing
create temp table lanes as select pg_temp.lane('a') as a1, pg_temp.lane('a') as a2,
	pg_temp.lane('b') as b;
select pg_temp.run(a1, 5, 300) from lanes;
select is(sluice.provider_pack(), 0, 'too few and too early');
select pg_temp.run(a2, 5, 400) from lanes;
select is(sluice.provider_pack(), 0);
select pg_temp.run(a1, 5, 400) from lanes;
select is(sluice.provider_pack(), 1, 'an eighth of the limit is there');
select results_eq('select lines, tokens, state from sluice.provider_batch',
	$$ values (10, 700::bigint, 'packed') $$, 'of two batches of one account');
select is((select count(*) from sluice.run where provider_id is null)::integer, 1);
update sluice.run set send_at = now() - interval '11 s' where provider_id is null;
select is(sluice.provider_pack(), 1, 'what has waited long enough goes alone');
select pg_temp.run(b, 4, 200, 0, '1 min') from lanes;
select pg_temp.run(a1, 4, 200, 0, '1 min') from lanes;
select pg_temp.run(a1, 4, 200, 1, '1 min') from lanes;
select is(sluice.provider_pack(), 3, 'accounts and tries are kept apart');
select is((sluice.provider_shard(p, 'm', now() + interval '1 day', 0)).lines, 50000::bigint)
from sluice.path p;
select is((sluice.provider_shard(p, 'm', now() + interval '1 day', 2)).lines, 195::bigint,
	'what has failed goes in fewer') from sluice.path p;
select pg_temp.run(a1, 10, 4000, 0, '1 min') from lanes;
update sluice.run set most = '{1,2,3,4,5,6,7,8,9,0}' where tokens = 4000;
select is(sluice.provider_pack(), 5, 'one that is too large is parted');
select results_eq($$ select lines, tokens from sluice.provider_batch
	where id > (select max(id) - 5 from sluice.provider_batch) order by id $$,
	$$ select 2, 800::bigint from generate_series(1, 5) $$);
select results_eq($$ select array_agg(l order by r.id, i) from sluice.run r
	join (select max(id) - 5 as last from sluice.provider_batch) q
	    on r.provider_id > q.last, unnest(r.line) with ordinality u (l, i) $$,
	$$ values ('{1,2,3,4,5,6,7,8,9,10}'::smallint[]) $$, 'and no line is lost');
select is(sluice.reap(sluice.lease_take('me', 60000))::text, '(0,0,0)',
	'what is packed does not get old');

select is((select array_agg(r.most::text order by r.id) from sluice.run r
	where r.most is not null), '{"{1,2}","{3,4}","{5,6}","{7,8}","{9,0}"}'::text[],
	'nor with how many others it may share a call elsewhere');

-- What is out, for the planner
select results_eq($$ select (g ->> 'lines')::integer, (g ->> 'tokens')::integer,
	(g ->> 'going')::integer from json_array_elements(sluice.provider_out()) g $$,
	'values (37, 5700, 37)');

-- Claims
delete from sluice.provider_batch b where b.id > (select min(id)
	from sluice.provider_batch);
delete from sluice.run r where r.provider_id <> (select min(id)
	from sluice.provider_batch);
create temp table c as select n.* from t, lateral sluice.provider_next(w1, 9) n;
select results_eq('select was, uploads, fence from c', $$ values ('packed', 1, 1) $$);
select is((select state from sluice.provider_batch), 'uploading');
select is_empty('select n.* from t, lateral sluice.provider_next(w2, 9) n',
	'no two work on one');
update sluice.worker set lease_until = now() - interval '1 s' where name = 'one';
create temp table c2 as select n.* from t, lateral sluice.provider_next(w2, 9) n;
select results_eq('select was, uploads, fence from c2', $$ values ('uploading', 2, 2) $$,
	'but for a dead one''s');
select throws_ok($$ select sluice.provider_step(w1, id, 1, '{"state":"uploaded"}')
	from t, c $$, 'SL410', null, 'who cannot write any more');
select throws_ok($$ select sluice.provider_lines(w1, id, 1, true) from t, c $$, 'SL410');
select throws_ok($$ select sluice.provider_settle(w1, id, 1, '[]', '[]', '[]')
	from t, c $$, 'SL410');
select results_eq($$ select cardinality(line), encode(ids, 'escape'), id_len, body_len
	from (select l.* from t, c, lateral sluice.provider_lines(w2, c.id, 2, true) l
	limit 1) x $$, $$ values (5, '"r0""r1""r2""r3""r4"', '{4,4,4,4,4}'::integer[],
	'{10,11,12,13,14}'::integer[]) $$, 'lines in the order of the file');
select lives_ok($$ select sluice.provider_step(w2, id, 2,
	'{"state":"uploaded","file":"file-1","in_ms":0}') from t, c $$);
select results_eq('select state, file, worker_id from sluice.provider_batch',
	$$ values ('uploaded', 'file-1', null::bigint) $$);
create temp table c3 as select n.* from t, lateral sluice.provider_next(w2, 9) n;
select is((select state from sluice.provider_batch), 'creating',
	'from now on it may be there');
select lives_ok($$ select sluice.worker_stop(w2, false) from t $$);
create temp table w as select sluice.worker_start('three', 10, 60000) as id;
create temp table c4 as select n.* from w, lateral sluice.provider_next(w.id, 9) n;
select is((select was from c4), 'creating', 'whoever comes next is told so');
select lives_ok($$ select sluice.provider_step(w.id, c.id, c4.fence,
	'{"state":"running","batch":"batch_1","in_ms":60000}') from w, c, c4 $$);
select isnt((select running_at from sluice.provider_batch), null);
select is_empty('select n.* from w, lateral sluice.provider_next(w.id, 9) n');

-- A batch of ours ends: the upstream is told
select lives_ok($$ select sluice.provider_cancel_for(batch_id) from sluice.batch_lane l,
	lanes where l.id = lanes.a1 $$);
create temp table c5 as select n.* from w, lateral sluice.provider_next(w.id, 9) n;
select results_eq('select was, cancel, told from c5', $$ values ('running', true, false) $$);
select lives_ok($$ select sluice.provider_step(w.id, c5.id, c5.fence,
	'{"told":true,"in_ms":0}') from w, c5 $$);
create temp table c6 as select n.* from w, lateral sluice.provider_next(w.id, 9) n;
select ok(told) from c6;

-- Results and the rest
select lives_ok($$ select sluice.provider_step(w.id, c6.id, c6.fence,
	'{"state":"fetching","status":"cancelled","in_ms":0}') from w, c6 $$);
create temp table c7 as select n.* from w, lateral sluice.provider_next(w.id, 9) n;
create temp table r as select min(id) as first, max(id) as last from sluice.run;
select lives_ok($$ select sluice.provider_settle(w.id, c7.id, c7.fence, json_build_array(
	json_build_object('run', r.first, 'bits', '11000')), '[]', '[]') from w, c7, r $$);
select throws_ok($$ select sluice.provider_settle(w.id, c7.id, c7.fence, json_build_array(
	json_build_object('run', r.first, 'bits', '01000')), '[]', '[]') from w, c7, r $$,
	'SL410', null, 'no line is settled twice');
select results_eq($$ select o.id, o.open from w, c7, r, lateral sluice.provider_open(w.id,
	c7.id, c7.fence, array[r.first]) o $$, $$ select first, '00111' from r $$);
update sluice.run set tries = '{0,0,0,0,1}' where id = (select last from r);
select lives_ok($$ select sluice.provider_step(w.id, c7.id, c7.fence, '{"state":"settled",
	"faults":[{"line":3,"code":"bad","message":"it is"},{"line":1,"code":"late",
	"message":"it has a result"}],
	"rest":{"counts":true,"sent":true,"attempts":2,"code":"x","why":"y"}}')
	from w, c7 $$);
select is((select count(*) from sluice.run)::integer, 0);
select results_eq($$ select lane_id = a2, line, tries::integer, sends::integer
	from sluice.retry, lanes order by 1, 2 $$,
	$$ values (false, 4, 1, 1), (false, 5, 1, 1), (true, 1, 1, 1), (true, 2, 1, 1),
	(true, 3, 1, 1), (true, 4, 1, 1) $$, 'what has a try left goes again');
select results_eq($$ select convert_from(bytes, 'UTF8')::json #>> '{error,code}', answers,
	sends from sluice.chunk where id <> 9 order by id $$,
	$$ values ('bad', '{3}'::integer[], '{1}'::smallint[]), ('x', '{5}', '{1}') $$,
	'the others fail, those that were named with their own word');

-- One that was never sent is free at once
delete from sluice.retry;
select pg_temp.run(a1, 3, 30, 0, '1 min') from lanes;
select is(sluice.provider_pack(), 1);
select lives_ok($$ select sluice.provider_cancel(id) from sluice.provider_batch
	where state = 'packed' $$);
select results_eq($$ select state, (select count(*) from sluice.retry)::integer
	from sluice.provider_batch order by id desc limit 1 $$, $$ values ('cleaned', 3) $$);

-- Its lines go direct while there is time: 660 s for the cancel, two polls of 30 s,
-- and what 3 lines take at one in ten seconds
insert into sluice.provider_batch (path_id, account_id, model, endpoint, state, lines,
	tokens, deadline)
select t.path, 1, 'm', '/v1/chat/completions', 'running', 3, 30, now()
from t;
create temp table x as select max(id) as id from sluice.provider_batch;
select pg_temp.run(a1, 3, 30) from lanes;
update sluice.run set provider_id = x.id from x where provider_id is null;
create function pg_temp.escalates(p_left interval) returns boolean language sql as $$
	update sluice.provider_batch b set cancel_at = null from x where b.id = x.id;
	update sluice.batch b set deadline = now() + p_left;
	select sluice.provider_recall();
	select b.cancel_at is not null from sluice.provider_batch b, x where b.id = x.id
$$;
select ok(not pg_temp.escalates('10 s'), 'without a direct path they stay');
select sluice.config_apply('{"paths":[{"name":"d","url":"http://x","models":["m"],
	"limits":[{"dimension":"requests","window_s":60,"amount":6}]}]}', false, false)
	is not null as made \gset
select ok(not pg_temp.escalates('760 s'));
select ok(pg_temp.escalates('740 s'), 'too late for anything else');
update sluice.batch set escalate = false;
select ok(not pg_temp.escalates('740 s'), 'cheap stays cheap where it is to be');
update sluice.batch set escalate = true;
insert into sluice.path_state (path_id, health) select id, 'down' from sluice.path
where name = 'd' on conflict (path_id) do update set health = 'down';
select ok(not pg_temp.escalates('740 s'), 'not to a path that is down');

-- What goes again elsewhere: with how many others in a call
delete from sluice.retry;
select pg_temp.run(b, 3, 200) from lanes;
update sluice.run set most = '{1,2,0}', provider_id = 77 where tokens = 200
    and provider_id is null;
select lives_ok($$ select sluice.provider_rest(77, '{"why":"cancelled"}') $$);
select results_eq('select line, most::int from sluice.retry order by line',
	'values (1, 1), (2, 2), (3, 0)');

select * from finish();
rollback;
