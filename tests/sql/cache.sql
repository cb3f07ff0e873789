-- The cache of answers: an account's own, for a time, so many bytes.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(14);

insert into sluice.account (name, cache) values ('a', true), ('b', true), ('c', false);
create temp table k as select name, id, sha256(name::bytea) as key from sluice.account;
create temp table h as select sha256('x') as key;
select sluice.cache_put(id, h.key, 'application/json', convert_to(name, 'utf8'))
from k, h where name in ('a', 'b', 'c') order by name;
select set_config('sluice.account', '', true);
select results_eq($$ select a.name from sluice.answer_cache c join sluice.account a
	on a.id = c.account_id order by 1 $$, $$ values ('a'), ('b') $$,
	'not of who does not want it');
select is(type || ' ' || convert_from(body, 'utf8'), 'application/json b')
from k, h, lateral sluice.cache_get(id, h.key) where name = 'b';
select set_config('sluice.account', '', true);
set role sluice_api;
select throws_ok('select * from sluice.answer_cache', '42501');
reset role;
select is_empty($$ select * from k, lateral sluice.cache_get(id, k.key)
	where name = 'a' $$);
select set_config('sluice.account', '', true);

-- Newer in place of older; old ones go
select sluice.cache_put(id, h.key, 't', 'newer') from k, h where name = 'a';
select is(convert_from(body, 'utf8'), 'newer')
from k, h, lateral sluice.cache_get(id, h.key) where name = 'a';
select set_config('sluice.account', '', true);
update sluice.answer_cache c set expires_at = now() from k
where k.id = c.account_id and k.name = 'a';
select is_empty($$ select * from k, h, lateral sluice.cache_get(id, h.key)
	where name = 'a' $$, 'what is too old is not answered');
select set_config('sluice.account', '', true);
select lives_ok('select sluice.cache_sweep()');
select is((select count(*) from sluice.answer_cache)::integer, 1);

-- So many bytes, the newest
create or replace function sluice.cache_bytes_max() returns bigint
language sql immutable set search_path = '' as $$ select 250::bigint $$;
insert into sluice.answer_cache (account_id, key, type, body, made_at, expires_at)
select k.id, sha256(i::text::bytea), 't', convert_to(repeat('x', 100), 'utf8'),
	now() + make_interval(secs => i), now() + interval '1 hour'
from k, generate_series(1, 5) i where name = 'a';
select lives_ok('select sluice.cache_sweep()');
select results_eq($$ select extract(epoch from made_at - now())::integer
	from sluice.answer_cache c join k on k.id = c.account_id and k.name = 'a' order by 1 $$,
	'values (4), (5)');

-- And not many more until the next sweep
select sluice.cache_put(id, sha256('y'), 't', convert_to(repeat('y', 200), 'utf8')),
	sluice.cache_put(id, sha256('z'), 't', convert_to(repeat('z', 51), 'utf8'))
from k where name = 'b';
select set_config('sluice.account', '', true);
select results_eq($$ select octet_length(body)
	from sluice.answer_cache c join k on k.id = c.account_id and k.name = 'b'
	order by 1 $$, 'values (1), (200)');
select lives_ok('select sluice.cache_sweep()');
select sluice.cache_put(id, sha256('z'), 't', convert_to(repeat('z', 51), 'utf8'))
from k where name = 'b';
select set_config('sluice.account', '', true);
select is((select sum(octet_length(body)) from sluice.answer_cache c join k
	on k.id = c.account_id and k.name = 'b')::integer, 252, 'but then');
create or replace function sluice.cache_sweep_max() returns integer
language sql immutable set search_path = '' as $$ select 1 $$;
create or replace function sluice.cache_bytes_max() returns bigint
language sql immutable set search_path = '' as $$ select 60::bigint $$;
select sluice.cache_sweep();
select sluice.cache_put(id, sha256('w'), 't', 'wwwwwwwwww') from k where name = 'b';
select set_config('sluice.account', '', true);
select is_empty($$ select from sluice.answer_cache where body = 'wwwwwwwwww' $$,
	'nor before it has caught up');

select * from finish();
rollback;
