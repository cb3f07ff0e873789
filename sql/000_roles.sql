-- migrate: on change
--
-- One role for each program.  They log in as these (a password or a peer map is
-- the operator's business); what each may do stands in 007_grants.sql.
do $$
declare
	r text;
begin
	foreach r in array array['sluice_api', 'sluice_worker', 'sluice_reader'] loop
		if not exists (select from pg_catalog.pg_roles where rolname = r) then
			execute format('create role %I login', r);
		end if;
	end loop;
exception when insufficient_privilege then
	raise exception 'cannot create the roles sluice_api, sluice_worker and sluice_reader'
		using hint = 'Let an administrator run: create role sluice_api login; '
			'create role sluice_worker login; create role sluice_reader login;';
end $$;
