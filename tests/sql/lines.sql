-- What the dispatcher reads of a file: chunks without lines of the lane's model,
-- and chunks of blank lines.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(3);

select sluice.ensure_day('2030-01-01');
insert into sluice.batch_lane (batch_id, account_id, file_id, purge_day, model,
	model_index, endpoint, priority, deadline, lines_left)
values (1, 1, 1, '2030-01-01', 'm2', 2, '/', 2, now(), 2);
create temp table t as select id as lane from sluice.batch_lane;
insert into sluice.chunk (purge_day, id, file_id, bytes, line_end, body_len, model)
values ('2030-01-01', 1, 1, 'aa', '{1,2}', '{1,1}', '{1,1}'),
	('2030-01-01', 2, 1, 'bb', '{1,2}', '{7,8}', '{2,2}'),
	('2030-01-01', 3, 1, ' ', '{}', '{}', '{}');
-- The blank one stands before the second: both begin with line 3.
insert into sluice.place (purge_day, file_id, first_byte, bytes, first_line, lines,
	chunk_id)
values ('2030-01-01', 1, 0, 2, 1, 2, 1), ('2030-01-01', 1, 3, 2, 3, 2, 2),
	('2030-01-01', 1, 2, 1, 3, 0, 3);

select results_eq('select r.chunk_id, r.first_line, r.line, r.lines
	from t, sluice.lane_lines(lane, 1, 1) r',
	$$ values (1::bigint, 1, null::smallint[], 2) $$,
	'a chunk without lines of the lane is told of');
select results_eq('select r.chunk_id, r.line from t, sluice.lane_lines(lane, 3, 9) r
	where r.line is not null', $$ values (2::bigint, '{1,2}'::smallint[]) $$);
insert into sluice.retry (lane_id, line, batch_id, not_before, tries, sends, why)
select lane, 4, 1, now(), 0, 0, '' from t;
select results_eq('select r.chunk_id, r.line, r.bytes from t,
	sluice.lane_retries(lane, 0, 9) r', $$ values (2::bigint, 2::smallint, 8) $$,
	'a chunk of blank lines holds no line');

select * from finish();
rollback;
