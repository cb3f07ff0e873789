-- migrate: on change
--
-- Batches that are put off, go on, change their priority or their deadline.

-- Hand out no more: lanes are closed, so that the index of open ones stays short;
-- what nobody has taken comes back.  Lock order: batch, lane, run, retry.
create or replace function sluice.lanes_stop(p_batches bigint[], p_why text)
returns void
language plpgsql set search_path = '' as $$
declare
	v_run sluice.run;
begin
	update sluice.batch_lane l set open = false
	where l.batch_id = any (p_batches) and l.open;
	for v_run in delete from sluice.run r
	    where r.batch_id = any (p_batches) and r.worker_id is null
		and r.provider_id is null returning * loop
		perform sluice.run_give_back(v_run, false, p_why);
	end loop;
end $$;

-- As the owner: lanes and runs are not the caller's.  The dispatcher opens lanes
-- again when it next looks.
create or replace function sluice.batch_pause(p_batch bigint, p_paused boolean)
returns void
language plpgsql security definer set search_path = '' as $$
begin
	if p_paused then
		update sluice.batch b set paused_at = now(), opening = false
		where b.id = p_batch and b.paused_at is null;
		if found then
			perform sluice.lanes_stop(array[p_batch], 'paused');
		end if;
	else
		update sluice.batch b set paused_at = null, opening = b.state = 'in_progress'
		where b.id = p_batch and b.paused_at is not null;
		if found then	-- the pause is no measure of its speed
			update sluice.batch_path w
			set first_at = now(), last_at = now(), first_lines = w.lines
			where w.batch_id = p_batch;
		end if;
	end if;
end $$;

-- A Unix time, or "+90": so many seconds from now.
create or replace function sluice.deadline_at(p_text text) returns timestamptz
language sql stable set search_path = '' as $$
	select case when p_text like '+%' then
		now() + make_interval(secs => substr(p_text, 2)::double precision)
		else to_timestamp(p_text::double precision) end
$$;

-- The deadline must lie ahead, and before the day on which a file may go.
create or replace function sluice.deadline_check(
    p_batch sluice.batch, p_deadline timestamptz
) returns void
language plpgsql stable security definer set search_path = '' as $$
begin
	if p_deadline <= now() then
		perform sluice.refuse(400, 'invalid_value', 'sluice.deadline',
			'''sluice.deadline'' is past; it must be a Unix time yet to come, or '
			'a span from now.');
	end if;
	if (p_deadline at time zone 'utc')::date >= (select min(f.purge_day)
	    from sluice.file f
	    where f.id in (p_batch.input_id, p_batch.output_id, p_batch.error_id)) then
		perform sluice.refuse(400, 'invalid_value', 'sluice.deadline',
			'''sluice.deadline'' is later than the batch''s files are kept.');
	end if;
end $$;

create or replace function sluice.batch_retime(
    p_batch bigint, p_deadline timestamptz, p_priority integer
) returns void
language plpgsql security definer set search_path = '' as $$
begin
	update sluice.batch_lane l
	set start_by = l.start_by + (coalesce(p_deadline, l.deadline) - l.deadline),
		deadline = coalesce(p_deadline, l.deadline),
		priority = coalesce(p_priority, l.priority)
	where l.batch_id = p_batch;
end $$;

-- p_options: the members of the sluice object that change, as api_options.c has
-- checked them.
create or replace function sluice.batch_edit(
    p_account bigint, p_uid uuid, p_options json
) returns json
language plpgsql set search_path = '' as $$
declare
	v_batch sluice.batch;
	v_deadline timestamptz := sluice.deadline_at(p_options ->> 'deadline');
	v_priority integer := (p_options ->> 'priority')::integer;
begin
	perform set_config('sluice.account', p_account::text, true);
	v_batch := sluice.batch_mine(p_account, p_uid, 'batch_id');
	select * into v_batch from sluice.batch b where b.id = v_batch.id for update;
	if v_batch.state not in ('validating', 'in_progress') then
		perform sluice.refuse(409, null, null,
			format('Cannot change a batch with status ''%s''.', v_batch.state));
	end if;
	if v_deadline is not null then
		perform sluice.deadline_check(v_batch, v_deadline);
	end if;
	if v_deadline is not null or v_priority is not null then
		update sluice.batch b set deadline = coalesce(v_deadline, b.deadline),
			priority = coalesce(v_priority, b.priority)
		where b.id = v_batch.id;
		perform sluice.batch_retime(v_batch.id, v_deadline, v_priority);
	end if;
	if p_options ->> 'path' = 'direct' and (
	    select sluice.batch_direct_faults(f) is not null from sluice.file f
	    where f.id = v_batch.input_id) then
		perform sluice.refuse(400, 'invalid_value', 'sluice.path',
			'No direct path serves all models of the batch.');
	end if;
	update sluice.batch b	-- the dispatcher reads these anew all the time
	set choice = coalesce(p_options ->> 'path', b.choice),
		escalate = coalesce((p_options ->> 'escalate')::boolean, b.escalate),
		cap = coalesce((p_options ->> 'max_cost')::bigint, b.cap)
	where b.id = v_batch.id and (p_options -> 'path' is not null
		or p_options -> 'escalate' is not null
		or p_options -> 'max_cost' is not null);
	if p_options -> 'paused' is not null then
		perform sluice.batch_pause(v_batch.id, (p_options ->> 'paused')::boolean);
	end if;
	return sluice.batch_get(p_account, p_uid);
end $$;
