-- Kept answers for lines of batches: what they are called, which lines have them,
-- how they are written, what becomes of the others.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select no_plan();

-- A batch whose line i has the body p_body[i], in chunks of three.
create function pg_temp.batch(p_body text[], p_endpoint text, p_options jsonb default '{}',
    p_account text default 'a') returns bigint language plpgsql as $$
declare
	a bigint := (select id from sluice.account where name = p_account);
	f record;
	v_bytes bytea := '';
	v_at bigint := 0;
	e integer[] := '{}'; ia integer[] := '{}'; il integer[] := '{}';
	ba integer[] := '{}'; bl integer[] := '{}';
	v_id text;
	k integer := 0;
	n integer := cardinality(p_body);
	v_batch json;
begin
	perform set_config('sluice.account', '', true);
	select * into f from sluice.file_begin(a, 'in.jsonl');
	for i in 1..n loop
		v_id := to_json('é' || i)::text;
		ia := ia || octet_length(v_bytes) + 13;
		il := il || octet_length(v_id);
		ba := ba || octet_length(v_bytes) + 13 + octet_length(v_id) + 8;
		bl := bl || octet_length(p_body[i]);
		v_bytes := v_bytes || convert_to(format('{"custom_id":%s,"body":%s}', v_id,
			p_body[i]) || E'\n', 'utf8');
		e := e || octet_length(v_bytes);
		if i % 3 = 0 or i = n then
			perform sluice.file_chunk(f.id, f.purge_day::date, v_at, k + 1,
				v_bytes, e, ia, il, ba, bl, array_fill(1::smallint, array[i - k]),
				ba, bl, array_fill(null::integer, array[i - k]));
			v_at := v_at + octet_length(v_bytes);
			v_bytes := ''; e := '{}'; ia := '{}'; il := '{}'; ba := '{}';
			bl := '{}';
			k := i;
		end if;
	end loop;
	perform sluice.file_publish(a, f.id, v_at, n, '\x00', p_endpoint, '{m}', array[n],
		null, 86400 * 30, null, null);
	v_batch := sluice.batch_create(a, null, (select uid from sluice.file
		where id = f.id), p_endpoint, '24h', 86400, null, 86400, null,
		null, ('{"priority":2}'::jsonb || p_options)::json);
	perform set_config('sluice.account', '', true);
	return (select id from sluice.batch where sluice.batch_name(uid) =
		v_batch ->> 'id');
end $$;
create function pg_temp.key(p_body text, p_endpoint text, p_cap integer default null)
returns bytea language sql as $$
	select sha256(sluice.kept_before(p_endpoint) || int8send(octet_length(p_body)::bigint)
		|| convert_to(p_body, 'utf8') || sluice.kept_after(p_cap))
$$;
create function pg_temp.keep(p_body text, p_answer text, p_account text default 'a',
    p_endpoint text default '/v1/embeddings') returns void language plpgsql as $$
begin
	perform sluice.cache_put((select id from sluice.account where name = p_account),
		pg_temp.key(p_body, p_endpoint), 't', convert_to(p_answer, 'utf8'));
	perform set_config('sluice.account', '', true);
end $$;
create function pg_temp.lanes(p_batch bigint) returns integer[] language sql as $$
	select (select array_agg(x order by x) from (
		select r.first_line + unnest(r.line) - 1 as x
		from sluice.batch_lane l, sluice.lane_lines(l.id, 1, 99) r
		where l.batch_id = p_batch) q)
$$;
create function pg_temp.output(p_batch bigint) returns text language sql as $$
	select string_agg(convert_from(c.bytes, 'utf8'), '' order by c.id)
	from sluice.batch b join sluice.chunk c on c.file_id = b.output_id
	where b.id = p_batch
$$;
create function pg_temp.of(p_batch bigint) returns text language sql as $$
	select format('%s %s %s', state, coalesce(cached::text, '-'),
		coalesce(duplicates::text, '-')) from sluice.batch where id = p_batch
$$;

insert into sluice.account (name, cache) values ('a', true), ('b', true), ('c', false);
create temp table t as select sluice.lease_take('me', 5000) as epoch,
	sluice.config_apply('{"paths":[{"name":"p","url":"http://x","models":["*"]}]}',
		false, false) as changes;

-- tests/unit/kept.c has the same two
select is(encode(pg_temp.key('{"model":"m","input":"x"}', '/v1/embeddings'), 'hex'),
	'316e9b89d13079ebb74377896627ac010921b7b6377828d876bdbdea05e1e5f1');
select is(encode(pg_temp.key('{"model":"m","input":"x"}', '/v1/embeddings', 7), 'hex'),
	'd09bac28727f2ed110c08ca57eee3d4c3012177f18d5c3d93b0a1dfd81d8f4cc');

-- Some are known: answered at once, passed by the cursor
select pg_temp.keep('1', E'{\r\n "a\\\\n\\u00e9é" : [1.0]\n}\n');
select pg_temp.keep('2', '{"two":2}');
create temp table b as select
	pg_temp.batch('{1,3,2,4,1,5}', '/v1/embeddings', '{"details":true}') as part,
	pg_temp.batch('{1,2,1,2}', '/v1/embeddings') as whole,
	pg_temp.batch('{1,2}', '/v1/embeddings', '{}', 'b') as others,
	pg_temp.batch('{1,2}', '/v1/embeddings', '{}', 'c') as off,
	pg_temp.batch('{1,2}', '/v1/embeddings', '{"max_tokens":9}') as capped,
	pg_temp.batch('{1,2}', '/v1/chat/completions') as chat;
select is(pg_temp.of(part), 'validating 3 -') from b;
select is(pg_temp.lanes(part), '{2,4,6}') from b;
select is((select lines_left from sluice.batch_lane where batch_id = part), 3) from b;
select is(regexp_replace(pg_temp.output(part), 'batch_req_[0-9a-f]{32}', 'ID', 'g'), E''
	'{"id":"ID","custom_id":"é1","response":{"status_code":200,"request_id":"ID",'
	'"body":{   "a\\\\n\\u00e9é" : [1.0] } },"error":null,"sluice":{"attempts":0,"cost":0,'
	'"cached":true}}\n{"id":"ID","custom_id":"é3","response":{"status_code":200,'
	'"request_id":"ID","body":{"two":2}},"error":null,"sluice":{"attempts":0,"cost":0,'
	'"cached":true}}\n{"id":"ID","custom_id":"é5","response":{"status_code":200,'
	'"request_id":"ID","body":{   "a\\\\n\\u00e9é" : [1.0] } },"error":null,"sluice":{'
	'"attempts":0,"cost":0,"cached":true}}\n') from b;
select is(array[pg_temp.of(whole), pg_temp.of(others), pg_temp.of(off), pg_temp.of(capped),
	pg_temp.of(chat)], array['in_progress 4 -', 'validating - -', 'validating - -',
	'validating - -', 'validating - -'],
	'one with no others is begun; not those of others, nor of who does not want it') from b;
select results_eq('select sum(requests), sum(input_tokens + output_tokens), sum(money)
	from sluice.usage_all where kind = ''batch'' and path_id = 0',
	$$ values (7::numeric, 0::numeric, 0::numeric) $$);

-- They end as any batch does, each line once
select lives_ok('select sluice.publish(epoch, 100) from t');
select is(pg_temp.of(whole), 'completed 4 -') from b;
select is_empty('select t.* from sluice.twin t, b where t.batch_id = b.whole',
	'nothing is left of it');
select sluice.dispatch_poll(epoch, 5000, 1000, 0) is not null from t;
select sluice.batch_cancel((select id from sluice.account where name = 'a'), uid) is not null
from sluice.batch join b on id = part;
select set_config('sluice.account', '', true);
select is(sluice.batches_end(epoch, 100) > 0, true) from t;
select sluice.publish(epoch, 100) is not null from t;
select is(state || done_lines || failed_lines, 'cancelled33',
	'of a batch that is cancelled what was known stays') from sluice.batch join b on id = part;

-- Too old; and so many bytes at most
update sluice.answer_cache set expires_at = now() where octet_length(body) = 9;
select is(pg_temp.of(pg_temp.batch('{1,2}', '/v1/embeddings')), 'validating 1 -');
create or replace function sluice.cache_bytes_max() returns bigint
language sql immutable set search_path = '' as $$ select 100::bigint $$;
select is(pg_temp.of(pg_temp.batch(array_fill('1'::text, array[5]), '/v1/embeddings')),
	'validating 3 1', 'of those that are alike beyond it one is sent');
create or replace function sluice.cache_bytes_max() returns bigint
language sql immutable set search_path = '' as $$ select 1000000000::bigint $$;
-- Chunks stay small
select pg_temp.keep('6', '{"x":"' || repeat('x', 60000) || '"}');
create temp table large as select pg_temp.batch(array_fill('6'::text, array[7])
	|| array_fill('1'::text, array[600]), '/v1/embeddings') as id;
select is(max(octet_length(c.bytes)) <= 131072 and max(cardinality(c.line_end)) <= 256
	and sum(cardinality(c.line_end)) = 607, true)
from large join sluice.batch b using (id) join sluice.chunk c on c.file_id = b.output_id;

-- Alike in one batch, where nothing is known: once, if it has one answer
select is(pg_temp.of(pg_temp.batch('{7,8,7,7}', '/v1/embeddings')), 'validating - 2');
select is(pg_temp.of(pg_temp.batch('{7,8,7,7}', '/v1/embeddings', '{}', 'c')),
	'validating - -');
select is(pg_temp.of(pg_temp.batch(array[x, x], '/v1/chat/completions')),
	'validating - ' || y, x) from (values
	('{"temperature":0}', '1'), ('{"temperature":-0.0e3}', '1'), ('{"temperature":0.1}', '-'),
	('{"a":1}', '-'), ('{"temperature":"0"}', '-'), ('{"temperature":0,"temperature":0}', '-'),
	('{"temperature":0,"a":"\u0000"}', '-')) v (x, y);
select is(pg_temp.of(pg_temp.batch('{7,7}', '/v1/responses')), 'validating - -');
select is(pg_temp.of(pg_temp.batch('{7,7,1}', '/v1/embeddings', '{"dedupe":true}')),
	'validating 1 1', 'with dedupe, too');

-- What a worker has settled
create temp table w as select pg_temp.batch('{9}', '/v1/embeddings') as id;
select sluice.cache_keep(id, pg_temp.key('9', '/v1/embeddings') || pg_temp.key('10',
	'/v1/embeddings') || pg_temp.key('9', '/v1/embeddings'), 'nineten9', '{4,7,8}') from w;
select set_config('sluice.account', '', true);
select bag_eq($$ select convert_from(body, 'utf8') from sluice.answer_cache
	where key = pg_temp.key('10', '/v1/embeddings') $$, $$ values ('ten') $$);
select is((select count(*) from sluice.answer_cache
	where key = pg_temp.key('9', '/v1/embeddings'))::integer, 1);
select sluice.cache_keep(pg_temp.batch('{9}', '/v1/embeddings', '{}', 'c'),
	pg_temp.key('9', '/v1/embeddings'), 'x', '{1}');
select set_config('sluice.account', '', true);
select is_empty($$ select from sluice.answer_cache c join sluice.account a
	on a.id = c.account_id where a.name = 'c' $$);

select * from finish();
rollback;
