-- migrate: once
--
-- Several lines in one upstream call.

alter table sluice.path
	add column combine integer not null default 1	-- lines of a call, at most
		check (combine between 1 and 2048),
	add constraint path_combine_kind check (kind <> 'batches' or combine = 1);

-- Inputs: of each line a hash of its body without the value of input or prompt;
-- 0: it shares no call.  Null: none of the lines does.
alter table sluice.chunk add column combine integer[];

alter table sluice.run
	add column leads bit varying,	-- lines that begin a call; null: all
	add column most smallint[];	-- as of retry; null: all 0
-- Its lines may share calls, as far as the first of its file tells.
alter table sluice.batch_lane add column alike boolean not null default false;

-- Lines that it may share a call with, itself included; 0: any number.
alter table sluice.retry add column most smallint not null default 0;
