-- migrate: on change
--
-- Webhooks: events are written where batches end, taken by workers, tried until
-- the receiver has said 2xx, and given up after about three days.

-- The wait after a failed try, and how many there are.
create or replace function sluice.hook_wait_s(p_tries integer) returns integer
language sql immutable set search_path = '' as $$
	select (array[5, 60, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400])[p_tries]
$$;

create or replace function sluice.webhook_name(p_id bigint) returns text
language sql immutable set search_path = '' as $$
	select 'webhook_' || p_id
$$;

create or replace function sluice.event_name(p_uid uuid) returns text
language sql immutable set search_path = '' as $$
	select 'evt_' || replace(p_uid::text, '-', '')
$$;

create or replace function sluice.event_body(p_uid uuid, p_type text, p_data json)
returns text
language sql stable set search_path = '' as $$
	select json_build_object('object', 'event', 'id', sluice.event_name(p_uid),
		'type', p_type, 'created_at', sluice.epoch(now()),
		'timestamp', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
		'data', p_data)::text
$$;

-- A batch has ended: say so to who listens, and write what its account's
-- endpoints are to be told.  In the transaction that ends it: no end without an
-- event, no event without an end.
create or replace function sluice.batch_told() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
	perform pg_catalog.pg_notify('sluice_batch', json_build_object(
		'id', sluice.batch_name(new.uid), 'status', new.state)::text);
	with listening as materialized (
		select w.id, gen_random_uuid() as uid, 'batch.' || new.state as type
		from sluice.webhook w
		where w.account_id = new.account_id and w.removed_at is null
		    and w.disabled_at is null and 'batch.' || new.state = any (w.events)
	)
	insert into sluice.outbox (uid, webhook_id, batch_id, type, body)
	select l.uid, l.id, new.id, l.type, sluice.event_body(l.uid, l.type,
		json_strip_nulls(json_build_object(
			'id', sluice.batch_name(new.uid), 'object', 'batch',
			'status', new.state, 'endpoint', new.endpoint,
			'input_file_id', (select sluice.file_name(f.uid)
				from sluice.file f where f.id = new.input_id),
			'output_file_id', (select sluice.file_name(f.uid)
				from sluice.file f where f.id = new.output_id
				    and new.done_lines > 0),
			'error_file_id', (select sluice.file_name(f.uid)
				from sluice.file f where f.id = new.error_id
				    and new.failed_lines > 0),
			'created_at', sluice.epoch(new.created_at),
			'request_counts', json_build_object('total', new.lines,
				'completed', coalesce(new.done_lines, 0),
				'failed', coalesce(new.failed_lines, 0)),
			'metadata', new.metadata)))
	from listening l;
	return null;
end $$;
create or replace trigger batch_told_end after update of state on sluice.batch
for each row when (old.state <> new.state
	and new.state in ('completed', 'failed', 'expired', 'cancelled'))
execute function sluice.batch_told();
create or replace trigger batch_told_begin after insert on sluice.batch
for each row when (new.state = 'failed')
execute function sluice.batch_told();

-- The worker's side -----------------------------------------------------------

create or replace function sluice.hooks_due() returns boolean
language sql stable set search_path = '' as $$
	select exists (select from sluice.outbox o
		where o.state = 'due' and o.due_at <= clock_timestamp())
$$;

-- Events to try now, p_max at most and of one endpoint four at once.  A try is
-- counted here, before anything leaves; who is not heard of again within
-- p_hold_s has failed.
create or replace function sluice.hooks_take(p_max integer, p_hold_s integer)
returns table (id bigint, tries smallint, name text, url text, secret_file text, body text)
language sql set search_path = '' security definer as $$
	with due as materialized (
		select d.id
		from sluice.webhook w cross join lateral (
			select o.id, o.due_at from sluice.outbox o
			where o.webhook_id = w.id and o.state = 'due'
			    and o.due_at <= clock_timestamp()
			order by o.due_at
			limit greatest(0, 4 - (select count(*) from sluice.outbox h
				where h.webhook_id = w.id and h.state = 'due'
				    and h.held_until > clock_timestamp()))
			for update skip locked
		) d
		order by d.due_at
		limit p_max
	)
	update sluice.outbox o
	set tries = o.tries + 1, status = null, why = 'The worker was not heard of again.',
		due_at = clock_timestamp() + make_interval(secs => p_hold_s),
		held_until = clock_timestamp() + make_interval(secs => p_hold_s)
	from due d, sluice.webhook w
	where o.id = d.id and w.id = o.webhook_id
	returning o.id, o.tries, sluice.event_name(o.uid), w.url, w.secret_file, o.body
$$;

-- How a try went: p_status 0 when there was no answer.  p_wait_s: not before, if
-- the receiver asked for it.  What another try has been begun of stays as it is.
create or replace function sluice.hook_settle(
    p_id bigint, p_tries integer, p_status integer, p_why text, p_wait_s integer
) returns boolean
language plpgsql set search_path = '' security definer as $$
declare
	v_event sluice.outbox;
	v_wait_s double precision := sluice.hook_wait_s(p_tries);
begin
	select * into v_event from sluice.outbox o
	where o.id = p_id and o.state = 'due' and o.tries = p_tries for update;
	if not found then
		return false;
	end if;
	if v_event.batch_id is null or p_status = 410 then
		v_wait_s := null;
	elsif v_wait_s is not null then
		-- A tenth earlier or later: what failed at once does not come back
		-- at once.
		v_wait_s := greatest(p_wait_s, v_wait_s * (0.9 + 0.2 * random()));
	end if;
	update sluice.outbox o
	set state = case when p_status between 200 and 299 then 'delivered'
			when v_wait_s is null then 'gave_up' else 'due' end,
		due_at = now() + make_interval(secs => coalesce(v_wait_s, 0)),
		held_until = null, status = nullif(p_status, 0), why = p_why,
		settled_at = case when p_status between 200 and 299
			or v_wait_s is null then now() end
	where o.id = p_id;
	if p_status = 410 then
		update sluice.webhook w set disabled_at = now()
		where w.id = v_event.webhook_id and w.disabled_at is null;
		update sluice.outbox o
		set state = 'gave_up', settled_at = now(),
			why = 'The receiver said that it is gone (HTTP 410).'
		where o.webhook_id = v_event.webhook_id and o.state = 'due';
	end if;
	return true;
end $$;

-- What nobody will ask for any more; a few at a time.
create or replace function sluice.hooks_sweep() returns void
language sql set search_path = '' as $$
	-- One that takes a worker with it at every try.
	update sluice.outbox o set state = 'gave_up', settled_at = now(), held_until = null
	where o.state = 'due' and o.due_at <= now() and o.tries >= 16;
	delete from sluice.outbox o where o.id in (select d.id from sluice.outbox d
		where d.state <> 'due' and d.settled_at < now() - case d.state
			when 'delivered' then interval '7 days' else interval '30 days' end
		limit 1000)
$$;

-- The operator's side ---------------------------------------------------------

create or replace function sluice.webhook_object(p_hook sluice.webhook) returns jsonb
language sql stable set search_path = '' as $$
	select jsonb_strip_nulls(jsonb_build_object('object', 'webhook',
		'id', sluice.webhook_name(p_hook.id), 'account', a.name,
		'url', p_hook.url, 'secret_file', p_hook.secret_file,
		'events', p_hook.events,
		'status', case when p_hook.disabled_at is null then 'live'
			else 'disabled' end,
		'waiting', (select count(*) from sluice.outbox o
			where o.webhook_id = p_hook.id and o.state = 'due'),
		'created_at', sluice.epoch(p_hook.created_at),
		'disabled_at', sluice.epoch(p_hook.disabled_at)))
	from sluice.account a where a.id = p_hook.account_id
$$;

create or replace function sluice.event_object(p_event sluice.outbox) returns jsonb
language sql stable set search_path = '' as $$
	select jsonb_strip_nulls(jsonb_build_object('object', 'event',
		'id', sluice.event_name(p_event.uid), 'type', p_event.type,
		'batch', (select sluice.batch_name(b.uid) from sluice.batch b
			where b.id = p_event.batch_id),
		'state', p_event.state, 'tries', p_event.tries,
		'status', p_event.status, 'why', p_event.why,
		'created_at', sluice.epoch(p_event.created_at),
		'next_at', case when p_event.state = 'due'
			then sluice.epoch(p_event.due_at) end,
		'settled_at', sluice.epoch(p_event.settled_at)))
$$;

create or replace function sluice.webhook_find(p_name text) returns sluice.webhook
language plpgsql stable set search_path = '' as $$
declare
	v_hook sluice.webhook;
begin
	select * into v_hook from sluice.webhook w
	where sluice.webhook_name(w.id) = p_name and w.removed_at is null;
	if not found then
		perform sluice.refuse(404, null, 'webhook_id',
			format('No such webhook: "%s".', p_name));
	end if;
	return v_hook;
end $$;

create or replace function sluice.webhook_list() returns json
language sql stable set search_path = '' security definer as $$
	select json_build_object('object', 'list', 'data', coalesce(json_agg(
		sluice.webhook_object(w) order by w.id), '[]'))
	from sluice.webhook w where w.removed_at is null
$$;

-- With its last twenty events, the newest first.
create or replace function sluice.webhook_get(p_name text) returns json
language plpgsql stable set search_path = '' security definer as $$
declare
	v_hook sluice.webhook := sluice.webhook_find(p_name);
begin
	return (sluice.webhook_object(v_hook) || jsonb_build_object('recent',
		(select coalesce(jsonb_agg(sluice.event_object(r) order by r.id desc), '[]')
		from (select * from sluice.outbox o where o.webhook_id = v_hook.id
			order by o.id desc limit 20) r)))::json;
end $$;

-- {account, url, secret_file, events}; without events: all of them.
create or replace function sluice.webhook_create(p_doc json, p_max integer) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_account bigint;
	v_hook sluice.webhook;
begin
	select a.id into v_account from sluice.account a
	where a.name = p_doc ->> 'account' for no key update;
	if not found then
		perform sluice.refuse(404, null, 'account',
			format('No such account: "%s".', p_doc ->> 'account'));
	end if;
	if (select count(*) from sluice.webhook w where w.account_id = v_account
	    and w.removed_at is null) >= p_max then
		perform sluice.refuse(409, 'too_many_webhooks', 'account',
			format('The account has %s webhooks already; no more are allowed.',
			p_max));
	end if;
	insert into sluice.webhook (account_id, url, secret_file, events)
	values (v_account, p_doc ->> 'url', p_doc ->> 'secret_file',
		coalesce((select array_agg(distinct e order by e)
			from json_array_elements_text(p_doc -> 'events') e),
			array['batch.cancelled', 'batch.completed', 'batch.expired',
			'batch.failed']))
	returning * into v_hook;
	return sluice.webhook_object(v_hook);
end $$;

create or replace function sluice.webhook_remove(p_name text) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_hook sluice.webhook := sluice.webhook_find(p_name);
begin
	update sluice.webhook w set removed_at = now() where w.id = v_hook.id;
	update sluice.outbox o set state = 'gave_up', settled_at = now(), held_until = null,
		why = 'The webhook was removed.'
	where o.webhook_id = v_hook.id and o.state = 'due';
	return json_build_object('id', p_name, 'object', 'webhook', 'deleted', true);
end $$;

-- An event that is tried once, whatever comes of it.
create or replace function sluice.webhook_test(p_name text) returns json
language plpgsql set search_path = '' security definer as $$
declare
	v_hook sluice.webhook := sluice.webhook_find(p_name);
	v_uid uuid := gen_random_uuid();
	v_event sluice.outbox;
begin
	insert into sluice.outbox (uid, webhook_id, type, body)
	values (v_uid, v_hook.id, 'webhook.test', sluice.event_body(v_uid, 'webhook.test',
		json_build_object('id', p_name)))
	returning * into v_event;
	return sluice.event_object(v_event);
end $$;
