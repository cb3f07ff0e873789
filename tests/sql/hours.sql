-- Hours of the week, and prices and batches that follow them.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(25);

-- A Wednesday.
create function pg_temp.hold(p_hours text, p_at text) returns boolean language sql as $$
	select sluice.hours_hold(p_hours, p_at::timestamptz)
$$;
select ok(pg_temp.hold('08:00-17:00', '2026-01-14 08:00Z'), 'from the first second');
select ok(not pg_temp.hold('08:00-17:00', '2026-01-14 17:00Z'), 'to the last');
select ok(pg_temp.hold('16:30-00:30', '2026-01-14 00:29Z'), 'over midnight');
select ok(not pg_temp.hold('16:30-00:30', '2026-01-14 00:30Z'));
select ok(pg_temp.hold('fri-mon 16:30-00:30 UTC', '2026-01-13 00:10Z'),
	'Monday''s night ends on Tuesday');
select ok(not pg_temp.hold('fri-mon 16:30-00:30 UTC', '2026-01-13 16:40Z'));
select ok(pg_temp.hold('sat,wed 00:00-24:00', '2026-01-14 23:59Z'));
select ok(pg_temp.hold('22:00-06:00 Europe/Berlin', '2026-01-14 21:30Z')
	and not pg_temp.hold('22:00-06:00 Europe/Berlin', '2026-07-14 19:30Z'),
	'by the zone''s clock');
select ok(pg_temp.hold('01:00-02:00,03:00-04:00', '2026-01-14 03:30Z'));
select is(sluice.hours_next('mon 08:00-09:00 UTC', '2026-01-14 10:00Z'),
	'2026-01-19 08:00Z'::timestamptz);
select is((select count(*) from unnest(array['8:00-9:00', '08:00', 'mon', 'x 08:00-09:00',
	'08:00-25:00', 'mon-tue-wed 08:00-09:00', '24:00-01:00'])
	h where (sluice.hours_read(h)).zone is not null)::integer, 0, 'what are no hours');
select throws_like($$select sluice.hours_check('often', 'x')$$, '%mon-fri 16:30%');
select throws_like($$select sluice.hours_check('08:00-09:00 Nowhere/Land', 'x')$$,
	'%are no hours%', 'nor those of a zone that is not there');

-- Prices: the whole day but for an hour around now is dearer.
select sluice.config_apply(json_build_object('paths', json_build_array(json_build_object(
	'name', 'p', 'url', 'http://x', 'models', json_build_array('*'), 'prices',
	json_build_array(
		json_build_object('model', 'm', 'input', 4000000, 'output', 8000000),
		json_build_object('model', '*', 'hours', to_char(now() at time zone 'utc'
			- interval '1 h', 'HH24:MI') || '-' || to_char(now() at time zone 'utc'
			+ interval '1 h', 'HH24:MI'), 'input', 1000000),
		json_build_object('model', '*', 'hours', to_char(now() at time zone 'utc'
			+ interval '3 h', 'HH24:MI') || '-' || to_char(now() at time zone 'utc'
			+ interval '4 h', 'HH24:MI'), 'input', 9000000))))), false, false);
create function pg_temp.path() returns integer language sql as
	$$select id from sluice.path where name = 'p'$$;
select is(sluice.money_of(pg_temp.path(), 'm', 10, 0, 10), 10::bigint,
	'the price of these hours comes before one that names the model');
update sluice.price set hours = to_char(now() at time zone 'utc' + interval '5 h', 'HH24:MI')
	|| '-' || to_char(now() at time zone 'utc' + interval '6 h', 'HH24:MI')
where input = 1000000;
select is(sluice.money_of(pg_temp.path(), 'm', 10, 0, 10), 120::bigint);
select ok(json_array_length(sluice.dispatch_prices(pg_temp.path())) = 3
	and (select bool_and(json_array_length(j -> 'spans') between 30 and 32)
		from json_array_elements(sluice.dispatch_prices(pg_temp.path())) j
		where json_typeof(j -> 'spans') = 'array'), 'the planner knows a month of them');
select throws_like($$select sluice.config_apply('{"paths":[{"name":"p","url":"http://x",
	"models":["*"],"prices":[{"hours":"at night","input":1}]}]}', false, false)$$,
	'%at night%');

-- A batch in its hours
create function pg_temp.may(p_before timestamptz, p_hours text) returns boolean
language sql as $$
	select sluice.batch_may_go(b) from (select (jsonb_populate_record(null::sluice.batch,
		jsonb_build_object('not_before', p_before, 'hours', p_hours))).*) b
$$;
select ok(pg_temp.may(null, null) and pg_temp.may(now(), '00:00-24:00'));
select ok(not pg_temp.may(now() + interval '1 s', null), 'not before');
select ok(not pg_temp.may(null, to_char(now() at time zone 'utc' + interval '1 h', 'HH24:MI')
	|| '-' || to_char(now() at time zone 'utc' + interval '2 h', 'HH24:MI')),
	'only between');

-- Work that rests outside its hours
create function pg_temp.after(p_hours text, p_s float) returns timestamptz
language sql as $$select sluice.hours_after(p_hours, '2026-03-02 11:00Z', p_s)$$;
select is(pg_temp.after(null, 7200), '2026-03-02 13:00Z'::timestamptz);
select is(pg_temp.after('08:00-12:00,14:00-18:00,16:00-20:00', 5 * 3600.0),
	'2026-03-02 18:00Z'::timestamptz, 'an hour, a break, four hours, some named twice');
select is(pg_temp.after('mon 10:00-12:00', 4 * 3600.0), '2026-03-16 11:00Z'::timestamptz,
	'an hour, a week, two hours, a week');
select is(pg_temp.after('mon 10:00-11:30', 86400.0), null, 'not within a month');
select is(sluice.hours_left_s('10:00-12:00,13:00-14:00', '2026-03-02 11:00Z',
	'2026-03-02 13:30Z'), 5400::float);

select * from finish();
rollback;
