#include "worker_own.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../worker/outcome.h"
#include "check.h"

/* As in worker/drain.c. */
enum {
	TICK_US = 25000,
	LEASE_US = 15000000,
	LEASE_MARGIN_US = 1000000,
	BEAT_US = 500000,
	TAKE_IDLE_US = 100000,
	START_AGAIN_US = 1000000,
	HOLD_US = 1500000, /* after a refusal */
	REFUSED_PARK = 5,
	PARK_US = 900000000,
};

static event_fn on_tick, on_line, on_beat_due;
static void pump(struct sim *s, struct worker *w);

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
	ticks = (at - w->phase_us + TICK_US - 1) / TICK_US;
	sim_at(s, w->phase_us + ticks * TICK_US, on_tick, w, ++w->wake);
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

/* Lines ---------------------------------------------------------------------
 */

void
wline_drop(struct wline *line)
{
	if (--line->refs == 0)
		free(line);
}

void
worker_settled(struct worker *w, struct wline *line)
{
	struct wrun *run = line->run, **at = &w->runs;

	wline_drop(line);
	if (--run->open > 0)
		return;
	while (*at != run)
		at = &(*at)->next;
	*at = run->next;
	free(run);
}

static void
give_back(struct sim *s, struct worker *w, struct wline *line)
{
	struct wresult r = { .line = line,
		.close = { .kind = ST_AGAIN,
		    .tries = line->tries,
		    .sends = line->sends,
		    .refused = line->refused } };

	s->stats.lapsed++;
	sim_trace(s, "given back", line->run->lane, line->line, w->id);
	worker_finish(s, w, &r);
}

/* Seats ----------------------------------------------------------------------
 */

static bool
sit(struct sim *s, struct worker *w)
{
	for (size_t i = 0; i < s->sc.nlimits; i++)
		if (s->sc.limits[i].dim == DIM_SEATS &&
		    w->used[i] >= w->targets[i])
			return false;
	for (size_t i = 0; i < s->sc.nlimits; i++)
		w->used[i]++;
	return true;
}

static void
rise(struct sim *s, struct worker *w)
{
	for (size_t i = 0; i < s->sc.nlimits; i++)
		w->used[i]--;
	w->in_flight--;
}

static int32_t
room(const struct sim *s, const struct worker *w)
{
	int32_t share = w->most;

	for (size_t i = 0; i < s->sc.nlimits; i++)
		if (s->sc.limits[i].dim == DIM_SEATS && w->targets[i] < share)
			share = w->targets[i];
	if (share == 0)
		return 0;
	return share + 1 + (int32_t)(w->done_per_s * 0.15) - w->held;
}

/* Sending ---------------------------------------------------------------------
 */

static bool
may_leave(const struct sim *s, const struct worker *w, const struct wline *line)
{
	int64_t now = worker_boot(s, w);

	return now <= line->not_after_us && now < w->lease_us;
}

static void
call_over(struct sim *s, struct up_call *call)
{
	wline_drop(call->wline);
	free(call);
	(void)s;
}

/* Until the dispatcher has had time to hear. */
static void
hold(const struct sim *s, struct worker *w, int64_t wait_us)
{
	int64_t until_us;

	if (wait_us <= 0 || wait_us > HOLD_US)
		wait_us = HOLD_US;
	until_us = worker_boot(s, w) + wait_us;
	if (w->held_us < until_us)
		w->held_us = until_us;
}

/* The end of a call, whatever it is. */
static void
take_answer(
    struct sim *s, struct worker *w, struct up_call *call, enum outcome_end end)
{
	struct wline *line = call->wline;
	struct wresult r = { .line = line,
		.close = { .kind = ST_AGAIN,
		    .tries = line->tries,
		    .sends = line->sends,
		    .refused = line->refused } };
	struct outcome_in in = {
		.end = end,
		.status = call->status,
		.said = &r.said,
		.good_body = call->status == 200,
		.tries = line->tries,
		.attempts = s->sc.attempts,
		.chance = rng_unit(&w->rng),
	};
	struct outcome out;
	bool sent = end == OUTCOME_ANSWER || end == OUTCOME_BROKEN;

	if (end == OUTCOME_ANSWER)
		dialect_read(NULL, call->status, slice_str(call->headers),
		    slice_str(call->body), (s->now + w->offset_us) / SEC,
		    &r.said);
	if (end == OUTCOME_BROKEN ||
	    (end == OUTCOME_ANSWER && call->status >= 500))
		in.bulk = health_failed(&w->health,
		    (uint64_t)line->run->lane << 32 ^ (uint64_t)line->line);
	else if (end == OUTCOME_ANSWER)
		health_ok(&w->health);
	outcome_of(&in, &out);
	if (end == OUTCOME_ANSWER) {
		r.left_us = call->answered_us;
		snprintf(r.wait_from, sizeof(r.wait_from), "%s",
		    r.said.wait_from == NULL ? "" : r.said.wait_from);
		r.wait_us = call->wait_us;
		r.answered_us =
		    worker_boot(s, w) - line->not_before_us + line->slot_us;
	}
	if (sent) {
		r.close.sends++;
		/* The product reckons from the earliest it can have been. */
		r.sent_us = line->slot_us + call->sent_us + w->offset_us -
		    (line->not_after_us - line->run->keep_us);
		r.ms = (s->now - call->sent_us) / MS;
	}
	r.in_flight = w->in_flight + 1;
	r.connect_us = line->connect_us;
	switch (out.kind) {
	case OUTCOME_DONE:
		r.close.kind = ST_OUTPUT;
		r.close.refused = 0;
		r.answered = r.ok = true;
		r.input = call->input;
		r.output = call->output;
		break;
	case OUTCOME_FAILED:
		r.close.kind = ST_ERROR;
		r.close.counted = true;
		r.ok = end == OUTCOME_ANSWER && call->status < 500;
		break;
	case OUTCOME_AGAIN:
		r.close.wait_us = out.wait_ms * MS;
		r.close.refused = 0;
		r.close.tries++;
		break;
	case OUTCOME_REFUSED:
		r.throttled = r.ok = true;
		r.close.wait_us = out.pause_ms * MS;
		if (++r.close.refused >= REFUSED_PARK) {
			r.close.refused = 0;
			if (r.close.wait_us < PARK_US)
				r.close.wait_us = PARK_US;
		}
		hold(s, w, out.pause_ms * MS);
		break;
	case OUTCOME_DOWN:
		r.down = true;
		break;
	case OUTCOME_UNSENT:
		s->stats.lapsed++;
		sim_trace(s, "too late", line->run->lane, line->line, w->id);
		break;
	}
	worker_finish(s, w, &r);
	call_over(s, call);
	pump(s, w);
}

static void
on_connected(struct sim *s, struct event *e)
{
	struct up_call *call = e->obj;
	struct worker *w = call->worker;
	struct wline *line = call->wline;

	if (e->gen != w->gen) {
		call_over(s, call);
		return;
	}
	if (worker_deaf(s, w, e))
		return;
	if (!upstream_reached(s)) {
		rise(s, w);
		take_answer(s, w, call, OUTCOME_UNREACHED);
	} else if (!may_leave(s, w, line)) {
		rise(s, w);
		take_answer(s, w, call, OUTCOME_NOT_SENT);
	} else {
		call->sent_us = s->now;
		check_sent(s, call, line->slot_us, line->run->keep_us);
		upstream_send(s, call);
	}
}

void
worker_answer(struct sim *s, struct up_call *call)
{
	struct worker *w = call->worker;

	if (call->worker_gen != w->gen) {
		call_over(s, call);
		return;
	}
	rise(s, w);
	take_answer(s, w, call,
	    call->end == UP_ANSWER ? OUTCOME_ANSWER : OUTCOME_BROKEN);
}

bool
worker_defers(struct sim *s, const struct up_call *call, const struct event *e)
{
	return call->worker_gen == call->worker->gen &&
	    worker_deaf(s, call->worker, e);
}

static void
start_call(struct sim *s, struct worker *w, struct wline *line)
{
	struct up_call *call = xcalloc(1, sizeof(*call));
	bool anew = rng_chance(&w->rng, 0.003);
	int64_t took_us = anew
	    ? s->sc.net_us + rng_range(&s->rng, 0, s->sc.jitter_us / 2) + 2 * MS
	    : rng_range(&w->rng, 200, 1000);

	line->state = W_SENDING;
	line->connect_us = anew ? took_us : 0;
	line->refs++;
	w->in_flight++;
	call->worker = w;
	call->worker_gen = w->gen;
	call->wline = line;
	call->lane = line->run->lane;
	call->line = line->line;
	sim_at(s, s->now + took_us, on_connected, call, w->gen);
}

static void
on_pump(struct sim *s, struct event *e)
{
	struct worker *w = e->obj;

	if (e->gen == w->gen && !worker_deaf(s, w, e))
		pump(s, w);
}

/* What is ready leaves if there is a seat, or goes back if it is late. */
static void
pump(struct sim *s, struct worker *w)
{
	struct wline **at = &w->ready, *line;
	int64_t now = worker_boot(s, w);

	while ((line = *at) != NULL) {
		bool late = now > line->not_after_us, held = now < w->held_us;

		if (!late && !held && w->in_flight >= w->most)
			break;
		if (!late && !held && (now >= w->lease_us || !sit(s, w))) {
			at = &line->next;
			continue;
		}
		*at = line->next;
		if (*at == NULL)
			w->ready_last = at;
		if (late || held)
			give_back(s, w, line);
		else
			start_call(s, w, line);
	}
}

static void
on_line(struct sim *s, struct event *e)
{
	struct wline *line = e->obj;
	struct worker *w = s->workers[e->gen % WORKERS_MAX];

	if (worker_deaf(s, w, e))
		return;
	if (e->gen / WORKERS_MAX == w->gen && line->state == W_WAITING) {
		line->state = W_READY;
		line->next = NULL;
		*w->ready_last = line;
		w->ready_last = &line->next;
		pump(s, w);
		if (line->state == W_READY)
			sim_at(s, line->not_after_us - w->offset_us + TICK_US,
			    on_pump, w, w->gen);
	}
	wline_drop(line);
}

/* Taking ----------------------------------------------------------------------
 */

struct take {
	struct worker *w;
	int64_t gen, wid, asked_us; /* boot time */
	int32_t room;
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
				give_back(s, w, line);
				continue;
			}
			line->refs++;
			/* Timers of whole milliseconds, a loop that is busy. */
			sim_at(s,
			    line->not_before_us - w->offset_us +
				rng_range(&w->rng, 0, 1000) +
				(int64_t)rng_exp(&w->rng, 300),
			    on_line, line, w->gen * WORKERS_MAX + w->id);
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
	n = store_take(s, t->wid, t->era, t->room, &runs);
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
static void
keep(struct sim *s, struct worker *w)
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

static void
on_tick(struct sim *s, struct event *e)
{
	struct worker *w = e->obj;
	struct take *t;
	int64_t next;

	if (e->gen != w->wake || worker_deaf(s, w, e) || w->stage != WS_LIVE)
		return;
	learn(s, w);
	if (w->taking)
		return;
	if (w->unsure) {
		keep(s, w);
		return;
	}
	if (s->now < w->take_at) {
		worker_wake(s, w, w->take_at);
		return;
	}
	next = store_next_run_us(s->store) - WORKER_AHEAD_US;
	w->take_at = s->now + TAKE_IDLE_US;
	if (next > s->now || room(s, w) <= 0) {
		/* A take would find nothing, or there is no room. */
		if (next != NEVER - WORKER_AHEAD_US && room(s, w) > 0)
			worker_wake(
			    s, w, next > w->take_at ? next : w->take_at);
		w->asleep = true;
		return;
	}
	t = xcalloc(1, sizeof(*t));
	t->w = w;
	t->gen = w->gen;
	t->wid = w->wid;
	t->room = room(s, w);
	t->era = w->era;
	t->asked_us = worker_boot(s, w);
	t->fate = sim_fate(s);
	w->taking = true;
	sim_at(s, s->now + sim_db_us(s), exec_take, t, 0);
}

/* Beats -----------------------------------------------------------------------
 */

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
			pump(s, w);
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

/* Life
 * -------------------------------------------------------------------------- */

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
		keep(s, w);
	if (w->unsure || !worker_quiet(w) || w->in_flight > 0) {
		sim_at(s, s->now + TICK_US, on_leaving, w, w->gen);
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
				give_back(s, w, line);
		}
	}
	w->ready = NULL;
	w->ready_last = &w->ready;
	beat_soon(s, w);
	sim_at(s, s->now + TICK_US, on_leaving, w, w->gen);
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
