#include "worker_own.h"

#include <stdlib.h>

#include "check.h"

/* As in worker/drain.c. */
enum {
	LEASE_US = 15000000,
	LEASE_MARGIN_US = 1000000,
	BEAT_US = 500000,
	START_AGAIN_US = 1000000,
};

static event_fn on_beat_due;

int
worker_id(const struct worker *w)
{
	return w->id;
}

int64_t
worker_boot(const struct sim *s, const struct worker *w)
{
	return s->now + w->offset_us;
}

bool
worker_deaf(struct sim *s, const struct worker *w, const struct event *e)
{
	if (w->paused_us <= s->now)
		return false;
	sim_defer(s, e, w->paused_us);
	return true;
}

void
worker_wake(struct sim *s, struct worker *w, int64_t at)
{
	int64_t ticks;

	if (at <= s->now)
		at = s->now + 1;
	ticks = (at - w->phase_us + WORKER_TICK_US - 1) / WORKER_TICK_US;
	sim_at(s, w->phase_us + ticks * WORKER_TICK_US, worker_on_tick, w,
	    ++w->wake);
	w->asleep = false;
}

static void
beat_soon(struct sim *s, struct worker *w)
{
	if (w->beating || w->stage < WS_LIVE)
		return;
	w->beating = true;
	sim_at(
	    s, s->now + rng_range(&w->rng, 0, BEAT_US), on_beat_due, w, w->gen);
}

void
worker_news(struct sim *s)
{
	for (size_t i = 0; i < s->sc.nworkers; i++) {
		struct worker *w = s->workers[i];

		if (w == NULL || w->stage != WS_LIVE)
			continue;
		if (w->asleep)
			worker_wake(s, w, w->take_at);
		if (store_beat_wanted(s, w->wid, w->targets))
			beat_soon(s, w);
	}
}

/* Beats ------------------------------------------------------------------ */

struct beat {
	struct worker *w;
	int64_t gen, wid;
	bool good, heard, stopping;
	int32_t held[LIMITS_MAX], targets[LIMITS_MAX];
};

static void
on_beat(struct sim *s, struct event *e)
{
	struct beat *b = e->obj;
	struct worker *w = b->w;

	if (b->gen == w->gen && worker_deaf(s, w, e))
		return;
	if (b->gen == w->gen) {
		w->beating = false;
		if (b->heard && !b->good) {
			worker_lost(s, w);
		} else if (b->heard) {
			/* From now on each beat renews it, told or not. */
			w->lease_us = NEVER;
			store_worker_lives(s, w->wid);
			for (size_t i = 0; i < LIMITS_MAX; i++)
				w->targets[i] = b->targets[i];
			worker_pump(s, w);
			if (w->asleep)
				worker_wake(s, w, w->take_at);
		}
		if (w->stage >= WS_LIVE &&
		    (!b->heard || store_beat_wanted(s, w->wid, w->targets)))
			beat_soon(s, w);
	}
	free(b);
}

static void
exec_beat(struct sim *s, struct event *e)
{
	struct beat *b = e->obj;
	enum fate fate = sim_fate(s);

	if (fate == FATE_GOOD || fate == FATE_UNKNOWN)
		b->good =
		    store_beat(s, b->wid, b->stopping, b->held, b->targets);
	b->heard = fate == FATE_GOOD;
	sim_at(s, s->now + sim_db_us(s), on_beat, b, 0);
}

static void
on_beat_due(struct sim *s, struct event *e)
{
	struct worker *w = e->obj;
	struct beat *b;

	if (e->gen != w->gen || worker_deaf(s, w, e) || w->stage < WS_LIVE)
		return;
	b = xcalloc(1, sizeof(*b));
	b->w = w;
	b->gen = w->gen;
	b->wid = w->wid;
	b->stopping = w->stage == WS_STOPPING;
	for (size_t i = 0; i < LIMITS_MAX; i++)
		b->held[i] =
		    w->used[i] > w->targets[i] ? w->used[i] : w->targets[i];
	w->beating = true;
	sim_at(s, s->now + sim_db_us(s), exec_beat, b, 0);
}

/* Life ------------------------------------------------------------------- */

static void
on_started(struct sim *s, struct event *e)
{
	struct worker *w = e->obj;

	if (e->gen != w->gen || worker_deaf(s, w, e))
		return;
	w->wid = store_worker_start(s, w, w->most);
	w->stage = WS_LIVE;
	w->era = 0;
	w->unsure = false;
	w->lease_us = NEVER;
	w->phase_us = s->now;
	w->learned_us = s->now;
	sim_trace(s, "worker", w->id, w->wid, 0);
	worker_wake(s, w, s->now);
	beat_soon(s, w);
}

/* Forget everything; what is under way finds another gen. */
static void
forget(struct worker *w)
{
	struct wrun *run;

	w->gen++;
	w->wake++;
	while ((run = w->runs) != NULL) {
		w->runs = run->next;
		/* Those with a committed outcome were dropped before. */
		for (size_t i = 0; i < run->n; i++)
			if (run->lines[i] != NULL)
				wline_drop(run->lines[i]);
		free(run);
	}
	w->ready = NULL;
	w->ready_last = &w->ready;
	w->nresults = 0;
	w->flushing = w->flush_set = w->taking = w->asleep = w->beating = false;
	w->in_flight = w->held = 0;
	w->done = 0;
	w->done_per_s = 0;
	w->unsure = false;
	w->held_us = 0;
	w->health = (struct health){ 0 };
	for (size_t i = 0; i < LIMITS_MAX; i++)
		w->targets[i] = w->used[i] = 0;
}

/* The lease is another's: what is out is, too. */
void
worker_lost(struct sim *s, struct worker *w)
{
	sim_trace(s, "lease lost", w->id, w->wid, 0);
	/* A beat may have renewed what a take was refused for. */
	store_worker_dies(
	    s, w->wid, s->now + LEASE_US - rng_range(&s->rng, 0, BEAT_US));
	forget(w);
	w->stage = WS_STARTING;
	sim_at(s, s->now + START_AGAIN_US, on_started, w, w->gen);
}

void
worker_kill(struct sim *s, struct worker *w, int64_t for_us)
{
	if (w->stage == WS_DEAD || w->paused_us > s->now)
		return;
	sim_trace(s, "worker killed", w->id, w->wid, for_us);
	store_worker_dies(
	    s, w->wid, s->now + LEASE_US - rng_range(&s->rng, 0, BEAT_US));
	forget(w);
	w->stage = WS_STARTING;
	sim_at(s, s->now + for_us, on_started, w, w->gen);
}

static void
on_resumed(struct sim *s, struct event *e)
{
	struct worker *w = e->obj;

	if (e->gen == w->gen && w->stage >= WS_LIVE) {
		w->beating = true;
		on_beat_due(s, e);
	}
}

void
worker_pause(struct sim *s, struct worker *w, int64_t for_us)
{
	int64_t beaten_us = s->now - rng_range(&s->rng, 0, BEAT_US);

	if (w->stage != WS_LIVE || w->paused_us > s->now)
		return;
	sim_trace(s, "worker stopped", w->id, w->wid, for_us);
	store_worker_dies(s, w->wid, beaten_us + LEASE_US);
	w->lease_us = beaten_us + LEASE_US - LEASE_MARGIN_US + w->offset_us;
	w->paused_us = s->now + for_us;
	sim_at(s, w->paused_us, on_resumed, w, w->gen);
}

static void
on_leaving(struct sim *s, struct event *e)
{
	struct worker *w = e->obj;

	if (e->gen != w->gen || worker_deaf(s, w, e))
		return;
	if (w->unsure && !w->taking)
		worker_keep(s, w);
	if (w->unsure || !worker_quiet(w) || w->in_flight > 0) {
		sim_at(s, s->now + WORKER_TICK_US, on_leaving, w, w->gen);
		return;
	}
	store_worker_stop(s, w->wid);
	sim_trace(s, "worker left", w->id, w->wid, 0);
	forget(w);
	w->stage = WS_STARTING;
	sim_at(
	    s, s->now + rng_range(&s->rng, 0, 20 * SEC), on_started, w, w->gen);
}

void
worker_stop(struct sim *s, struct worker *w)
{
	if (w->stage != WS_LIVE || w->paused_us > s->now)
		return;
	sim_trace(s, "worker leaves", w->id, w->wid, 0);
	w->stage = WS_STOPPING;
	for (struct wrun *run = w->runs, *next; run != NULL; run = next) {
		next = run->next;
		for (size_t i = 0; i < run->n; i++) {
			struct wline *line = run->lines[i];

			if (line != NULL &&
			    (line->state == W_WAITING ||
				line->state == W_READY))
				worker_give_back(s, w, line);
		}
	}
	w->ready = NULL;
	w->ready_last = &w->ready;
	beat_soon(s, w);
	sim_at(s, s->now + WORKER_TICK_US, on_leaving, w, w->gen);
}

struct worker *
worker_new(struct sim *s, int id)
{
	struct worker *w = xcalloc(1, sizeof(*w));

	w->id = id;
	w->rng = rng_new(s->seed, 100 + (uint64_t)id);
	w->most = s->sc.worker_most;
	w->offset_us = rng_range(&w->rng, -30 * SEC, 30 * SEC);
	w->stage = WS_STARTING;
	w->ready_last = &w->ready;
	sim_at(s, s->now + rng_range(&w->rng, 0, SEC), on_started, w, 0);
	return w;
}

void
worker_free(struct worker *w)
{
	forget(w);
	free(w->results);
	free(w);
}
