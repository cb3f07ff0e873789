#include "dispatch_offer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLOW_PAUSE_US = 1000000, FLOW_PAUSE_MAX_US = 30000000 };
/* Whatever an upstream says; a call then finds out. */
#define FLOW_WAIT_MAX_US INT64_C(3600000000)
#define FLOW_DAY_MAX_US  INT64_C(86400000000)
/* What answers say of limits that nobody has declared is heeded for so long. */
#define FLOW_TOLD_MAX_US INT64_C(60000000)
enum { SECONDARY_PAUSE_US = 60000000, SPREAD_US = 600000000 };

/* Times ---------------------------------------------------------------------
 */

static void
spread_add(struct dispatch_spread *s, int64_t now_us, int64_t n, int64_t min_us,
    int64_t max_us)
{
	if (n <= 0)
		return;
	if (now_us - s->since_us > SPREAD_US) {
		s->old_n = s->n;
		s->old_min_us = s->min_us;
		s->old_max_us = s->max_us;
		s->n = 0;
		s->since_us = now_us;
	}
	if (s->n == 0 || min_us < s->min_us)
		s->min_us = min_us;
	if (s->n == 0 || max_us > s->max_us)
		s->max_us = max_us;
	s->n += n;
}

/* Settling --------------------------------------------------------------- */

static void
pending_drop(struct dispatch_flow *f, int64_t slot_us)
{
	for (size_t i = 0; i < f->npending; i++) {
		if (f->pending[i].slot_us != slot_us)
			continue;
		f->npending--;
		memmove(f->pending + i, f->pending + i + 1,
		    (f->npending - i) * sizeof(*f->pending));
		return;
	}
}

void
dispatch_settle(struct dispatch *d, int32_t path, const char *model,
    const struct dispatch_entry *e)
{
	struct dispatch_flow *f = dispatch_flow(d, path, model);
	int64_t output;

	if (f == NULL)
		return;
	pending_drop(f, e->slot_us);
	dispatch_order_settle(d, f, e);
	if (e->sent_us == 0) {
		/* Its slot stays charged; and it was too short for somebody. */
		if (e->keep_us <= PACE_LATE_US)
			spread_add(
			    &f->path->late, e->slot_us, 1, 0, e->keep_us);
		return;
	}
	if (e->ms > 0)
		estimate_learn_age(&f->estimate, e->ms,
		    e->lines > 1 ? e->output / e->lines : e->output);
	/* What was declared stays charged, whatever came of it. */
	output =
	    f->path->charge == PACE_CHARGE_DECLARED ? e->est_output : e->output;
	for (size_t i = 0; i < f->nrates; i++) {
		struct pace *p = &f->rates[i]->pace;
		enum pace_charge charge = f->path->charge;

		pace_settle(p,
		    pace_cost(p, charge, e->est_input, e->est_output),
		    e->slot_us, e->keep_us,
		    pace_cost(p, charge, e->input, output), e->sent_us);
		if (e->ms > 0)
			pace_served(p, e->sent_us + e->ms * 1000, e->sent_us);
	}
}

/* Readings ------------------------------------------------------------------
 */

static bool
dim_matches(enum pace_dimension paced, enum dialect_dim said)
{
	switch (said) {
	case DIALECT_REQUESTS:
		return paced == PACE_REQUESTS;
	case DIALECT_TOKENS:
		return paced == PACE_TOKENS;
	case DIALECT_INPUT_TOKENS:
		return paced == PACE_INPUT_TOKENS;
	case DIALECT_OUTPUT_TOKENS:
		return paced == PACE_OUTPUT_TOKENS;
	case DIALECT_UNKNOWN:
	case DIALECT_CONCURRENT:
		break;
	}
	return false;
}

/*
 * The limit that a reading speaks of: of its dimension and window, or, where no
 * window is said, of its amount.  A limit that moves need not be of the amount.
 * NULL: one that is not configured; its word is shown, and obeyed in nothing.
 */
static struct dispatch_rate *
reading_rate(const struct dispatch_flow *f, const struct dialect_reading *said)
{
	for (size_t i = 0; i < f->nrates; i++) {
		struct dispatch_rate *r = f->rates[i];

		if (!dim_matches(r->pace.dimension, said->dim) ||
		    (said->window_s > 0 &&
			said->window_s * INT64_C(1000000) != r->pace.window_us))
			continue;
		if (said->limit == r->configured ||
		    (said->dynamic && said->window_s > 0))
			return r;
	}
	return NULL;
}

static void
keep_reading(struct dispatch_path *path, const struct dispatch_reading *r)
{
	size_t i = 0;

	if (path->readings == NULL)
		path->readings =
		    xcalloc(DISPATCH_READINGS, sizeof(*path->readings));
	while (i < path->nreadings &&
	    (path->readings[i].said.dim != r->said.dim ||
		path->readings[i].said.window_s != r->said.window_s ||
		strcmp(path->readings[i].said.from, r->said.from) != 0))
		i++;
	if (i == DISPATCH_READINGS)
		return;
	if (i == path->nreadings)
		path->nreadings++;
	path->readings[i] = *r;
}

/* A limit that moves: of what is told, the part that batches may use. */
static void
told(struct dispatch_rate *r, int64_t limit)
{
	int64_t units = (int64_t)((double)limit * (double)r->pace.amount /
	    (double)r->configured);

	if (units < 1)
		units = 1;
	r->changed |= r->pace.adaptive.told != units;
	r->pace.adaptive.told = units;
}

/*
 * A limit of requests where none is declared: the calls that are out now left
 * after the one that was answered, so they use up what it said remained.
 */
static void
heed_undeclared(
    struct dispatch_flow *f, int64_t now_us, const struct dispatch_reading *r)
{
	int64_t until_us = r->sent_us + r->said.reset_ms * 1000;

	if (r->said.dim != DIALECT_REQUESTS && r->said.dim != DIALECT_UNKNOWN)
		return;
	for (size_t i = 0; i < f->nrates; i++)
		if (f->rates[i]->pace.dimension == PACE_REQUESTS)
			return;
	if (r->said.remaining < 0 || r->said.reset_ms <= 0)
		return;
	if (r->said.remaining > f->out) {
		f->told_stop = false;
		return;
	}
	/* After that time it is the same: it is no count. */
	if (f->told_stop && r->said.remaining == f->told_left &&
	    now_us >= f->paused_us)
		return;
	f->told_stop = true;
	f->told_left = r->said.remaining;
	if (until_us > now_us + FLOW_TOLD_MAX_US)
		until_us = now_us + FLOW_TOLD_MAX_US;
	if (f->paused_us < until_us)
		f->paused_us = until_us;
}

static void
seen_reading(
    struct dispatch_flow *f, int64_t now_us, const struct dispatch_reading *r)
{
	struct dispatch_rate *rate = reading_rate(f, &r->said);

	keep_reading(f->path, r);
	if (rate == NULL)
		heed_undeclared(f, now_us, r);
	if (rate == NULL || r->said.limit <= 0)
		return;
	if (r->said.dynamic) {
		told(rate, r->said.limit);
	} else if (rate->pace.adaptive.told > 0) {
		rate->pace.adaptive.told = 0; /* it does not move after all */
		rate->changed = true;
	}
	if (r->said.remaining >= 0 && r->said.remaining <= r->said.limit)
		foreign_seen(&rate->foreign, &rate->pace, &r->said, r->sent_us,
		    r->answered_us);
}

/* Refusals ------------------------------------------------------------------
 */

static bool
is_tokens(enum dialect_dim dim)
{
	return dim == DIALECT_TOKENS || dim == DIALECT_INPUT_TOKENS ||
	    dim == DIALECT_OUTPUT_TOKENS;
}

/* A cheap path is refused by limits of its own: what it shares with the direct
 * one is not to blame. */
static bool
may_be_blamed(const struct dispatch_flow *f, const struct dispatch_rate *r)
{
	return f->path->kind == DISPATCH_DIRECT || r->scope.path != 0;
}

/* The limits' window that fits a refusal better: what it says, else the
 * shortest; for a day's the shortest of a day at least. */
static bool
fits_better(const struct dispatch_refusal *seen, const struct dispatch_rate *r,
    const struct dispatch_rate *best)
{
	int64_t window_us = seen->window_s * INT64_C(1000000);

	if (seen->kind == DIALECT_DAY &&
	    r->pace.window_us < INT64_C(86400000000))
		return false;
	if (best == NULL)
		return true;
	if (window_us > 0 &&
	    (best->pace.window_us == window_us) !=
		(r->pace.window_us == window_us))
		return r->pace.window_us == window_us;
	return r->pace.window_us < best->pace.window_us;
}

/* Which limit does a refusal speak of?  What is at 0 in the same answers, else
 * what it names. */
static struct dispatch_rate *
refused_rate(const struct dispatch_flow *f, const struct dispatch_seen *all,
    const struct dispatch_refusal *seen)
{
	struct dispatch_rate *best = NULL;
	bool tokens = is_tokens(seen->dim);

	if (seen->dim == DIALECT_UNKNOWN)
		for (size_t i = 0; i < all->nreadings; i++) {
			const struct dialect_reading *said =
			    &all->readings[i].said;

			best =
			    said->remaining == 0 ? reading_rate(f, said) : NULL;
			if (best != NULL && may_be_blamed(f, best))
				return best;
			best = NULL;
		}
	for (size_t i = 0; i < f->nrates; i++) {
		struct dispatch_rate *r = f->rates[i];

		if ((r->pace.dimension != PACE_REQUESTS) == tokens &&
		    may_be_blamed(f, r) && fits_better(seen, r, best))
			best = r;
	}
	if (best == NULL && seen->dim == DIALECT_UNKNOWN)
		for (size_t i = 0; i < f->nrates; i++)
			if (may_be_blamed(f, f->rates[i]) &&
			    fits_better(seen, f->rates[i], best))
				best = f->rates[i];
	return best;
}

static void
pause_flow(
    struct dispatch_flow *f, int64_t now_us, int64_t wait_us, int64_t most_us)
{
	if (wait_us > most_us)
		wait_us = most_us;
	if (wait_us <= 0) {
		wait_us = (int64_t)FLOW_PAUSE_US
		    << (f->refusals < 5 ? f->refusals : 5);
		if (wait_us > FLOW_PAUSE_MAX_US)
			wait_us = FLOW_PAUSE_MAX_US;
	}
	if (f->refused_us <= now_us)
		f->refusals++;
	if (f->refused_us < now_us + wait_us)
		f->refused_us = now_us + wait_us;
	if (f->paused_us < f->refused_us)
		f->paused_us = f->refused_us;
}

static bool
says_empty(const struct dispatch_seen *all)
{
	for (size_t i = 0; i < all->nreadings; i++)
		if (all->readings[i].said.remaining == 0 &&
		    all->readings[i].said.reset_ms > 0)
			return true;
	return false;
}

/* No limit of ours explains it.  Where nobody says what was too much, it may
 * be the calls at once, if they are this flow's. */
static void
pause_unexplained(struct dispatch_flow *f, int64_t now_us,
    const struct dispatch_seen *all, const struct dispatch_refusal *seen)
{
	if (f->undeclared && f->refusals == 0 && seen->kind == DIALECT_RATE &&
	    !says_empty(all) && 2 * f->out >= dispatch_path_open(f->path))
		aimd_unexplained(&f->path->aimd, now_us, seen->sent_us);
	pause_flow(f, now_us, seen->wait_us,
	    seen->kind == DIALECT_DAY ? FLOW_DAY_MAX_US : FLOW_WAIT_MAX_US);
	f->probing = true;
}

static void
pause_rate(struct dispatch_flow *f, struct dispatch_rate *r, int64_t now_us,
    const struct dispatch_refusal *seen)
{
	struct pace *p = &r->pace;
	enum pace_blame blame = PACE_BLAME_OTHERS;

	foreign_refused(&r->foreign, p, now_us);
	if (p->dimension != PACE_REQUESTS &&
	    f->path->charge == PACE_CHARGE_ACTUAL)
		blame = PACE_BLAME_GUESS;
	else if (seen->kind == DIALECT_RATE &&
	    !foreign_active(&r->foreign, now_us) &&
	    (now_us - r->since_us > p->window_us ||
		pace_steady(p, seen->sent_us)))
		blame = PACE_BLAME_US;
	pace_refused(p, now_us, seen->wait_us, seen->sent_us, blame);
	snprintf(r->why, sizeof(r->why), "the upstream refused %s (429)%s%s",
	    p->dimension == PACE_REQUESTS ? "a request" : "tokens",
	    seen->from[0] != '\0' ? ", wait from " : "", seen->from);
	r->changed = true;
}

/* What one worker had in flight stands for what all had, but where live calls
 * are counted and were fewer. */
static void
refused_concurrency(struct dispatch_path *path, int64_t now_us, int64_t workers,
    const struct dispatch_refusal *seen, bool live)
{
	int64_t in_flight = seen->in_flight * (workers > 0 ? workers : 1);
	int64_t open = path->out +
	    (aimd_binds(&path->aimd) ? path->live.held : path->live.open);

	if (!live) {
		aimd_refused(&path->aimd, now_us, seen->sent_us, in_flight);
		return;
	}
	if (open >= seen->in_flight && open < in_flight)
		in_flight = open;
	aimd_refused_live(&path->aimd, now_us, seen->sent_us, in_flight);
}

static void
seen_refusal(struct dispatch_flow *f, int64_t now_us, int64_t workers,
    const struct dispatch_seen *all, const struct dispatch_refusal *seen)
{
	struct dispatch_rate *r;

	switch (seen->kind) {
	case DIALECT_CONCURRENCY:
		if (f->undeclared)
			refused_concurrency(
			    f->path, now_us, workers, seen, all->live);
		pause_flow(f, now_us, seen->wait_us, FLOW_WAIT_MAX_US);
		return;
	case DIALECT_SECONDARY:
		pause_flow(f, now_us,
		    seen->wait_us > SECONDARY_PAUSE_US ? seen->wait_us
						       : SECONDARY_PAUSE_US,
		    FLOW_WAIT_MAX_US);
		return;
	case DIALECT_RATE:
	case DIALECT_DAY:
		r = refused_rate(f, all, seen);
		if (r != NULL)
			pause_rate(f, r, now_us, seen);
		else
			pause_unexplained(f, now_us, all, seen);
		return;
	case DIALECT_OVERLOAD:
		pause_flow(f, now_us, seen->wait_us, FLOW_WAIT_MAX_US);
		return;
	case DIALECT_SERVED:
	case DIALECT_TOO_LARGE:
	case DIALECT_BILLING:
		return; /* the worker deals with these */
	}
}

static int64_t
clamp(int64_t v, int64_t least, int64_t most)
{
	return v < least ? least : v > most ? most : v;
}

int64_t
dispatch_jitter_us(const struct dispatch_path *path)
{
	const struct dispatch_spread *s = &path->connect;
	int64_t max_us = s->max_us, min_us = s->min_us;

	if (s->n + s->old_n < DISPATCH_CONNECTS_MIN)
		return PACE_JITTER_US;
	if (s->old_n > 0) {
		max_us = s->old_max_us > max_us ? s->old_max_us : max_us;
		min_us = s->old_min_us < min_us ? s->old_min_us : min_us;
	}
	return clamp(
	    2 * (max_us - min_us), PACE_JITTER_MIN_US, PACE_JITTER_MAX_US);
}

int64_t
dispatch_late_us(const struct dispatch_path *path)
{
	const struct dispatch_spread *s = &path->late;
	int64_t max_us = s->max_us;

	if (s->n + s->old_n < DISPATCH_LATES_MIN)
		return PACE_LATE_US;
	if (s->old_n > 0 && s->old_max_us > max_us)
		max_us = s->old_max_us;
	return clamp(8 * max_us, PACE_LATE_MIN_US, PACE_LATE_US);
}

/* On average. */
static int64_t
answers_took_us(const struct estimate_sample *s)
{
	return s->ms > 0 ? (int64_t)(s->ms * 1000 / (double)s->n) : 0;
}

/* All of an observation ------------------------------------------------------
 */

void
dispatch_seen(
    struct dispatch *d, int64_t now_us, const struct dispatch_seen *seen)
{
	struct dispatch_flow *f = dispatch_flow(d, seen->path, seen->model);
	int64_t refused = 0;

	if (f == NULL)
		return;
	if (seen->sample.n > 0) {
		estimate_learn(&f->estimate, &seen->sample);
		f->learned = true;
	}
	/* 5xx in bulk out of full work: it may be that much which it does not
	 * stand.  Whatever ends within a latency was part of it. */
	if (f->undeclared && seen->down && seen->why != NULL &&
	    strncmp(seen->why, "HTTP 5", 6) == 0 &&
	    f->path->breaker.health == BREAKER_UP)
		aimd_unexplained(&f->path->aimd, now_us,
		    now_us -
			(int64_t)(1000 * estimate_latency_ms(&f->estimate)));
	breaker_seen(&f->path->breaker, now_us, seen->ok, seen->down,
	    seen->why == NULL ? "" : seen->why);
	if (seen->dialect != NULL)
		snprintf(f->path->dialect, sizeof(f->path->dialect), "%s",
		    seen->dialect);
	spread_add(&f->path->connect, now_us, seen->connects,
	    seen->connect_min_us, seen->connect_max_us);
	if (seen->late_us > 0) /* of strict slots */
		spread_add(
		    &f->path->late, now_us, seen->sample.n, 0, seen->late_us);
	for (size_t i = 0; i < seen->nreadings; i++)
		seen_reading(f, now_us, &seen->readings[i]);
	for (size_t i = 0; i < seen->nrefusals; i++) {
		seen_refusal(f, now_us, d->workers, seen, &seen->refusals[i]);
		refused += seen->refusals[i].n;
	}
	/* Those that left before it say nothing of whether it is over; a 400
	 * says that it is. */
	if (seen->ok - refused > refused &&
	    now_us - answers_took_us(&seen->sample) >= f->refused_us) {
		f->refusals = 0;
		f->probing = false;
	}
}
