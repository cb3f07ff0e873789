-- migrate: on change
--
-- Who may do what.  Nothing by default; a program's role gets the functions it
-- calls and, for what belongs to accounts, rows under row-level security.
revoke all on schema sluice from public;
revoke all on all tables in schema sluice from public, sluice_api, sluice_worker;
revoke all on all functions in schema sluice from public, sluice_api, sluice_worker;
grant usage on schema sluice to sluice_api, sluice_worker, sluice_reader;

-- Each session pins its search path, whatever the program forgets.
alter role sluice_api set search_path = '';
alter role sluice_worker set search_path = '';
alter role sluice_api set idle_in_transaction_session_timeout = '30s';
alter role sluice_worker set idle_in_transaction_session_timeout = '30s';
alter role sluice_api set statement_timeout = '60s';
alter role sluice_worker set statement_timeout = '60s';
alter role sluice_api set lock_timeout = '20s';
alter role sluice_worker set lock_timeout = '20s';

grant select, insert, update on sluice.file, sluice.idempotency to sluice_api;
grant select, insert, update, delete on sluice.batch to sluice_api;
grant select on sluice.migration to sluice_api, sluice_worker;

do $$
declare
	f regprocedure;
begin
	-- Helpers without rights of their own.
	for f in select p.oid::regprocedure from pg_catalog.pg_proc p
	    where p.pronamespace = 'sluice'::regnamespace and p.proname in ('me',
		'epoch', 'epoch_us', 'at_us', 'file_name', 'batch_name', 'purge_day',
		'glob_match', 'refuse', 'cell_us', 'window_text', 'limit_text', 'hours_read',
		'hours_check')
	loop
		execute format('grant execute on function %s to sluice_api, sluice_worker, '
			'sluice_reader', f);
	end loop;
	for f in select p.oid::regprocedure from pg_catalog.pg_proc p
	    where p.pronamespace = 'sluice'::regnamespace and p.proname in ('auth',
		'ensure_day', 'file_extent', 'file_object', 'file_mine', 'file_begin',
		'file_chunk', 'file_received', 'idempotent_before', 'idempotent',
		'file_publish', 'file_abandon', 'file_get', 'file_list', 'file_read', 'file_delete',
		'batch_object', 'batch_direct_faults', 'batch_plan', 'batch_forecast', 'batch_mine', 'batch_faults', 'batch_furnish',
		'batch_create', 'batch_get', 'batch_list', 'batch_cancel',
		'batch_edit', 'batch_pause', 'shapes_live', 'batch_retime', 'batch_stands',
		'batch_require_feasible', 'deadline_at', 'deadline_check',
		'lease_take', 'lease_give', 'dispatch_config', 'dispatch_cells',
		'dispatch_poll', 'dispatch_lanes', 'lane_lines',
		'lane_retries', 'dispatch_commit', 'reap', 'publish', 'batches_end',
		'sweep', 'worker_list', 'path_list', 'path_get', 'pool_list',
		'config_apply',
		'plan_list', 'plan_get', 'plan_create', 'plan_edit', 'plan_remove',
		'account_create', 'account_list', 'account_get', 'account_edit',
		'key_create', 'key_list', 'key_get', 'key_edit', 'key_revoke',
		'named_list', 'named_get', 'named_create', 'named_edit', 'named_delete',
		'everybody_get', 'everybody_edit', 'live_other', 'live_open', 'model_list',
		'model_get', 'admission_drop', 'usage_add', 'usage_get', 'usage_peak',
		'usage_forecast', 'door_limits', 'admit', 'door_open', 'door_beat',
		'door_close', 'batch_admit', 'webhook_list', 'webhook_get',
		'webhook_create', 'webhook_remove', 'webhook_test', 'cache_get', 'cache_put')
	loop
		execute format('grant execute on function %s to sluice_api', f);
	end loop;
	for f in select p.oid::regprocedure from pg_catalog.pg_proc p
	    where p.pronamespace = 'sluice'::regnamespace and p.proname in (
		'worker_live', 'live_settle', 'live_late', 'live_seen',
		'worker_start', 'worker_beat', 'worker_stop', 'worker_config',
		'take_runs', 'runs_keep', 'run_chunk', 'settle_runs', 'runs_open', 'settle_chunk',
		'settle_usage', 'hooks_take', 'hook_settle',
		'provider_pack', 'provider_next', 'provider_lines', 'provider_settle',
		'provider_open', 'provider_step', 'cache_keep')
	loop
		execute format('grant execute on function %s to sluice_worker', f);
	end loop;
end $$;
