-- migrate: on change
--
-- Who used what: written as it comes, folded into minutes, rolled up into hours
-- and days as it ages.

create or replace view sluice.usage_all as
	select u.span_s, u.at, u.account_id, u.key_id, u.path_id, u.model, u.kind,
		u.requests, u.failed, u.refused, u.input_tokens, u.cached_tokens,
		u.output_tokens, u.money, u.resource
	from sluice.usage u
	union all
	select 60, d.at, d.account_id, d.key_id, d.path_id, d.model, d.kind,
		d.requests, d.failed, d.refused, d.input_tokens, d.cached_tokens,
		d.output_tokens, d.money, d.resource
	from sluice.usage_delta d;

-- The price of a model by a path: of those that match, one of these hours, else one
-- that names it, else the one with most letters (scheduler/route.h has the same
-- rule).  No row: it costs nothing.
create or replace function sluice.price_of(p_path integer, p_model text)
returns setof sluice.price
language plpgsql stable rows 1 set search_path = '' as $$
begin
	return query select p.* from sluice.price p
	where p.path_id = p_path and sluice.glob_match(p.model, p_model)
	    and (p.hours = '' or sluice.hours_hold(p.hours, now()))
	order by p.hours <> '' desc, p.model = p_model desc, length(translate(p.model, '*?', '')) desc,
		p.model
	limit 1;
end $$;

-- Millionths, to the nearest.  Cached tokens are part of the input.
create or replace function sluice.money_of(
    p_path integer, p_model text, p_input bigint, p_cached bigint, p_output bigint
) returns bigint
language plpgsql stable set search_path = '' as $$
begin
	return coalesce((
		select round((greatest(p_input - p_cached, 0)::numeric * p.input
			+ least(p_cached, p_input)::numeric
				* coalesce(p.cached_input, p.input)
			+ p_output::numeric * p.output) / 1000000)::bigint
		from sluice.price_of(p_path, p_model) p), 0);
end $$;

-- Of a batch's lines, by where they go.
create or replace function sluice.resource_of(p_endpoint text) returns text
language sql immutable set search_path = '' as $$
	select case when p_endpoint like '/v1/embeddings%' then 'embeddings'
		when p_endpoint like '/v1/moderations%' then 'moderations'
		when p_endpoint like '/v1/images/%' then 'images'
		when p_endpoint like '/v1/audio/%' then 'audio' else 'chat' end
$$;

-- Count something for the current minute.  0 or null where the key or the path
-- is not known.  In the transaction of what is counted.
drop function if exists sluice.usage_add(bigint, bigint, integer, text, text, bigint,
    bigint, bigint, bigint, bigint, bigint, bigint);
create or replace function sluice.usage_add(
    p_account bigint, p_key bigint, p_path integer, p_model text, p_kind text,
    p_requests bigint, p_failed bigint, p_refused bigint, p_input bigint,
    p_cached bigint, p_output bigint, p_money bigint, p_resource text default ''
) returns void
language plpgsql set search_path = '' security definer as $$
begin
	insert into sluice.usage_delta (at, account_id, key_id, path_id, model, kind,
		requests, failed, refused, input_tokens, cached_tokens, output_tokens,
		money, resource)
	values (date_trunc('minute', clock_timestamp()), p_account, coalesce(p_key, 0),
		coalesce(p_path, 0), p_model, p_kind, p_requests, p_failed, p_refused,
		p_input, p_cached, p_output, p_money, p_resource);
end $$;

-- What a flush of a worker used: [{batch, path, model, requests, failed, input,
-- cached, output}], one for each batch, path and model.  Always in the transaction
-- of settle_runs().
create or replace function sluice.settle_usage(p_usage json) returns void
language sql set search_path = '' security definer as $$
	insert into sluice.usage_delta (at, account_id, key_id, path_id, model, kind,
		requests, failed, refused, input_tokens, cached_tokens, output_tokens,
		money, resource)
	select date_trunc('minute', clock_timestamp()), b.account_id,
		coalesce(b.key_id, 0), u.path, u.model, 'batch', u.requests, u.failed, 0,
		u.input, u.cached, u.output,
		sluice.money_of(u.path, u.model, u.input, u.cached, u.output),
		sluice.resource_of(b.endpoint)
	from json_to_recordset(p_usage) as u (batch bigint, path integer, model text,
		requests bigint, failed bigint, input bigint, cached bigint, output bigint)
	join sluice.batch b on b.id = u.batch
$$;

create or replace function sluice.usage_span(p_at timestamptz, p_span_s integer)
returns timestamptz
language sql immutable set search_path = '' as $$
	select to_timestamp(floor(extract(epoch from p_at) / p_span_s) * p_span_s)
$$;

-- Add rows that came as they are to those of p_span_s.
create or replace function sluice.usage_merge(p_span_s integer, p_rows sluice.usage[])
returns void
language sql set search_path = '' security definer as $$
	insert into sluice.usage as u (span_s, at, account_id, key_id, path_id, model,
		kind, requests, failed, refused, input_tokens, cached_tokens,
		output_tokens, money, resource)
	select p_span_s, sluice.usage_span(r.at, p_span_s), r.account_id, r.key_id,
		r.path_id, r.model, r.kind, sum(r.requests), sum(r.failed),
		sum(r.refused), sum(r.input_tokens), sum(r.cached_tokens),
		sum(r.output_tokens), sum(r.money), r.resource
	from unnest(p_rows) r
	group by 2, 3, 4, 5, 6, 7, r.resource
	on conflict (span_s, at, account_id, key_id, path_id, model, kind, resource)
	do update
	set requests = u.requests + excluded.requests,
		failed = u.failed + excluded.failed,
		refused = u.refused + excluded.refused,
		input_tokens = u.input_tokens + excluded.input_tokens,
		cached_tokens = u.cached_tokens + excluded.cached_tokens,
		output_tokens = u.output_tokens + excluded.output_tokens,
		money = u.money + excluded.money
$$;

-- What came as it is into minutes; minutes older than two days into hours; hours
-- older than 90 days into days (of UTC).  At most p_max rows of each; the rest
-- waits for the next call.  Returns the rows taken.
create or replace function sluice.usage_fold(p_max integer) returns integer
language plpgsql set search_path = '' security definer as $$
declare
	v_rows sluice.usage[];
	v_taken integer;
	v_step record;
begin
	with gone as (
		delete from sluice.usage_delta d
		where d.ctid = any (array(select c.ctid from sluice.usage_delta c
			limit p_max))
		returning 60, d.*
	)
	select array_agg(g::sluice.usage) into v_rows from gone g;
	v_taken := coalesce(cardinality(v_rows), 0);
	perform sluice.usage_merge(60, v_rows);
	for v_step in select * from (values (60, 3600, interval '2 days'),
		(3600, 86400, interval '90 days')) as s (span_s, to_s, age)
	loop
		with gone as (
			delete from sluice.usage u
			where u.ctid = any (array(select c.ctid from sluice.usage c
				where c.span_s = v_step.span_s and c.at <
					sluice.usage_span(now() - v_step.age, v_step.to_s)
				order by c.at limit p_max))
			returning u.*
		)
		select array_agg(g::sluice.usage) into v_rows from gone g;
		v_taken := v_taken + coalesce(cardinality(v_rows), 0);
		perform sluice.usage_merge(v_step.to_s, v_rows);
	end loop;
	return v_taken;
end $$;
