-- migrate: on change
--
-- The door, without any limit: the first path that serves the model, any worker.

create or replace function sluice.admit_simply(
    p_account bigint, p_key bigint, p_model text, p_resource text
) returns table (admission bigint, path integer, url text, token text)
language plpgsql set search_path = '' security definer as $$
begin
	select p.id into path from sluice.path p
	where p.removed_at is null and exists (select from unnest(p.models) g
		where sluice.glob_match(g, p_model))
	order by p.id limit 1;
	if path is null then
		return;
	end if;
	select w.live_url, w.live_token into url, token from sluice.worker w
	where w.state = 'live' and w.lease_until > clock_timestamp()
	    and w.live_url is not null
	order by random() limit 1;
	if url is not null then
		insert into sluice.admission as a (account_id, key_id, path_id, model,
			resource, expires_at)
		values (p_account, p_key, path, p_model, p_resource,
			now() + interval '1 h')
		returning a.id into admission;
	end if;
	return next;
end $$;

create or replace function sluice.live_settle(
    p_admission bigint, p_worker bigint, p_status integer, p_input bigint,
    p_cached bigint, p_output bigint, p_reasoning bigint, p_chunks bigint, p_ms bigint,
    p_ok boolean
) returns boolean
language sql set search_path = '' security definer as $$
	with gone as (
		delete from sluice.admission a where a.id = p_admission returning a.*
	), used as (
		insert into sluice.usage (span_s, at, account_id, key_id, path_id, model,
			kind, requests, failed, input_tokens, cached_tokens, output_tokens)
		select 60, clock_timestamp(), g.account_id, g.key_id, g.path_id, g.model,
			'live', 1, (not p_ok)::integer, coalesce(p_input, 0),
			coalesce(p_cached, 0), coalesce(p_output, 0)
		from gone g
	)
	select exists (select from gone)
$$;

create or replace function sluice.admission_drop(p_admission bigint) returns void
language sql set search_path = '' security definer as $$
	delete from sluice.admission a where a.id = p_admission
$$;
