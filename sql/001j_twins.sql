-- migrate: once
--
-- Lines of one batch with the same body, of which the first alone is sent.  Who
-- reads what a cursor has before it passes twins; they stand here until the batch
-- has ended.

create table sluice.twin (
	batch_id bigint not null,
	line integer not null,			-- of the file, from 1
	first_line integer not null,		-- the one that is sent
	primary key (batch_id, line)
);
create index on sluice.twin (batch_id, first_line, line);

-- Firsts that have a result, and where: their twins are to have it, too.
create table sluice.twin_due (
	batch_id bigint not null,
	first_line integer not null,
	failed boolean not null,		-- it is in the error file
	purge_day date not null,
	chunk_id bigint not null,
	item integer not null,			-- in the chunk, from 1
	len integer not null,			-- bytes of the line, without details
	upto integer not null default 0,	-- its twins up to this line have it
	primary key (batch_id, first_line)
);

alter table sluice.batch add column duplicates integer;
