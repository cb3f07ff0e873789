-- migrate: once
--
-- Usage is told apart by resource; '' before it was.
alter table sluice.usage add column resource text not null default '';
alter table sluice.usage drop constraint usage_pkey;
alter table sluice.usage add primary key
	(span_s, at, account_id, key_id, path_id, model, kind, resource);
alter table sluice.usage_delta add column resource text not null default '';
