-- Lines with the same body: found, kept from the cursors, answered with their
-- first, however that ends.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(28);

-- An input whose line i has the body of p_body[i] and the model of p_model[i], in
-- chunks of three.
create function pg_temp.batch(p_body text[], p_model smallint[], p_dedupe boolean,
    p_details boolean default false)
returns bigint language plpgsql as $$
declare
	a bigint := (select id from sluice.account where name = 'sql');
	f record;
	v_bytes bytea := '';
	v_at bigint := 0;
	e integer[] := '{}'; ia integer[] := '{}'; il integer[] := '{}';
	ba integer[] := '{}'; bl integer[] := '{}'; m smallint[] := '{}';
	v_id text;
	t text;
	k integer := 0;
	n integer := cardinality(p_body);
	v_batch json;
begin
	select * into f from sluice.file_begin(a, 'in.jsonl');
	for i in 1..n loop
		v_id := to_json('line ' || repeat('é', i) || i)::text;
		t := format('{"custom_id":%s,"body":%s}', v_id, p_body[i]) || E'\n';
		ia := ia || octet_length(v_bytes) + 13;
		il := il || octet_length(v_id);
		ba := ba || octet_length(v_bytes) + 13 + octet_length(v_id) + 8;
		bl := bl || octet_length(p_body[i]);
		m := m || p_model[i];
		v_bytes := v_bytes || convert_to(t, 'utf8');
		e := e || octet_length(v_bytes);
		if i % 3 = 0 or i = n then
			perform sluice.file_chunk(f.id, f.purge_day::date, v_at, k + 1,
				v_bytes, e, ia, il, ba, bl, m, ba, bl,
				array_fill(null::integer, array[i - k]));
			v_at := v_at + octet_length(v_bytes);
			v_bytes := ''; e := '{}'; ia := '{}'; il := '{}'; ba := '{}';
			bl := '{}'; m := '{}';
			k := i;
		end if;
	end loop;
	perform sluice.file_publish(a, f.id, v_at, n, '\x00', '/v1/chat/completions',
		'{m,n}', array[(select count(*) from unnest(p_model) x where x = 1),
			(select count(*) from unnest(p_model) x where x = 2)]::integer[], null,
		86400 * 30, null, null);
	v_batch := sluice.batch_create(a, null, (select uid from sluice.file
		where id = f.id), '/v1/chat/completions', '24h', 86400, null, 86400, null,
		null, json_build_object('priority', 2, 'dedupe', p_dedupe,
		'details', p_details));
	return (select id from sluice.batch where sluice.batch_name(uid) =
		v_batch ->> 'id');
end $$;
insert into sluice.account (name) values ('sql');
create temp table changes as select sluice.config_apply(
	'{"paths":[{"name":"p","url":"http://x","models":["*"]}]}', false, false);

--                                       1   2   3   4   5   6   7   8
create temp table t as select sluice.lease_take('me', 5000) as epoch,
	pg_temp.batch(array['1','2','1','1','3','2','1','1'],
		'{1,1,1,2,1,1,2,1}', true) as batch,
	pg_temp.batch(array['1','1'], '{1,1}', false) as plain;
create temp view lane as select l.* from sluice.batch_lane l join t on l.batch_id = t.batch
	order by l.model_index;

-- Found
select results_eq('select line, first_line from sluice.twin order by 1',
	'values (3, 1), (6, 2), (7, 4), (8, 1)', 'the same body of the same model');
select is(duplicates, 4) from sluice.batch b join t on b.id = t.batch;
select is(duplicates, null, 'not when it is not asked for')
from sluice.batch b join t on b.id = t.plain;
select results_eq('select model, lines_left from lane', $$ values ('m', 3), ('n', 1) $$,
	'a lane has those to hand out that are sent');
select results_eq($$ select first_line, line from sluice.lane_lines(
	(select id from lane where model = 'm'), 1, 9) $$,
	$$ values (1, '{1,2}'::smallint[]), (4, '{2}'), (7, null) $$,
	'and no others are read');
select results_eq($$ select line from sluice.lane_lines(
	(select id from sluice.batch_lane l join t on l.batch_id = t.plain
		where l.model = 'm'), 1, 9) $$, $$ values ('{1,2}'::smallint[]) $$);
select is(sluice.dispatch_poll(epoch, 5000, 500) ->> 'unplaced', 'false') from t;

-- Answered: line 1 with a body, line 4 with an error
create function pg_temp.settle(p_line integer, p_failed boolean, p_status smallint)
returns void language plpgsql as $$
declare
	v_text text := '{"id":"batch_req_' || md5(p_line::text) || '","custom_id":'
		|| to_json('line ' || repeat('é', p_line) || p_line)::text
		|| ',"response":{"custom_id":"x","n":' || p_line || '},"error":null}'
		|| E'\n';
begin
	perform sluice.settle_chunk(batch, p_failed, convert_to(v_text, 'utf8'),
		array[octet_length(convert_to(v_text, 'utf8'))], array[p_line],
		array[p_status], '{1}', '{2}', '{10}', '{20}', 3, 4) from t;
end $$;
update sluice.batch_lane l set next_line = 9, lines_left = 0, open = false
from lane where l.id = lane.id;
select lives_ok($$ select pg_temp.settle(1, false, 200::smallint) $$);
select lives_ok($$ select pg_temp.settle(4, true, 400::smallint) $$);
select lives_ok($$ select pg_temp.settle(5, false, 200::smallint) $$);
select results_eq('select first_line, failed, item from sluice.twin_due order by 1',
	'values (1, false, 1), (4, true, 1)', 'whose first has a result is due');
select results_eq('select placed, finished from sluice.publish((select epoch from t), 100)',
	'values (3, 0)');
select results_eq($$ select line from sluice.lane_lines(
	(select id from lane where model = 'm'), 1, 1) $$, $$ values ('{1,2}'::smallint[]) $$,
	'nor are they read when they have been answered');
select is_empty('select * from sluice.twin_due');
select results_eq('select placed, finished from sluice.publish((select epoch from t), 100)',
	'values (2, 0)');
select results_eq($$ select r.line, r.status, r.failed, r.attempts, r.input_tokens,
		r.result ->> 'custom_id', r.result #>> '{response,n}'
	from t join sluice.batch b on b.id = t.batch
	cross join lateral sluice.batch_result(sluice.batch_name(b.uid)) r
	where r.line in (1, 3, 7, 8) order by r.line $$,
	$$ values (1, 200::smallint, false, 2::smallint, 10, 'line é1', '1'),
	(3, 200::smallint, false, 0::smallint, null, 'line ééé3', '1'),
	(7, 400::smallint, true, 0::smallint, null, 'line ééééééé7', '4'),
	(8, 200::smallint, false, 0::smallint, null, 'line éééééééé8', '1') $$,
	'each has its own custom_id and the bytes of its first');
select is(count(distinct r.result ->> 'id'), count(*))
from t join sluice.batch b on b.id = t.batch
cross join lateral sluice.batch_result(sluice.batch_name(b.uid)) r;
select is(o #>> '{usage,input_tokens}', '30', 'what was not sent used nothing')
from t join sluice.batch b on b.id = t.batch cross join lateral sluice.batch_object(b) o;

-- Cancelled: the last first is ended, and its twin with it
update sluice.batch_lane l set next_line = 2, lines_left = 1, open = true
from lane where l.id = lane.id and lane.model = 'm';
update sluice.batch b set state = 'cancelling', ending = 'cancelled'
from t where b.id = t.batch;
select is(sluice.batches_end(epoch, 100) > 0, true) from t;
select results_eq('select placed, finished from sluice.publish((select epoch from t), 100)',
	'values (1, 0)');
select results_eq('select placed, finished from sluice.publish((select epoch from t), 100)',
	'values (1, 1)');
select results_eq($$ select r.line, r.result #>> '{error,code}'
	from t join sluice.batch b on b.id = t.batch
	cross join lateral sluice.batch_result(sluice.batch_name(b.uid)) r
	where r.line in (2, 6) order by 1 $$,
	$$ values (2, 'batch_cancelled'), (6, 'batch_cancelled') $$);
select is(o ->> 'request_counts', '{"total":8,"completed":4,"failed":4}')
from t join sluice.batch b on b.id = t.batch cross join lateral sluice.batch_object(b) o;

select is_empty('select * from sluice.twin');

-- Details are each line's own
update t set batch = pg_temp.batch(array['1','1'], '{1,1}', true, true);
update sluice.batch b set state = 'in_progress' from t where b.id = t.batch;
select lives_ok($$ select pg_temp.settle(1, false, 200::smallint) $$);
select sluice.publish(epoch, 100) is null from t;
select sluice.publish(epoch, 100) is null from t;
select results_eq($$ select r.result #>> '{sluice,attempts}',
		r.result #>> '{sluice,duplicate_of}', r.result #>> '{response,n}'
	from t join sluice.batch b on b.id = t.batch
	cross join lateral sluice.batch_result(sluice.batch_name(b.uid)) r order by r.line $$,
	$$ values ('2', null, '1'), ('0', 'line é1', '1') $$);

-- A twin that cannot be answered fails its own batch alone
update t set batch = pg_temp.batch(array['1','1'], '{1,1}', true);
update sluice.batch b set state = 'in_progress' from t where b.id = t.batch;
select lives_ok($$ select pg_temp.settle(1, false, 200::smallint) $$);
delete from sluice.place p using sluice.batch b, t where b.id = t.batch
    and p.file_id = b.input_id;
select sluice.publish(epoch, 100) is null from t;
select is(b.state, 'failed') from sluice.batch b join t on b.id = t.batch;

select * from finish();
rollback;
