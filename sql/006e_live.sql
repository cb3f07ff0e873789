-- migrate: on change
--
-- The live worker: where it listens, and what it has seen.

-- This worker takes live calls at p_url, from whoever says p_token.  Returns the
-- dispatcher's time, in which observations speak.
create or replace function sluice.worker_live(
    p_worker bigint, p_url text, p_token text
) returns bigint
language sql set search_path = '' security definer as $$
	update sluice.worker w set live_url = p_url, live_token = p_token
	where w.id = p_worker and w.state <> 'dead'
	    and (w.live_url, w.live_token) is distinct from (p_url, p_token);
	select sluice.epoch_us(clock_timestamp()) + l.clock_offset_us
	from sluice.dispatch_lease l
$$;

-- What live answers said, as settle_runs() tells it of lines.
create or replace function sluice.live_seen(p_seen json) returns void
language plpgsql set search_path = '' security definer as $$
begin
	insert into sluice.observation (path_id, seen)
	select (s.seen ->> 'path')::integer, s.seen
	from json_array_elements(p_seen) s (seen);
end $$;

-- Calls under way of each path, for the dispatcher to show: those of the last
-- minute by the second they were let in, others under 0.  Microseconds.
create or replace function sluice.live_open()
returns table (path_id integer, at_us bigint, calls bigint)
language sql stable set search_path = '' security definer as $$
	select a.path_id, case when a.made_at > now() - interval '62 s'
			then sluice.epoch_us(date_trunc('second', a.made_at)) else 0 end,
		count(*)
	from sluice.admission a where a.batch_id is null and a.path_id is not null
	group by 1, 2
$$;

-- Another worker for a call that the one at p_url could not take: it carries the
-- call from now on.  No row: there is none, or the call has been given up.
create or replace function sluice.live_other(p_admission bigint, p_url text)
returns table (url text, token text)
language sql volatile set search_path = '' security definer as $$
	with other as materialized (
		select w.id, w.live_url, w.live_token from sluice.worker w
		where w.state = 'live' and w.lease_until > clock_timestamp()
		    and w.live_url is not null and w.live_url <> p_url
		order by random() limit 1
	)
	update sluice.admission a set worker_id = o.id
	from other o
	where a.id = p_admission
	returning o.live_url, o.live_token
$$;

-- Models as OpenAI lists them: those that paths serve by name.
create or replace function sluice.model_object(p_id text, p_since timestamptz)
returns json
language sql immutable set search_path = '' as $$
	select json_build_object('id', p_id, 'object', 'model',
		'created', sluice.epoch(p_since), 'owned_by', 'sluice')
$$;

create or replace function sluice.model_list() returns json
language sql stable set search_path = '' security definer as $$
	select json_build_object('object', 'list', 'data', coalesce(
		json_agg(sluice.model_object(m.id, m.since) order by m.id), '[]'))
	from (
		select g.model as id, min(p.created_at) as since
		from sluice.path p, unnest(p.models) g (model)
		where p.removed_at is null and g.model !~ '[*?]'
		group by g.model
	) m
$$;

-- One, also if only a pattern serves it.
create or replace function sluice.model_get(p_id text) returns json
language plpgsql stable set search_path = '' security definer as $$
declare
	v_since timestamptz := (select min(p.created_at) from sluice.path p
		where p.removed_at is null and exists (select from unnest(p.models) g
			where sluice.glob_match(g, p_id)));
begin
	if v_since is null then
		perform sluice.refuse(404, 'model_not_found', 'model',
			format('The model %L does not exist or you do not have access to it.',
			p_id));
	end if;
	return sluice.model_object(p_id, v_since);
end $$;
