#include "dispatch_doc.h"
#include "dispatch_enqueue.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
world_fini(struct world *w)
{
	free(w->due);
	free(w->seen);
	free(w->workers);
	free(w->seats);
	*w = (struct world){ 0 };
}

int64_t
dispatch_time(const struct dispatch *d, int64_t us)
{
	return us == 0 ? 0 : us + d->clock.offset_us;
}

int64_t
dispatch_database_time(const struct dispatch *d, int64_t us)
{
	return us == 0 ? 0 : us - d->clock.offset_us;
}

/* The world ------------------------------------------------------------ */

static int64_t
entry_int(const json_t *entry, size_t i)
{
	return json_integer_value(json_array_get(entry, i));
}

static size_t
read_readings(
    const struct dispatch *d, const json_t *list, struct dispatch_reading *out)
{
	json_t *v;
	size_t i, n = 0;

	json_array_foreach(list, i, v)
	{
		struct dispatch_reading *r = &out[n];

		if (n == DISPATCH_SEEN_MAX)
			break;
		*r = (struct dispatch_reading){
			.said = { .dim = dialect_dim_of(get_text(v, "dim")),
			    .window_s = (int32_t)get_int(v, "window_s"),
			    .limit = get_int(v, "limit"),
			    .remaining = get_int(v, "remaining"),
			    .reset_ms = get_int(v, "reset_ms"),
			    .dynamic = get_bool(v, "dynamic") },
			.sent_us = get_time(d, v, "sent_us"),
			.answered_us = get_time(d, v, "answered_us"),
		};
		snprintf(r->said.from, sizeof(r->said.from), "%s",
		    get_text(v, "from"));
		n++;
	}
	return n;
}

static size_t
read_refusals(
    const struct dispatch *d, const json_t *list, struct dispatch_refusal *out)
{
	json_t *v;
	size_t i, n = 0;

	json_array_foreach(list, i, v)
	{
		struct dispatch_refusal *r = &out[n];

		if (n == DISPATCH_SEEN_MAX)
			break;
		*r = (struct dispatch_refusal){
			.kind = dialect_refusal_of(get_text(v, "kind")),
			.dim = dialect_dim_of(get_text(v, "dim")),
			.window_s = (int32_t)get_int(v, "window_s"),
			.n = get_int(v, "n"),
			.wait_us = get_int(v, "wait_ms") * 1000,
			.sent_us = get_time(d, v, "sent_us"),
			.in_flight = get_int(v, "in_flight"),
		};
		snprintf(r->from, sizeof(r->from), "%s", get_text(v, "from"));
		n++;
	}
	return n;
}

/* What became of a batch of the upstream's own, as a worker saw it. */
static void
read_queued(struct dispatch *d, const json_t *s, int64_t now_us)
{
	const json_t *over = json_object_get(s, "over");
	int32_t path = (int32_t)get_int(s, "path");

	if (over != NULL)
		dispatch_queued_refused(d, path, get_text(s, "model"),
		    get_int(over, "lines"), get_int(over, "tokens"),
		    get_int(over, "wait_ms") * 1000, now_us);
	else if (get_bool(s, "taken"))
		dispatch_queued_taken(d, path, get_text(s, "model"));
}

static void
read_seen(struct dispatch *d, const json_t *o, int64_t now_us)
{
	const json_t *s = json_object_get(o, "seen");
	struct dispatch_reading readings[DISPATCH_SEEN_MAX];
	struct dispatch_refusal refusals[DISPATCH_SEEN_MAX];
	json_t *entry;
	size_t i;
	struct dispatch_seen seen = {
		.path = (int32_t)get_int(s, "path"),
		.model = get_text(s, "model"),
		.sample = { .n = get_int(s, "n"),
		    .bytes = get_real(s, "bytes"),
		    .input = get_real(s, "input"),
		    .output = get_real(s, "output"),
		    .output2 = get_real(s, "output2"),
		    .ms = get_real(s, "ms"),
		    .ms2 = get_real(s, "ms2") },
		.ok = get_int(s, "ok"),
		.down = get_bool(s, "down"),
		.why = get_text(s, "why"),
		.dialect = json_string_value(json_object_get(s, "dialect")),
		.readings = readings,
		.nreadings =
		    read_readings(d, json_object_get(s, "readings"), readings),
		.refusals = refusals,
		.nrefusals =
		    read_refusals(d, json_object_get(s, "refusals"), refusals),
		.late_us = get_int(s, "late_us"),
		.connects = get_int(s, "connects"),
		.connect_min_us = get_int(s, "connect_min_us"),
		.connect_max_us = get_int(s, "connect_max_us"),
		.live = get_int(s, "live_us") > 0,
	};

	dispatch_seen(d, now_us, &seen);
	dispatch_live_over(d, seen.path, get_time(d, s, "live_us"));
	read_queued(d, s, now_us);
	json_array_foreach(json_object_get(s, "entries"), i, entry)
	{
		struct dispatch_entry e = {
			.slot_us = dispatch_time(d, entry_int(entry, 0)),
			.keep_us = entry_int(entry, 1),
			.sent_us = dispatch_time(d, entry_int(entry, 2)),
			.est_input = entry_int(entry, 3),
			.est_output = entry_int(entry, 4),
			.input = entry_int(entry, 5),
			.output = entry_int(entry, 6),
			.ms = entry_int(entry, 7),
			.lane = entry_int(entry, 8),
			.lines = entry_int(entry, 9),
		};

		dispatch_settle(d, seen.path, seen.model, &e);
	}
}

static void
read_workers(struct dispatch *d, const json_t *doc, struct world *w)
{
	const json_t *list = json_object_get(doc, "workers");
	json_t *v;
	size_t i;

	w->nworkers = json_array_size(list);
	w->workers = xcalloc(w->nworkers, sizeof(*w->workers));
	json_array_foreach(list, i, v)
	{
		w->workers[i] = (struct seats_worker){ .id = get_int(v, "id"),
			.live = get_bool(v, "live"),
			.most = (int32_t)get_int(v, "most") };
		if (w->workers[i].live)
			dispatch_worker(d, w->workers[i].most);
	}
	list = json_object_get(doc, "seats");
	w->nseats = json_array_size(list);
	w->seats = xcalloc(w->nseats, sizeof(*w->seats));
	json_array_foreach(list, i, v)
	{
		struct world_seat *s = &w->seats[i];
		bool live = false;

		*s = (struct world_seat){ .limit = (int32_t)get_int(v, "limit"),
			.worker = get_int(v, "worker"),
			.granted = (int32_t)get_int(v, "granted"),
			.target = (int32_t)get_int(v, "target") };
		for (size_t k = 0; k < w->nworkers; k++)
			live |=
			    w->workers[k].live && w->workers[k].id == s->worker;
		dispatch_granted(d, s->limit,
		    live && s->target < s->granted ? s->target : s->granted,
		    live);
	}
}

static void
read_live(struct dispatch *d, const json_t *live, int64_t now_us)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(live, "cells"), i, v)
	    dispatch_live_cell(
		d, (int32_t)entry_int(v, 0), entry_int(v, 1), entry_int(v, 2));
	json_array_foreach(json_object_get(live, "paths"), i, v)
	    dispatch_live_path(d, (int32_t)entry_int(v, 0),
		json_is_true(json_array_get(v, 1)));
	json_array_foreach(json_object_get(live, "limits"), i, v)
	    dispatch_live_limit(d, (int32_t)entry_int(v, 0), entry_int(v, 1),
		json_is_true(json_array_get(v, 2)), now_us);
}

static int64_t *
read_ids(const json_t *list, const char *member, size_t *n)
{
	int64_t *ids;
	json_t *v;
	size_t i;

	*n = json_array_size(list);
	ids = xcalloc(*n, sizeof(*ids));
	json_array_foreach(list, i, v) ids[i] =
	    member == NULL ? json_integer_value(v) : get_int(v, member);
	return ids;
}

enum slc_rc
dispatch_read_world(
    struct dispatch *d, struct slice text, struct world *w, struct slc_err *err)
{
	json_t *doc = load(text, err), *v;
	size_t i;

	if (doc == NULL)
		return err->rc;
	w->now_us = get_int(doc, "now_us");
	if (w->heard_us > 0)
		w->now_us = clock_read(&d->clock, w->now_us, w->asked_us,
		    w->heard_us, &w->jumped_us);
	else
		w->now_us += d->clock.offset_us;
	w->revision = get_int(doc, "revision");
	w->admitted = get_int(doc, "admitted") > 0;
	w->ending = get_bool(doc, "ending");
	w->unplaced = get_bool(doc, "unplaced");
	w->due = read_ids(json_object_get(doc, "due"), NULL, &w->ndue);
	w->seen = read_ids(json_object_get(doc, "seen"), "id", &w->nseen);
	dispatch_world_begin(d);
	read_workers(d, doc, w);
	json_array_foreach(json_object_get(doc, "out"), i, v)
	    dispatch_out(d, (int32_t)get_int(v, "path"), get_text(v, "model"),
		get_int(v, "lines"));
	json_array_foreach(json_object_get(doc, "opened"), i, v)
	    dispatch_lane_drop(d, json_integer_value(v));
	json_array_foreach(json_object_get(doc, "enqueued"), i, v)
	    dispatch_queued_out(d, (int32_t)get_int(v, "path"),
		get_text(v, "model"), get_int(v, "lines"), get_int(v, "tokens"),
		get_int(v, "going"));
	read_live(d, json_object_get(doc, "live"), w->now_us);
	json_array_foreach(json_object_get(doc, "seen"), i, v)
	    read_seen(d, v, w->now_us);
	json_decref(doc);
	return SLC_OK;
}
