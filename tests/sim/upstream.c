#include "upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "worker.h"

struct upstream {
	struct limiter limiters[LIMITS_MAX]; /* of rates */
	struct up_call *open;                /* sent, and not answered */
	int64_t in_flight;
	enum mood mood;
	double foreign; /* calls of others, a second */
	struct rng rng;
	int64_t stale[3]; /* readings told again and again */
};

static void schedule_foreign(struct sim *s);

/* Somebody else's call on the account. */
static void
on_foreign(struct sim *s, struct event *e)
{
	struct upstream *up = s->upstream;

	for (size_t i = 0; i < s->sc.nlimits; i++)
		if (s->sc.limits[i].dim == DIM_REQUESTS)
			limiter_admit(&up->limiters[i], s->now, 1);
	(void)e;
	schedule_foreign(s);
}

static void
schedule_foreign(struct sim *s)
{
	struct upstream *up = s->upstream;

	sim_at(s, s->now + (int64_t)rng_exp(&up->rng, 1e6 / up->foreign),
	    on_foreign, NULL, 0);
}

/* The others change their ways now and then. */
static void
on_step(struct sim *s, struct event *e)
{
	struct upstream *up = s->upstream;
	const struct sc_limit *l = &s->sc.limits[0];

	up->foreign = s->sc.foreign * (0.5 + rng_unit(&up->rng)) *
	    (double)l->amount * 1e6 / (double)l->window_us;
	(void)e;
	sim_at(
	    s, s->now + (int64_t)rng_exp(&up->rng, 1200e6), on_step, NULL, 0);
}

struct upstream *
upstream_new(struct sim *s)
{
	struct upstream *up = xcalloc(1, sizeof(*up));

	s->upstream = up;
	up->rng = rng_new(s->seed, 2);
	for (size_t i = 0; i < s->sc.nlimits; i++) {
		const struct sc_limit *l = &s->sc.limits[i];

		if (l->dim == DIM_SEATS)
			continue;
		limiter_init(&up->limiters[i], l->kind, l->amount, l->window_us,
		    l->phase_us);
		up->limiters[i].quantum_us = l->quantum_us;
		up->limiters[i].burst = l->burst;
		up->limiters[i].charge_refused = l->charge_refused;
	}
	if (s->sc.foreign > 0) {
		on_step(s, NULL);
		schedule_foreign(s);
	}
	return up;
}

void
upstream_free(struct upstream *up)
{
	for (size_t i = 0; i < LIMITS_MAX; i++)
		limiter_fini(&up->limiters[i]);
	free(up);
}

bool
upstream_reached(const struct sim *s)
{
	return s->upstream->mood != MOOD_AWAY;
}

void
upstream_mood(struct sim *s, enum mood mood)
{
	s->upstream->mood = mood;
	sim_trace(s, "mood", mood, 0, 0);
}

struct up_call *
upstream_open(const struct sim *s)
{
	return s->upstream->open;
}

int64_t
upstream_in_flight(const struct sim *s)
{
	return s->upstream->in_flight;
}

/* Costs ------------------------------------------------------------------ */

static int64_t
units_of(enum dimension dim, int64_t input, int64_t output)
{
	switch (dim) {
	case DIM_TOKENS:
		return input + output;
	case DIM_INPUT:
		return input;
	case DIM_OUTPUT:
		return output;
	default:
		return 1;
	}
}

/* What the call is charged on arrival; -1: nothing yet. */
static int64_t
charge_now(const struct sim *s, const struct up_call *call, enum dimension dim)
{
	int64_t cap = call->cap < 0 ? call->output : call->cap;

	if (dim == DIM_REQUESTS)
		return 1;
	switch (s->sc.charge) {
	case CHARGE_ACTUAL:
		return -1;
	case CHARGE_INPUT:
		return call->input;
	default:
		return units_of(dim, call->input, cap);
	}
}

static int64_t
charge_later(
    const struct sim *s, const struct up_call *call, enum dimension dim)
{
	int64_t used = units_of(dim, call->input, call->output);

	if (dim == DIM_REQUESTS)
		return 0;
	if (s->sc.charge == CHARGE_ACTUAL)
		return used;
	if (s->sc.charge == CHARGE_REFUNDED)
		return used - charge_now(s, call, dim);
	return 0;
}

/* What answers say ------------------------------------------------------- */

static int64_t
lie_about(struct sim *s, int64_t truth, int64_t *stale)
{
	struct upstream *up = s->upstream;

	switch (s->sc.lie) {
	case LIE_UNITS:
		return truth * 1000;
	case LIE_STALE:
		if (*stale == 0 || rng_chance(&up->rng, 0.02))
			*stale = truth + 1;
		return *stale - 1;
	case LIE_ABSURD:
		return rng_chance(&up->rng, 0.5) ? -truth : INT64_C(1) << 55;
	case LIE_FLAP:
		return rng_chance(&up->rng, 0.5) ? truth : truth * 83 + 7;
	default:
		return truth;
	}
}

static void
write_reading(struct sim *s, size_t i, struct buf *out)
{
	const struct sc_limit *l = &s->sc.limits[i];
	struct limiter *lim = &s->upstream->limiters[i];
	/* What is left is of what it holds: so do those who write buckets. */
	int64_t limit = l->kind == LIMITER_BUCKET ? l->burst : l->amount;
	int64_t reset_us = limiter_reset_us(lim, s->now), left;
	const char *unit = l->dim == DIM_REQUESTS ? "requests"
	    : l->dim == DIM_TOKENS                ? "tokens"
	    : l->dim == DIM_INPUT                 ? "input-tokens"
						  : "output-tokens";

	left = limiter_left(lim, s->now);
	left = lie_about(s, left < 0 ? 0 : left, &s->upstream->stale[0]);
	reset_us = lie_about(s, reset_us / MS + 1, &s->upstream->stale[1]) * MS;
	if (s->sc.style == STYLE_OPENAI)
		buf_addf(out,
		    "x-ratelimit-limit-%s: %" PRId64
		    "\r\nx-ratelimit-remaining-%s: %" PRId64
		    "\r\nx-ratelimit-reset-%s: %" PRId64 "ms\r\n",
		    unit, limit, unit, left, unit, reset_us / MS);
	else if (s->sc.style == STYLE_RELAY)
		buf_addf(out,
		    "X-RateLimit-Limit: %" PRId64
		    "\r\nX-RateLimit-Remaining: %" PRId64
		    "\r\nX-RateLimit-Reset: %" PRId64 "\r\n",
		    limit, left, (s->now + reset_us) / SEC);
	else
		buf_addf(out,
		    "RateLimit-Policy: \"p\";q=%" PRId64 ";w=%" PRId64
		    "\r\nRateLimit: \"p\";r=%" PRId64 ";t=%" PRId64 "\r\n",
		    limit, l->window_us / SEC, left,
		    (reset_us + SEC - 1) / SEC);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static void
write_date(int64_t at_s, struct buf *out)
{
	char text[40];
	time_t t = (time_t)at_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	buf_addf(out, "Date: %s\r\n", text);
}

static void
write_headers(struct sim *s, struct up_call *call, int64_t wait_us)
{
	struct buf out = { 0 };
	unsigned told = 0;
	int64_t seconds = (wait_us + SEC - 1) / SEC;

	if (wait_us > 0)
		call->wait_us = seconds * SEC;

	/* Of each dimension the first: others stay in the dark. */
	for (size_t i = 0; s->sc.style != STYLE_NONE && i < s->sc.nlimits;
	     i++) {
		enum dimension dim = s->sc.limits[i].dim;

		if (dim == DIM_SEATS || (told & 1u << dim) != 0 ||
		    (s->sc.style != STYLE_OPENAI && told != 0))
			continue;
		told |= 1u << dim;
		write_reading(s, i, &out);
	}
	if (wait_us > 0)
		buf_addf(&out, "Retry-After: %" PRId64 "\r\n", seconds);
	if (out.n >= sizeof(call->headers))
		out.n = sizeof(call->headers) - 1;
	if (out.n > 0)
		memcpy(call->headers, out.p, out.n);
	call->headers[out.n] = '\0';
	buf_fini(&out);
}

/* Calls ------------------------------------------------------------------ */

static void
on_heard(struct sim *s, struct event *e)
{
	struct up_call *call = e->obj;

	if (worker_defers(s, call, e))
		return;
	worker_answer(s, call);
}

/* The headers may be old, their Date is not. */
static void
date_headers(struct sim *s, struct up_call *call)
{
	struct buf out = { 0 };

	write_date(s->now / SEC, &out);
	buf_adds(&out, call->headers);
	if (out.n < sizeof(call->headers))
		memcpy(call->headers, buf_cstr(&out), out.n + 1);
	buf_fini(&out);
}

static void
answer(struct sim *s, struct up_call *call)
{
	struct up_call **at = &s->upstream->open;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	call->answered_us = s->now;
	if (s->sc.style == STYLE_RELAY)
		date_headers(s, call);
	check_ended(s, call);
	sim_trace(s, "answer", call->lane, call->line,
	    call->end == UP_ANSWER ? call->status : -1);
	sim_at(s, s->now + s->sc.net_us + rng_range(&s->upstream->rng, 0, 2000),
	    on_heard, call, 0);
}

static void
on_done(struct sim *s, struct event *e)
{
	struct up_call *call = e->obj;

	for (size_t i = 0; call->status == 200 && i < s->sc.nlimits; i++) {
		int64_t units;

		if (s->sc.limits[i].dim == DIM_SEATS)
			continue;
		units = charge_later(s, call, s->sc.limits[i].dim);
		if (units == 0)
			continue;
		limiter_charge(&s->upstream->limiters[i], s->now, units);
		check_charged(s, i, units);
	}
	if (s->sc.lie == LIE_LATE && call->status == 200)
		write_headers(s, call, 0);
	answer(s, call);
	s->upstream->in_flight--;
}

static void
work(struct sim *s, struct up_call *call, int64_t for_us)
{
	s->upstream->in_flight++;
	sim_at(s, s->now + for_us, on_done, call, 0);
}

static void
refuse(struct sim *s, struct up_call *call, int64_t wait_us)
{
	if (!s->sc.retry_after)
		wait_us = 0;
	call->status = 429;
	snprintf(call->body, sizeof(call->body),
	    "{\"error\":{\"message\":\"Rate limit reached for %s\"}}",
	    dimension_names[call->refused]);
	write_headers(s, call, wait_us);
	s->stats.refusals++;
	answer(s, call);
}

/* The first limit that has no room, or nlimits. */
static size_t
full_limit(struct sim *s, const struct up_call *call)
{
	for (size_t i = 0; i < s->sc.nlimits; i++) {
		const struct sc_limit *l = &s->sc.limits[i];
		int64_t units = 1;

		if (l->dim == DIM_SEATS) {
			if (s->upstream->in_flight >= l->amount)
				return i;
			continue;
		}
		units = charge_now(s, call, l->dim);
		if (limiter_left(&s->upstream->limiters[i], s->now) <
		    (units < 0 ? 1 : units))
			return i;
	}
	return s->sc.nlimits;
}

static void
on_arrived(struct sim *s, struct event *e)
{
	struct up_call *call = e->obj;
	struct upstream *up = s->upstream;
	size_t full;

	sim_trace(s, "arrive", call->lane, call->line, up->in_flight);
	check_arrived(s, call);
	full = full_limit(s, call);
	for (size_t i = 0; i < s->sc.nlimits; i++) {
		int64_t units = charge_now(s, call, s->sc.limits[i].dim);

		if (s->sc.limits[i].dim == DIM_SEATS || units < 0)
			continue;
		if (full < s->sc.nlimits && !up->limiters[i].charge_refused)
			continue;
		limiter_charge(&up->limiters[i], s->now, units);
		if (s->sc.limits[i].dim != DIM_REQUESTS)
			check_charged(s, i, units);
	}
	call->end = UP_ANSWER;
	if (full < s->sc.nlimits) {
		const struct sc_limit *l = &s->sc.limits[full];
		int64_t units = charge_now(s, call, l->dim);

		call->refused = l->dim;
		check_refused(s, full);
		refuse(s, call,
		    l->dim == DIM_SEATS ? SEC
					: limiter_wait_us(&up->limiters[full],
					      s->now, units < 0 ? 1 : units));
	} else if (up->mood == MOOD_FLAKY && rng_chance(&up->rng, 0.03)) {
		s->stats.injected++;
		call->refused = DIM_REQUESTS;
		refuse(s, call, rng_range(&up->rng, 1, 4 * SEC));
	} else if (up->mood == MOOD_ERRORS ||
	    (up->mood == MOOD_FLAKY && rng_chance(&up->rng, 0.05))) {
		call->status = 503;
		check_fault(s, call);
		work(s, call, rng_range(&up->rng, 5 * MS, 300 * MS));
	} else if (up->mood == MOOD_FLAKY && rng_chance(&up->rng, 0.03)) {
		call->end = UP_BROKEN;
		check_fault(s, call);
		work(s, call, call->work_us / 2);
	} else {
		call->status = 200;
		/* What is left is told as of admission, if it is told well. */
		if (s->sc.style != STYLE_NONE)
			write_headers(s, call, 0);
		work(s, call, call->work_us);
	}
}

void
upstream_send(struct sim *s, struct up_call *call)
{
	call->next = s->upstream->open;
	s->upstream->open = call;
	sim_at(s,
	    s->now + s->sc.net_us +
		rng_range(&s->upstream->rng, 0, s->sc.jitter_us),
	    on_arrived, call, 0);
}
