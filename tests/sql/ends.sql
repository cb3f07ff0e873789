-- How batches end when something of theirs is not there; what is swept.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(17);

insert into sluice.account (name) values ('sql');
-- A batch of three lines on a file of its own.
create function pg_temp.batch() returns bigint language plpgsql as $$
declare
	a bigint := (select id from sluice.account where name = 'sql');
	t text := '{"custom_id":"r","body":{}}' || E'\n';
	n integer := octet_length(t);
	f record;
	v_batch json;
begin
	select * into f from sluice.file_begin(a, 'in.jsonl');
	perform sluice.file_chunk(f.id, f.purge_day::date, 0, 1,
		convert_to(repeat(t, 3), 'utf8'), array[n, 2 * n, 3 * n],
		array[13, 13 + n, 13 + 2 * n], '{3,3,3}', array[24, 24 + n, 24 + 2 * n],
		'{2,2,2}', '{1,1,1}', '{0,0,0}', '{0,0,0}', '{null,null,null}');
	perform sluice.file_publish(a, f.id, 3 * n, 3, '\x00', '/v1/chat/completions',
		'{m}', '{3}', null, 86400 * 30, null, null);
	v_batch := sluice.batch_create(a, null, (select uid from sluice.file
		where id = f.id), '/v1/chat/completions', '24h', 86400, null, 86400,
		null, null, '{"priority":2}');
	return (select id from sluice.batch where sluice.batch_name(uid) =
		v_batch ->> 'id');
end $$;
create function pg_temp.cancel(p_batch bigint) returns text language sql as $$
	select sluice.batch_cancel(account_id, uid) ->> 'status' from sluice.batch
	where id = p_batch
$$;
create temp table changes as select sluice.config_apply(
	'{"paths":[{"name":"p","url":"http://x","models":["m"]}]}', false, false);
create temp table t as select sluice.lease_take('me', 5000) as epoch,
	pg_temp.batch() as broken, pg_temp.batch() as whole, pg_temp.batch() as out;
select sluice.dispatch_poll(epoch, 5000, 500) is not null from t;

-- A broken batch does not stop the others
delete from sluice.place p using sluice.batch b, t
where b.id in (t.broken, t.out) and p.file_id = b.input_id;
insert into sluice.run (batch_id, lane_id, path_id, purge_day, chunk_id, first_line,
	line, send_at, keep_us, open, worker_id, taken_at)
select t.out, l.id, 1, l.purge_day, 1, 1, '{1}', now(), 0, '1',
	sluice.worker_start('w', 1, 60000), now()
from t join sluice.batch_lane l on l.batch_id = t.out;
select is(pg_temp.cancel(broken), 'cancelling') from t;
select is(pg_temp.cancel(whole), 'cancelling') from t;
select is(pg_temp.cancel(out), 'cancelling') from t;
select lives_ok('select sluice.batches_end(epoch, 10) from t');
select results_eq('select finished from sluice.publish((select epoch from t), 10)',
	'values (1)');
select is(state, 'cancelled', 'the whole one ends') from t join sluice.batch on id = whole;
select is(state, 'failed', 'the broken one as well') from t join sluice.batch on id = broken;
select is(errors -> 0 ->> 'code', 'input_lost') from t join sluice.batch on id = broken;
select is((select count(*) from sluice.batch_lane l where l.batch_id = broken)::integer,
	0) from t;
select is(state, 'cancelling', 'but not while a line is out')
from t join sluice.batch on id = out;
delete from sluice.run;
select lives_ok('select sluice.batches_end(epoch, 10) from t');
select is(state, 'failed') from t join sluice.batch on id = out;

-- Nor do results that cannot be placed
update t set whole = pg_temp.batch(), broken = pg_temp.batch();
select sluice.dispatch_poll(epoch, 5000, 500) is not null from t;
insert into sluice.unplaced (chunk_id, purge_day, file_id, batch_id, bytes, lines)
select 1000000 + b.id, case b.id when t.whole then f.purge_day else '2020-01-01' end,
	f.id, b.id, 1, 3
from t join sluice.batch b on b.id in (t.whole, t.broken)
join sluice.file f on f.id = b.output_id;
select results_eq('select finished from sluice.publish((select epoch from t), 10)',
	'values (1)');
select results_eq($$ select b.state from sluice.batch b join t on b.id in
	(t.whole, t.broken) order by b.id = t.broken $$, $$ values ('completed'), ('failed') $$);

-- A day is kept while an open batch needs it
select sluice.ensure_day('2020-01-01');
select sluice.ensure_day('2020-01-02');
update t set whole = pg_temp.batch();
update sluice.file f set purge_day = '2020-01-01'
from t join sluice.batch b on b.id = t.whole where f.id = b.input_id;
select lives_ok('select sluice.sweep(epoch) from t');
select isnt(to_regclass('sluice.chunk_20200101'), null);
select is(to_regclass('sluice.chunk_20200102'), null);

select * from finish();
rollback;
