-- The door: which limits a call meets, every algorithm at its edges, all or none,
-- reserve and settle once, edits at once, what is left by those who die.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select no_plan();

select sluice.config_apply('{"paths":[{"name":"p","url":"http://x","models":["*"]}]}',
	false, false) is not null;
insert into sluice.account (name) values ('a'), ('b');
create temp table k as
	with made as (
		insert into sluice.api_key (account_id, name, hash, hint, scopes)
		select a.id, a.name || i, sha256((a.name || i)::bytea), 'xxxx', '{live}'
		from sluice.account a, generate_series(1, 2) i returning id, name
	)
	select name, id from made;
insert into sluice.worker (name, max_in_flight, lease_until, live_url, live_token)
values ('w', 10, 'infinity', 'http://127.0.0.1:9', 'open');
create temp table d as select sluice.door_open('sql', 600000) as door;
create temp table said (verdict integer, admission bigint, path integer, wait_us bigint,
	state integer, why text, used bigint, reset_us bigint, url text, token text,
	leave_us bigint);

create function pg_temp.key(p_name text) returns bigint language sql as $$
	select id from k where name = p_name
$$;
-- As sluiced asks: p_n calls at once, alike; what was said of the last.
create function pg_temp.ask(p_key text, p_at timestamptz default null,
    p_input bigint default 1, p_output bigint default 1, p_model text default 'm',
    p_n integer default 1, p_resource text default 'chat')
returns said language plpgsql as $$
declare
	v_doc json := sluice.door_limits(
		(select account_id from sluice.api_key where id = pg_temp.key(p_key)),
		pg_temp.key(p_key), p_model, p_resource);
	v_said said;
begin
	select ((array_agg(r::said))[p_n]).* into v_said from (
		select array_agg((l ->> 'id')::integer order by i) as id,
			array_agg(l ->> 'subject' order by i) as subject,
			array_agg((l ->> 'amount')::bigint order by i) as amount,
			array_agg((l ->> 'window_s')::integer order by i) as window_s,
			array_agg(case when (l ->> 'window_s') = '0' then 0 else
				array_position('{sliding,fixed,anchored,bucket}'::text[],
				l ->> 'algorithm') end::smallint order by i) as algorithm,
			array_agg(l ->> 'zone' order by i) as zone,
			array_agg(case when l ->> 'dimension' = 'money' then 3
				when l ->> 'dimension' <> 'requests' then 1
				when (l ->> 'chunks')::boolean then 2 else 0 end::smallint
				order by i) as hold,
			array_agg(case l ->> 'dimension' when 'tokens' then p_input + p_output
				when 'input_tokens' then p_input
				when 'output_tokens' then p_output when 'money' then 0
				else 1 end order by i) as units,
			coalesce(min(i) filter (where l ->> 'dimension' = 'requests'), 0)::integer
				as head, count(*)::integer as n
		from json_array_elements(v_doc -> 'limits') with ordinality j (l, i)
	) q, lateral sluice.admit((select door from d),
		(v_doc ->> 'revision')::bigint,
		coalesce(q.id, '{}'), coalesce(q.subject, '{}'), coalesce(q.amount, '{}'),
		coalesce(q.window_s, '{}'), coalesce(q.algorithm, '{}'),
		coalesce(q.zone, '{}'), coalesce(q.hold, '{}'),
		array_fill((select account_id from sluice.api_key
			where id = pg_temp.key(p_key)), array[p_n]),
		array_fill(pg_temp.key(p_key), array[p_n]), array_fill(p_model, array[p_n]),
		array_fill(p_resource, array[p_n]), array_fill(p_input, array[p_n]),
		array_fill(p_output, array[p_n]), array_fill(4::smallint, array[p_n]),
		array_fill(0::smallint, array[p_n]), array_fill(q.head, array[p_n]),
		array(select i * q.n from generate_series(1, p_n) i),
		array(select s from generate_series(1, p_n) i, generate_series(1, q.n) s
			order by i, s),
		array(select q.units[s] from generate_series(1, p_n) i,
			generate_series(1, q.n) s order by i, s), p_at) r;
	return v_said;
end $$;
create function pg_temp.edit(p_sql text) returns void language plpgsql as $$
begin
	execute p_sql;
	update sluice.config set callers_revision = callers_revision + 1;
end $$;
-- Another limit instead of all there are.
create function pg_temp.only(p_values text) returns void language plpgsql as $$
begin
	perform pg_temp.edit('update sluice.caller_limit set removed_at = now()');
	perform pg_temp.edit('insert into sluice.caller_limit (key_id, per, dimension,
		window_s, algorithm, amount, stream_cost, zone) select pg_temp.key(''a1''),
		''key'', ' || p_values);
end $$;
create function pg_temp.held() returns bigint language sql as $$
	select sum(reserved)::bigint from sluice.caller_state
$$;

-- Which limits
select is((pg_temp.ask('a1')).verdict, 0, 'without limits a call passes');
select is((pg_temp.ask('a1')).url, 'http://127.0.0.1:9', 'and goes to a live worker');
insert into sluice.plan (name) values ('gold'), ('iron');
update sluice.account set plan_id = (select id from sluice.plan where name = 'gold')
where name = 'a';
insert into sluice.caller_limit (plan_id, account_id, key_id, per, dimension, window_s,
	amount, model, each_model, each_resource, action, applies) values
	((select id from sluice.plan where name = 'gold'), null, null,
		'account', 'requests', 60, 10, '*', false, false, 'reject', 'live'),
	((select id from sluice.plan where name = 'gold'), null, null,
		'key', 'tokens', 60, 100, '*', true, true, 'reject', 'both'),
	((select id from sluice.plan where name = 'iron'), null, null,
		'key', 'requests', 60, 3, '*', false, false, 'reject', 'live'),
	(null, (select id from sluice.account where name = 'a'), null,
		'account', 'requests', 3600, 20, 'gpt*', false, false, 'reject', 'live'),
	(null, null, null, 'all', 'requests', 60, 1000, '*', false, false, 'reject', 'live'),
	(null, null, null, 'all', 'tokens', 60, 1000, '*', false, false, 'shape', 'batch');
create function pg_temp.met(p_key text, p_model text, p_resource text default 'chat')
returns text[] language sql as $$
	select array_agg(format('%s %s/%s=%s', subject, dimension, window_s, amount)
		order by subject, dimension, window_s)
	from sluice.limits_of((select account_id from sluice.api_key
		where id = pg_temp.key(p_key)), pg_temp.key(p_key), p_model, p_resource)
	where action = 'reject'
$$;
create function pg_temp.subject(p_key text) returns text language sql as $$
	select 'key:' || pg_temp.key(p_key)
$$;
create temp table s as select 'account:' || (select id from sluice.account
	where name = 'a') as a;
select is(pg_temp.met('a1', 'm'), array[(select a from s) || ' requests/60=10',
	'all requests/60=1000', pg_temp.subject('a1') || '|model:m|chat tokens/60=100'],
	'a plan''s and everybody''s; a counter for each model and resource');
select is(pg_temp.met('a2', 'gpt-9', 'audio'), array[(select a from s) || ' requests/60=10',
	(select a from s) || ' requests/3600=20', 'all requests/60=1000',
	pg_temp.subject('a2') || '|model:gpt-9|audio tokens/60=100'],
	'an account''s beside them, where the model matches');
select is(pg_temp.met('b1', 'm'), array['all requests/60=1000'], 'no plan: everybody''s');
update sluice.api_key set plan_id = (select id from sluice.plan where name = 'iron')
where name = 'a2';
select is(pg_temp.met('a2', 'm'), array['all requests/60=1000',
	pg_temp.subject('a2') || ' requests/60=3'], 'a key''s plan, not its account''s');
insert into sluice.caller_limit (account_id, per, dimension, window_s, amount)
select id, 'account', 'requests', 60, 50 from sluice.account where name = 'a';
select is(pg_temp.met('a2', 'm'), array[(select a from s) || ' requests/60=50',
	'all requests/60=1000'], 'an account''s own limit replaces the plan''s');
insert into sluice.caller_limit (key_id, per, dimension, window_s, amount)
values (pg_temp.key('a2'), 'key', 'requests', 60, 7);
select is(pg_temp.met('a2', 'm'), array['all requests/60=1000',
	pg_temp.subject('a2') || ' requests/60=7'], 'a key''s own that of its account');
insert into sluice.named_limit (name) values ('night-shift');
insert into sluice.caller_limit (named_id, per, dimension, window_s, amount)
select id, 'attached', 'requests', 60, 5 from sluice.named_limit;
insert into sluice.named_attach (named_id, key_id)
select id, pg_temp.key('b1') from sluice.named_limit;
insert into sluice.named_attach (named_id, model)
select id, 'gpt-9' from sluice.named_limit;
select is(pg_temp.met('b1', 'gpt-9'), array['all requests/60=1000',
	pg_temp.subject('b1') || ' requests/60=5', 'model:gpt-9 requests/60=5'],
	'a named limit counts for each attachment');
select is(pg_temp.met('b2', 'gpt-9'), array['all requests/60=1000',
	'model:gpt-9 requests/60=5']);

-- Sliding: the second that the window still touches counts whole
select pg_temp.only($$ 'requests', 60, 'sliding', 3, 'once', 'UTC' $$);
create function pg_temp.at(p_s double precision) returns timestamptz language sql as $$
	select to_timestamp(2000000000 + p_s)
$$;
select results_eq($$ select (a).verdict, (a).used from (values
		(pg_temp.ask('a1', pg_temp.at(0.5))), (pg_temp.ask('a1', pg_temp.at(0.9))),
		(pg_temp.ask('a1', pg_temp.at(10)))) v (a) $$,
	$$ values (0, 1::bigint), (0, 2), (0, 3) $$);
select results_eq($$ select (a).verdict, (a).wait_us, (a).used, (a).reset_us
	from pg_temp.ask('a1', pg_temp.at(20.25)) a $$,
	$$ values (1, 40750000::bigint, 3::bigint, 50750000::bigint) $$,
	'refused until the first second has left; not counted');
select is((pg_temp.ask('a1', pg_temp.at(60.999))).verdict, 1);
select is((pg_temp.ask('a1', pg_temp.at(61), p_n => 3)).verdict, 1, 'two fit, three do not');
select is((pg_temp.ask('a1', pg_temp.at(61))).used, 3::bigint);
select is((pg_temp.ask('a1', pg_temp.at(71))).verdict, 0, 'the cell of 10 left');
select is((select sum(units)::integer from sluice.caller_cell), 3, 'old cells go');

-- Fixed, by the calendar
select pg_temp.only($$ 'requests', 60, 'fixed', 2, 'once', 'UTC' $$);
select results_eq($$ select (a).verdict, (a).wait_us, (a).used, (a).reset_us
	from pg_temp.ask('a1', pg_temp.at(10), p_n => 3) a $$,
	$$ values (1, 30000000::bigint, 2::bigint, 30000000::bigint) $$,
	'2000000000 is second 20 of its minute');
select is((pg_temp.ask('a1', pg_temp.at(39.999))).verdict, 1);
select is((pg_temp.ask('a1', pg_temp.at(40))).used, 1::bigint, 'the next minute is empty');
select pg_temp.only($$ 'requests', 86400, 'fixed', 1, 'once', 'Europe/Berlin' $$);
select is((pg_temp.ask('a1', '2034-03-25 23:30+00')).verdict, 0, 'local day of 23 hours');
select is((pg_temp.ask('a1', '2034-03-26 12:00+00')).wait_us, 10 * 3600 * 1000000::bigint,
	'it ends at local midnight');
select is((pg_temp.ask('a1', '2034-03-26 21:59:59+00')).verdict, 1);
select is((pg_temp.ask('a1', '2034-03-26 22:00+00')).verdict, 0);
select pg_temp.only($$ 'requests', 3600, 'fixed', 1, 'once', 'Asia/Kathmandu' $$);
select is((pg_temp.ask('a1', '2034-03-26 12:00+00')).reset_us, 900 * 1000000::bigint,
	'hours of a zone that is off by 45 minutes');

-- Anchored: from the first call on
select pg_temp.only($$ 'requests', 100, 'anchored', 2, 'once', 'UTC' $$);
select is((pg_temp.ask('a1', pg_temp.at(7))).reset_us, 100000000::bigint);
select results_eq($$ select (a).verdict, (a).wait_us
	from pg_temp.ask('a1', pg_temp.at(50), p_n => 2) a $$,
	$$ values (1, 57000000::bigint) $$);
select is((pg_temp.ask('a1', pg_temp.at(106.9))).verdict, 1);
select results_eq($$ select (a).used, (a).reset_us from pg_temp.ask('a1', pg_temp.at(107)) a $$,
	$$ values (1::bigint, 100000000::bigint) $$, 'then the next window begins');

select pg_temp.only($$ 'requests', 100, 'anchored', 2, 'once', 'UTC' $$);
select sluice.door_limits(account_id, id, 'm', 'chat') is not null from sluice.api_key
where id = pg_temp.key('a1');
update sluice.caller_state set since = clock_timestamp() - interval '50 s' where used = 0;
select is((pg_temp.ask('a1')).reset_us, 100000000::bigint,
	'it does not begin before there was a call');

-- Bucket: 6 at once, one more each 10 s
select pg_temp.only($$ 'requests', 60, 'bucket', 6, 'once', 'UTC' $$);
select results_eq($$ select (a).verdict, (a).wait_us, (a).used
	from pg_temp.ask('a1', pg_temp.at(0), p_n => 7) a $$,
	$$ values (1, 10000000::bigint, 6::bigint) $$);
select is((pg_temp.ask('a1', pg_temp.at(9.9))).wait_us, 100000::bigint);
select is((pg_temp.ask('a1', pg_temp.at(10))).verdict, 0);
select is((pg_temp.ask('a1', pg_temp.at(25))).verdict, 0, 'half a unit is not lost');
select is((pg_temp.ask('a1', pg_temp.at(29.9))).verdict, 1);
select is((pg_temp.ask('a1', pg_temp.at(30))).verdict, 0);
select is((pg_temp.ask('a1', pg_temp.at(10000), p_n => 6)).used, 6::bigint, 'full again');

-- Edits act at once, within the window
select pg_temp.only($$ 'requests', 86400, 'fixed', 50, 'once', 'UTC' $$);
select is((pg_temp.ask('a1', pg_temp.at(0), p_n => 40)).used, 40::bigint);
select pg_temp.edit('update sluice.caller_limit set amount = 30 where removed_at is null');
select is((pg_temp.ask('a1', pg_temp.at(1))).verdict, 1, 'lowered below what is used');
select pg_temp.edit('update sluice.caller_limit set amount = 80 where removed_at is null');
select is((pg_temp.ask('a1', pg_temp.at(1), p_n => 41)).used, 80::bigint, '40 more, no more');
select is((select peak from sluice.caller_state s join sluice.caller_limit l
	on l.id = s.limit_id where l.removed_at is null), 80::bigint, 'the peak is kept');

-- All or none, of several limits
select pg_temp.edit($$ insert into sluice.caller_limit (key_id, per, dimension, window_s,
	amount) values (pg_temp.key('a1'), 'key', 'tokens', 60, 100) $$);
select pg_temp.edit('update sluice.caller_limit set amount = 81
	where removed_at is null and dimension = ''requests''');
select is((pg_temp.ask('a1', pg_temp.at(2), 60, 41)).wait_us, -1::bigint,
	'larger than the limit: never');
select is((pg_temp.ask('a1', pg_temp.at(2), 60, 40)).verdict, 0, 'what was refused took nothing');
select results_eq($$ select (a).verdict, (a).wait_us > 3600 * 1000000::bigint
	from pg_temp.ask('a1', pg_temp.at(2), 1, 1) a $$, $$ values (1, true) $$,
	'when all of the limits let go');

-- Reserve and settle
select pg_temp.only($$ 'tokens', 86400, 'fixed', 100, 'once', 'UTC' $$);
create temp table t as select (pg_temp.ask('a1', null, 10, 50)).admission as id;
select is(pg_temp.held(), 160::bigint, 'reserved, beside the 100 of a removed limit');
select is((pg_temp.ask('a1', null, 10, 31)).verdict, 1);
select is(sluice.live_settle((select id from t), 1, 200, 8, 0, 12, 0, 1, 5, true), true);
select is(sluice.live_settle((select id from t), 1, 200, 8, 0, 12, 0, 1, 5, true), false,
	'settled once');
create function pg_temp.now() returns text language sql as $$
	select format('%s+%s', s.used, s.reserved) from sluice.caller_state s
	join sluice.caller_limit l on l.id = s.limit_id where l.removed_at is null
$$;
select is(pg_temp.now(), '20+0', 'the truth counts, nothing is held');
select is((select format('%s %s %s %s', requests, failed, input_tokens, output_tokens)
	from sluice.usage_all where kind = 'live' and resource = 'chat'), '1 0 8 12',
	'and is on the account');
update t set id = (pg_temp.ask('a1', null, 10, 50)).admission;
select sluice.live_settle((select id from t), 1, 200, null, null, null, null, 1, 5, true);
select is(pg_temp.now(), '80+0', 'not known: as estimated');
update t set id = (pg_temp.ask('a1', null, 10, 10)).admission;
select sluice.live_settle((select id from t), 1, 500, null, null, null, null, 1, 5, false);
select is(pg_temp.now(), '80+0', 'an error cost nothing');
update t set id = (pg_temp.ask('a1', null, 10, 10)).admission;
select sluice.admission_drop((select id from t));
select is(pg_temp.now(), '80+0', 'nor did what never went');
update t set id = (pg_temp.ask('a1', null, 10, 10)).admission;
update sluice.admission set made_at = made_at - interval '2 days';
select sluice.live_settle((select id from t), 1, 200, 5, 0, 5, 0, 1, 5, true);
select is(pg_temp.now(), '80+0', 'of another day: only the reservation falls');
select pg_temp.only($$ 'tokens', 60, 'sliding', 100, 'once', 'UTC' $$);
update t set id = (pg_temp.ask('a1', null, 10, 10)).admission;
update sluice.caller_state set since = since - interval '60 s';
update sluice.admission set made_at = date_trunc('second', clock_timestamp()) - interval '30 s';
select sluice.live_settle((select id from t), 1, 200, 30, 0, 65, 0, 1, 5, true);
select is(pg_temp.now(), '95+0');
select ok((a).wait_us between 29000000 and 31000000, 'it counts from when it was let in')
from pg_temp.ask('a1', null, 3, 3) a;
select pg_temp.only($$ 'concurrent', 0, 'sliding', 1, 'once', 'UTC' $$);
update t set id = (pg_temp.ask('a1')).admission;
select is((pg_temp.ask('a1')).wait_us, 1000000::bigint, 'one at a time');
select sluice.live_settle((select id from t), 1, 200, 3, 0, 6, 0, 1, 5, true);
select is((pg_temp.ask('a1')).verdict, 0, 'until it is over');
select pg_temp.only($$ 'requests', 86400, 'fixed', 100, 'chunk', 'UTC' $$);
update t set id = (pg_temp.ask('a1')).admission;
select sluice.live_settle((select id from t), 1, 200, 3, 0, 6, 0, 9, 5, true);
select is(pg_temp.now(), '9+0', 'a stream counts for each chunk');
insert into sluice.price (path_id, model, input, output) select id, '*', 2000000, 10000000
from sluice.path;
select pg_temp.only($$ 'money', 86400, 'fixed', 60, 'once', 'UTC' $$);
select is((pg_temp.ask('a1', null, 10, 5)).wait_us, -1::bigint, '10 x 2 + 5 x 10 are 70');
update t set id = (pg_temp.ask('a1', null, 10, 3)).admission;
select is(pg_temp.now(), '0+50');
select sluice.live_settle((select id from t), 1, 200, 10, 0, 1, 0, 1, 5, true);
select is(pg_temp.now(), '30+0');

-- A batch holds money; when it has ended, what its lines have cost counts
update sluice.caller_state set reserved = 0;
delete from sluice.admission;
with f as (
	insert into sluice.file (account_id, purpose, name, state, purge_day, models,
		expires_at)
	select id, 'batch', 'f', 'ready', '2040-01-01', '{m}', '2039-01-01'
	from sluice.account where name = 'a' returning id, account_id
), b as (
	insert into sluice.batch (account_id, input_id, endpoint, priority, window_text,
		state, lines, deadline, input_tokens, cached_tokens, output_tokens)
	select account_id, id, '/v1/chat/completions', 2, '24h', 'in_progress', 1, now(), 4, 0,
		1 from f returning id, account_id
)
insert into sluice.admission (account_id, key_id, model, resource, expires_at, batch_id,
	limit_id, subject, units, whole)
select b.account_id, 0, '', '', 'infinity', b.id, array[l.id], array[pg_temp.subject('a1')],
	'{25}', '{true}'
from b, sluice.caller_limit l where l.removed_at is null;
update sluice.caller_state s set reserved = 25 from sluice.caller_limit l
where l.id = s.limit_id and l.removed_at is null;
select sluice.admissions_reap();
select is(pg_temp.now(), '30+25', 'held while it goes on');
select is((pg_temp.ask('a1', null, 3, 0)).verdict, 1, 'live calls see it');
update sluice.caller_limit set applies = 'both' where removed_at is null;
create function pg_temp.purse() returns text language sql as $$
	select p.cap_left || ' ' || p.wait from sluice.batch b
	cross join lateral sluice.batch_purse(b,
		(select min(h.held) from sluice.purses() h where h.batch_id = b.id)) p
$$;
create function pg_temp.wants(p_money bigint) returns text language plpgsql as $$
begin
	update sluice.fairness f set at = clock_timestamp(), dear = coalesce((
		select json_build_array(json_build_array(id, p_money)) from sluice.batch
		where p_money > 0), '[]');
	perform sluice.admissions_reap();
	return pg_temp.now();
end $$;
insert into sluice.batch_path (batch_id, path_id, lines, money, direct_money)
select b.id, p.id, 1, 18, 18 from sluice.batch b, (select id from sluice.path limit 1) p;
select is(pg_temp.purse(), '7 true', 'it may spend what it holds, and wait for more');
update sluice.batch set cap = 20;
select is(pg_temp.purse(), '2 false', 'a cap of its own that is less ends it');
update sluice.batch set cap = null;
update sluice.batch_path set money = 1;
select is(pg_temp.wants(24), '30+25', 'its next line is paid for');
select is(pg_temp.wants(30), '30+25', 'there is not so much');
select is(sluice.batch_waiting_money(id) ->> 'of', 'the key') from sluice.batch;
select is(pg_temp.wants(25), '30+30', 'a line that costs more than it holds');
update sluice.batch_path set money = 23;
select pg_temp.edit('update sluice.caller_limit set amount = 70 where removed_at is null');
select is(pg_temp.wants(0), '30+37', 'nearly all is spent: a quarter more');
update sluice.batch_path set money = 37;
select is(pg_temp.wants(0), '30+40', 'as much as there is');
select is(pg_temp.wants(0) || ' ' || pg_temp.purse(), '30+40 3 true', 'then no more');
select is(sluice.batch_waiting_money(id)::text, null, 'it may go on') from sluice.batch;
select is((select count(*) from sluice.purses()), 1::bigint);
update sluice.caller_limit set applies = 'live' where removed_at is null;
select is((select count(*) from sluice.purses()), 0::bigint, 'what binds no batches holds none');
update sluice.caller_limit set applies = 'both' where removed_at is null;
update sluice.batch_path set money = 18;
update sluice.batch set state = 'completed';
select sluice.admissions_reap();
select is(pg_temp.now(), '48+0', 'what was paid');

-- What is stale is not judged
select throws_ok($$ select sluice.admit(-1, 1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{1}',
	'{1}', '{m}', '{chat}', '{1}', '{1}', '{1}', '{0}', '{0}', '{0}', '{}', '{}') $$, 'SL410');
select is_empty($$ select sluice.admit((select door from d), 0, '{}', '{}', '{}', '{}', '{}',
	'{}', '{}', '{1}', '{1}', '{m}', '{chat}', '{1}', '{1}', '{1}', '{0}', '{0}', '{0}', '{}',
	'{}') $$, 'an older revision');
select is_empty($$ select sluice.admit((select door from d),
	(select callers_revision from sluice.config), '{1}', '{nobody}', '{9}', '{60}', '{1}',
	'{UTC}', '{0}', '{1}', '{1}', '{m}', '{chat}', '{1}', '{1}', '{1}', '{0}', '{0}', '{1}',
	'{1}', '{1}') $$, 'a counter that is not there');

-- A key that may have changed since it was looked up is not judged; others are
delete from sluice.admission;
create function pg_temp.as_of(p_older bigint[]) returns integer[]
language sql as $$
	select array_agg(a.verdict) from sluice.config c, lateral sluice.admit(
		(select door from d), c.callers_revision, '{}', '{}', '{}', '{}', '{}', '{}',
		'{}', array_fill(1::bigint, array[2]), array_fill(1::bigint, array[2]), '{m,m}',
		'{chat,chat}', '{1,1}', '{1,1}', '{1,1}', '{0,0}', '{0,0}', '{0,0}', '{}', '{}',
		p_as_of => array(select c.callers_revision - o from unnest(p_older) o)) a
$$;
select is(pg_temp.as_of('{1,0}'), '{6,0}');
select is((select count(*) from sluice.admission)::integer, 1, 'it holds nothing');
select is(pg_temp.as_of('{0,-1}'), '{0,6}', 'nor one of a revision that is no more');
delete from sluice.admission;
create function pg_temp.moves(p_do text) returns bigint language plpgsql as $$
declare
	v_was bigint := (select callers_revision from sluice.config);
begin
	execute p_do;
	return (select callers_revision from sluice.config) - v_was;
end $$;
insert into sluice.plan (name) values ('stray');
insert into sluice.account (name) values ('stray');
create function pg_temp.stray() returns bigint language sql as $$
	insert into sluice.api_key (account_id, name, hash, hint, scopes)
	select id, 'stray', sha256('stray'), 'tray', '{live}' from sluice.account
	where name = 'stray' returning id
$$;
select is(array[pg_temp.moves(format($$update sluice.api_key set scopes = '{batch,live}'
		where id = %s$$, pg_temp.key('a1'))),
	pg_temp.moves(format($$update sluice.api_key set scopes = '{batch,live}'
		where id = %s$$, pg_temp.key('a1'))),
	pg_temp.moves($$update sluice.account set cache = true where name = 'a'$$),
	pg_temp.moves($$update sluice.plan set max_priority = 1 where name = 'iron'$$),
	pg_temp.moves(format($$delete from sluice.api_key where id = %s$$, pg_temp.stray())),
	pg_temp.moves($$delete from sluice.account where name = 'stray'$$),
	pg_temp.moves($$delete from sluice.plan where name = 'stray'$$)],
	'{1,0,1,1,1,1,1}', 'what changes what a key may is a new revision, whoever did it');
create function pg_temp.known() returns text language sql as $$
	select format('%s %s', as_of = callers_revision, left_us)
	from sluice.config, sluice.api_key k, lateral sluice.auth(k.hash)
	where k.id = pg_temp.key('a1')
$$;
select is(pg_temp.known(), 't ');
update sluice.api_key set expires_at = now() + interval '10 s'
where id = pg_temp.key('a1');
select is(pg_temp.known(), 't 10000000', 'for no longer than the key is good');

-- Who dies
select pg_temp.only($$ 'tokens', 86400, 'fixed', 100, 'once', 'UTC' $$);
update sluice.caller_state set reserved = 0;
delete from sluice.admission;
select is((pg_temp.ask('a1', null, 10, 20)).verdict, 0);
select is(sluice.admissions_reap(), 0, 'while all live, nothing is given up');
select is(pg_temp.now(), '0+30');
update sluice.door set lease_until = clock_timestamp() - interval '1 s';
select is(sluice.admissions_reap(), 1, 'the door is dead');
select is(pg_temp.now(), '30+0', 'as estimated');
select is(sluice.door_beat((select door from d), 1000), false);
update d set door = sluice.door_open('sql', 600000);
select is((pg_temp.ask('a1', null, 1, 1, p_n => 3)).verdict, 0);
update sluice.worker set state = 'dead' where name = 'w';
select is(sluice.admissions_reap(), 3, 'the worker is dead');
select is((pg_temp.ask('a1')).verdict, 5, 'and there is no other');
select is(pg_temp.now(), '36+0', 'who finds no way holds nothing');
select is((select format('%s %s %s', sum(requests), sum(failed), sum(output_tokens))
	from sluice.usage_all where kind = 'live'), '12 5 168', 'usage knows of them');

select * from finish();
rollback;
