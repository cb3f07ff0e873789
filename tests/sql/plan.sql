-- What a batch will take: plans and forecasts at their edges.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(4);

create temp table changes as select sluice.config_apply('{"paths":[
	{"name":"main","url":"http://x","models":["m"],"prices":[{"input":2000000}],
	 "limits":[{"dimension":"requests","window_s":60,"amount":60}]},
	{"name":"cheap","url":"http://x","models":["m"],"suffix":":batch",
	 "prices":[{"input":1000000}],
	 "limits":[{"dimension":"requests","window_s":60,"amount":60}]}]}', false, false);
create function pg_temp.routed(p_lines integer, p_left interval) returns json
language sql as $$
	select sluice.plan_routed(json_build_array(json_build_object('model', 'm',
		'lines', p_lines, 'bytes', 30)), null, now(), 0, now() + p_left, 'auto',
		true, 2)
$$;
select is(pg_temp.routed(600, '1 d') ->> 'direct_part', null, 'time enough: all cheap');
select ok((pg_temp.routed(600, '6 min') ->> 'direct_part')::float between 0.3 and 0.7,
	'a part goes direct');
select ok((pg_temp.routed(0, '1 s') ->> 'in_time')::boolean,
	'nothing is left, a moment before the deadline');
select ok(not (pg_temp.routed(0, '-1 s') ->> 'in_time')::boolean, 'or after it');
select * from finish();
rollback;
