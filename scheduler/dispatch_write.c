#include "dispatch_doc.h"
#include "dispatch_enqueue.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The plan ------------------------------------------------------------- */

/* Units that live calls must leave, too: others', and the doubt about calls
 * under way. */
static int64_t
kept(const struct dispatch_rate *r)
{
	return r->pace.others.units + r->pace.uncertain;
}

static bool
kept_moved(const struct dispatch_rate *r)
{
	int64_t by = kept(r) - r->kept;

	return (by < 0 ? -by : by) > r->pace.amount / 100;
}

static void
add_adaptive(
    const struct dispatch *d, struct buf *out, const struct adaptive *a)
{
	if (a->told == 0)
		return;
	buf_addf(out,
	    ",\"told\":%lld,\"used_us\":%lld,\"ramp\":%.1f,"
	    "\"ramp_us\":%lld",
	    (long long)a->told,
	    (long long)dispatch_database_time(d, a->used_us), a->ramp,
	    (long long)dispatch_database_time(d, a->ramp_us));
}

static void
write_queued(struct dispatch *d, struct buf *out, bool *open)
{
	for (size_t i = 0; i < d->nqueued; i++) {
		struct dispatch_queued *q = d->queued[i];

		if (!q->changed)
			continue;
		q->changed = false;
		doc_item(out, "limits", open);
		buf_addf(out, "{\"id\":%d,\"paused_us\":%lld,\"why\":", q->id,
		    (long long)dispatch_database_time(d, q->paused_us));
		buf_add_json(out, slice_str(q->why));
		buf_addf(out,
		    ",\"learned\":{\"most\":%lld,\"refused_us\":%lld}}",
		    (long long)q->most,
		    (long long)dispatch_database_time(d, q->refused_us));
	}
}

static void
write_limits(struct dispatch *d, struct buf *out)
{
	bool open = false;

	for (size_t i = 0; i < d->nrates; i++) {
		const struct ledger_cell *c;
		size_t at = 0;

		while ((c = ledger_flush(&d->rates[i]->pace.ledger, &at)) !=
		    NULL) {
			doc_item(out, "cells", &open);
			buf_addf(out,
			    "{\"limit\":%d,\"cell\":%lld,\"units\":%lld}",
			    d->rates[i]->id, (long long)c->cell,
			    (long long)c->units);
		}
	}
	doc_close(out, open);
	open = false;
	for (size_t i = 0; i < d->nrates; i++) {
		struct dispatch_rate *r = d->rates[i];

		if (!r->changed && !kept_moved(r))
			continue;
		r->changed = false;
		r->kept = kept(r);
		doc_item(out, "limits", &open);
		buf_addf(out,
		    "{\"id\":%d,\"kept\":%lld,\"next_us\":%lld,"
		    "\"paused_us\":%lld,\"why\":",
		    r->id, (long long)r->kept,
		    (long long)dispatch_database_time(d, r->pace.next_us),
		    (long long)dispatch_database_time(d, r->pace.paused_us));
		buf_add_json(out, slice_str(r->why));
		buf_addf(out,
		    ",\"learned\":{\"step\":%d,\"moved_us\":%lld,"
		    "\"hold_us\":%lld,\"fell\":%s",
		    r->pace.ladder.step,
		    (long long)dispatch_database_time(
			d, r->pace.ladder.moved_us),
		    (long long)r->pace.ladder.hold_us,
		    r->pace.ladder.fell ? "true" : "false");
		add_adaptive(d, out, &r->pace.adaptive);
		buf_adds(out, "}}");
	}
	write_queued(d, out, &open);
	doc_close(out, open);
}

/* What the plan leaves to live calls, where it takes something. */
static void
write_live(const struct dispatch *d, int64_t now_us, struct buf *out)
{
	bool open = false;

	for (size_t i = 0; i < d->nrates; i++) {
		const struct dispatch_rate *r = d->rates[i];

		if (!r->pace.ledger.dirty)
			continue;
		doc_item(out, "live", &open);
		buf_addf(out, "[%d,%lld,%lld]", r->id, (long long)r->live_total,
		    (long long)pace_live_left(&r->pace, now_us));
	}
	doc_close(out, open);
}

static void
write_explain(struct dispatch *d, int64_t now_us, struct buf *out)
{
	bool open = false;

	for (size_t i = 0; i < d->npaths; i++) {
		doc_item(out, "explain", &open);
		buf_addf(out, "{\"id\":%d,\"now\":", d->paths[i]->id);
		dispatch_explain(d, d->paths[i], now_us, out);
		buf_adds(out, ",\"learned\":");
		dispatch_learned(d, d->paths[i], out);
		buf_addc(out, '}');
	}
	doc_close(out, open);
}

/* Callers' limits that lines wait for. */
static void
write_shaped(struct dispatch *d, int64_t now_us, struct buf *out)
{
	bool open = false;

	for (size_t i = 0; i < d->nrates; i++) {
		const struct dispatch_rate *r = d->rates[i];
		int64_t until_us;

		if (r->scope.pool != DISPATCH_NO_POOL || !r->waited)
			continue;
		until_us =
		    pace_earliest(&r->pace, 1, now_us + DISPATCH_LEAD_US);
		doc_item(out, "shaped", &open);
		buf_addf(out, "[%d,%.3f]", r->id,
		    (double)dispatch_database_time(d, until_us) / 1e6);
	}
	doc_close(out, open);
}

/* What the next lines of purses that do not hold them may cost. */
static void
write_dear(const struct dispatch *d, struct buf *out)
{
	bool open = false;

	for (size_t i = 0; i < d->npurses; i++)
		if (d->purses[i].want > 0) {
			doc_item(out, "dear", &open);
			buf_addf(out, "[%lld,%.0f]",
			    (long long)d->purses[i].batch,
			    ceil(d->purses[i].want));
		}
	doc_close(out, open);
}

/* Who stands where, and whom time presses. */
static void
write_danger(struct dispatch *d, int64_t now_us, struct buf *out)
{
	bool open = false;

	for (size_t i = 0; i < d->nlanes; i++)
		if (d->lanes[i]->danger) {
			doc_item(out, "danger", &open);
			buf_addf(out, "%lld", (long long)d->lanes[i]->batch);
		}
	doc_close(out, open);
	open = false;
	for (size_t i = 0; i < d->nlanes; i++)
		if (d->lanes[i]->late) {
			doc_item(out, "late", &open);
			buf_addf(out, "%lld", (long long)d->lanes[i]->batch);
		}
	doc_close(out, open);
	write_shaped(d, now_us, out);
	write_dear(d, out);
	buf_adds(out, out->n > 1 ? ",\"fair\":" : "\"fair\":");
	dispatch_books_write(d, out);
}

static void
write_paths(struct dispatch *d, struct buf *out)
{
	static const char *const names[] = { "up", "down", "probing" };
	bool open = false;

	for (size_t i = 0; i < d->npaths; i++) {
		struct breaker *b = &d->paths[i]->breaker;

		if (!b->changed)
			continue;
		b->changed = false;
		doc_item(out, "paths", &open);
		buf_addf(out,
		    "{\"id\":%d,\"health\":\"%s\",\"until_us\":%lld,"
		    "\"failures\":%d,\"why\":",
		    d->paths[i]->id, names[b->health],
		    (long long)dispatch_database_time(d, b->until_us),
		    b->failures);
		buf_add_json(out, slice_str(b->why));
		buf_addc(out, '}');
	}
	doc_close(out, open);
}

static void
write_seats(const struct dispatch *d, const struct world *w, struct buf *out)
{
	struct seats_worker *workers =
	    xcalloc(w->nworkers + w->nseats, sizeof(*workers));
	bool open = false;

	for (size_t i = 1; i < d->nseats; i++) {
		size_t n = w->nworkers;

		memcpy(workers, w->workers, n * sizeof(*workers));
		for (size_t k = 0; k < w->nseats; k++) {
			const struct world_seat *s = &w->seats[k];
			size_t at = 0;

			if (s->limit != d->seats[i]->id)
				continue;
			while (at < w->nworkers && workers[at].id != s->worker)
				at++;
			if (at == w->nworkers) /* dead, its seats frozen */
				at = n++;
			workers[at].id = s->worker;
			workers[at].granted = s->granted;
			workers[at].target = s->target;
		}
		if (!seats_share(dispatch_seats_wanted(d->seats[i], w->now_us),
			workers, n))
			continue;
		for (size_t k = 0; k < n; k++) {
			if (!workers[k].live)
				continue;
			doc_item(out, "seats", &open);
			buf_addf(out,
			    "{\"limit\":%d,\"worker\":%lld,\"target\":%d}",
			    d->seats[i]->id, (long long)workers[k].id,
			    workers[k].target);
		}
	}
	doc_close(out, open);
	free(workers);
}

static void
write_estimates(struct dispatch *d, struct buf *out)
{
	bool open = false;

	for (size_t i = 0; i < d->nflows; i++) {
		struct dispatch_flow *f = d->flows[i];
		const struct estimate *e = &f->estimate;

		if (!f->learned)
			continue;
		f->learned = false;
		doc_item(out, "estimates", &open);
		buf_addf(out, "{\"path\":%d,\"model\":", f->path_id);
		buf_add_json(out, slice_str(f->model));
		buf_addf(out,
		    ",\"learned\":{\"n\":%.0f,\"ratio\":%.6g,"
		    "\"output\":%.6g,\"output2\":%.6g,\"ms\":%.6g,\"ms2\":%.6g}"
		    "}",
		    e->n, e->ratio, e->output, e->output2, e->ms, e->ms2);
	}
	doc_close(out, open);
}

void
dispatch_write_plan(struct dispatch *d, const struct dispatch_plan *plan,
    const struct world *w, bool estimates, bool explain, struct buf *out)
{
	bool open = false;

	buf_addc(out, '{');
	dispatch_write_runs(d, plan, out);
	write_live(d, w->now_us, out);
	write_limits(d, out);
	write_paths(d, out);
	write_seats(d, w, out);
	if (estimates)
		write_estimates(d, out);
	if (explain) {
		write_explain(d, w->now_us, out);
		write_danger(d, w->now_us, out);
	}
	for (size_t i = 0; i < w->nseen; i++) {
		doc_item(out, "seen", &open);
		buf_addf(out, "%lld", (long long)w->seen[i]);
	}
	doc_close(out, open);
	if (d->timeline_new || d->clock.changed)
		buf_addf(out,
		    "%s\"lease\":{\"timeline\":%d,\"clock_offset_us\":%lld}",
		    out->n > 1 ? "," : "", d->timeline,
		    (long long)d->clock.offset_us);
	d->timeline_new = d->clock.changed = false;
	buf_addc(out, '}');
}

bool
dispatch_plan_empty(const struct buf *plan)
{
	return plan->n <= 2;
}
