#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "limiter.h"
#include "text.h"

struct charge {
	int64_t ns;
	int64_t units;
};

/* Sums of refill and decay are not exact in binary fractions. */
#define SLACK 1e-6

static struct charge *
ring_at(const struct limit *l, uint64_t i)
{
	return &l->ring[i & (l->ring_size - 1)];
}

static void
ring_push(struct limit *l, int64_t now_ns, int64_t units)
{
	if (l->tail - l->head == l->ring_size) {
		struct limit old = *l;

		l->ring_size = old.ring_size > 0 ? old.ring_size * 2 : 64;
		l->ring = text_realloc(NULL, l->ring_size * sizeof(*l->ring));
		for (uint64_t i = l->head; i < l->tail; i++)
			*ring_at(l, i) = *ring_at(&old, i);
		free(old.ring);
	}
	*ring_at(l, l->tail++) = (struct charge){ now_ns, units };
	l->sum += units;
}

static int64_t
whole_s(int64_t ns)
{
	return ns - ns % 1000000000;
}

/* The periods that are over by now_ns move the amount. */
static void
limit_adapt(struct limit *l, int64_t now_ns)
{
	int64_t periods;

	if (l->phase_ns == 0)
		l->phase_ns = now_ns;
	periods = (now_ns - l->phase_ns) / l->adapt_ns;
	for (; l->period < periods; l->period++) {
		double used = (double)l->current * (double)l->window_ns /
		    ((double)l->amount * (double)l->adapt_ns);

		if (used >= 0.8)
			l->amount = l->amount * 6 / 5;
		else if (used <= 0.5)
			l->amount = l->amount * 2 / 3;
		if (l->amount < l->least)
			l->amount = l->least;
		l->current = 0;
	}
}

/* Forget what no longer counts at now_ns. */
static void
limit_roll(struct limit *l, int64_t now_ns)
{
	int64_t period;

	switch (l->algo) {
	case ALGO_LOG1S:
		now_ns = whole_s(now_ns);
		__attribute__((fallthrough));
	case ALGO_ADAPTIVE:
	case ALGO_LOG:
		if (l->algo == ALGO_ADAPTIVE)
			limit_adapt(l, now_ns);
		for (; l->head < l->tail; l->head++) {
			if (now_ns - ring_at(l, l->head)->ns <= l->window_ns)
				break;
			l->sum -= ring_at(l, l->head)->units;
		}
		break;
	case ALGO_FIXED:
	case ALGO_COUNTER:
		period = (now_ns - l->phase_ns) / l->window_ns;
		if (period == l->period)
			break;
		l->previous = period == l->period + 1 ? l->current : 0;
		l->current = 0;
		l->period = period;
		break;
	default:
		l->level = fmin((double)l->capacity,
		    l->level +
			(double)(now_ns - l->level_ns) * (double)l->amount /
			    (double)l->window_ns);
		l->level_ns = now_ns;
	}
}

static int64_t
period_start(const struct limit *l)
{
	return l->period * l->window_ns + l->phase_ns;
}

/* Units taken at now_ns; rolled. */
static double
limit_used(const struct limit *l, int64_t now_ns)
{
	switch (l->algo) {
	case ALGO_LOG:
	case ALGO_LOG1S:
	case ALGO_ADAPTIVE:
		return (double)l->sum;
	case ALGO_FIXED:
		return (double)l->current;
	case ALGO_COUNTER:
		return (double)l->current +
		    (double)l->previous *
		    (1 -
			(double)(now_ns - period_start(l)) /
			    (double)l->window_ns);
	default:
		return (double)l->capacity - l->level;
	}
}

/* When a charge of a log no longer counts. */
static int64_t
forgotten_ns(const struct limit *l, const struct charge *charge)
{
	int64_t ns = charge->ns + l->window_ns;

	return l->algo == ALGO_LOG1S ? whole_s(ns) + 1000000000 : ns + 1;
}

/* When units spread over a window have decayed until only room are left. */
static int64_t
decayed(const struct limit *l, int64_t start_ns, int64_t units, int64_t room)
{
	if (units <= room)
		return start_ns;
	return start_ns +
	    (int64_t)ceil(
		(double)l->window_ns * (1 - (double)room / (double)units));
}

/* Ns until units fit, 0 if they do now. */
static int64_t
limit_wait(struct limit *l, int64_t units, int64_t now_ns)
{
	double most =
	    l->algo == ALGO_BUCKET ? (double)l->capacity : (double)l->amount;
	double over = limit_used(l, now_ns) + (double)units - most;
	int64_t end_ns = period_start(l) + l->window_ns;

	if ((double)units > most)
		return LIMIT_NEVER;
	if (over <= SLACK)
		return 0;
	switch (l->algo) {
	case ALGO_LOG:
	case ALGO_LOG1S:
	case ALGO_ADAPTIVE:
		for (uint64_t i = l->head; i < l->tail; i++) {
			over -= (double)ring_at(l, i)->units;
			if (over <= 0)
				return forgotten_ns(l, ring_at(l, i)) - now_ns;
		}
		return LIMIT_NEVER;
	case ALGO_FIXED:
		return end_ns - now_ns;
	case ALGO_COUNTER:
		if (l->current + units <= l->amount)
			return decayed(l, period_start(l), l->previous,
				   l->amount - l->current - units) -
			    now_ns;
		return decayed(l, end_ns, l->current, l->amount - units) -
		    now_ns;
	default:
		return (int64_t)ceil(
		    over * (double)l->window_ns / (double)l->amount);
	}
}

static uint64_t
limit_charge(struct limit *l, int64_t units, int64_t now_ns)
{
	switch (l->algo) {
	case ALGO_LOG1S:
		now_ns = whole_s(now_ns);
		__attribute__((fallthrough));
	case ALGO_ADAPTIVE:
	case ALGO_LOG:
		l->current += units;
		ring_push(l, now_ns, units);
		return l->tail - 1;
	case ALGO_FIXED:
	case ALGO_COUNTER:
		l->current += units;
		return (uint64_t)l->period;
	default:
		l->level -= (double)units;
		return 0;
	}
}

static void
limit_refund(struct limit *l, uint64_t ticket, int64_t units)
{
	switch (l->algo) {
	case ALGO_LOG:
	case ALGO_LOG1S:
	case ALGO_ADAPTIVE:
		if (ticket < l->head)
			return;
		ring_at(l, ticket)->units -= units;
		l->sum -= units;
		break;
	case ALGO_FIXED:
	case ALGO_COUNTER:
		if (ticket == (uint64_t)l->period)
			l->current -= units;
		else if (ticket + 1 == (uint64_t)l->period)
			l->previous -= units;
		break;
	default:
		l->level = fmin((double)l->capacity, l->level + (double)units);
	}
}

bool
limit_applies(const struct limit *l, const char *model)
{
	return l->model[0] == '\0' || strcmp(l->model, model) == 0;
}

static bool
is_full(const struct limit *l, const struct limit_ask *ask)
{
	return (l->model[0] ? ask->model_running : ask->running) >= l->amount;
}

struct limit *
limiter_refusal(struct limiter *set, const struct limit_ask *ask,
    int64_t now_ns, int64_t *wait_ns)
{
	struct limit *worst = NULL;

	*wait_ns = 0;
	for (size_t i = 0; i < set->n; i++) {
		struct limit *l = &set->v[i];
		int64_t ns;

		if (!limit_applies(l, ask->model))
			continue;
		if (l->dim == DIM_CONCURRENT) {
			/* Nobody knows when a call ends: say a second. */
			ns = is_full(l, ask) ? 1000000000 : 0;
		} else {
			limit_roll(l, now_ns);
			ns = limit_wait(l, ask->units[l->dim], now_ns);
		}
		if (ns > *wait_ns) {
			*wait_ns = ns;
			worst = l;
		}
	}
	return worst;
}

void
limiter_charge(struct limiter *set, const struct limit_ask *ask, int64_t now_ns,
    struct limit_ticket *ticket)
{
	for (size_t i = 0; i < set->n; i++) {
		struct limit *l = &set->v[i];

		if (l->dim == DIM_CONCURRENT || !limit_applies(l, ask->model))
			continue;
		limit_roll(l, now_ns);
		ticket->at[i] = limit_charge(l, ask->units[l->dim], now_ns);
	}
}

static bool
is_of_tokens(const struct limit *l)
{
	return l->dim != DIM_REQUESTS && l->dim != DIM_CONCURRENT;
}

void
limiter_charge_tokens(
    struct limiter *set, const struct limit_ask *ask, int64_t now_ns)
{
	for (size_t i = 0; i < set->n; i++) {
		struct limit *l = &set->v[i];

		if (!is_of_tokens(l) || !limit_applies(l, ask->model))
			continue;
		limit_roll(l, now_ns);
		limit_charge(l, ask->units[l->dim], now_ns);
	}
}

void
limiter_refund(struct limiter *set, const struct limit_ask *ask,
    const struct limit_ticket *ticket, int64_t tokens, int64_t now_ns)
{
	for (size_t i = 0; i < set->n; i++) {
		struct limit *l = &set->v[i];

		if ((l->dim != DIM_TOKENS && l->dim != DIM_OUTPUT) ||
		    !limit_applies(l, ask->model))
			continue;
		limit_roll(l, now_ns);
		limit_refund(l, ticket->at[i], tokens);
	}
}

int64_t
limit_left(struct limit *l, int64_t now_ns)
{
	double most =
	    l->algo == ALGO_BUCKET ? (double)l->capacity : (double)l->amount;

	limit_roll(l, now_ns);
	return (int64_t)fmax(0, floor(most - limit_used(l, now_ns) + SLACK));
}

int64_t
limit_reset_ns(struct limit *l, int64_t now_ns)
{
	limit_roll(l, now_ns);
	switch (l->algo) {
	case ALGO_LOG:
	case ALGO_LOG1S:
	case ALGO_ADAPTIVE:
		if (l->head == l->tail)
			return 0;
		return forgotten_ns(l, ring_at(l, l->tail - 1)) - now_ns;
	case ALGO_FIXED:
	case ALGO_COUNTER:
		if (l->algo == ALGO_COUNTER && l->current > 0)
			return period_start(l) + 2 * l->window_ns - now_ns;
		return period_start(l) + l->window_ns - now_ns;
	default:
		return (int64_t)ceil(limit_used(l, now_ns) *
		    (double)l->window_ns / (double)l->amount);
	}
}

void
limiter_start(struct limiter *set, uint64_t (*random)(void *), void *arg)
{
	for (size_t i = 0; i < set->n; i++) {
		struct limit *l = &set->v[i];

		l->level = (double)l->capacity;
		if (l->phase_random)
			l->phase_ns =
			    (int64_t)(random(arg) % (uint64_t)l->window_ns);
	}
}

void
limiter_fini(struct limiter *set)
{
	for (size_t i = 0; i < set->n; i++)
		free(set->v[i].ring);
	set->n = 0;
}
