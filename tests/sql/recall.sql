-- Lines in an upstream's own batches come back while direct paths can still do them.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(6);

insert into sluice.account (name) values ('a');
create temp table changes as select sluice.config_apply('{"paths":[
	{"name":"p","url":"http://x","models":["m"],"kind":"batches"},
	{"name":"d","url":"http://x","models":["m"],"limits":[
		{"dimension":"requests","window_s":60,"amount":60}]}]}', false, false);
insert into sluice.file (account_id, purpose, name, state, purge_day, expires_at)
select id, 'batch_output', 'out', 'growing', '2040-01-01', '2039-12-01'
from sluice.account;
insert into sluice.batch (account_id, input_id, output_id, error_id, endpoint,
	priority, window_text, state, lines, deadline)
select a.id, f.id, f.id, f.id, '/v1/chat/completions', 2, '24h', 'in_progress', 100,
	now() + interval '20 minutes' from sluice.account a, sluice.file f;
insert into sluice.batch_lane (batch_id, account_id, file_id, purge_day, model,
	model_index, endpoint, priority, deadline, lines_left)
select b.id, b.account_id, b.input_id, '2040-01-01', 'm', 1, b.endpoint, 2, b.deadline, 0
from sluice.batch b;
insert into sluice.provider_batch (path_id, account_id, model, endpoint, state, lines,
	tokens, deadline)
select p.id, a.id, 'm', '/v1/chat/completions', 'running', 100, 1, now()
from sluice.path p, sluice.account a where p.name = 'p';
insert into sluice.run (batch_id, lane_id, path_id, purge_day, chunk_id, first_line, line,
	send_at, keep_us, open, tokens, bytes, provider_id)
select l.batch_id, l.id, v.path_id, '2040-01-01', 9, 1,
	array(select i::smallint from generate_series(1, 100) i), now(), 1,
	repeat('1', 100)::bit varying, 1, 10000, v.id
from sluice.batch_lane l, sluice.provider_batch v;

-- 100 lines at one a second, 11 minutes to be back and one for the asking: 821 s.
select is(sluice.provider_recall(), 0, 'there is time');
update sluice.batch set deadline = now() + interval '820 s';
update sluice.batch set escalate = false;
select is(sluice.provider_recall(), 0, 'it does not want to go direct');
update sluice.batch set escalate = true;
update sluice.path set kind = 'batches' where name = 'd';
select is(sluice.provider_recall(), 0, 'there is no direct path');
update sluice.path set kind = 'direct' where name = 'd';
select is(sluice.provider_recall(), 1, 'now or never');
select ok((select cancel_at is not null from sluice.provider_batch));
select is(sluice.provider_recall(), 0, 'once');

select * from finish();
rollback;
