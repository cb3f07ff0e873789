#include "dispatch_offer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What answers say of limits that nobody has declared is heeded for so long. */
#define FLOW_TOLD_MAX_US INT64_C(60000000)
enum { SPREAD_US = 600000000 };

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

struct dispatch_rate *
dispatch_reading_rate(
    const struct dispatch_flow *f, const struct dialect_reading *said)
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
	struct dispatch_rate *rate = dispatch_reading_rate(f, &r->said);

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

/* Times that bound the slack ----------------------------------------------- */

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
		dispatch_refused(
		    f, now_us, d->workers, seen, &seen->refusals[i]);
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
