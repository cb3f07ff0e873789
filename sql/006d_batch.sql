-- migrate: on change
--
-- The door of batches: what waits in unfinished batches (enqueued_requests,
-- enqueued_tokens) and money.  A batch holds it from its creation to its end.

-- Tokens that the lines of one model will take, by bytes and declared caps, as
-- scheduler/estimate.h guesses before anything is learned.
create or replace function sluice.batch_tokens(
    p_file sluice.file, p_model integer, p_max_tokens integer,
    out input bigint, out output bigint
)
language plpgsql stable set search_path = ''
set plan_cache_mode = force_custom_plan as $$
begin
	select coalesce(sum(ceil(u.len / 3.0)), 0), coalesce(sum(
		coalesce(u.cap, p_max_tokens, 512)), 0)
	into input, output
	from sluice.place p
	cross join lateral (select c.model, c.body_len, c.cap from sluice.chunk c
		where c.purge_day = p_file.purge_day and c.id = p.chunk_id offset 0) c
	cross join unnest(c.model, c.body_len, c.cap) u (model, len, cap)
	where p.purge_day = p_file.purge_day and p.file_id = p_file.id
	    and u.model = p_model;
end $$;

create or replace function sluice.endpoint_resource(p_endpoint text) returns text
language sql immutable set search_path = '' as $$
	select case when p_endpoint like '%/embeddings' then 'embeddings'
		when p_endpoint like '%/moderations' then 'moderations'
		when p_endpoint like '%/images/%' then 'images'
		when p_endpoint like '%/audio/%' then 'audio' else 'chat' end
$$;

-- What a new batch would hold, or 429: hint is when it would pass (microseconds,
-- -1: never), dimension, scope and the limit in words.  Lock order: caller_state.
create or replace function sluice.batch_admit(p_batch bigint) returns void
language plpgsql set search_path = '' security definer as $$
declare
	v_batch sluice.batch;
	v_file sluice.file;
	v_model record;
	v_limit record;
	v_input bigint;
	v_output bigint;
	v_id integer[] := '{}';
	v_subject text[] := '{}';
	v_scope text[] := '{}';
	v_units bigint[] := '{}';
	v_lines bigint[] := '{}';
	v_whole boolean[];
	v_state record;
	v_now record;
	v_now_us bigint;
	v_room bigint;
	v_wait bigint;
begin
	select * into v_batch from sluice.batch b where b.id = p_batch;
	select * into v_file from sluice.file f where f.id = v_batch.input_id;
	for v_model in
		select m.name, m.i, v_file.model_lines[m.i] as lines
		from unnest(v_file.models) with ordinality m (name, i)
	loop
		v_input := null;
		for v_limit in
			select * from sluice.limits_of(v_batch.account_id, v_batch.key_id,
				v_model.name, sluice.endpoint_resource(v_batch.endpoint)) l
			where l.applies in ('batch', 'both') and l.action = 'reject'
			    and l.dimension in ('enqueued_requests', 'enqueued_tokens', 'money')
		loop
			if v_input is null and v_limit.dimension <> 'enqueued_requests' then
				select t.input, t.output into v_input, v_output
				from sluice.batch_tokens(v_file, v_model.i::integer,
					v_batch.max_tokens) t;
			end if;
			v_id := v_id || v_limit.limit_id;
			v_subject := v_subject || v_limit.subject;
			v_scope := v_scope || v_limit.scope;
			v_lines := v_lines || v_model.lines::bigint;
			v_units := v_units || case v_limit.dimension
				when 'enqueued_requests' then v_model.lines
				when 'enqueued_tokens' then v_input + v_output
				else sluice.money_most(v_model.name, v_input, v_output) end;
		end loop;
	end loop;
	if v_id = '{}' then
		return;
	end if;
	select array_agg(h.id), array_agg(h.subject), array_agg(h.scope), array_agg(h.units),
		array_agg(h.whole)
	into v_id, v_subject, v_scope, v_units, v_whole
	from (
		select u.id, u.subject, min(u.scope) as scope, sum(u.units)::bigint as units,
			sum(u.lines) = v_file.lines as whole
		from unnest(v_id, v_subject, v_scope, v_units, v_lines)
			u (id, subject, scope, units, lines)
		group by u.id, u.subject
	) h;
	perform sluice.states_make(v_id, v_subject);
	for v_state in
		select l, s, u.scope, u.units
		from unnest(v_id, v_subject, v_scope, v_units) u (id, subject, scope, units)
		join sluice.caller_limit l on l.id = u.id
		join sluice.caller_state s on s.limit_id = u.id and s.subject = u.subject
		order by s.limit_id, s.subject collate "C" for update of s
	loop
		v_now_us := (date_part('epoch', clock_timestamp()) * 1e6)::bigint;
		v_now := sluice.state_now(v_state.l, v_state.s, v_now_us);
		v_room := (v_state.l).amount - v_now.used - (v_state.s).reserved;
		if v_state.units > v_room then
			v_wait := case when v_state.units > (v_state.l).amount then -1
				-- when some batch ends, nobody knows
				when (v_state.l).window_s = 0 then 60000000
				else sluice.door_wait_us((v_state.l).id, (v_state.s).subject,
					array_position('{sliding,fixed,anchored,bucket}'::text[],
						(v_state.l).algorithm)::smallint,
					(v_state.l).window_s, (v_state.l).zone,
					(v_state.l).amount, v_state.units,
					v_state.units - v_room, v_now.since_us, v_now_us) end;
			perform sluice.refuse(429, 'rate_limit_exceeded',
				format('%s %s %s %s', v_wait, (v_state.l).dimension,
					v_state.scope, (v_state.l).dimension
					|| case when (v_state.l).window_s > 0 then '/'
						|| sluice.window_text((v_state.l).window_s)
						else '' end),
				format('This batch takes %s of %s; %s of %s are in use (%s).',
					v_state.units, (v_state.l).dimension,
					(v_state.l).amount - v_room, (v_state.l).amount,
					v_state.scope));
		end if;
		update sluice.caller_state s
		set used = case when (v_state.l).window_s > 0
				and (v_state.l).algorithm = 'sliding' then s.used
				else v_now.used end,
			since = to_timestamp(v_now.since_us / 1e6::double precision),
			reserved = s.reserved + v_state.units,
			peak = greatest(s.peak, case when (v_state.l).window_s = 0
				then s.reserved + v_state.units else s.peak end)
		where s.limit_id = (v_state.s).limit_id and s.subject = (v_state.s).subject;
	end loop;
	insert into sluice.admission (account_id, key_id, model, resource, expires_at,
		batch_id, limit_id, subject, units, whole)
	values (v_batch.account_id, coalesce(v_batch.key_id, 0), '', '', 'infinity',
		p_batch, v_id, v_subject, v_units, v_whole);
end $$;

-- Batches that have ended give back what they held.
drop function if exists sluice.batches_settle();
drop function if exists sluice.batch_money(sluice.batch);
create function sluice.batches_settle() returns void
language plpgsql set search_path = '' as $$
declare
	v sluice.admission[];
	v_money bigint[];
	v_zero bigint[];
begin
	with gone as (
		delete from sluice.admission a
		where a.batch_id is not null and not exists (select from sluice.batch b
			where b.id = a.batch_id and b.state in ('validating', 'in_progress',
				'finalizing', 'cancelling'))
		returning a
	)
	select array_agg(g.a), array_agg(coalesce((select sum(w.money)
		from sluice.batch_path w where w.batch_id = (g.a).batch_id), 0)::bigint)
	into v, v_money
	from gone g;
	if v is not null then
		v_zero := array_fill(0::bigint, array[cardinality(v)]);
		perform sluice.admissions_settle(v, v_zero, v_zero, v_zero, v_money);
	end if;
end $$;

drop function if exists sluice.batch_held(bigint);

-- Counters are locked in their order once in a transaction: all that the next two
-- may touch.
create or replace function sluice.batches_lock() returns void
language plpgsql set search_path = '' as $$
begin
	perform from sluice.caller_state s
	where (s.limit_id, s.subject) in (
		select u.limit_id, u.subject
		from sluice.admission a cross join unnest(a.limit_id, a.subject)
			u (limit_id, subject)
		where a.batch_id is not null)
	order by s.limit_id, s.subject collate "C" for update;
end $$;

-- Batches that have spent nearly all of the money they hold, or hold less than their
-- next line may cost, take more of it, as far as there is any: a quarter, or what
-- the line wants.
create or replace function sluice.batches_hold_more() returns void
language plpgsql set search_path = '' security definer as $$
declare
	v record;
	v_free bigint;
	v_more bigint;
begin
	for v in
		select p.*, s.spent, greatest(0, d.want - (p.held - s.spent)) as lacks
		from sluice.purses() p
		join sluice.batch b on b.id = p.batch_id and b.state = 'in_progress'
		cross join lateral sluice.batch_spent(p.batch_id) s
		left join sluice.dear() d on d.batch_id = p.batch_id
		where s.spent > p.held * 0.75 or d.want > p.held - s.spent
		order by p.limit_id, p.subject collate "C", p.batch_id
	loop
		v_free := sluice.money_free(v.limit_id, v.subject);
		v_more := least(greatest(1, v.held / 4, v.lacks), v_free);
		if v_more > 0 and v_more >= coalesce(v.lacks, 0) then
			update sluice.caller_state s set reserved = s.reserved + v_more
			where s.limit_id = v.limit_id and s.subject = v.subject;
			update sluice.admission a set units[v.i] = a.units[v.i] + v_more
			where a.id = v.admission_id;
		end if;
	end loop;
end $$;
