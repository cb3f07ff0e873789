-- migrate: on change
--
-- What calls cost, and who used what.

create or replace function sluice.money_of(
    p_path integer, p_model text, p_input bigint, p_cached bigint, p_output bigint
) returns bigint
language sql stable set search_path = '' as $$
	select coalesce((
		select round((greatest(p_input - p_cached, 0)::numeric * p.input
			+ least(p_cached, p_input)::numeric
				* coalesce(p.cached_input, p.input)
			+ p_output::numeric * p.output) / 1000000)::bigint
		from sluice.price p
		where p.path_id = p_path and sluice.glob_match(p.model, p_model)
		order by length(p.model) desc limit 1), 0)
$$;

create or replace function sluice.usage_add(
    p_account bigint, p_key bigint, p_path integer, p_model text, p_kind text,
    p_requests bigint, p_failed bigint, p_refused bigint, p_input bigint,
    p_cached bigint, p_output bigint, p_money bigint
) returns void
language sql set search_path = '' security definer as $$
	insert into sluice.usage as u (span_s, at, account_id, key_id, path_id, model,
		kind, requests, failed, refused, input_tokens, cached_tokens,
		output_tokens, money)
	values (60, date_trunc('minute', clock_timestamp()), p_account,
		coalesce(p_key, 0), coalesce(p_path, 0), p_model, p_kind, p_requests,
		p_failed, p_refused, p_input, p_cached, p_output, p_money)
	on conflict (span_s, at, account_id, key_id, path_id, model, kind) do update
	set requests = u.requests + excluded.requests,
		failed = u.failed + excluded.failed,
		refused = u.refused + excluded.refused,
		input_tokens = u.input_tokens + excluded.input_tokens,
		cached_tokens = u.cached_tokens + excluded.cached_tokens,
		output_tokens = u.output_tokens + excluded.output_tokens,
		money = u.money + excluded.money
$$;

create or replace view sluice.usage_all as
	select u.span_s, u.at, u.account_id, u.key_id, u.path_id, u.model, u.kind,
		u.requests, u.failed, u.refused, u.input_tokens, u.cached_tokens,
		u.output_tokens, u.money
	from sluice.usage u;
