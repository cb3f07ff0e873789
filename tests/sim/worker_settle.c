/*
 * Outcomes on their way into the store, as worker/flush.c and flush_doc.c do.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "worker_own.h"

enum {
	FLUSH_AFTER_US = 4000,
	FLUSH_RETRY_US = 250000,
	FLUSH_LINES = 2000,
	SEEN_MAX = 32,
};

struct flush {
	struct worker *w;
	int64_t gen, wid;
	enum fate fate;
	enum { TOLD_GOOD, TOLD_OTHERS, TOLD_NOTHING } told;
	struct wresult *list;
	struct st_close *closes;
	size_t n;
	struct buf seen;
	int64_t until_us; /* the latest end of a wait that it tells of */
};

static event_fn on_flush;

bool
worker_quiet(const struct worker *w)
{
	return w->runs == NULL && !w->flushing && w->nresults == 0 &&
	    !w->taking && !w->beating;
}

static void
flush_soon(struct sim *s, struct worker *w, int64_t after_us)
{
	if (w->flushing || w->flush_set || w->nresults == 0)
		return;
	w->flush_set = true;
	sim_at(s, s->now + after_us, on_flush, w, w->gen);
}

static void
results_add(struct worker *w, const struct wresult *r)
{
	if (w->nresults == w->results_cap) {
		w->results_cap = w->results_cap == 0 ? 16 : w->results_cap * 2;
		w->results =
		    xrealloc(w->results, w->results_cap * sizeof(*w->results));
	}
	w->results[w->nresults++] = *r;
}

void
worker_finish(struct sim *s, struct worker *w, struct wresult *r)
{
	struct wline *line = r->line;

	line->state = W_SETTLING;
	w->held--;
	w->done++;
	r->close.run = line->run->id;
	r->close.lane = line->run->lane;
	r->close.line = line->line;
	r->close.at = line->at;
	results_add(w, r);
	flush_soon(s, w, FLUSH_AFTER_US);
	if (w->asleep)
		worker_wake(s, w, w->take_at);
}

/* What was seen
 * ---------------------------------------------------------------- */

static void
write_readings(const struct flush *f, struct buf *out)
{
	size_t n = 0;

	for (size_t i = f->n; i-- > 0;) {
		const struct wresult *r = &f->list[i];

		for (size_t k = 0; k < r->said.nreadings && n < SEEN_MAX; k++) {
			const struct dialect_reading *d = &r->said.readings[k];

			buf_addf(out,
			    "%s{\"dim\":\"%s\",\"window_s\":%d,"
			    "\"limit\":%" PRId64 ",\"remaining\":%" PRId64
			    ",\"reset_ms\":%" PRId64 ",\"from\":\"%s\","
			    "\"sent_us\":%" PRId64 ",\"answered_us\":%" PRId64
			    "}",
			    n++ == 0 ? ",\"readings\":[" : ",",
			    dialect_dim_name(d->dim), d->window_s, d->limit,
			    d->remaining, d->reset_ms, d->from, r->sent_us,
			    r->answered_us);
		}
	}
	if (n > 0)
		buf_addc(out, ']');
}

/* Refusals of one kind and dimension are told together. */
static void
write_refusals(struct sim *s, struct flush *f, struct buf *out)
{
	bool any = false;

	for (int dim = DIALECT_UNKNOWN; dim <= DIALECT_CONCURRENT; dim++) {
		const struct wresult *last = NULL;
		int64_t n = 0, wait_us = 0;

		for (size_t i = 0; i < f->n; i++) {
			const struct wresult *r = &f->list[i];

			if (!r->throttled || (int)r->said.refused_dim != dim)
				continue;
			last = r;
			n++;
			if (r->pause_us > wait_us)
				wait_us = r->pause_us;
			/* Said when it left, counted from there. */
			if (r->pause_us > 0 &&
			    r->left_us + r->pause_us > f->until_us)
				f->until_us = r->left_us + r->pause_us;
		}
		if (n == 0)
			continue;
		buf_addf(out,
		    "%s{\"kind\":\"%s\",\"dim\":\"%s\",\"window_s\":%d,"
		    "\"n\":%" PRId64 ",\"wait_ms\":%" PRId64
		    ",\"sent_us\":%" PRId64 ",\"in_flight\":%" PRId64
		    ",\"from\":\"%s\"}",
		    any ? "," : ",\"refusals\":[",
		    dialect_refusal_name(last->said.refusal),
		    dialect_dim_name(last->said.refused_dim),
		    last->said.refused_window_s, n, wait_us / MS, last->sent_us,
		    last->in_flight,
		    last->said.wait_from == NULL ? "" : last->said.wait_from);
		any = true;
	}
	if (any)
		buf_addc(out, ']');
	(void)s;
}

static void
write_seen(struct sim *s, struct flush *f)
{
	struct buf *out = &f->seen;
	int64_t ok = 0, n = 0, bytes = 0, late = 0;
	double input = 0, output = 0, output2 = 0, ms = 0, ms2 = 0;
	bool down = false, any = false;

	for (size_t i = 0; i < f->n; i++) {
		const struct wresult *r = &f->list[i];

		ok += r->ok;
		down |= r->down;
		if (r->sent_us > 0 && r->sent_us - r->line->slot_us > late)
			late = r->sent_us - r->line->slot_us;
		if (!r->answered)
			continue;
		n++;
		bytes += r->line->bytes;
		input += r->input;
		output += r->output;
		output2 += (double)r->output * r->output;
		ms += (double)r->ms;
		ms2 += (double)r->ms * (double)r->ms;
	}
	buf_addf(out,
	    "{\"path\":1,\"model\":\"m\",\"ok\":%" PRId64 ",\"n\":%" PRId64
	    ",\"bytes\":%" PRId64 ",\"input\":%.0f,\"output\":%.0f,"
	    "\"output2\":%.0f,\"ms\":%.0f,\"ms2\":%.0f,\"late_us\":%" PRId64,
	    ok, n, bytes, input, output, output2, ms, ms2, late);
	if (down)
		buf_adds(out, ",\"down\":true,\"why\":\"no connection\"");
	write_readings(f, out);
	write_refusals(s, f, out);
	buf_adds(out, ",\"entries\":[");
	for (size_t i = 0; i < f->n; i++) {
		const struct wresult *r = &f->list[i];
		const struct wline *l = r->line;

		if (!l->run->metered || r->sent_us <= 0)
			continue;
		buf_addf(out,
		    "%s[%" PRId64 ",%" PRId64 ",%" PRId64
		    ",%d,%d,%d,%d,%" PRId64 "]",
		    any ? "," : "", l->slot_us, l->run->keep_us, r->sent_us,
		    l->est_input, l->est_output,
		    r->answered ? r->input : l->est_input,
		    r->answered ? r->output : l->est_output,
		    r->answered ? r->ms : 0);
		any = true;
	}
	buf_adds(out, "]}");
}

/* The transaction
 * ----------------------------------------------------------------- */

static void
flush_free(struct flush *f)
{
	buf_fini(&f->seen);
	free(f->list);
	free(f->closes);
	free(f);
}

static void
flush_put_back(struct worker *w, struct flush *f)
{
	size_t n = f->n;

	w->results_cap = w->nresults + n + 16;
	w->results = xrealloc(w->results, w->results_cap * sizeof(*w->results));
	memmove(w->results + n, w->results, w->nresults * sizeof(*w->results));
	memcpy(w->results, f->list, n * sizeof(*w->results));
	w->nresults += n;
}

static void
settled(struct worker *w, struct wline *line)
{
	line->run->lines[line->at] = NULL;
	worker_settled(w, line);
}

static void
on_open(struct sim *s, struct event *e)
{
	struct flush *f = e->obj;
	struct worker *w = f->w;
	size_t kept = 0;

	if (f->gen != w->gen) {
		flush_free(f);
		return;
	}
	if (worker_deaf(s, w, e))
		return;
	for (size_t i = 0; i < f->n; i++) {
		if (store_still_open(
			s->store, f->wid, f->closes[i].run, f->closes[i].at)) {
			f->list[kept++] = f->list[i];
		} else {
			sim_trace(s, "late result", f->closes[i].lane,
			    f->closes[i].line, w->id);
			settled(w, f->list[i].line);
		}
	}
	f->n = kept;
	flush_put_back(w, f);
	w->flushing = false;
	flush_soon(s, w, 0);
	flush_free(f);
}

static void
on_settled(struct sim *s, struct event *e)
{
	struct flush *f = e->obj;
	struct worker *w = f->w;

	if (f->gen != w->gen) {
		flush_free(f);
		return;
	}
	if (worker_deaf(s, w, e))
		return;
	if (f->told == TOLD_OTHERS) {
		sim_at(s, s->now + 2 * sim_db_us(s), on_open, f, 0);
		return;
	}
	if (f->told == TOLD_GOOD) {
		for (size_t i = 0; i < f->n; i++)
			settled(w, f->list[i].line);
	} else {
		flush_put_back(w, f);
	}
	w->flushing = false;
	flush_soon(s, w, f->told == TOLD_GOOD ? 0 : FLUSH_RETRY_US);
	flush_free(f);
}

static void
exec_settle(struct sim *s, struct event *e)
{
	struct flush *f = e->obj;
	bool good = false;

	f->told = TOLD_NOTHING;
	if (f->fate == FATE_GOOD || f->fate == FATE_UNKNOWN) {
		good = store_settle(
		    s, f->wid, f->closes, f->n, buf_cstr(&f->seen));
		if (good && f->until_us > 0)
			check_told(s, s->store->next_seen - 1, f->until_us);
	}
	if (f->fate == FATE_GOOD)
		f->told = good ? TOLD_GOOD : TOLD_OTHERS;
	sim_at(s, s->now + sim_db_us(s), on_settled, f, 0);
}

static void
on_flush(struct sim *s, struct event *e)
{
	struct worker *w = e->obj;
	struct flush *f;

	if (e->gen != w->gen || worker_deaf(s, w, e))
		return;
	w->flush_set = false;
	if (w->flushing || w->nresults == 0)
		return;
	f = xcalloc(1, sizeof(*f));
	f->w = w;
	f->gen = w->gen;
	f->wid = w->wid;
	f->fate = sim_fate(s);
	f->n = w->nresults < FLUSH_LINES ? w->nresults : FLUSH_LINES;
	f->list = xcalloc(f->n, sizeof(*f->list));
	memcpy(f->list, w->results, f->n * sizeof(*f->list));
	w->nresults -= f->n;
	memmove(
	    w->results, w->results + f->n, w->nresults * sizeof(*w->results));
	f->closes = xcalloc(f->n, sizeof(*f->closes));
	for (size_t i = 0; i < f->n; i++)
		f->closes[i] = f->list[i].close;
	write_seen(s, f);
	w->flushing = true;
	sim_at(s, s->now + sim_db_us(s), exec_settle, f, 0);
}
