#include "route.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/glob.h>

bool
route_patient(const struct route_work *work)
{
	return work->choice == ROUTE_CHEAP ||
	    (work->choice == ROUTE_AUTO && !work->urgent);
}

int64_t
route_guard_us(int64_t left_us, int64_t p99_us, int64_t back_us)
{
	int64_t guard_us = left_us / ROUTE_GUARD_PART;

	if (guard_us < ROUTE_GUARD_MIN_US)
		guard_us = ROUTE_GUARD_MIN_US;
	if (guard_us < p99_us * ROUTE_GUARD_LATENCIES)
		guard_us = p99_us * ROUTE_GUARD_LATENCIES;
	return guard_us < back_us ? back_us : guard_us;
}

/* What a path costs of which nobody has said it. */
static void
guess_costs(struct route_way *ways, size_t n)
{
	double direct = INFINITY;

	for (size_t i = 0; i < n; i++)
		if (!ways[i].cheap && ways[i].priced)
			direct = fmin(direct, ways[i].cost);
	for (size_t i = 0; i < n; i++)
		if (!ways[i].priced)
			ways[i].cost = ways[i].least = !ways[i].cheap ? 0
			    : isfinite(direct) && direct > 0 ? direct / 2
							     : -1;
}

static bool
has(const struct route_way *ways, size_t n, bool cheap, bool well)
{
	for (size_t i = 0; i < n; i++)
		if (ways[i].cheap == cheap && !(well && ways[i].down))
			return true;
	return false;
}

/* Is the way one for this work at all? */
static bool
suits(const struct route_work *work, const struct route_way *ways, size_t n,
    const struct route_way *w)
{
	if (work->choice == ROUTE_DIRECT)
		return !w->cheap;
	if (!route_patient(work))
		return !w->cheap || !has(ways, n, false, true);
	if (!w->cheap || work->no_escalate || !has(ways, n, false, false))
		return true;
	/* Packed lines must be back while they can still go another way. */
	return w->turn_us <
	    (w->packed ? work->spare_us : work->left_us - ROUTE_GUARD_MIN_US);
}

static bool
same(double a, double b)
{
	return fabs(a - b) <= 1e-6 * fmax(fabs(a), fabs(b));
}

/* Give the next dearer ways a rank; false: there are none. */
static bool
open_next(struct route_way *ways, const bool *fit, size_t n, int rank)
{
	double cost = INFINITY;

	for (size_t i = 0; i < n; i++)
		if (fit[i] && ways[i].rank < 0)
			cost = fmin(cost, ways[i].cost);
	for (size_t i = 0; i < n; i++)
		if (fit[i] && ways[i].rank < 0 && same(ways[i].cost, cost))
			ways[i].rank = rank;
	return isfinite(cost);
}

/* Only direct ones are open, and all are down: another provider must do. */
static bool
fails_over(const struct route_way *ways, size_t n)
{
	bool open = false;

	for (size_t i = 0; i < n; i++) {
		if (ways[i].rank >= 0 && (ways[i].cheap || !ways[i].down))
			return false;
		open |= ways[i].rank >= 0;
	}
	return open;
}

enum { WAYS_MAX = 256 };

void
route_rank(const struct route_work *work, struct route_way *ways, size_t n)
{
	bool fit[WAYS_MAX], patient = route_patient(work), cheap = false;
	double least = INFINITY;
	int rank = 0;

	if (n > WAYS_MAX)
		n = WAYS_MAX;
	guess_costs(ways, n);
	for (size_t i = 0; i < n; i++) {
		ways[i].rank = -1;
		fit[i] = suits(work, ways, n, &ways[i]);
		if (fit[i])
			least = fmin(least, ways[i].least);
	}
	for (size_t i = 0; i < n; i++)
		cheap |= fit[i] && ways[i].cheap && same(ways[i].least, least);
	if (cheap && work->no_escalate)
		for (size_t i = 0; i < n; i++)
			fit[i] = fit[i] && ways[i].cheap;
	if (!patient || work->spare_us < 0) {
		while (open_next(ways, fit, n, rank))
			rank++;
		return;
	}
	/* Whoever will be cheaper later has time. */
	for (size_t i = 0; i < n; i++)
		if (fit[i] &&
		    (ways[i].cost < least || same(ways[i].cost, least)))
			ways[i].rank = rank;
	while (fails_over(ways, n) && open_next(ways, fit, n, ++rank))
		;
}

/* Prices ----------------------------------------------------------------- */

static bool
holds(const struct route_price *p, int64_t at_us)
{
	for (size_t i = 0; i < p->nspans; i++)
		if (p->spans[i].from_us <= at_us &&
		    at_us < p->spans[i].until_us)
			return true;
	return !p->timed;
}

static size_t
letters(const char *glob)
{
	size_t n = 0;

	for (; *glob != '\0'; glob++)
		n += *glob != '*' && *glob != '?';
	return n;
}

static bool
is_nearer(
    const struct route_price *a, const struct route_price *b, const char *model)
{
	bool names_a = strcmp(a->model, model) == 0;
	bool names_b = strcmp(b->model, model) == 0;

	if (a->timed != b->timed)
		return a->timed;
	if (names_a != names_b)
		return names_a;
	if (letters(a->model) != letters(b->model))
		return letters(a->model) > letters(b->model);
	return strcmp(a->model, b->model) < 0;
}

const struct route_price *
route_price(const struct route_price *prices, size_t n, const char *model,
    int64_t at_us)
{
	const struct route_price *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (glob_match(prices[i].model, model) &&
		    holds(&prices[i], at_us) &&
		    (best == NULL || is_nearer(&prices[i], best, model)))
			best = &prices[i];
	return best;
}

double
route_money(const struct route_price *price, double input, double output)
{
	if (price == NULL)
		return 0;
	return (input * (double)price->input + output * (double)price->output) /
	    1e6;
}

double
route_money_least(const struct route_price *prices, size_t n, const char *model,
    double input, double output, int64_t from_us, int64_t until_us)
{
	double least =
	    route_money(route_price(prices, n, model, from_us), input, output);

	/* A price changes where a span begins or ends. */
	for (size_t i = 0; i < n; i++) {
		if (!glob_match(prices[i].model, model))
			continue;
		for (size_t k = 0; k < prices[i].nspans; k++) {
			const struct route_span *s = &prices[i].spans[k];
			const int64_t at[2] = { s->from_us, s->until_us };

			for (size_t e = 0; e < NITEMS(at); e++)
				if (at[e] > from_us && at[e] <= until_us)
					least = fmin(least,
					    route_money(route_price(prices, n,
							    model, at[e]),
						input, output));
		}
	}
	return least;
}

void
route_prices_free(struct route_price *prices, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(prices[i].model);
		free(prices[i].spans);
	}
	free(prices);
}
