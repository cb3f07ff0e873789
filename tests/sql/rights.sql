-- Who may do what: the catalogue, and a try of each kind.
begin;
create extension if not exists pgtap schema public;
set local search_path = public;
select plan(17);

select is_empty($$
	select c.relname from pg_class c
	join pg_attribute a on a.attrelid = c.oid and a.attname = 'account_id'
	where c.relnamespace = 'sluice'::regnamespace and c.relkind = 'r'
	    and c.relname not in ('api_key', 'batch_lane', 'caller_limit', 'admission',
		'usage', 'provider_batch')	-- by functions alone
	    and not (c.relrowsecurity and c.relforcerowsecurity)
$$, 'every table of accounts that a program may read has forced row security');

select is_empty($$
	select p.oid::regprocedure from pg_proc p
	where p.pronamespace = 'sluice'::regnamespace
	    and not coalesce(p.proconfig @> array['search_path=""'], false)
$$, 'every function pins its search path');

select is_empty($$
	select p.oid::regprocedure from pg_proc p
	where p.pronamespace = 'sluice'::regnamespace
	    and has_function_privilege('public', p.oid, 'execute')
$$, 'nobody may call anything by default');

select is_empty($$
	select r, c.relname from pg_class c, unnest(array['sluice_api',
		'sluice_worker', 'sluice_reader']) r
	where c.relnamespace = 'sluice'::regnamespace and c.relkind in ('r', 'p')
	    and c.relname not in ('file', 'batch', 'idempotency', 'migration')
	    and has_table_privilege(r, c.oid, 'select, insert, update, delete')
$$, 'no program reaches chunks, keys or runs but through functions');

select is_empty($$
	select r.rolname from pg_roles r
	where r.rolname like 'sluice\__%' and (r.rolsuper or r.rolcreaterole
	    or r.rolcreatedb or r.rolbypassrls or r.rolreplication)
$$, 'no role of a program is privileged');

insert into sluice.account (name) values ('a'), ('b');
insert into sluice.file (account_id, purpose, name, state, purge_day, bytes,
	lines, expires_at)
select id, 'batch', 'f-' || name, 'ready', '2030-01-01', 1, 1, '2029-12-30'
from sluice.account where name in ('a', 'b');
create temp table ids as select name, id from sluice.account;
create temp table fids as select name, uid from sluice.file;
grant select on ids, fids to public;

set role sluice_api;
select is((select count(*) from sluice.file)::integer, 0,
	'without an account there are no files');
select lives_ok($$ select set_config('sluice.account',
	(select id::text from ids where name = 'a'), true) $$);
select results_eq('select name from sluice.file', $$ values ('f-a') $$,
	'an account sees its own files only');
select throws_ok($$ insert into sluice.file (account_id, purpose, name, state,
	purge_day, expires_at) select id, 'batch', 'x', 'ready', '2030-01-01', now()
	from ids where name = 'b' $$, '42501', null,
	'nor can it make files for another');
update sluice.file set name = 'stolen';
reset role;
select results_eq('select name from sluice.file order by 1',
	$$ values ('f-b'), ('stolen') $$, 'nor change what is another''s');

set role sluice_api;
select throws_ok($$ select sluice.file_get((select id from ids where name = 'a'),
	(select uid from fids where name = 'f-b')) $$, 'SL404');
select throws_ok($$ select sluice.file_read((select id from ids where name = 'a'),
	(select uid from fids where name = 'f-b'), 0, 1) $$, 'SL404');
select throws_ok('select * from sluice.chunk', '42501');
select throws_ok('select * from sluice.api_key', '42501');
select throws_ok($$ select sluice.settle_runs(1, '[]', '[]', '[]') $$, '42501',
	null, 'sluiced cannot settle');
set role sluice_worker;
select throws_ok($$ select sluice.auth('x') $$, '42501', null,
	'a worker cannot look up keys');
select throws_ok($$ select sluice.config_apply('{}', false, false) $$, '42501',
	null, 'nor change paths');
reset role;

select * from finish();
rollback;
