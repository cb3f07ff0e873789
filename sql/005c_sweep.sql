-- migrate: on change
--
-- What is swept away: files and batches past their time, partitions, old ledgers.

-- What is left of broken uploads, deleted and expired files; old partitions.
-- A few of each at a time: no long transaction, no large delete.
create or replace function sluice.sweep(p_epoch bigint)
returns table (files integer, partitions integer)
language plpgsql set search_path = '' security definer
set plan_cache_mode = force_custom_plan as $$
declare
	v_file sluice.file;
	v_name text;
	v_left integer;
	v_held text[] := array(		-- days that open batches need
		select distinct to_char(f.purge_day, 'YYYYMMDD')
		from sluice.batch b
		join sluice.file f on f.id in (b.input_id, b.output_id, b.error_id)
		where b.state in ('validating', 'in_progress', 'finalizing', 'cancelling'));
begin
	perform sluice.fence(p_epoch);
	files := 0;
	partitions := 0;
	update sluice.file f set state = 'broken'
	where f.state = 'receiving' and f.bytes is distinct from -1
	    and f.created_at < now() - interval '3 days';
	update sluice.file f set state = 'deleted'
	where f.id in (select g.id from sluice.file g
		where g.state = 'ready' and g.expires_at < now() - interval '1 day'
		    and not exists (select from sluice.batch b where b.input_id = g.id
			and b.state in ('validating', 'in_progress', 'finalizing', 'cancelling'))
		limit 100);
	for v_file in select * from sluice.file f where f.state in ('broken', 'deleted')
	    and f.bytes is distinct from -1 order by f.id limit 20 loop
		delete from sluice.chunk c
		where c.purge_day = v_file.purge_day and c.id in (
			select p.chunk_id from sluice.place p
			where p.purge_day = v_file.purge_day and p.file_id = v_file.id
			order by p.first_byte limit 200);
		delete from sluice.place p
		where p.purge_day = v_file.purge_day and p.file_id = v_file.id
		    and p.first_byte in (select q.first_byte from sluice.place q
			where q.purge_day = v_file.purge_day and q.file_id = v_file.id
			order by q.first_byte limit 200);
		get diagnostics v_left = row_count;
		if v_left < 200 then
			-- The row stays while a batch tells of it; -1: swept.
			update sluice.file f set bytes = -1 where f.id = v_file.id;
			files := files + 1;
		end if;
	end loop;
	delete from sluice.idempotency i where i.created_at < now() - interval '48 hours';
	delete from sluice.worker w
	where w.state = 'dead' and w.beat_at < now() - interval '1 day';
	delete from sluice.provider_batch b
	where b.state = 'cleaned' and b.ended_at < now() - interval '1 day';
	-- A removed limit keeps them as long: it may come back (limits_revive()).
	delete from sluice.grant_cell g using sluice.rate_limit l
	where l.id = g.limit_id and g.cell * sluice.cell_us(l.window_s)
		< sluice.epoch_us(now()) - (l.window_s + 60) * 2000000::bigint
			+ (select e.clock_offset_us from sluice.dispatch_lease e);
	delete from sluice.grant_cell g using sluice.shape p, sluice.caller_limit l
	where p.id = g.limit_id and l.id = p.limit_id
	    and g.cell * sluice.cell_us(l.window_s)
		< sluice.epoch_us(now()) - (l.window_s + 60) * 2000000::bigint
			+ (select e.clock_offset_us from sluice.dispatch_lease e);
	perform sluice.room_sweep();
	perform sluice.hooks_sweep();
	perform sluice.cache_sweep();
	perform sluice.usage_fold(200000);
	perform sluice.provider_recall();	-- late: its locks are short
	for v_name in
		select c.relname from pg_catalog.pg_inherits i
		join pg_catalog.pg_class c on c.oid = i.inhrelid
		where i.inhparent in ('sluice.chunk'::regclass, 'sluice.place'::regclass)
		    and right(c.relname, 8) < to_char(now() at time zone 'utc', 'YYYYMMDD')
		    and right(c.relname, 8) <> all (v_held)
		order by 1 limit 4
	loop
		begin
			-- A dump may hold the parent: wait for nobody, try again later.
			execute 'lock table sluice.chunk, sluice.place in access exclusive mode nowait';
			execute format('drop table sluice.%I', v_name);
			partitions := partitions + 1;
		exception when lock_not_available then
			exit;
		end;
	end loop;
	return next;
end $$;

-- The width of a ledger's cells; scheduler/ledger.h has the same rule.
create or replace function sluice.cell_us(p_window_s integer) returns bigint
language plpgsql immutable set search_path = '' as $$
begin
	return greatest(p_window_s::bigint * 1000000 / 1200, 5000);
end $$;
