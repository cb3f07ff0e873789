/*
 * A worker's runs: taken ahead, and made good when an answer was lost.
 */
#include <stdlib.h>

#include "worker_own.h"

enum { TAKE_IDLE_US = 100000 };

/* Lines that a seat is free for, and how many may be held: a few more, to
 * follow at once when calls end before the next take. */
static int32_t
room(const struct sim *s, const struct worker *w, int32_t *open)
{
	int32_t share = w->most;

	for (size_t i = 0; i < s->sc.nlimits; i++)
		if (s->sc.limits[i].dim == DIM_SEATS && w->targets[i] < share)
			share = w->targets[i];
	*open = share > w->held ? share - w->held : 0;
	if (share == 0)
		return 0;
	return share + 1 + (int32_t)(w->done_per_s * 0.15) - w->held;
}

/* Taking ----------------------------------------------------------------- */

struct take {
	struct worker *w;
	int64_t gen, wid, asked_us; /* boot time */
	int32_t room, open;
	enum fate fate;
	int64_t era;
	int n;
	struct wrun **runs;
};

static void
run_add(struct sim *s, struct take *t, const struct st_run *r)
{
	struct wrun *run =
	    xcalloc(1, sizeof(*run) + r->n * sizeof(run->lines[0]));
	const struct st_lane *lane = store_lane(s->store, r->lane);

	run->id = r->id;
	run->lane = r->lane;
	run->keep_us = r->keep_us;
	run->first_line = r->first_line;
	run->metered = r->metered;
	run->n = run->open = r->n;
	for (size_t i = 0; i < r->n; i++) {
		struct wline *line = xcalloc(1, sizeof(*line));

		run->lines[i] = line;
		line->run = run;
		line->refs = 1;
		line->at = i;
		line->line = r->first_line + r->lines[i].index - 1;
		line->bytes = lane->lines[line->line - 1].bytes;
		line->tries = r->lines[i].tries;
		line->sends = r->lines[i].sends;
		line->refused = r->lines[i].refused;
		line->est_input = r->lines[i].input;
		line->est_output = r->lines[i].output;
		line->slot_us = r->send_us + r->lines[i].slot_us;
		/* As a duration for now: from the database's now. */
		line->not_before_us = line->slot_us - s->now;
	}
	t->runs = xrealloc(t->runs, (size_t)(t->n + 1) * sizeof(run));
	t->runs[t->n++] = run;
}

static void
take_free(struct take *t)
{
	free(t->runs);
	free(t);
}

static void
on_taken(struct sim *s, struct event *e)
{
	struct take *t = e->obj;
	struct worker *w = t->w;
	int64_t got_us = worker_boot(s, w);
	bool mine = t->gen == w->gen;

	if (mine && worker_deaf(s, w, e))
		return;
	for (int i = 0; i < t->n; i++) {
		struct wrun *run = t->runs[i];

		if (!mine) {
			for (size_t k = 0; k < run->n; k++)
				wline_drop(run->lines[k]);
			free(run);
			continue;
		}
		run->next = w->runs;
		w->runs = run;
		w->held += (int32_t)run->n;
	}
	for (int i = 0; mine && i < t->n; i++)
		for (size_t k = 0; k < t->runs[i]->n; k++) {
			struct wline *line = t->runs[i]->lines[k];
			int64_t in_us = line->not_before_us;

			line->not_before_us = got_us + in_us;
			line->not_after_us =
			    t->asked_us + in_us + t->runs[i]->keep_us;
			if (w->stage != WS_LIVE) {
				worker_give_back(s, w, line);
				continue;
			}
			line->refs++;
			/* Timers of whole milliseconds, a loop that is busy. */
			sim_at(s,
			    line->not_before_us - w->offset_us +
				rng_range(&w->rng, 0, 1000) +
				(int64_t)rng_exp(&w->rng, 300),
			    worker_on_line, line, w->gen * WORKERS_MAX + w->id);
		}
	if (mine) {
		w->taking = false;
		if (t->fate == FATE_UNKNOWN || t->fate == FATE_LATE) {
			w->unsure = true;
			w->era++;
		}
		if (t->n > 0)
			w->take_at = 0;
		if (t->n < 0)
			worker_lost(s, w);
		else if (w->stage == WS_LIVE)
			worker_wake(s, w, w->take_at);
	}
	take_free(t);
}

static void
exec_take(struct sim *s, struct event *e)
{
	struct take *t = e->obj;
	struct st_run **runs;
	int n = 0;

	if (t->fate == FATE_LATE) {
		/* Its connection broke; it is done later, for nobody. */
		struct take *late = xcalloc(1, sizeof(*late));

		*late = *t;
		late->fate = FATE_UNKNOWN;
		late->gen = -1;
		sim_at(s, s->now + rng_range(&s->rng, 0, 2 * SEC), exec_take,
		    late, 0);
		sim_at(s, s->now + sim_db_us(s), on_taken, t, 0);
		return;
	}
	sim_at(s, s->now + sim_db_us(s), on_taken, t, 0);
	if (t->fate == FATE_LOST)
		return;
	n = store_take(s, t->wid, t->era, t->room, t->open, &runs);
	if (t->fate == FATE_GOOD)
		for (int i = 0; i < n; i++)
			run_add(s, t, runs[i]);
	if (n < 0 && t->fate == FATE_GOOD)
		t->n = -1;
	free(runs);
}

struct keep {
	struct worker *w;
	int64_t gen, wid, era;
	size_t n;
	int64_t *runs;
	bool heard, good;
};

static void
on_kept(struct sim *s, struct event *e)
{
	struct keep *k = e->obj;
	struct worker *w = k->w;

	if (k->gen == w->gen && worker_deaf(s, w, e))
		return;
	if (k->gen == w->gen) {
		w->taking = false;
		if (k->heard && k->good)
			w->unsure = false;
		if (k->heard && !k->good)
			worker_lost(s, w);
		else
			worker_wake(s, w, s->now);
	}
	free(k->runs);
	free(k);
}

static void
exec_keep(struct sim *s, struct event *e)
{
	struct keep *k = e->obj;
	enum fate fate = sim_fate(s);

	if (fate == FATE_GOOD || fate == FATE_UNKNOWN)
		k->good = store_keep(s, k->wid, k->era, k->runs, k->n);
	k->heard = fate == FATE_GOOD;
	sim_at(s, s->now + sim_db_us(s), on_kept, k, 0);
}

/* Nobody would send what it does not know of: it says what it does. */
void
worker_keep(struct sim *s, struct worker *w)
{
	struct keep *k = xcalloc(1, sizeof(*k));

	k->w = w;
	k->gen = w->gen;
	k->wid = w->wid;
	k->era = w->era;
	for (const struct wrun *run = w->runs; run != NULL; run = run->next) {
		k->runs = xrealloc(k->runs, (k->n + 1) * sizeof(*k->runs));
		k->runs[k->n++] = run->id;
	}
	w->taking = true;
	sim_at(s, s->now + sim_db_us(s), exec_keep, k, 0);
}

static void
learn(struct sim *s, struct worker *w)
{
	double seconds = (double)(s->now - w->learned_us) / 1e6;

	if (seconds < 0.25)
		return;
	w->done_per_s = (w->done_per_s + (double)w->done / seconds) / 2;
	w->done = 0;
	w->learned_us = s->now;
}

void
worker_on_tick(struct sim *s, struct event *e)
{
	struct worker *w = e->obj;
	struct take *t;
	int64_t next;
	int32_t lines, open;

	if (e->gen != w->wake || worker_deaf(s, w, e) || w->stage != WS_LIVE)
		return;
	learn(s, w);
	if (w->taking)
		return;
	if (w->unsure) {
		worker_keep(s, w);
		return;
	}
	if (s->now < w->take_at) {
		worker_wake(s, w, w->take_at);
		return;
	}
	next = store_next_run_us(s->store) - WORKER_AHEAD_US;
	w->take_at = s->now + TAKE_IDLE_US;
	lines = room(s, w, &open);
	if (next > s->now || lines <= 0) {
		/* A take would find nothing, or there is no room. */
		if (next != NEVER - WORKER_AHEAD_US && lines > 0)
			worker_wake(
			    s, w, next > w->take_at ? next : w->take_at);
		w->asleep = true;
		return;
	}
	t = xcalloc(1, sizeof(*t));
	t->w = w;
	t->gen = w->gen;
	t->wid = w->wid;
	t->room = lines;
	t->open = open;
	t->era = w->era;
	t->asked_us = worker_boot(s, w);
	t->fate = sim_fate(s);
	w->taking = true;
	sim_at(s, s->now + sim_db_us(s), exec_take, t, 0);
}
