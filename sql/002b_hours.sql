-- migrate: on change
--
-- Hours of the week as people write them: [DAYS ]HH:MM-HH:MM[,HH:MM-HH:MM...][ ZONE],
-- as "mon-fri 16:30-00:30", "22:00-06:00 Europe/Berlin", "sat,sun 00:00-24:00".
-- Without days: all of them; without a zone: UTC.  What ends at or before its
-- beginning ends on the next day.

-- Its parts, or null when it is none of that.  Days of the week from 0, Sunday.
create or replace function sluice.hours_read(
    p_hours text, out days integer[], out spans text[], out zone text
)
language plpgsql stable set search_path = '' as $$
declare
	v_names constant text[] := array['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
	v_parts text[] := regexp_match(lower(p_hours), '^(?:([a-z,-]+) )?'
		'((?:[01]\d|2[0-3]):[0-5]\d-(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)'
		'(?:,(?:[01]\d|2[0-3]):[0-5]\d-(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00))*)'
		'(?: \S+)?$');
	v_day text;
	v_from integer;
	v_until integer;
begin
	if v_parts is null then
		return;
	end if;
	days := case when v_parts[1] is null then array[0, 1, 2, 3, 4, 5, 6]
		else array[]::integer[] end;
	foreach v_day in array string_to_array(coalesce(v_parts[1], ''), ',') loop
		v_from := array_position(v_names, split_part(v_day, '-', 1)) - 1;
		v_until := array_position(v_names, case when v_day like '%-%'
			then split_part(v_day, '-', 2) else v_day end) - 1;
		if v_from is null or v_until is null or v_day like '%-%-%' then
			days := null;
			return;
		end if;
		days := days || array(select (v_from + i) % 7
			from generate_series(0, (v_until - v_from + 7) % 7) i);
	end loop;
	spans := string_to_array(v_parts[2], ',');
	zone := coalesce((regexp_match(p_hours, '\d ([^ ]+)$'))[1], 'UTC');
end $$;

create or replace function sluice.hours_check(p_hours text, p_param text) returns void
language plpgsql stable set search_path = '' as $$
declare
	v_zone text := (sluice.hours_read(p_hours)).zone;
begin
	-- Here alone: the list of zones reads a file for each.
	if p_hours <> '' and (v_zone is null or v_zone <> 'UTC' and not exists (
	    select from pg_catalog.pg_timezone_names z where z.name = v_zone)) then
		perform sluice.refuse(400, 'invalid_value', p_param, format(
			'"%s" are no hours: write days, times and a zone, as in '
			'"mon-fri 16:30-00:30 UTC" or "22:00-06:00 Europe/Berlin".',
			left(p_hours, 80)));
	end if;
end $$;

-- When they are, as far as that meets [p_from, p_until).
create or replace function sluice.hours_spans(
    p_hours text, p_from timestamptz, p_until timestamptz
) returns table (from_at timestamptz, until_at timestamptz)
language sql stable set search_path = '' as $$
	select s.from_at, s.until_at
	from sluice.hours_read(p_hours) h
	cross join generate_series(
		date_trunc('day', p_from at time zone h.zone) - interval '1 day',
		p_until at time zone h.zone, interval '1 day') d (day)
	cross join unnest(h.spans) t (span)
	cross join lateral (select split_part(t.span, '-', 1)::interval as a,
		split_part(t.span, '-', 2)::interval as b) p
	cross join lateral (select (d.day + p.a) at time zone h.zone as from_at,
		(d.day + p.b + case when p.b <= p.a then interval '1 day'
			else interval '0' end) at time zone h.zone as until_at) s
	where extract(dow from d.day)::integer = any (h.days)
	    and s.until_at > p_from and s.from_at < p_until
	order by s.from_at
$$;

create or replace function sluice.hours_hold(p_hours text, p_at timestamptz)
returns boolean
language plpgsql stable set search_path = '' as $$
begin
	return (select exists (select from sluice.hours_spans(p_hours, p_at,
		p_at + interval '1 microsecond')));
end $$;

-- When they begin next; now, if they are.
create or replace function sluice.hours_next(p_hours text, p_at timestamptz)
returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
	return (select greatest(min(s.from_at), p_at)
	from sluice.hours_spans(p_hours, p_at, p_at + interval '8 days') s);
end $$;

-- Of them what lies ahead, up to 32 days; after_s: seconds of them since p_at, at
-- their end.
create or replace function sluice.hours_ahead(p_hours text, p_at timestamptz)
returns table (from_at timestamptz, until_at timestamptz, after_s double precision)
language sql stable set search_path = '' as $$
	select lower(r.span), upper(r.span), sum(extract(epoch from
		upper(r.span) - lower(r.span))) over (order by r.span)
	from unnest((select range_agg(tstzrange(greatest(s.from_at, p_at), s.until_at))
		from sluice.hours_spans(p_hours, p_at, p_at + interval '32 days') s)) r (span)
$$;

-- When so many seconds of them will have passed; null: not within 32 days.
create or replace function sluice.hours_after(
    p_hours text, p_at timestamptz, p_s double precision
) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
	if p_hours is null then
		return p_at + make_interval(secs => p_s);
	end if;
	return (select a.until_at - make_interval(secs => a.after_s - p_s)
		from sluice.hours_ahead(p_hours, p_at) a
		where a.after_s >= p_s order by a.after_s limit 1);
end $$;

-- Seconds of them from p_at to p_until; less than none, when that is past.
create or replace function sluice.hours_left_s(
    p_hours text, p_at timestamptz, p_until timestamptz
) returns double precision
language plpgsql stable set search_path = '' as $$
begin
	if p_hours is null or p_until <= p_at then
		return extract(epoch from p_until - p_at);
	end if;
	return coalesce((select sum(extract(epoch from least(a.until_at, p_until) - a.from_at))
		from sluice.hours_ahead(p_hours, p_at) a where a.from_at < p_until), 0);
end $$;
