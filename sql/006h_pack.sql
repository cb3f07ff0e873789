-- migrate: on change
--
-- The first step of an upstream's own batches: runs of one account, path, model and
-- endpoint become a provider_batch when they fill one or have waited long enough.
-- What becomes of it is in 006h_provider.sql.

-- Limits of OpenAI's service, with room for what a line gets around its body.
create or replace function sluice.provider_most(
    out lines integer, out bytes bigint, out line_bytes integer
) language sql immutable set search_path = '' as $$
	select 50000, 190000000::bigint, 200
$$;

-- How many lines and tokens of a model go into one batch: an eighth of what may
-- be enqueued, so that there is always room for the next, or half of the least that
-- was too much by itself of late; and no more than comes back within a quarter of the time
-- that is left, as far as is known.
create or replace function sluice.provider_shard(
    p_path sluice.path, p_model text, p_deadline timestamptz, p_tries integer,
    out lines bigint, out tokens bigint
) language plpgsql stable set search_path = '' as $$
declare
	v_per_s double precision;
begin
	select least(min(l.amount) filter (where l.dimension = 'enqueued_requests') / 8,
			(sluice.provider_most()).lines),
		min(l.amount) filter (where l.dimension = 'enqueued_tokens') / 8
	into lines, tokens
	from sluice.rate_limit l
	where l.pool_id = p_path.pool_id and l.removed_at is null
	    and (l.path_id is null or l.path_id = p_path.id)
	    and sluice.glob_match(l.model, p_model);
	tokens := least(tokens, (select min(b.tokens) / 2 from sluice.provider_batch b
		where b.path_id = p_path.id and b.model = p_model
		    and (b.faults ->> 'alone')::boolean
		    and b.ended_at > now() - interval '1 hour'));
	select sum(b.lines) / nullif(sum(extract(epoch from b.ended_at - b.running_at)), 0)
	into v_per_s
	from (select * from sluice.provider_batch q
		where q.path_id = p_path.id and q.model = p_model
		    and q.ended_at is not null and q.running_at is not null
		    and q.status = 'completed'
		order by q.id desc limit 8) b;
	if v_per_s is not null then
		lines := least(lines, greatest(1000, v_per_s / 4
			* greatest(0, extract(epoch from p_deadline - now()))));
	end if;
	-- One line that spoils the others' batch is found by halving.
	lines := greatest(1, lines >> least(4 * p_tries, 60));
	if tokens < 1 then	-- null: no limit
		tokens := 1;
	end if;
end $$;

-- The first p_lines of a run that is not packed stay in it, the others become one
-- of their own.
create or replace function sluice.provider_part(p_run bigint, p_lines bigint)
returns void
language plpgsql set search_path = '' as $$
declare
	v_run sluice.run;
	v_n integer := p_lines;
	v_of integer;
begin
	select * into v_run from sluice.run r where r.id = p_run;
	v_of := cardinality(v_run.line);
	insert into sluice.run (batch_id, lane_id, path_id, purge_day, chunk_id,
		first_line, line, tries, sends, refused, most, send_at, keep_us, open,
		tokens, bytes, est_money)
	values (v_run.batch_id, v_run.lane_id, v_run.path_id, v_run.purge_day,
		v_run.chunk_id, v_run.first_line, v_run.line[v_n + 1:],
		v_run.tries[v_n + 1:], v_run.sends[v_n + 1:], v_run.refused[v_n + 1:],
		v_run.most[v_n + 1:], v_run.send_at, v_run.keep_us, repeat('1', v_of - v_n)::bit varying,
		v_run.tokens - v_run.tokens * v_n / v_of,
		v_run.bytes - v_run.bytes * v_n / v_of,
		v_run.est_money - v_run.est_money * v_n / v_of);
	update sluice.run r
	set line = r.line[:v_n], tries = r.tries[:v_n], sends = r.sends[:v_n],
		refused = r.refused[:v_n], most = r.most[:v_n], open = repeat('1', v_n)::bit varying,
		tokens = r.tokens * v_n / v_of, bytes = r.bytes * v_n / v_of,
		est_money = r.est_money * v_n / v_of
	where r.id = p_run;
end $$;

-- Some runs of one group become one batch; null: there are too few yet.
create or replace function sluice.provider_pack_one(
    p_path sluice.path, p_account bigint, p_model text, p_endpoint text,
    p_tries integer
) returns bigint
language plpgsql set search_path = '' as $$
declare
	v_most record := sluice.provider_most();
	v_shard record;
	v_deadline timestamptz;
	v_runs bigint[];
	v_lines bigint;
	v_tokens bigint;
	v_full boolean;
	v_id bigint;
begin
	select min(l.deadline) into v_deadline
	from sluice.run r join sluice.batch_lane l on l.id = r.lane_id
	where r.path_id = p_path.id and r.tokens is not null and r.provider_id is null
	    and l.account_id = p_account and l.model = p_model
	    and l.endpoint = p_endpoint;
	v_shard := sluice.provider_shard(p_path, p_model, v_deadline, p_tries);
	-- The first is parted if it does not fit by itself.
	perform sluice.provider_part(f.id, f.fit)
	from (
		select r.id, cardinality(r.line) as lines, greatest(1, least(v_shard.lines,
			cardinality(r.line) * v_shard.tokens / greatest(r.tokens, 1))) as fit
		from sluice.run r join sluice.batch_lane l on l.id = r.lane_id
		where r.path_id = p_path.id and r.tokens is not null
		    and r.provider_id is null and l.account_id = p_account
		    and l.model = p_model and l.endpoint = p_endpoint
		    and coalesce(r.tries[1], 0) = p_tries
		order by r.id limit 1
		for update of r skip locked
	) f
	where f.fit < f.lines;
	with due as materialized (
		select r.id, cardinality(r.line) as lines, r.tokens, r.send_at,
			r.bytes + cardinality(r.line) * v_most.line_bytes as bytes
		from sluice.run r join sluice.batch_lane l on l.id = r.lane_id
		where r.path_id = p_path.id and r.tokens is not null
		    and r.provider_id is null and l.account_id = p_account
		    and l.model = p_model and l.endpoint = p_endpoint
		    and coalesce(r.tries[1], 0) = p_tries
		order by r.id
		for update of r skip locked
	), fits as (
		select d.*, row_number() over w as i, sum(d.lines) over w as all_lines,
			sum(d.tokens) over w as all_tokens, sum(d.bytes) over w as all_bytes
		from due d
		window w as (order by d.id)
	), picked as (
		select f.*, f.i = 1 or (f.all_lines <= v_shard.lines
			and f.all_bytes <= v_most.bytes
			and (v_shard.tokens is null or f.all_tokens <= v_shard.tokens)) as goes
		from fits f
	)
	select array_agg(p.id) filter (where p.goes), sum(p.lines) filter (where p.goes),
		sum(p.tokens) filter (where p.goes),
		bool_or(not p.goes) or sum(p.lines) >= v_shard.lines
		    or coalesce(sum(p.tokens) >= v_shard.tokens, false)
		    or min(p.send_at) <= now() - make_interval(secs => p_path.linger_ms / 1000.0)
	into v_runs, v_lines, v_tokens, v_full
	from picked p;
	if v_runs is null or not v_full then
		return null;
	end if;
	insert into sluice.provider_batch (path_id, account_id, model, endpoint, lines,
		tokens, deadline)
	values (p_path.id, p_account, p_model, p_endpoint, v_lines, v_tokens, v_deadline)
	returning id into v_id;
	update sluice.run r set provider_id = v_id where r.id = any (v_runs);
	return v_id;
end $$;

-- Make batches of what has waited long enough or fills one.  Returns how many.
create or replace function sluice.provider_pack() returns integer
language plpgsql set search_path = '' security definer as $$
declare
	v_path sluice.path;
	v_group record;
	v_made integer := 0;
begin
	for v_path in select * from sluice.path p where p.kind = 'batches' and exists (
		select from sluice.run r
		where r.path_id = p.id and r.tokens is not null and r.provider_id is null)
	    order by p.id
	loop
		-- Two would each find half of what fills one.
		continue when not pg_catalog.pg_try_advisory_xact_lock(1936483683, v_path.id);
		for v_group in
			select l.account_id, l.model, l.endpoint,
				coalesce(r.tries[1], 0)::integer as tries
			from sluice.run r join sluice.batch_lane l on l.id = r.lane_id
			where r.path_id = v_path.id and r.tokens is not null
			    and r.provider_id is null
			group by 1, 2, 3, 4 order by 1, 2, 3, 4
		loop
			while sluice.provider_pack_one(v_path, v_group.account_id,
			    v_group.model, v_group.endpoint, v_group.tries) is not null loop
				v_made := v_made + 1;
			end loop;
		end loop;
	end loop;
	return v_made;
end $$;
