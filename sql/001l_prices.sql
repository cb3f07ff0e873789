-- migrate: once
--
-- What lines cost: prices by the hour, and who paid what by which path.

-- Hours as people write them ("mon-fri 16:30-00:30 UTC", 002b_hours.sql); empty:
-- whenever no other price holds.
alter table sluice.price add column hours text not null default '',
	drop constraint price_pkey,
	add primary key (path_id, model, hours);
