-- migrate: on change
--
-- For people with SQL.

-- One row for each line of a batch that has a result: select * from
-- sluice.batch_result('batch_...') order by line.
create or replace function sluice.batch_result(p_batch text)
returns table (line integer, custom_id text, status smallint, failed boolean,
    path text, attempts smallint, input_tokens integer, output_tokens integer,
    result json)
language sql stable set search_path = '' as $$
	select c.answers[u.i], r.result ->> 'custom_id', c.status[u.i], f.id = b.error_id,
		(select p.name from sluice.path p where p.id = c.path_id[u.i]),
		c.sends[u.i], c.input_tokens[u.i], c.output_tokens[u.i], r.result
	from sluice.batch b
	join sluice.file f on f.id in (b.output_id, b.error_id)
	join sluice.place l on l.purge_day = f.purge_day and l.file_id = f.id
	join sluice.chunk c on c.purge_day = l.purge_day and c.id = l.chunk_id
	cross join lateral unnest(c.line_end) with ordinality u (line_end, i)
	cross join lateral (
		select convert_from(substring(c.bytes
			from coalesce(c.line_end[u.i - 1], 0) + 1
			for u.line_end - coalesce(c.line_end[u.i - 1], 0)), 'UTF8')::json as result
	) r
	where b.uid = replace(p_batch, 'batch_', '')::uuid
$$;
