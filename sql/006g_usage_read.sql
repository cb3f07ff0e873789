-- migrate: on change
--
-- Usage as it is asked for: sums, peaks beside limits, and what comes.
-- p_account 0: everybody's.  p_ask: {by: [..], per_s (0: all in one), since,
-- until (Unix time), account, key (id), model (glob), path, resource, most}.

create or replace function sluice.usage_rows(p_account bigint, p_ask json)
returns setof sluice.usage_all
language sql stable set search_path = '' as $$
	select u.* from sluice.usage_all u
	where u.at >= to_timestamp((p_ask ->> 'since')::bigint)
	    and u.at < to_timestamp((p_ask ->> 'until')::bigint)
	    and (p_account = 0 or u.account_id = p_account)
	    and (p_ask ->> 'account' is null or u.account_id = (
		select a.id from sluice.account a where a.name = p_ask ->> 'account'))
	    and (p_ask ->> 'key' is null or u.key_id = (p_ask ->> 'key')::bigint)
	    and (p_ask ->> 'model' is null
		or sluice.glob_match(p_ask ->> 'model', u.model))
	    and (p_ask ->> 'path' is null or u.path_id in (
		select p.id from sluice.path p where p.name = p_ask ->> 'path'))
	    and (p_ask ->> 'resource' is null or u.resource = p_ask ->> 'resource')
$$;

-- Who and what a row is for, by name; what it was not grouped by is left out.
drop function if exists sluice.usage_names(bigint, bigint, text, integer, text);
create or replace function sluice.usage_names(
    p_account bigint, p_key bigint, p_model text, p_path integer, p_kind text,
    p_resource text
) returns jsonb
language sql stable set search_path = '' as $$
	select jsonb_strip_nulls(jsonb_build_object(
		'account', (select a.name from sluice.account a where a.id = p_account),
		'key', 'key_' || nullif(p_key, 0),
		'key_name', (select k.name from sluice.api_key k where k.id = p_key),
		'model', p_model,
		'path', (select p.name from sluice.path p where p.id = p_path),
		'kind', p_kind, 'resource', p_resource))
$$;

create or replace function sluice.usage_get(p_account bigint, p_ask json) returns json
language plpgsql stable set search_path = '' security definer as $$
declare
	v_by text[] := array(select json_array_elements_text(p_ask -> 'by'));
	v_per integer := (p_ask ->> 'per_s')::integer;
	v_most integer := (p_ask ->> 'most')::integer;
	v_doc json;
begin
	with sums as (
		select case when v_per > 0 then sluice.usage_span(u.at, v_per) end as at,
			case when 'account' = any (v_by) then u.account_id end as account_id,
			case when 'key' = any (v_by) then u.key_id end as key_id,
			case when 'model' = any (v_by) then u.model end as model,
			case when 'path' = any (v_by) then u.path_id end as path_id,
			case when 'kind' = any (v_by) then u.kind end as kind,
			case when 'resource' = any (v_by) then u.resource end as resource,
			sum(u.requests) as requests, sum(u.failed) as failed,
			sum(u.refused) as refused, sum(u.input_tokens) as input_tokens,
			sum(u.cached_tokens) as cached_tokens,
			sum(u.output_tokens) as output_tokens, sum(u.money) as money
		from sluice.usage_rows(p_account, p_ask) u
		group by 1, 2, 3, 4, 5, 6, 7
	), objects as (
		select (jsonb_strip_nulls(jsonb_build_object(
				'at', sluice.epoch(s.at)))
			|| sluice.usage_names(s.account_id, s.key_id, s.model, s.path_id,
				s.kind, s.resource)
			|| jsonb_build_object('requests', s.requests, 'failed', s.failed,
				'refused', s.refused, 'input_tokens', s.input_tokens,
				'cached_tokens', s.cached_tokens,
				'output_tokens', s.output_tokens, 'money', s.money)) as doc,
			row_number() over (order by s.at, s.requests desc, s.account_id,
				s.key_id, s.model, s.path_id, s.kind, s.resource) as i
		from sums s
	)
	select json_build_object('object', 'list', 'since', p_ask -> 'since',
		'until', p_ask -> 'until', 'per_s', v_per, 'by', to_json(v_by),
		'data', (select coalesce(json_agg(o.doc order by o.i), '[]')
			from objects o where o.i <= v_most),
		'total', (select json_build_object('requests', coalesce(sum(s.requests), 0),
				'failed', coalesce(sum(s.failed), 0),
				'refused', coalesce(sum(s.refused), 0),
				'input_tokens', coalesce(sum(s.input_tokens), 0),
				'cached_tokens', coalesce(sum(s.cached_tokens), 0),
				'output_tokens', coalesce(sum(s.output_tokens), 0),
				'money', coalesce(sum(s.money), 0))
			from sums s),
		'has_more', (select count(*) from sums) > v_most)
	into v_doc;
	return v_doc;
end $$;

-- Limits before callers -------------------------------------------------------

-- What usage says a subject drew on a limit, by spans of p_span_s.
create or replace function sluice.usage_of(
    p_limit sluice.caller_limit, p_subject text, p_since timestamptz, p_span_s integer
) returns table (at timestamptz, units bigint)
language sql stable set search_path = '' as $$
	with subject as (
		select substring(p_subject from '^account:(\d+)')::bigint as account_id,
			substring(p_subject from '^key:(\d+)')::bigint as key_id,
			substring(p_subject from '(?:^|\|)model:(.*?)(?:\|(?:chat|embeddings|'
				'moderations|images|audio))?$') as model,
			substring(p_subject from '\|(chat|embeddings|moderations|images|'
				'audio)$') as resource
	)
	select sluice.usage_span(u.at, p_span_s), sum(case p_limit.dimension
		when 'requests' then u.requests
		when 'tokens' then u.input_tokens + u.output_tokens
		when 'input_tokens' then u.input_tokens
		when 'output_tokens' then u.output_tokens
		when 'money' then u.money else 0 end)::bigint
	from sluice.usage_all u, subject s
	where u.at >= p_since and u.span_s <= p_span_s
	    and (s.account_id is null or u.account_id = s.account_id)
	    and (s.key_id is null or u.key_id = s.key_id)
	    and (s.model is null or u.model = s.model)
	    and (u.resource in (s.resource, '') or s.resource is null)
	    and (u.resource = '' or p_limit.resource in (u.resource, '*'))
	    and sluice.glob_match(p_limit.model, u.model)
	    and p_limit.applies in ('both', u.kind)
	group by 1
$$;

-- Used now: what stands in caller_state may be of a window that is over.
create or replace function sluice.caller_used(
    p_limit sluice.caller_limit, p_state sluice.caller_state
) returns bigint
language sql stable set search_path = '' as $$
	select case
		when p_limit.window_s = 0 then p_state.used
		when p_limit.algorithm = 'sliding' then (
			select coalesce(sum(c.units), 0)::bigint from sluice.caller_cell c
			where c.limit_id = p_state.limit_id and c.subject = p_state.subject
			    and c.second > extract(epoch from now()) - p_limit.window_s)
		when p_limit.algorithm = 'bucket' then greatest(0, p_state.used
			- floor(extract(epoch from now() - p_state.since)
				* p_limit.amount / p_limit.window_s))::bigint
		when p_state.since + make_interval(secs => p_limit.window_s) <= now() then 0
		else p_state.used end
$$;

-- The counters of limits, as an account may see them (0: all): those of the
-- account and its keys.
create or replace function sluice.caller_counters(p_account bigint, p_ask json)
returns table (l sluice.caller_limit, s sluice.caller_state, account_id bigint,
    key_id bigint)
language sql stable set search_path = '' as $$
	select l, s, coalesce(k.account_id, a.id), k.id
	from sluice.caller_limit l
	join sluice.caller_state s on s.limit_id = l.id
	left join sluice.api_key k
	    on k.id = substring(s.subject from '^key:(\d+)')::bigint
	left join sluice.account a
	    on a.id = coalesce(k.account_id,
		substring(s.subject from '^account:(\d+)')::bigint)
	where l.removed_at is null
	    and (p_account = 0 or a.id = p_account)
	    and (p_ask ->> 'account' is null or a.name = p_ask ->> 'account')
	    and (p_ask ->> 'key' is null or k.id = (p_ask ->> 'key')::bigint)
$$;

-- The amount that a key (or, without one, an account) as a whole may use in a
-- window: its own limit, else its account's, else the plan's.
create or replace function sluice.caller_amount(
    p_account bigint, p_key bigint, p_dimension text, p_window_s integer
) returns bigint
language sql stable set search_path = '' as $$
	select l.amount
	from sluice.account a
	left join sluice.api_key k on k.id = p_key
	join sluice.caller_limit l on l.key_id = k.id
	    or l.account_id = a.id and l.per = case when k.id is null
		then 'account' else 'key' end
	    or l.plan_id = coalesce(k.plan_id, a.plan_id) and l.per = case
		when k.id is null then 'account' else 'key' end
	where a.id = coalesce(p_account, k.account_id) and l.removed_at is null
	    and l.dimension = p_dimension and l.window_s = p_window_s
	    and l.model = '*' and not l.each_model and l.resource = '*'
	    and not l.each_resource
	order by l.key_id is null, l.account_id is null, l.amount
	limit 1
$$;

-- The most used in a minute, an hour, a day (of UTC), and by each limit.
create or replace function sluice.usage_peak(p_account bigint, p_ask json) returns json
language plpgsql stable set search_path = '' security definer as $$
declare
	v_by text[] := array(select json_array_elements_text(p_ask -> 'by'));
	v_whole boolean := not v_by && array['model', 'path', 'kind', 'resource'];
	v_doc json;
begin
	with sums as materialized (
		select s.span_s, sluice.usage_span(u.at, s.span_s) as at,
			case when 'account' = any (v_by) then u.account_id end as account_id,
			case when 'key' = any (v_by) then u.key_id end as key_id,
			case when 'model' = any (v_by) then u.model end as model,
			case when 'path' = any (v_by) then u.path_id end as path_id,
			case when 'kind' = any (v_by) then u.kind end as kind,
			case when 'resource' = any (v_by) then u.resource end as resource,
			sum(u.requests) as requests,
			sum(u.input_tokens + u.output_tokens) as tokens
		from sluice.usage_rows(p_account, p_ask) u
		join (values (60), (3600), (86400)) as s (span_s) on u.span_s <= s.span_s
		group by 1, 2, 3, 4, 5, 6, 7, 8
	), top as (
		select distinct on (s.account_id, s.key_id, s.model, s.path_id, s.kind,
			s.resource, d.dimension, s.span_s) s.*, d.dimension, d.units
		from sums s
		cross join lateral (values ('requests', s.requests), ('tokens', s.tokens))
			as d (dimension, units)
		order by s.account_id, s.key_id, s.model, s.path_id, s.kind, s.resource,
			d.dimension, s.span_s, d.units desc, s.at
	), beside as (
		select t.*, case when v_whole then sluice.caller_amount(t.account_id,
			nullif(t.key_id, 0), t.dimension, t.span_s) end as amount,
			row_number() over (order by t.account_id, t.key_id, t.model,
				t.path_id, t.kind, t.resource, t.dimension, t.span_s) as i
		from top t
	)
	select json_build_object('object', 'peaks', 'since', p_ask -> 'since',
		'until', p_ask -> 'until',
		'data', (select coalesce(json_agg(sluice.usage_names(b.account_id, b.key_id,
				b.model, b.path_id, b.kind, b.resource)
			|| jsonb_strip_nulls(jsonb_build_object('dimension', b.dimension,
				'window_s', b.span_s, 'peak', b.units,
				'at', sluice.epoch(b.at), 'amount', b.amount,
				'share', round(b.units / nullif(b.amount, 0), 4)))
			order by b.i), '[]') from beside b where b.i <= (p_ask ->> 'most')::integer),
		'limits', (select coalesce(json_agg(sluice.usage_names(c.account_id, c.key_id,
				null, null, null, null)
			|| jsonb_strip_nulls(jsonb_build_object(
				'limit', sluice.caller_limit_text(c.l),
				'dimension', (c.l).dimension,
				'subject', (c.s).subject, 'amount', (c.l).amount,
				'used', sluice.caller_used(c.l, c.s),
				'peak', greatest((c.s).peak, (c.s).used),
				'share', round(greatest((c.s).peak, (c.s).used)::numeric
					/ nullif((c.l).amount, 0), 4)))
			order by (c.s).subject, (c.l).dimension, (c.l).window_s), '[]')
			from sluice.caller_counters(p_account, p_ask) c))
	into v_doc;
	return v_doc;
end $$;

-- When limits of an hour and more are reached if it goes on as in the last hour,
-- and on how many of the last days (14, less where the limit is younger) use was
-- above four fifths: of the day's limit, or of an hour's in one of its hours.
create or replace function sluice.usage_forecast(p_account bigint, p_ask json)
returns json
language sql stable set search_path = '' security definer as $$
	with counted as (
		select c.*, sluice.caller_used(c.l, c.s) as used,
			coalesce((select sum(u.units) from sluice.usage_of(c.l, (c.s).subject,
				now() - interval '1 hour', 60) u), 0) as pace,
			case when (c.l).algorithm = 'fixed'
				then sluice.at_us((sluice.calendar_window((c.l).window_s,
					(c.l).zone, sluice.epoch_us(now()))).end_us)
				when (c.l).algorithm = 'anchored'
				and (c.s).since + make_interval(secs => (c.l).window_s) > now()
				then (c.s).since + make_interval(secs => (c.l).window_s)
				end as ends_at,
			least(14, current_date - (c.l).created_at::date + 1) as days
		from sluice.caller_counters(p_account, p_ask) c
		where (c.l).window_s >= 3600
	), ahead as (
		select c.*, now() + make_interval(secs => 3600 * case
			when c.used >= (c.l).amount then 0
			when c.pace - refill > 0 and (c.l).algorithm <> 'sliding'
				or c.pace * (c.l).window_s > (c.l).amount * 3600.0
				then ((c.l).amount - c.used) / (c.pace - refill) end
			::double precision) as reached_at
		from counted c
		cross join lateral (select case when (c.l).algorithm = 'bucket'
			then (c.l).amount * 3600.0 / (c.l).window_s else 0 end as refill) r
	)
	select json_build_object('object', 'forecast', 'data', coalesce(json_agg(
		sluice.usage_names(a.account_id, a.key_id, null, null, null, null)
		|| jsonb_strip_nulls(jsonb_build_object(
			'limit', sluice.caller_limit_text(a.l),
			'dimension', (a.l).dimension, 'window_s', (a.l).window_s,
			'subject', (a.s).subject, 'amount', (a.l).amount, 'used', a.used,
			'pace', a.pace, 'ends_at', sluice.epoch(a.ends_at),
			'reached_at', case when a.reached_at < coalesce(a.ends_at, case
				when (a.l).algorithm in ('fixed', 'anchored') then now()
					+ make_interval(secs => (a.l).window_s)
				else 'infinity' end) then sluice.epoch(a.reached_at) end)
			|| case when (c).days_above is null then '{}' else
				jsonb_build_object('days', a.days, 'days_above', (c).days_above) end)
		order by (a.s).subject, (a.l).dimension, (a.l).window_s), '[]'))
	from ahead a
	cross join lateral (
		select case when (a.l).window_s in (3600, 86400) then (
			select count(distinct sluice.usage_span(u.at, 86400))
			from sluice.usage_of(a.l, (a.s).subject,
				sluice.usage_span(now(), 86400)
					- make_interval(days => a.days - 1), (a.l).window_s) u
			where u.units > 0.8 * (a.l).amount) end as days_above
	) c
$$;
