-- migrate: on change
--
-- Limits before callers: as they are shown, and made as a document says.

-- How full a limit is for a subject just now, without a lock: a glance, for
-- people and headers.  reset_us: until it is empty again if nothing is added.
create or replace function sluice.caller_glance(
    p_limit sluice.caller_limit, p_subject text, out used bigint, out reset_us bigint
)
language plpgsql stable set search_path = '' as $$
declare
	v_state sluice.caller_state;
	v_now_us bigint := sluice.epoch_us(clock_timestamp());
	v_window record;
	v_newest bigint;
begin
	used := 0;
	reset_us := 0;
	select * into v_state from sluice.caller_state s
	where s.limit_id = p_limit.id and s.subject = p_subject;
	if p_limit.window_s = 0 then
		used := coalesce(v_state.used + v_state.reserved, 0);
	elsif p_limit.algorithm = 'fixed' then
		select * into v_window from sluice.calendar_window(p_limit.window_s,
			p_limit.zone, v_now_us);
		if sluice.epoch_us(v_state.since) >= v_window.begin_us then
			used := v_state.used;
		end if;
		reset_us := v_window.end_us - v_now_us;
	elsif p_limit.algorithm = 'anchored' then
		reset_us := greatest(0, coalesce(sluice.epoch_us(v_state.since) - v_now_us
			+ p_limit.window_s * 1000000::bigint, 0));
		used := case when reset_us > 0 then v_state.used else 0 end;
	elsif p_limit.algorithm = 'bucket' then
		used := coalesce((sluice.bucket_level(v_state.used,
			sluice.epoch_us(v_state.since), p_limit.amount, p_limit.window_s,
			v_now_us)).used, 0);
		reset_us := coalesce(ceil(used::numeric * p_limit.window_s * 1000000
			/ nullif(p_limit.amount, 0)), 0);
	else
		select coalesce(sum(c.units), 0), max(c.second) into used, v_newest
		from sluice.caller_cell c
		where c.limit_id = p_limit.id and c.subject = p_subject
		    and c.second >= v_now_us / 1000000 - p_limit.window_s;
		if used > 0 then
			reset_us := greatest(0,
				(v_newest + p_limit.window_s + 1) * 1000000 - v_now_us);
		end if;
	end if;
	if p_limit.window_s > 0 then
		used := used + coalesce(v_state.reserved, 0);
	end if;
end $$;

create or replace function sluice.caller_limit_text(p_limit sluice.caller_limit)
returns text
language sql immutable set search_path = '' as $$
	select case when p_limit.model <> '*' then p_limit.model || ':' else '' end
		|| p_limit.dimension
		|| case when p_limit.window_s > 0 then '/' || sluice.window_text(p_limit.window_s)
			else '' end
		|| case when p_limit.resource <> '*' then ' of ' || p_limit.resource else '' end
$$;

create or replace function sluice.caller_limit_object(p_limit sluice.caller_limit)
returns jsonb
language sql immutable set search_path = '' as $$
	select jsonb_build_object('model', p_limit.model,
		'each_model', p_limit.each_model, 'resource', p_limit.resource,
		'each_resource', p_limit.each_resource, 'dimension', p_limit.dimension,
		'window_s', p_limit.window_s, 'amount', p_limit.amount,
		'algorithm', p_limit.algorithm, 'zone', p_limit.zone,
		'per', p_limit.per, 'action', p_limit.action, 'applies', p_limit.applies,
		'stream_cost', p_limit.stream_cost)
$$;

create or replace function sluice.caller_limit_objects(
    p_plan integer, p_account bigint, p_key bigint, p_named integer
) returns jsonb
language sql stable set search_path = '' as $$
	select coalesce(jsonb_agg(sluice.caller_limit_object(l)
		order by l.model, l.resource, l.dimension, l.window_s), '[]')
	from sluice.caller_limit l
	where l.plan_id is not distinct from p_plan
	    and l.account_id is not distinct from p_account
	    and l.key_id is not distinct from p_key
	    and l.named_id is not distinct from p_named and l.removed_at is null
$$;

-- A limit as a document has it, with what it leaves open.
create or replace function sluice.caller_limit_read(
    p_limit jsonb, p_plan integer, p_account bigint, p_key bigint, p_named integer
) returns sluice.caller_limit
language plpgsql stable set search_path = '' as $$
declare
	v sluice.caller_limit;
	v_per text[] := case when p_key is not null then array['key']
		when p_account is not null then array['account', 'key']
		when p_plan is not null then array['key', 'account', 'all']
		when p_named is not null then array['attached']
		else array['all', 'account', 'key'] end;
begin
	v.plan_id := p_plan;
	v.account_id := p_account;
	v.key_id := p_key;
	v.named_id := p_named;
	v.dimension := p_limit ->> 'dimension';
	v.window_s := coalesce((p_limit ->> 'window_s')::integer, 0);
	v.amount := (p_limit ->> 'amount')::bigint;
	v.model := coalesce(p_limit ->> 'model', '*');
	v.each_model := coalesce((p_limit ->> 'each_model')::boolean, false);
	v.resource := coalesce(p_limit ->> 'resource', '*');
	v.each_resource := coalesce((p_limit ->> 'each_resource')::boolean, false);
	v.per := coalesce(p_limit ->> 'per', v_per[1]);
	v.zone := coalesce(p_limit ->> 'zone', 'UTC');
	v.action := coalesce(p_limit ->> 'action', 'reject');
	-- A cell for each second is too fine for days.
	v.algorithm := coalesce(p_limit ->> 'algorithm', case when v.window_s > 3600
		or v.zone <> 'UTC' or p_named is not null then 'fixed' else 'sliding' end);
	v.applies := coalesce(p_limit ->> 'applies', case
		when v.action = 'shape' or v.dimension like 'enqueued%' then 'batch'
		when v.dimension = 'money' then 'both' else 'live' end);
	v.stream_cost := coalesce(p_limit ->> 'stream_cost', 'once');
	if v.per <> all (v_per) then
		perform sluice.refuse(400, 'invalid_value', 'limits.per',
			format('A limit here counts per %s, not per %s.',
				array_to_string(v_per, ' or per '), v.per));
	end if;
	if v.action = 'shape' and v.applies = 'live' then
		perform sluice.refuse(400, 'invalid_value', 'limits.applies',
			'Only batches can be shaped; "both" lets them leave room for live calls.');
	end if;
	if v.action = 'shape' and v.amount < 1 then
		perform sluice.refuse(400, 'invalid_value', 'limits.amount',
			'A limit that shapes lets at least 1 through; batches can be paused.');
	end if;
	if v.action = 'shape' and v.dimension not in ('requests', 'tokens',
	    'input_tokens', 'output_tokens') then
		perform sluice.refuse(400, 'invalid_value', 'limits.dimension',
			format('A limit of %s cannot shape; one of requests or tokens can.',
				v.dimension));
	end if;
	if v.zone <> 'UTC' and not exists (select from pg_catalog.pg_timezone_names z
	    where z.name = v.zone) then
		perform sluice.refuse(400, 'invalid_value', 'limits.zone',
			format('There is no time zone "%s"; one is "Europe/Berlin".', v.zone));
	end if;
	return v;
end $$;

-- Is it one counter still, with the same past?
create or replace function sluice.caller_limit_same(
    p_a sluice.caller_limit, p_b sluice.caller_limit
) returns boolean
language sql immutable set search_path = '' as $$
	select (p_a.plan_id, p_a.account_id, p_a.key_id, p_a.named_id, p_a.model,
			p_a.each_model, p_a.resource, p_a.each_resource, p_a.dimension,
			p_a.per, p_a.algorithm)
		is not distinct from (p_b.plan_id, p_b.account_id, p_b.key_id, p_b.named_id,
			p_b.model, p_b.each_model, p_b.resource, p_b.each_resource,
			p_b.dimension, p_b.per, p_b.algorithm)
	    -- Of a named limit each dimension has one period, which can be edited.
	    and (p_a.window_s = p_b.window_s or p_a.named_id is not null
		and p_a.algorithm <> 'sliding')
$$;

-- Make the limits of one owner exactly these.  What counts the same goes on
-- counting where it was, also if it was removed a moment ago.
create or replace function sluice.caller_limits_set(
    p_plan integer, p_account bigint, p_key bigint, p_named integer,
    p_where text, p_limits jsonb
) returns text[]
language plpgsql set search_path = '' as $$
declare
	v_changes text[] := array[]::text[];
	v_kept integer[] := array[]::integer[];
	v_item jsonb;
	v_new sluice.caller_limit;
	v_old sluice.caller_limit;
begin
	for v_item in select jsonb_array_elements(p_limits) loop
		v_new := sluice.caller_limit_read(v_item, p_plan, p_account, p_key, p_named);
		select * into v_old from sluice.caller_limit l
		where sluice.caller_limit_same(l, v_new) and l.id <> all (v_kept)
		    and (l.removed_at is null or l.removed_at > now()
			- make_interval(secs => greatest(l.window_s, 60)))
		order by l.removed_at desc nulls first, l.id desc limit 1;
		if v_old.id is null then
			insert into sluice.caller_limit (plan_id, account_id, key_id, named_id,
				per, model, each_model, resource, each_resource, dimension,
				window_s, algorithm, zone, amount, action, applies, stream_cost)
			values (p_plan, p_account, p_key, p_named, v_new.per, v_new.model,
				v_new.each_model, v_new.resource, v_new.each_resource,
				v_new.dimension, v_new.window_s, v_new.algorithm, v_new.zone,
				v_new.amount, v_new.action, v_new.applies, v_new.stream_cost)
			returning * into v_old;
			v_changes := v_changes || format('%s: limit %s = %s added (%s)', p_where,
				sluice.caller_limit_text(v_new), v_new.amount,
				concat_ws(', ', case when v_new.window_s > 0
					then v_new.algorithm end, 'per ' || v_new.per,
					nullif(v_new.action, 'reject'),
					'for ' || v_new.applies));
		elsif (v_old.window_s, v_old.amount, v_old.zone, v_old.action, v_old.applies,
			v_old.stream_cost, v_old.removed_at)
		    is distinct from (v_new.window_s, v_new.amount, v_new.zone, v_new.action,
			v_new.applies, v_new.stream_cost, null::timestamptz) then
			update sluice.caller_limit l set window_s = v_new.window_s,
				amount = v_new.amount, zone = v_new.zone, action = v_new.action,
				applies = v_new.applies, stream_cost = v_new.stream_cost,
				removed_at = null
			where l.id = v_old.id;
			v_changes := v_changes || case when v_old.removed_at is not null
				then format('%s: limit %s = %s added, with what it had counted',
					p_where, sluice.caller_limit_text(v_new), v_new.amount)
				else format('%s: limit %s %s -> %s', p_where,
					sluice.caller_limit_text(v_old), v_old.amount, concat_ws(' ',
					case when v_old.window_s <> v_new.window_s
						then sluice.caller_limit_text(v_new) end,
					v_new.amount,
					nullif(concat_ws(' ', v_new.action, v_new.applies,
						v_new.stream_cost, v_new.zone), concat_ws(' ',
						v_old.action, v_old.applies, v_old.stream_cost,
						v_old.zone)))) end;
		end if;
		v_kept := v_kept || v_old.id;
	end loop;
	for v_old in
		update sluice.caller_limit l set removed_at = now()
		where l.plan_id is not distinct from p_plan
		    and l.account_id is not distinct from p_account
		    and l.key_id is not distinct from p_key
		    and l.named_id is not distinct from p_named
		    and l.removed_at is null and l.id <> all (v_kept)
		returning *
	loop
		v_changes := v_changes || format('%s: limit %s = %s removed', p_where,
			sluice.caller_limit_text(v_old), v_old.amount);
	end loop;
	return v_changes;
end $$;
