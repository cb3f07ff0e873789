-- migrate: once
--
-- What lines cost: prices by the hour, and who paid what by which path.

-- Hours as people write them ("mon-fri 16:30-00:30 UTC", 002b_hours.sql); empty:
-- whenever no other price holds.
alter table sluice.price add column hours text not null default '',
	drop constraint price_pkey,
	add primary key (path_id, model, hours);

-- Of each result what it cost, and what direct would have; millionths.
alter table sluice.chunk add column money bigint[], add column direct_money bigint[];

-- By which paths the lines of a batch went; written with their places.
create table sluice.batch_path (
	batch_id bigint not null references sluice.batch on delete cascade,
	path_id integer not null,
	lines integer not null,
	money bigint not null,
	direct_money bigint not null,
	primary key (batch_id, path_id)
);
-- The same of a chunk without a place: [{path, lines, money, direct}].
alter table sluice.unplaced add column paths json;

-- What the lines of a run may cost, where their batch has a cap.
alter table sluice.run add column est_money bigint not null default 0;
