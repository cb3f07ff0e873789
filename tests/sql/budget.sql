-- Budgets: what is left of them, how fast they are spent, and what that means for
-- plans, outlooks and forecasts.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(42);

insert into sluice.account (name) values ('sql');
select sluice.config_apply('{"paths": [{"name": "p", "url": "http://h", "models": ["m"],
	"limits": [{"dimension": "requests", "window_s": 86400, "amount": 10000},
	{"dimension": "requests", "window_s": 60, "amount": 300}]}]}', false, false);
create temp table t as select sluice.lease_take('me', 5000) as epoch,
	(select id from sluice.account where name = 'sql') as account,
	(select id from sluice.rate_limit where window_s = 86400) as day;

create function pg_temp.day() returns sluice.rate_limit language sql as $$
	select l from sluice.rate_limit l, t where l.id = t.day
$$;
create function pg_temp.units() returns double precision language sql as $$
	select (sluice.budget_stand(pg_temp.day())).units
$$;
-- So many units were granted so long ago.
create function pg_temp.granted(p_units integer, p_ago interval) returns void
language sql as $$
	insert into sluice.grant_cell as c (limit_id, cell, units)
	select t.day, sluice.epoch_us(now() - p_ago) / sluice.cell_us(86400), p_units from t
	on conflict (limit_id, cell) do update set units = c.units + excluded.units
$$;
create function pg_temp.by(p_in interval) returns double precision language sql as $$
	select sluice.budget_by(pg_temp.day(), extract(epoch from p_in))
$$;
create function pg_temp.need(p_units integer) returns double precision language sql as $$
	select round(sluice.budget_need_s(pg_temp.day(), p_units)::numeric, -3)
$$;
-- Lines in an hour.
create function pg_temp.pace(p_units integer, p_in interval, p_latency double precision
    default 1) returns numeric language sql as $$
	select round(3600 * sluice.budget_pace(pg_temp.day(), p_units,
		extract(epoch from p_in), p_latency)::numeric)
$$;

-- Seconds as they are said, long ones to the nearest thousand: cells are coarse.
create function pg_temp.about(p_s text) returns text language sql as $$
	select case when p_s::integer > 9999 then round(p_s::numeric, -3)::text else p_s end
$$;

-- What there is
select is(pg_temp.units(), 10000::double precision, 'all, when nothing is known');
update sluice.rate_limit set headroom = 0.17, reserve = 0.1 where window_s = 86400;
select is(pg_temp.units(), 7470::double precision, 'less headroom and reserve');
insert into sluice.rate_limit_state (limit_id, kept) select day, 1000 from t;
select is(pg_temp.units(), 7300::double precision, 'others are served of the reserve first');
insert into sluice.live_cell (limit_id, cell, units)
select day, sluice.epoch_us(now()) / sluice.cell_us(86400), 500 from t;
select is(pg_temp.units(), 6800::double precision, 'then live calls');
update sluice.live_cell set cell = cell - 1300;
select is(pg_temp.units(), 7300::double precision, 'those of this window');
update sluice.rate_limit_state set kept = 99999;
select is(pg_temp.units(), 149.4::double precision, 'a part is ours, whatever others take');
update sluice.rate_limit_state set kept = 0, learned = '{"step":1}';
select is(pg_temp.units(), 7469::double precision, 'one less after a refusal');
update sluice.rate_limit set headroom = 0, reserve = 0 where window_s = 86400;
delete from sluice.rate_limit_state;

-- What goes by then
select is(pg_temp.by('1 min'), 10000::double precision);
select is(pg_temp.by('25 h'), 20000::double precision, 'once for each window');
select pg_temp.granted(4000, '20 h'), pg_temp.granted(5950, '10 min');
select is(pg_temp.by('5 min'), 50::double precision, 'what is left now');
select is(pg_temp.by('5 h'), 4050::double precision, 'and what comes back by then');
select is(pg_temp.by('29 h'), 14050::double precision);
select is(pg_temp.need(50), 0::double precision);
select is(pg_temp.need(51), 14000::double precision, 'when the first come back');
select is(pg_temp.need(4051), 86000::double precision, 'when the others do');
select is(pg_temp.need(14050), 101000::double precision, 'those of the window after it');
insert into sluice.rate_limit_state (limit_id, paused_until)
select day, now() + interval '10 min' from t;
select is(pg_temp.by('10 min'), 0::double precision, 'nothing while it is paused');
select is(pg_temp.by('11 min'), 50::double precision);
select is(pg_temp.need(50), 1000::double precision);
delete from sluice.rate_limit_state;

-- How fast
select is(pg_temp.pace(10, '1 d'), 416::numeric, 'evenly when there is time');
select is(pg_temp.pace(50, '120 s'), 1800::numeric, 'else to be gone 20 s before');
select is(pg_temp.pace(50, '120 s', 10), 3000::numeric, 'or six calls'' time');
select is(pg_temp.pace(4050, '5 h'), 853::numeric, 'or a twentieth');
select is(pg_temp.pace(51, '120 s'), 1500::numeric, 'no more are hurried than can be done');
insert into sluice.rate_limit_state (limit_id, learned) select day, '{"step":1}' from t;
select is(pg_temp.pace(50, '120 s'), 416::numeric, 'none after a refusal');
delete from sluice.rate_limit_state;

-- Plans
create function pg_temp.routed(p_lines integer, p_left interval) returns jsonb
language sql as $$
	select sluice.plan_routed(json_build_array(json_build_object('model', 'm',
		'lines', p_lines, 'bytes', 30)), null, now(), null, null, now() + p_left, 'auto',
		true, 2)::jsonb
$$;
create function pg_temp.says(p_lines integer, p_left interval) returns text
language sql as $$
	select concat_ws(' ', pg_temp.about(r ->> 'need_s'), case when (r ->> 'in_time')::boolean
		then 'in time' else 'late' end, 'by ' || split_part(r ->> 'limit', ' ', 1),
		case when (r ->> 'hurried')::boolean then 'hurried' end)
	from pg_temp.routed(p_lines, p_left) r
$$;
select is(pg_temp.says(40, '1 d'), '346 in time by requests/1d', 'patient work goes evenly');
select is(pg_temp.says(40, '150 s'), '120 in time by requests/1d hurried',
	'for a deadline as fast as that needs');
select is(pg_temp.says(60, '150 s'), '14000 late by requests/1d hurried',
	'what is left is all there is');
delete from sluice.grant_cell;
select is(pg_temp.says(1000, '5 min'), '270 in time by requests/1d hurried');
select is(pg_temp.says(1600, '5 min'), '323 late by requests/1m',
	'small limits bind at their own pace');
select is(pg_temp.says(12000, '23 h'), '86000 late by requests/1d hurried');

-- Outlooks
create temp table was (what text, n bigint);
create function pg_temp.batch(p_what text, p_lines integer, p_options text,
    p_window_s integer) returns bigint language plpgsql as $$
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
	insert into was select p_what, b.id from sluice.batch b where b.uid = v_uid;
	perform sluice.dispatch_poll((select epoch from t), 5000, 500);
	return (select n from was where what = p_what);
end $$;
create function pg_temp.outlook(p_what text) returns text language sql as $$
	select concat_ws(' ', o ->> 'feasible', pg_temp.about(o ->> 'need_s'), o ->> 'limit',
		o ->> 'lines_in_time')
	from (select sluice.batch_outlook(b) as o from sluice.batch b, was w
		where w.what = p_what and b.id = w.n) x
$$;
select pg_temp.batch('soon', 100, '{"priority":2}', 300) > 0;
select is(pg_temp.outlook('soon'), 'true 270 requests/1d');
select is((select sluice.batch_forecast(b) ->> 'need_s' from sluice.batch b, was w
	where b.id = w.n and w.what = 'soon'), '270', 'forecasts say the same');
select pg_temp.batch('patient', 1000, '{"priority":2}', 86400) > 0;
select is(pg_temp.outlook('patient'), 'true 9512 requests/1d', 'evenly, after the first');
select pg_temp.granted(9950, '1 min');
select is(pg_temp.outlook('soon'), 'false 86000 requests/1d 50', 'what is left binds');
select throws_like($$select pg_temp.batch('no', 100,
	'{"priority":2,"require_feasible":true}', 240)$$,
	'The batch cannot be done in time: its 100 lines, with 0 of other batches '
	'due before, take 86___ s under requests/1d of path p, and there are 240 s; 50 '
	'of its lines can be done by then.');
select lives_ok($$select pg_temp.batch('few', 50,
	'{"priority":2,"require_feasible":true}', 240)$$);
select is(pg_temp.outlook('soon'), 'false 86000 requests/1d 0', 'others may have taken it');
delete from sluice.grant_cell;
select is(pg_temp.outlook('soon'), 'true 270 requests/1d');
update sluice.batch set hours = to_char(now() at time zone 'utc' - interval '1 min',
	'HH24:MI') || '-' || to_char(now() at time zone 'utc' + interval '90 s', 'HH24:MI')
from was w where id = w.n and w.what = 'soon';
select matches(pg_temp.outlook('soon'), '^false 270 requests/1d',
	'hours hurry nobody');
update sluice.batch set hours = null;
insert into sluice.rate_limit_state (limit_id, learned) select day, '{"step":1}' from t;
select is(pg_temp.outlook('soon'), 'false 1298 requests/1d 0', 'none after a refusal');
delete from sluice.rate_limit_state;

-- Whose latency is known
insert into sluice.estimate (path_id, model, learned)
select id, 'm', '{"n": 50, "ratio": 0.25, "output": 10, "ms": 10000}' from sluice.path;
select is(pg_temp.outlook('few'), 'true 180 requests/1d', 'the last calls take long');
select * from finish();
rollback;
