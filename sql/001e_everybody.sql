-- migrate: once
--
-- Limits that hold for everybody are looked for at every call.
create index caller_limit_everybody on sluice.caller_limit (id)
	where removed_at is null and plan_id is null and account_id is null
	    and key_id is null and named_id is null;
