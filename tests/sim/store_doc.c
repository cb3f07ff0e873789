/*
 * The documents between the store and a dispatcher: what sql/004_dispatch.sql
 * builds and takes apart.  State of limits and paths is kept as it was written,
 * member by member, so that whatever the core adds to it outlives a dispatcher.
 */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "../../scheduler/dispatch.h"
#include "check.h"

enum { RETRY_AHEAD_US = 700000, SEEN_EACH = 1000 };

static int
add_text(const char *text, size_t n, void *out)
{
	buf_add(out, text, n);
	return 0;
}

static void
add_members(struct buf *out, const json_t *state)
{
	json_t *v;
	const char *name;

	json_object_foreach((json_t *)(uintptr_t)state, name, v)
	{
		buf_addf(out, ",\"%s\":", name);
		json_dump_callback(
		    v, add_text, out, JSON_COMPACT | JSON_ENCODE_ANY);
	}
}

void
store_config(const struct sim *s, struct buf *out)
{
	static const char *const charges[] = { "actual", "declared",
		"declared-refunded", "input-only" };
	const struct store *st = s->store;
	const char *path;
	json_t *v;
	bool first = true;

	buf_addf(out,
	    "{\"revision\":1,\"now_us\":%" PRId64
	    ",\"timeline\":1,\"timeline_was\":%d,\"clock_offset_us\":%" PRId64
	    ",\"paths\":[{\"id\":1,\"pool\":"
	    "1,"
	    "\"name\":\"p\",\"models\":[\"*\"],\"whole_ms\":%" PRId64
	    ",\"dialect\":\"auto\",\"charge\":\"%s\"",
	    s->now, st->timeline, st->clock_offset_us, s->sc.whole_us / MS,
	    charges[s->sc.charge]);
	add_members(out, st->path_state);
	buf_adds(out, "}],\"limits\":[");
	for (size_t i = 0; i < s->sc.nlimits; i++) {
		const struct sc_limit *l = &s->sc.limits[i];

		buf_addf(out,
		    "%s{\"pool\":1,\"path\":0,\"model\":\"*\","
		    "\"dimension\":\"%s\",\"amount\":%" PRId64
		    ",\"window_s\":%" PRId64 ",\"headroom\":0,\"reserve\":0,"
		    "\"stream_cost\":\"once\"",
		    i == 0 ? "" : ",", dimension_names[l->dim], l->amount,
		    l->window_us / SEC);
		if (st->limits[i].state == NULL)
			buf_addf(out, ",\"id\":%d", l->id);
		add_members(out, st->limits[i].state);
		buf_addc(out, '}');
	}
	buf_adds(out, "],\"estimates\":[");
	json_object_foreach(st->estimates, path, v)
	{
		buf_adds(out, first ? "" : ",");
		json_dump_callback(v, add_text, out, JSON_COMPACT);
		first = false;
	}
	buf_adds(out, "]}");
}

/* Distinct lanes with lines that must go again soon. */
static void
add_due(const struct sim *s, struct buf *out)
{
	const struct store *st = s->store;
	int64_t last = 0;
	bool any = false;

	for (;;) {
		int64_t next = INT64_MAX;

		for (size_t i = 0; i < st->nretries; i++) {
			const struct st_retry *r = &st->retries[i];

			if (r->not_before_us <= s->now + RETRY_AHEAD_US &&
			    r->lane > last && r->lane < next)
				next = r->lane;
		}
		if (next == INT64_MAX)
			break;
		buf_addf(out, "%s%" PRId64, any ? "," : ",\"due\":[", next);
		any = true;
		last = next;
	}
	if (any)
		buf_addc(out, ']');
}

bool
store_poll(struct sim *s, int64_t epoch, struct buf *out)
{
	struct store *st = s->store;
	int64_t admitted = 0, lines = 0;

	if (st->epoch != epoch)
		return false;
	for (size_t i = 0; i < st->nlanes; i++)
		if (!st->lanes[i]->admitted) {
			st->lanes[i]->admitted = true;
			admitted++;
		}
	for (size_t i = 0; i < st->nruns; i++)
		lines += (int64_t)st->runs[i]->nopen;
	buf_addf(out,
	    "{\"now_us\":%" PRId64 ",\"revision\":1,\"admitted\":%" PRId64
	    ",\"ending\":false,\"unplaced\":false",
	    s->now, admitted);
	if (lines > 0)
		buf_addf(out,
		    ",\"out\":[{\"path\":1,\"model\":\"m\",\"lines\":%" PRId64
		    "}]",
		    lines);
	buf_adds(out, ",\"seen\":[");
	for (size_t i = 0; i < st->nseen && i < SEEN_EACH; i++)
		buf_addf(out, "%s{\"id\":%" PRId64 ",\"path\":1,\"seen\":%s}",
		    i == 0 ? "" : ",", st->seen[i].id,
		    buf_cstr(&st->seen[i].text));
	buf_addc(out, ']');
	add_due(s, out);
	buf_adds(out, ",\"workers\":[");
	for (size_t i = 0, n = 0; i < st->nworkers; i++) {
		const struct st_worker *w = &st->workers[i];

		if (w->state == ST_DEAD)
			continue;
		buf_addf(out, "%s{\"id\":%" PRId64 ",\"most\":%d,\"live\":%s}",
		    n++ == 0 ? "" : ",", w->id, w->most,
		    w->state == ST_LIVE && w->lease_us > s->now ? "true"
								: "false");
	}
	buf_adds(out, "],\"seats\":[");
	for (size_t i = 0; i < st->nseats; i++)
		buf_addf(out,
		    "%s{\"limit\":%d,\"worker\":%" PRId64
		    ",\"granted\":%d,\"target\":%d}",
		    i == 0 ? "" : ",", st->seats[i].limit, st->seats[i].worker,
		    st->seats[i].granted, st->seats[i].target);
	buf_adds(out, "]}");
	return true;
}

int64_t
store_next_us(const struct sim *s)
{
	const struct store *st = s->store;
	int64_t at = NEVER;

	for (size_t i = 0; i < st->nretries; i++)
		if (st->retries[i].not_before_us - RETRY_AHEAD_US < at)
			at = st->retries[i].not_before_us - RETRY_AHEAD_US;
	for (size_t i = 0; i < st->nworkers; i++)
		if (st->workers[i].state != ST_DEAD &&
		    st->workers[i].lease_us < at)
			at = st->workers[i].lease_us;
	for (size_t i = 0; i < st->nseats; i++)
		if (st->seats[i].frozen_us > 0 && st->seats[i].frozen_us < at)
			at = st->seats[i].frozen_us;
	for (size_t i = 0; i < st->nruns; i++)
		if (st->runs[i]->worker == 0 && st->runs[i]->last_us < at)
			at = st->runs[i]->last_us;
	return at;
}

/* The plan --------------------------------------------------------------- */

static int64_t
get(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static int64_t
at(const json_t *o, const char *name, size_t i)
{
	return json_integer_value(json_array_get(json_object_get(o, name), i));
}

/* Cursors elsewhere, retries gone: nothing of the plan is done. */
static bool
plan_fits(struct store *st, const json_t *plan)
{
	const json_t *v;
	size_t i;

	json_array_foreach(json_object_get(plan, "lanes"), i, v)
	{
		const struct st_lane *l = store_lane(st, get(v, "id"));

		if (l == NULL || l->next_line != get(v, "from") ||
		    l->lines_left < get(v, "lines"))
			return false;
	}
	json_array_foreach(json_object_get(plan, "again"), i, v)
	{
		size_t k = 0;

		while (k < st->nretries &&
		    (st->retries[k].lane != get(v, "lane") ||
			st->retries[k].line != get(v, "line")))
			k++;
		if (k == st->nretries)
			return false;
	}
	json_array_foreach(json_object_get(plan, "runs"), i,
	    v) if (store_lane(st, get(v, "lane")) == NULL) return false;
	return true;
}

static void
run_insert(struct sim *s, const json_t *v)
{
	struct store *st = s->store;
	size_t n = json_array_size(json_object_get(v, "line"));
	struct st_run *run =
	    xcalloc(1, sizeof(*run) + n * sizeof(run->lines[0]));

	run->id = st->next_run++;
	run->lane = get(v, "lane");
	run->path = (int32_t)get(v, "path");
	run->chunk = get(v, "chunk");
	run->first_line = (int32_t)get(v, "first_line");
	run->send_us = get(v, "send_us");
	run->keep_us = get(v, "keep_us");
	run->metered = json_object_get(v, "slot_us") != NULL;
	run->n = run->nopen = n;
	for (size_t i = 0; i < n; i++) {
		run->lines[i].open = true;
		run->lines[i].index = (int16_t)at(v, "line", i);
		run->lines[i].tries = (int16_t)at(v, "tries", i);
		run->lines[i].sends = (int16_t)at(v, "sends", i);
		run->lines[i].refused = (int16_t)at(v, "refused", i);
		run->lines[i].slot_us = (int32_t)at(v, "slot_us", i);
		run->lines[i].input = (int32_t)at(v, "est_input", i);
		run->lines[i].output = (int32_t)at(v, "est_output", i);
	}
	run->last_us = run->send_us + run->keep_us + run->lines[n - 1].slot_us;
	if (st->nruns == st->runs_cap) {
		st->runs_cap = st->runs_cap == 0 ? 64 : st->runs_cap * 2;
		st->runs = xrealloc(st->runs, st->runs_cap * sizeof(*st->runs));
	}
	st->runs[st->nruns++] = run;
	check_granted(s, run);
}

static void
cell_set(struct sim *s, int32_t limit, int64_t cell, int64_t units)
{
	struct st_limit *l = &s->store->limits[limit - 1];
	size_t i = l->n, old = 0;

	if (units < 0)
		sim_fail(s,
		    "I4: limit %d cell %" PRId64 " has %" PRId64 " units",
		    limit, cell, units);
	while (i > 0 && l->cells[i - 1].cell >= cell)
		i--;
	if (i < l->n && l->cells[i].cell == cell) {
		l->cells[i].units = units;
		return;
	}
	if (l->n == l->cap) {
		int64_t width = s->sc.limits[limit - 1].window_us / 1200;

		/* As sweep() does: what no window can reach any more. */
		if (width < 5000)
			width = 5000;
		while (old < l->n &&
		    l->cells[old].cell * width < s->now -
			    2 * (s->sc.limits[limit - 1].window_us + 60 * SEC))
			old++;
		if (old > i)
			old = i;
		if (old > 0) {
			memmove(l->cells, l->cells + old,
			    (l->n - old) * sizeof(*l->cells));
			l->n -= old;
			i -= old;
		}
		if (l->n > l->cap / 2 || l->cap == 0) {
			l->cap = l->cap == 0 ? 64 : l->cap * 2;
			l->cells =
			    xrealloc(l->cells, l->cap * sizeof(*l->cells));
		}
	}
	memmove(l->cells + i + 1, l->cells + i, (l->n - i) * sizeof(*l->cells));
	l->cells[i] = (struct st_cell){ cell, units };
	l->n++;
}

static void
seat_set(struct store *st, int32_t limit, int64_t worker, int32_t target)
{
	for (size_t i = 0; i < st->nseats; i++) {
		struct st_seat *s = &st->seats[i];

		if (s->limit != limit || s->worker != worker)
			continue;
		s->target = target;
		if (s->granted < target)
			s->granted = target;
		return;
	}
	st->seats = xrealloc(st->seats, (st->nseats + 1) * sizeof(*st->seats));
	st->seats[st->nseats++] =
	    (struct st_seat){ limit, worker, target, target, 0 };
}

static void
write_state(struct sim *s, const json_t *plan)
{
	struct store *st = s->store;
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(plan, "cells"), i, v) cell_set(
	    s, (int32_t)get(v, "limit"), get(v, "cell"), get(v, "units"));
	json_array_foreach(json_object_get(plan, "limits"), i, v)
	{
		struct st_limit *l = &st->limits[get(v, "id") - 1];

		if (l->state == NULL)
			l->state = json_object();
		json_object_update(l->state, v);
	}
	json_array_foreach(json_object_get(plan, "paths"), i, v)
	{
		json_object_update(st->path_state, v);
		json_object_del(st->path_state, "id");
	}
	json_array_foreach(json_object_get(plan, "explain"), i, v)
	    json_object_set(
		st->path_state, "learned", json_object_get(v, "learned"));
	v = json_object_get(plan, "lease");
	if (v != NULL) {
		st->timeline = (int)get(v, "timeline");
		st->clock_offset_us = get(v, "clock_offset_us");
	}
	json_array_foreach(json_object_get(plan, "estimates"), i, v)
	    json_object_set(st->estimates, "1", v);
	json_array_foreach(json_object_get(plan, "seats"), i, v)
	{
		seat_set(st, (int32_t)get(v, "limit"), get(v, "worker"),
		    (int32_t)get(v, "target"));
		check_seats(s, (int32_t)get(v, "limit"));
	}
}

static void
seen_drop(struct store *st, const json_t *ids)
{
	json_t *v;
	size_t i, kept = 0;

	json_array_foreach(ids, i, v) for (size_t k = 0; k < st->nseen;
					   k++) if (st->seen[k].id ==
	    json_integer_value(v)) st->seen[k]
	    .id = 0;
	for (size_t k = 0; k < st->nseen; k++)
		if (st->seen[k].id != 0) {
			struct st_seen keep = st->seen[k];

			/* Exchanged: each keeps the memory of its text. */
			st->seen[k] = st->seen[kept];
			st->seen[kept++] = keep;
		}
	st->nseen = kept;
}

bool
store_commit(struct sim *s, int64_t epoch, const char *text)
{
	struct store *st = s->store;
	json_t *plan, *v;
	size_t i;

	if (st->epoch != epoch)
		return false;
	plan = json_loadb(text, strlen(text), 0, NULL);
	if (plan == NULL) {
		sim_fail(s, "the plan is no JSON: %.200s", text);
		return false;
	}
	if (!plan_fits(st, plan)) {
		json_decref(plan);
		return false;
	}
	json_array_foreach(json_object_get(plan, "lanes"), i, v)
	{
		struct st_lane *l = store_lane(st, get(v, "id"));

		l->next_line = (int32_t)get(v, "next");
		l->lines_left -= (int32_t)get(v, "lines");
	}
	json_array_foreach(json_object_get(plan, "again"), i,
	    v) for (size_t k = 0; k < st->nretries;
		    k++) if (st->retries[k].lane == get(v, "lane") &&
	    st->retries[k].line == get(v, "line"))
	{
		st->retries[k] = st->retries[--st->nretries];
		break;
	}
	/* Lines that others pass, after the cursor has passed them. */
	json_array_foreach(json_object_get(plan, "aside"), i, v)
	{
		struct st_retry r = { .lane = get(v, "lane"),
			.line = (int32_t)(get(v, "first_line") +
			    get(v, "line") - 1),
			.not_before_us = s->now };

		store_again(st, &r);
	}
	json_array_foreach(json_object_get(plan, "failed"), i, v)
	{
		struct st_close c = { .lane = get(v, "lane"),
			.line = (int32_t)(get(v, "first_line") +
			    get(v, "line") - 1),
			.kind = ST_ERROR };

		store_result(s, &c);
	}
	json_array_foreach(json_object_get(plan, "runs"), i, v)
	    run_insert(s, v);
	write_state(s, plan);
	seen_drop(st, json_object_get(plan, "seen"));
	json_decref(plan);
	s->stats.commits++;
	return true;
}
