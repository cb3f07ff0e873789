-- migrate: on change
--
-- Batches as callers see them: create, read, list, cancel.

create or replace function sluice.batch_name(p_uid uuid) returns text
language sql immutable set search_path = '' as $$
	select 'batch_' || replace(p_uid::text, '-', '')
$$;

-- Does a glob (* any run, ? any one character) match?  In plpgsql, which keeps its
-- plan from one call to the next: a function in SQL that pins its search path is
-- planned anew in every statement that calls it.
create or replace function sluice.glob_match(p_glob text, p_text text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
	return p_text like translate(
		replace(replace(replace(p_glob, '\', '\\'), '%', '\%'), '_', '\_'),
		'*?', '%_');
end $$;

drop function if exists sluice.batch_object(sluice.batch);
create or replace function sluice.batch_object(
    p_batch sluice.batch, p_outlook json default null
) returns json
language plpgsql stable security definer set search_path = '' as $$
declare
	v_input sluice.file;
	v_output sluice.file;
	v_error sluice.file;
	v_done record;
	v_failed record;
	v_paths json;
	v_cost bigint;
	v_direct bigint;
	v_priced boolean;
begin
	select * into v_input from sluice.file f where f.id = p_batch.input_id;
	select * into v_output from sluice.file f where f.id = p_batch.output_id;
	select * into v_error from sluice.file f where f.id = p_batch.error_id;
	-- It is over, its files perhaps gone.  The types are those of file_extent():
	-- the plan below is kept from one call to the next.
	if p_batch.done_lines is not null then
		select p_batch.done_lines as lines, p_batch.input_tokens,
			p_batch.cached_tokens, p_batch.output_tokens,
			p_batch.reasoning_tokens into v_done;
		select p_batch.failed_lines as lines, 0::bigint as input_tokens,
			0::bigint as cached_tokens, 0::bigint as output_tokens,
			0::bigint as reasoning_tokens into v_failed;
	else
		v_done := sluice.file_extent(v_output);
		v_failed := sluice.file_extent(v_error);
	end if;
	v_paths := sluice.batch_paths(p_batch.id);
	select sum((j ->> 'cost')::bigint), sum((j ->> 'direct_cost')::bigint),
		sum((j ->> 'direct_cost')::bigint) > 0 or sum((j ->> 'cost')::bigint) > 0
	into v_cost, v_direct, v_priced
	from json_array_elements(v_paths) j;
	return json_strip_nulls(json_build_object(
		'id', sluice.batch_name(p_batch.uid),
		'object', 'batch',
		'endpoint', p_batch.endpoint,
		'model', case when cardinality(v_input.models) = 1 then v_input.models[1] end,
		'errors', case when p_batch.errors is not null then
			json_build_object('object', 'list', 'data', p_batch.errors) end,
		'input_file_id', sluice.file_name(v_input.uid),
		'completion_window', p_batch.window_text,
		'status', p_batch.state,
		'output_file_id', case when v_done.lines > 0
			then sluice.file_name(v_output.uid) end,
		'error_file_id', case when v_failed.lines > 0
			then sluice.file_name(v_error.uid) end,
		'created_at', sluice.epoch(p_batch.created_at),
		'in_progress_at', sluice.epoch(p_batch.in_progress_at),
		'expires_at', sluice.epoch(p_batch.deadline),
		'finalizing_at', sluice.epoch(p_batch.finalizing_at),
		'completed_at', sluice.epoch(p_batch.completed_at),
		'failed_at', sluice.epoch(p_batch.failed_at),
		'expired_at', sluice.epoch(p_batch.expired_at),
		'cancelling_at', sluice.epoch(p_batch.cancelling_at),
		'cancelled_at', sluice.epoch(p_batch.cancelled_at),
		'request_counts', json_build_object(
			'total', p_batch.lines,
			'completed', v_done.lines,
			'failed', v_failed.lines),
		'usage', json_build_object(
			'input_tokens', v_done.input_tokens + v_failed.input_tokens,
			'input_tokens_details', json_build_object('cached_tokens',
				v_done.cached_tokens + v_failed.cached_tokens),
			'output_tokens', v_done.output_tokens + v_failed.output_tokens,
			'output_tokens_details', json_build_object('reasoning_tokens',
				v_done.reasoning_tokens + v_failed.reasoning_tokens),
			'total_tokens', v_done.input_tokens + v_failed.input_tokens
				+ v_done.output_tokens + v_failed.output_tokens),
		'metadata', p_batch.metadata,
		'sluice', json_build_object('priority', p_batch.priority,
			'max_tokens', p_batch.max_tokens,
			'paused_at', case when p_batch.state in ('validating', 'in_progress')
				then sluice.epoch(p_batch.paused_at) end,
			'path', nullif(p_batch.choice, 'auto'),
			'escalate', case when not p_batch.escalate then false end,
			'not_before', sluice.epoch(p_batch.not_before),
			'hours', p_batch.hours,
			'details', case when p_batch.details then true end,
			'max_cost', p_batch.cap,
			'cost', case when v_priced then v_cost end,
			'direct_cost', case when v_priced then v_direct end,
			'paths', v_paths,
			'dedupe', nullif(p_batch.dedupe, false),
			'duplicates', p_batch.duplicates,
			'cached', p_batch.cached,
			'waiting', case when p_batch.state = 'in_progress'
				then sluice.batch_waiting(p_batch.id) end,
			'upstream', case when p_batch.done_lines is null
				then sluice.batch_upstream(p_batch.id) end,
			'outlook', p_outlook)));
end $$;

create or replace function sluice.batch_mine(p_account bigint, p_uid uuid, p_param text)
returns sluice.batch
language plpgsql stable set search_path = '' as $$
declare
	v_batch sluice.batch;
begin
	select * into v_batch from sluice.batch b
	where b.uid = p_uid and b.account_id = p_account;
	if not found then
		perform sluice.refuse(404, null, p_param,
			format('No such Batch object: %s', sluice.batch_name(p_uid)));
	end if;
	return v_batch;
end $$;

-- Why the lines of a file cannot make a batch: errors.data, or null.
create or replace function sluice.batch_faults(p_file sluice.file, p_endpoint text)
returns json
language plpgsql stable security definer set search_path = '' as $$
declare
	v_model text;
begin
	if p_file.faults is not null then
		return p_file.faults;
	end if;
	if p_file.endpoint <> p_endpoint then
		return json_build_array(json_build_object('code', 'url_mismatch',
			'message', format('The lines'' url is %s but the batch''s endpoint is %s.',
				p_file.endpoint, p_endpoint),
			'param', 'url', 'line', 1));
	end if;
	foreach v_model in array p_file.models loop
		if not exists (
			select from sluice.path p, unnest(p.models) g
			where p.removed_at is null and sluice.glob_match(g, v_model)
		) then
			return json_build_array(json_build_object('code', 'model_not_found',
				'message', format('No upstream path serves the model "%s": GET /v1/models lists those that are served; the operator adds one with sluice path add.', v_model),
				'param', 'body.model', 'line', null));
		end if;
	end loop;
	return null;
end $$;

-- The same for a batch that goes direct, whatever comes.
create or replace function sluice.batch_direct_faults(p_file sluice.file) returns json
language sql stable security definer set search_path = '' as $$
	select json_build_array(json_build_object('code', 'model_not_found',
		'message', format('No direct path serves the model "%s".', min(m.name)),
		'param', 'body.model', 'line', null))
	from unnest(p_file.models) m (name)
	where not exists (select from sluice.path p, unnest(p.models) g
		where p.removed_at is null and p.kind = 'direct'
		    and sluice.glob_match(g, m.name))
	having count(*) > 0
$$;

-- The files and cursors of a batch.  As the owner: lanes are not the caller's.
create or replace function sluice.batch_furnish(p_batch bigint, p_keep_s integer)
returns void
language plpgsql security definer set search_path = '' as $$
declare
	v_batch sluice.batch;
	v_input sluice.file;
	v_expires timestamptz;
	v_output bigint;
	v_error bigint;
	v_known boolean;
begin
	select * into v_batch from sluice.batch b where b.id = p_batch;
	select * into v_input from sluice.file f where f.id = v_batch.input_id;
	v_expires := v_batch.deadline + make_interval(secs => p_keep_s);
	perform sluice.ensure_day(sluice.purge_day(v_expires));
	insert into sluice.file (account_id, purpose, name, state, purge_day, expires_at)
	values (v_batch.account_id, 'batch_output',
		sluice.batch_name(v_batch.uid) || '_output.jsonl', 'growing',
		sluice.purge_day(v_expires), v_expires)
	returning id into v_output;
	insert into sluice.file (account_id, purpose, name, state, purge_day, expires_at)
	values (v_batch.account_id, 'batch_output',
		sluice.batch_name(v_batch.uid) || '_error.jsonl', 'growing',
		sluice.purge_day(v_expires), v_expires)
	returning id into v_error;
	update sluice.batch b set output_id = v_output, error_id = v_error
	where b.id = p_batch;
	insert into sluice.batch_lane (batch_id, account_id, file_id, purge_day, model,
		model_index, endpoint, priority, deadline, start_by, lines_left, max_tokens,
		shapes, alike)
	select p_batch, v_batch.account_id, v_input.id, v_input.purge_day, m.name,
		m.i, v_batch.endpoint, v_batch.priority, v_batch.deadline,
		v_batch.deadline - make_interval(secs => coalesce(least(
			sluice.lines_need_s(v_input, m.name, v_batch.max_tokens,
				v_input.model_lines[m.i]), 1e8), 0)),
		v_input.model_lines[m.i], v_batch.max_tokens,
		sluice.shapes_of(v_batch.account_id, v_batch.key_id, m.name,
			v_batch.endpoint), sluice.file_alike(v_input)
	from unnest(v_input.models) with ordinality m (name, i);
	v_known := sluice.kept_for(v_batch.account_id, v_batch.endpoint);
	if v_batch.dedupe or v_known then
		perform sluice.twins_find(v_batch, v_known);
	end if;
end $$;

drop function if exists sluice.batch_create(bigint, bigint, uuid, text, text,
    integer, integer, json, integer, text, bytea, integer);
-- p_options: the sluice object, as api_options.c has checked it.
create or replace function sluice.batch_create(
    p_account bigint, p_key_id bigint, p_input uuid, p_endpoint text,
    p_window_text text, p_window_s integer, p_metadata json, p_keep_s integer,
    p_key text, p_hash bytea, p_options json
) returns json
language plpgsql set search_path = '' as $$
declare
	v_file sluice.file;
	v_batch sluice.batch;
	v_before bigint;
	v_faults json;
	v_deadline timestamptz := coalesce(sluice.deadline_at(p_options ->> 'deadline'),
		now() + make_interval(secs => p_window_s));
begin
	perform set_config('sluice.account', p_account::text, true);
	-- Nothing that has happened since is a reason to refuse it now.
	v_before := sluice.idempotent_before(p_account, p_key, p_hash);
	if v_before is not null then
		select * into v_batch from sluice.batch b where b.id = v_before;
		return sluice.batch_object(v_batch);
	end if;
	v_file := sluice.file_mine(p_account, p_input, 'input_file_id');
	perform from sluice.file f where f.id = v_file.id and f.state = 'ready' for share;
	if not found or v_file.purpose <> 'batch' then
		perform sluice.refuse(400, 'invalid_value', 'input_file_id',
			format('The file %s is not one for batches: upload it with purpose "batch".',
				sluice.file_name(p_input)));
	end if;
	if (v_deadline at time zone 'utc')::date >= v_file.purge_day
	    and not coalesce((p_options ->> 'dry_run')::boolean, false) then
		perform sluice.refuse(400, 'invalid_value', 'completion_window',
			format('The file expires before a batch of %s could end; upload it again '
				'with a longer expires_after.', p_window_text));
	end if;
	perform sluice.hours_check(p_options ->> 'hours', 'sluice.hours');
	if to_timestamp((p_options ->> 'not_before')::bigint) >= v_deadline then
		perform sluice.refuse(400, 'invalid_value', 'sluice.not_before',
			'''sluice.not_before'' is not before the end of completion_window.');
	end if;
	v_faults := sluice.batch_faults(v_file, p_endpoint);
	if v_faults is null and p_options ->> 'path' = 'direct' then
		v_faults := sluice.batch_direct_faults(v_file);
	end if;
	if (p_options ->> 'dry_run')::boolean then
		if v_faults is not null then
			return json_strip_nulls(json_build_object('object', 'batch.plan',
				'input_file_id', sluice.file_name(p_input), 'errors',
				json_build_object('object', 'list', 'data', v_faults)));
		end if;
		return sluice.batch_plan(v_file, v_deadline, p_options);
	end if;
	insert into sluice.batch (account_id, key_id, input_id, endpoint, priority,
		window_text, metadata, state, lines, errors, deadline, failed_at, max_tokens,
		choice, escalate, not_before, hours, details, cap, dedupe)
	values (p_account, p_key_id, v_file.id, p_endpoint,
		(p_options ->> 'priority')::smallint, p_window_text,
		p_metadata, case when v_faults is null then 'validating' else 'failed' end,
		case when v_faults is null then v_file.lines else 0 end, v_faults,
		v_deadline, case when v_faults is not null then now() end,
		(p_options ->> 'max_tokens')::integer, coalesce(p_options ->> 'path', 'auto'),
		coalesce((p_options ->> 'escalate')::boolean, true),
		to_timestamp((p_options ->> 'not_before')::bigint), p_options ->> 'hours',
		coalesce((p_options ->> 'details')::boolean, false),
		(p_options ->> 'max_cost')::bigint,
		coalesce((p_options ->> 'dedupe')::boolean, false))
	returning * into v_batch;
	if p_key is not null then
		v_before := sluice.idempotent(p_account, p_key, p_hash, v_batch.id);
		if v_before is not null then
			delete from sluice.batch b where b.id = v_batch.id;
			select * into v_batch from sluice.batch b where b.id = v_before;
			return sluice.batch_object(v_batch);
		end if;
	end if;
	if v_faults is null then
		perform sluice.batch_furnish(v_batch.id, p_keep_s);
		if p_options -> 'deadline' is not null then
			perform sluice.deadline_check(v_batch, v_deadline);
		end if;
		if (p_options ->> 'paused')::boolean then
			perform sluice.batch_pause(v_batch.id, true);
		end if;
		if (p_options ->> 'require_feasible')::boolean then
			perform sluice.batch_require_feasible(v_batch);
		end if;
		perform sluice.batch_admit(v_batch.id);
		select * into v_batch from sluice.batch b where b.id = v_batch.id;
	end if;
	return sluice.batch_object(v_batch);
end $$;

-- With how it stands to its deadline, which is too dear for a list.
create or replace function sluice.batch_get(p_account bigint, p_uid uuid)
returns json
language plpgsql stable set search_path = '' as $$
declare
	v_batch sluice.batch;
begin
	perform set_config('sluice.account', p_account::text, true);
	v_batch := sluice.batch_mine(p_account, p_uid, 'batch_id');
	return sluice.batch_object(v_batch, case
		when v_batch.state in ('validating', 'in_progress')
		then sluice.batch_stands(v_batch) end);
end $$;

-- Newest first, as OpenAI lists them.
create or replace function sluice.batch_list(
    p_account bigint, p_after uuid, p_limit integer
) returns json
language plpgsql stable set search_path = '' as $$
declare
	v_after bigint;
	v_list json;
begin
	perform set_config('sluice.account', p_account::text, true);
	if p_after is not null then
		v_after := (sluice.batch_mine(p_account, p_after, 'after')).id;
	end if;
	with page as (
		select a as b, row_number() over (order by a.id desc) as n
		from sluice.batch a
		where a.account_id = p_account and (v_after is null or a.id < v_after)
		order by a.id desc
		limit p_limit + 1
	)
	select json_build_object(
		'object', 'list',
		'data', coalesce(json_agg(sluice.batch_object(p.b) order by p.n)
			filter (where p.n <= p_limit), '[]'::json),
		'first_id', coalesce(min(sluice.batch_name((p.b).uid))
			filter (where p.n = 1 and p_limit > 0), ''),
		'last_id', coalesce(min(sluice.batch_name((p.b).uid))
			filter (where p.n = least(p_limit, m.n)), ''),
		'has_more', coalesce(max(p.n), 0) > p_limit)
	into v_list
	from page p cross join (select count(*) as n from page) m;
	return v_list;
end $$;

-- The dispatcher ends what is not out; what is out comes back first.
create or replace function sluice.batch_cancel(p_account bigint, p_uid uuid)
returns json
language plpgsql set search_path = '' as $$
declare
	v_batch sluice.batch;
begin
	perform set_config('sluice.account', p_account::text, true);
	v_batch := sluice.batch_mine(p_account, p_uid, 'batch_id');
	update sluice.batch b
	set state = 'cancelling', ending = 'cancelled', cancelling_at = now()
	where b.id = v_batch.id and b.state in ('validating', 'in_progress', 'finalizing');
	select * into v_batch from sluice.batch b where b.id = v_batch.id;
	if v_batch.state in ('completed', 'failed', 'expired') then
		perform sluice.refuse(409, null, null,
			format('Cannot cancel a batch with status ''%s''.', v_batch.state));
	end if;
	return sluice.batch_object(v_batch);
end $$;
