-- migrate: on change
--
-- Windows and buckets of limits before callers: where they stand, how long until
-- there is room.

-- The calendar window of a zone at a time, Unix microseconds: days from local
-- midnight, longer ones from 1970 on, shorter ones within the day.
create or replace function sluice.calendar_window(
    p_window_s integer, p_zone text, p_now_us bigint, out begin_us bigint,
    out end_us bigint
)
language plpgsql stable set search_path = '' as $$
declare
	v_local timestamp;
	v_day timestamp;
	v_begin timestamp;
	v_now timestamptz := sluice.at_us(p_now_us);
begin
	if p_zone = 'UTC' and (86400 % p_window_s = 0 or p_window_s > 86400) then
		begin_us := p_now_us - p_now_us % (p_window_s * 1000000::bigint);
		end_us := begin_us + p_window_s * 1000000::bigint;
		return;
	end if;
	v_local := v_now at time zone p_zone;
	if p_window_s >= 86400 then
		v_begin := timestamp 'epoch' + make_interval(secs =>
			floor(extract(epoch from v_local) / p_window_s) * p_window_s);
		end_us := sluice.epoch_us((v_begin + make_interval(secs => p_window_s))
			at time zone p_zone);
	else
		v_day := date_trunc('day', v_local);
		v_begin := v_day + make_interval(secs => floor(
			extract(epoch from v_local - v_day) / p_window_s) * p_window_s);
		end_us := sluice.epoch_us(least(v_day + interval '1 day',
			v_begin + make_interval(secs => p_window_s)) at time zone p_zone);
	end if;
	begin_us := sluice.epoch_us(v_begin at time zone p_zone);
	-- An hour that clocks show twice or not at all.
	if end_us <= p_now_us then
		begin_us := p_now_us - p_now_us % 1000000;
		end_us := begin_us + 1000000;
	end if;
end $$;

-- What is left of a bucket's level since then; since moves by whole units.
create or replace function sluice.bucket_level(
    p_used bigint, p_since_us bigint, p_amount bigint, p_window_s integer,
    p_now_us bigint, out used bigint, out since_us bigint
)
language plpgsql immutable set search_path = '' as $$
declare
	v_unit_us double precision := p_window_s * 1e6 / nullif(p_amount, 0);
	v_units bigint := 0;
begin
	used := p_used;
	since_us := p_since_us;
	if p_used <= 0 then
		used := 0;
		since_us := p_now_us;
	elsif v_unit_us is not null and p_now_us > p_since_us then
		v_units := floor(least((p_now_us - p_since_us) / v_unit_us, p_used));
		if v_units = p_used then
			used := 0;
			since_us := p_now_us;
		else
			used := p_used - v_units;
			since_us := p_since_us + ceil(v_units * v_unit_us)::bigint;
		end if;
	end if;
end $$;

-- When a call of so many units would pass, of which p_need are too many now:
-- microseconds; -1: never, it is larger than the limit.
create or replace function sluice.door_wait_us(
    p_limit integer, p_subject text, p_algorithm smallint, p_window_s integer,
    p_zone text, p_amount bigint, p_units bigint, p_need bigint, p_since_us bigint,
    p_now_us bigint
) returns bigint
language plpgsql stable set search_path = '' as $$
declare
	v_second bigint := p_now_us / 1000000;
	v_free bigint;
begin
	if p_units > p_amount then
		return -1;
	elsif p_algorithm = 0 then	-- when some call ends, nobody knows
		return 1000000;
	elsif p_algorithm = 2 then
		return (sluice.calendar_window(p_window_s, p_zone, p_now_us)).end_us
			- p_now_us;
	elsif p_algorithm = 3 then
		return greatest(1, p_since_us + p_window_s * 1000000::bigint - p_now_us);
	elsif p_algorithm = 4 then
		return greatest(1, p_since_us - p_now_us
			+ ceil(p_need::double precision * p_window_s * 1e6 / p_amount)::bigint);
	end if;
	-- Cells leave the oldest first; what is not in one yet leaves last.
	select c.second into v_free from (
		select k.second, sum(k.units) over (order by k.second) as units
		from sluice.caller_cell k
		where k.limit_id = p_limit and k.subject = p_subject
		    and k.second >= v_second - p_window_s
	) c where c.units >= p_need order by c.second limit 1;
	return (coalesce(v_free, v_second) + p_window_s + 1) * 1000000 - p_now_us;
end $$;

-- When a counter is empty again if nothing is added: microseconds; not of buckets.
create or replace function sluice.door_reset_us(
    p_limit integer, p_subject text, p_algorithm smallint, p_window_s integer,
    p_zone text, p_since_us bigint, p_now_us bigint
) returns bigint
language plpgsql stable set search_path = '' as $$
begin
	return case p_algorithm
	when 1 then greatest(0, (coalesce((
			select max(k.second) from sluice.caller_cell k
			where k.limit_id = p_limit and k.subject = p_subject), 0)
		+ p_window_s + 1) * 1000000 - p_now_us)
	when 2 then (sluice.calendar_window(p_window_s, p_zone, p_now_us)).end_us - p_now_us
	when 3 then p_since_us + p_window_s * 1000000::bigint - p_now_us
	else 0 end;
end $$;
