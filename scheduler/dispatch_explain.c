#include "dispatch_json.h"
#include "dispatch_enqueue.h"

#include <math.h>
#include <stdio.h>

#include <sluice/glob.h>
#include <sluice/spec.h>

enum { SENDS_SECONDS = 60 };

static void
add_seconds(
    const struct dispatch *d, struct buf *out, const char *name, int64_t us)
{
	us = dispatch_database_time(d, us);
	if (us <= 0)
		buf_addf(out, ",\"%s\":null", name);
	else
		buf_addf(out, ",\"%s\":%lld.%03lld", name,
		    (long long)(us / 1000000), (long long)(us / 1000 % 1000));
}

static void
add_text(struct buf *out, const char *name, const char *text)
{
	buf_addf(out, ",\"%s\":", name);
	if (text[0] == '\0')
		buf_adds(out, "null");
	else
		buf_add_json(out, slice_str(text));
}

/* "requests/1m" */
static void
limit_text(const struct dispatch_rate *r, char out[64])
{
	char window[32];

	spec_window_text(r->pace.window_us / 1000000, window);
	snprintf(
	    out, 64, "%s/%s", pace_dimension_names[r->pace.dimension], window);
}

static bool
covers(const struct dispatch_scope *s, const struct dispatch_path *path)
{
	return s->pool == path->pool && (s->path == 0 || s->path == path->id);
}

/* The head of what names a limit: open for more members. */
static void
add_limit(struct buf *out, const struct dispatch_rate *r, int64_t now_us)
{
	char name[64];
	int64_t live = ledger_used(&r->pace.live, now_us);
	int64_t used = ledger_used(&r->pace.ledger, now_us) + live;
	/* With live calls both have all of it, the reserve, too. */
	int64_t amount = live > 0 ? used + pace_live_left(&r->pace, now_us)
				  : pace_allowed(&r->pace, now_us);

	limit_text(r, name);
	buf_addf(out, "{\"limit\":\"%s\",\"of\":\"%s\",\"model\":", name,
	    r->scope.path == 0 ? "pool" : "path");
	buf_add_json(out, slice_str(r->scope.model));
	buf_addf(out, ",\"used\":%lld,\"amount\":%lld", (long long)used,
	    (long long)amount);
	if (live > 0)
		buf_addf(out, ",\"live\":%lld", (long long)live);
}

static void
add_rate(const struct dispatch *d, struct buf *out,
    const struct dispatch_rate *r, int64_t now_us)
{
	const struct pace *p = &r->pace;

	add_limit(out, r, now_us);
	buf_addf(out,
	    ",\"id\":%d,\"dimension\":\"%s\",\"window_s\":%lld,"
	    "\"configured\":%lld,\"foreign\":%lld,\"ladder\":%d,"
	    "\"per_s\":%.3f",
	    r->id, pace_dimension_names[p->dimension],
	    (long long)(p->window_us / 1000000), (long long)r->configured,
	    (long long)p->others.units, p->ladder.step,
	    1e6 / pace_interval_us(p, now_us));
	add_seconds(
	    d, out, "paused_until", p->paused_us > now_us ? p->paused_us : 0);
	add_text(out, "why", p->paused_us > now_us ? r->why : "");
	buf_addc(out, '}');
}

/* The same of what may be enqueued. */
static void
add_queued_limit(
    struct buf *out, const struct dispatch_queued *q, int64_t now_us)
{
	buf_addf(out, "{\"limit\":\"%s\",\"of\":\"%s\",\"model\":",
	    q->tokens ? "enqueued_tokens" : "enqueued_requests",
	    q->scope.path == 0 ? "pool" : "path");
	buf_add_json(out, slice_str(q->scope.model));
	buf_addf(out, ",\"used\":%lld,\"amount\":%lld", (long long)q->out,
	    (long long)dispatch_queued_allowed(q, now_us));
}

static void
add_queued(const struct dispatch *d, struct buf *out,
    const struct dispatch_queued *q, int64_t now_us)
{
	bool paused = q->paused_us > now_us;

	add_queued_limit(out, q, now_us);
	buf_addf(out,
	    ",\"id\":%d,\"dimension\":\"%s\",\"window_s\":0,"
	    "\"configured\":%lld",
	    q->id, q->tokens ? "enqueued_tokens" : "enqueued_requests",
	    (long long)q->configured);
	add_seconds(d, out, "paused_until", paused ? q->paused_us : 0);
	add_text(out, "why", paused ? q->why : "");
	buf_addc(out, '}');
}

/* What the flow waits for, in words; false: for nothing. */
static bool
add_binds(const struct dispatch *d, struct buf *out,
    const struct dispatch_flow *f, int64_t now_us)
{
	const struct dispatch_rate *r = f->waits_rate;
	const struct dispatch_path *path = f->path;
	char why[200] = "", name[64];
	int64_t until_us = now_us;

	switch (f->waits) {
	case DISPATCH_WAITS_NOT:
		return false;
	case DISPATCH_WAITS_DOWN:
		until_us = path->breaker.until_us;
		snprintf(why, sizeof(why), "the path is %s: %s",
		    path->breaker.health == BREAKER_DOWN ? "down"
							 : "being probed",
		    path->breaker.why);
		buf_adds(out, "{\"limit\":\"health\"");
		break;
	case DISPATCH_WAITS_PAUSE:
		if (f->paused_us > now_us)
			until_us = f->paused_us;
		snprintf(why, sizeof(why), "%s",
		    f->refusals == 0
			? "answers say that a limit which is not configured "
			  "here is used up"
			: "the upstream refused calls (429) and no limit of "
			  "ours says why");
		buf_adds(out, "{\"limit\":\"refused\"");
		break;
	case DISPATCH_WAITS_SEATS: {
		int64_t most = f->seats[0]->granted, used = f->seats[0]->out;
		int64_t frozen = 0;
		bool workers = true;

		for (size_t i = 1; i < f->nseats; i++) {
			frozen += f->seats[i]->frozen;
			if (f->seats[i]->granted - f->seats[i]->out <
			    most - used) {
				most = f->seats[i]->granted;
				used = f->seats[i]->out;
				workers = false;
			}
		}
		if (f->undeclared &&
		    aimd_limit(&path->aimd) - dispatch_path_open(path) <
			most - used) {
			most = aimd_limit(&path->aimd);
			used = dispatch_path_open(path);
			workers = false;
		}
		/* They are being handed out. */
		if (most <= 0 && d->workers > 0 && frozen == 0)
			return false;
		if (most <= 0)
			until_us = 0;
		if (d->workers == 0)
			snprintf(why, sizeof(why), "no worker is there");
		else if (most <= 0)
			snprintf(why, sizeof(why),
			    "calls of a worker that has died may still be "
			    "open");
		else
			snprintf(why, sizeof(why),
			    "%lld calls at once is all %s", (long long)most,
			    workers ? "that the workers take" : "there may be");
		buf_addf(out,
		    "{\"limit\":\"concurrent\",\"used\":%lld,\"amount\":%lld",
		    (long long)used, (long long)most);
		break;
	}
	case DISPATCH_WAITS_RATE:
		limit_text(r, name);
		until_us = pace_earliest(
		    &r->pace, f->waits_units, now_us + DISPATCH_LEAD_US);
		if (r->pace.paused_us > now_us)
			snprintf(why, sizeof(why), "%s: %s", name, r->why);
		else
			snprintf(why, sizeof(why),
			    "%s: %lld of %lld used; the next slot in %.1f s",
			    name,
			    (long long)ledger_used(&r->pace.ledger, now_us),
			    (long long)pace_allowed(&r->pace, now_us),
			    (double)(until_us - now_us) / 1e6);
		add_limit(out, r, now_us);
		break;
	case DISPATCH_WAITS_QUEUE:
		until_us = f->waits_queued->paused_us > now_us
		    ? f->waits_queued->paused_us
		    : 0;
		snprintf(why, sizeof(why), "%s",
		    until_us > 0
			? f->waits_queued->why
			: "as much as may be is in the upstream's batches");
		add_queued_limit(out, f->waits_queued, now_us);
		break;
	}
	add_seconds(d, out, "until", until_us);
	add_text(out, "why", why);
	buf_addc(out, '}');
	return true;
}

/* Live calls, where there were any in the last minute. */
static void
add_live(struct buf *out, const struct dispatch_path *path, int64_t now_us)
{
	int64_t now_s = now_us / 1000000, first = now_s - SENDS_SECONDS;

	if (path->live.seen_us < first * 1000000)
		return;
	buf_addf(out, ",\"live_out\":%lld,\"live_sends\":[",
	    (long long)path->live.open);
	for (int64_t s = first; s < now_s; s++)
		buf_addf(out, "%s%d", s == first ? "" : ",",
		    dispatch_live_sends(path, s));
	buf_addc(out, ']');
}

static void
add_sends(struct buf *out, const struct dispatch_path *path, int64_t now_us)
{
	int64_t now_s = now_us / 1000000;

	buf_adds(out, ",\"sends\":[");
	for (int64_t s = now_s - SENDS_SECONDS; s < now_s; s++) {
		size_t i = (size_t)s % NITEMS(path->granted);

		buf_addf(out, "%s%d", s == now_s - SENDS_SECONDS ? "" : ",",
		    path->granted_s[i] == s ? path->granted[i] : 0);
	}
	buf_addc(out, ']');
}

static bool
serves(const struct dispatch_path *path, const char *model)
{
	for (size_t m = 0; m < path->nmodels; m++)
		if (glob_match(path->models[m], model))
			return true;
	return false;
}

void
dispatch_explain(const struct dispatch *d, const struct dispatch_path *path,
    int64_t now_us, struct buf *out)
{
	int64_t waiting = 0;
	bool binds = false, first = true;

	for (size_t i = 0; i < d->nlanes; i++)
		if (serves(path, d->lanes[i]->model))
			waiting += d->lanes[i]->lines_left +
			    (int64_t)(d->lanes[i]->again.n -
				d->lanes[i]->again.first);
	buf_addf(out, "{\"at\":%.3f,\"waiting\":%lld,\"out\":%lld,\"binds\":",
	    (double)dispatch_database_time(d, now_us) / 1e6, (long long)waiting,
	    (long long)path->out);
	for (size_t i = 0; i < d->nflows && !binds && waiting > 0; i++)
		if (d->flows[i]->path == path)
			binds = add_binds(d, out, d->flows[i], now_us);
	if (!binds)
		buf_adds(out, "null");
	add_sends(out, path, now_us);
	add_live(out, path, now_us);
	buf_adds(out, ",\"limits\":[");
	for (size_t i = 0; i < d->nrates; i++) {
		if (!covers(&d->rates[i]->scope, path))
			continue;
		if (!first)
			buf_addc(out, ',');
		first = false;
		add_rate(d, out, d->rates[i], now_us);
	}
	for (size_t i = 0; i < d->nqueued; i++) {
		if (path->kind != DISPATCH_BATCHES ||
		    !covers(&d->queued[i]->scope, path))
			continue;
		if (!first)
			buf_addc(out, ',');
		first = false;
		add_queued(d, out, d->queued[i], now_us);
	}
	buf_adds(out, "]}");
}

static void
add_reading(struct buf *out, const struct dispatch *d,
    const struct dispatch_path *path, const struct dispatch_reading *r)
{
	const char *meaning = NULL;

	for (size_t i = 0; i < d->nrates; i++)
		if (covers(&d->rates[i]->scope, path) &&
		    d->rates[i]->configured == r->said.limit)
			meaning =
			    foreign_reset_name(d->rates[i]->foreign.reset);
	buf_addf(out,
	    "{\"dim\":\"%s\",\"window_s\":%d,\"limit\":%lld,"
	    "\"remaining\":%lld",
	    dialect_dim_name(r->said.dim), r->said.window_s,
	    (long long)r->said.limit, (long long)r->said.remaining);
	if (r->said.reset_ms >= 0)
		buf_addf(out, ",\"reset_in_s\":%.3f",
		    (double)r->said.reset_ms / 1000);
	add_text(out, "from", r->said.from);
	add_seconds(d, out, "at", r->sent_us);
	add_text(out, "meaning", meaning == NULL ? "" : meaning);
	buf_addc(out, '}');
}

void
dispatch_learned(
    const struct dispatch *d, const struct dispatch_path *path, struct buf *out)
{
	const struct aimd *a = &path->aimd;
	int64_t slack_us = 0;
	bool undeclared = false;

	for (size_t i = 0; i < d->nrates; i++)
		if (covers(&d->rates[i]->scope, path) &&
		    pace_slack_us(&d->rates[i]->pace) > slack_us)
			slack_us = pace_slack_us(&d->rates[i]->pace);
	buf_addf(out, "{\"late_ms\":%.1f,\"jitter_ms\":%.1f,\"slack_ms\":%.1f",
	    (double)dispatch_late_us(path) / 1000,
	    (double)dispatch_jitter_us(path) / 1000, (double)slack_us / 1000);
	add_text(out, "dialect", path->dialect);
	for (size_t i = 0; i < d->nflows; i++)
		undeclared |=
		    d->flows[i]->path == path && d->flows[i]->undeclared;
	if (a->limit > 0 && undeclared) {
		buf_addf(out,
		    ",\"concurrency\":{\"limit\":%lld,\"found\":%s,"
		    "\"refused_at\":%lld,\"live\":%s,\"why\":",
		    (long long)a->limit, a->found ? "true" : "false",
		    (long long)a->refused_at, aimd_binds(a) ? "true" : "false");
		if (a->found && a->brief)
			buf_adds(out,
			    "\"refused, or down, for no reason "
			    "that it told\"}");
		else if (a->found)
			buf_addf(out, "\"refused at %lld in flight\"}",
			    (long long)a->refused_at);
		else
			buf_adds(out, "null}");
	}
	buf_adds(out, ",\"readings\":[");
	for (size_t i = 0; i < path->nreadings; i++) {
		if (i > 0)
			buf_addc(out, ',');
		add_reading(out, d, path, &path->readings[i]);
	}
	buf_adds(out, "]}");
}
