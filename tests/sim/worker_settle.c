/*
 * Outcomes on their way into the store, as worker/flush.c and flush_doc.c do.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "seen.h"

enum {
	FLUSH_AFTER_US = 4000,
	FLUSH_RETRY_US = 250000,
	FLUSH_LINES = 2000,
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

/* The transaction -------------------------------------------------------- */

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
	seen_write(f->list, f->n, &f->seen);
	f->until_us = seen_until_us(f->list, f->n);
	w->flushing = true;
	sim_at(s, s->now + sim_db_us(s), exec_settle, f, 0);
}
