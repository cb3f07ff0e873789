#include "dispatch_offer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_US = 1000000 };

/* Units that the lane's lines will take of the limit, by the flow. */
static double
lane_units(const struct dispatch_lane *lane, const struct dispatch_flow *f,
    const struct pace *p)
{
	const struct dispatch_queue *q =
	    lane->fresh.first < lane->fresh.n ? &lane->fresh : &lane->again;
	const struct dispatch_line *line = &q->lines[q->first];
	double units =
	    lane->lines_left + (double)(lane->again.n - lane->again.first);
	double output, variance;

	if (p->dimension == PACE_REQUESTS)
		return units;
	estimate_pending(&f->estimate, 0, line->cap, &output, &variance);
	if (f->path->charge != PACE_CHARGE_ACTUAL)
		output = (double)estimate_output(&f->estimate, line->cap);
	return units *
	    (double)pace_cost(p, f->path->charge,
		estimate_input(&f->estimate, line->bytes), (int64_t)output);
}

/*
 * How much faster than evenly so many units must leave to be gone guard_us
 * before until_us; what the ledger does not let through by then is taken off
 * them.
 */
static double
hurry(const struct pace *p, int64_t now_us, int64_t until_us, int64_t guard_us,
    double *units)
{
	int64_t span_us = p->window_us + pace_slack_us(p);
	int64_t left_us = until_us - now_us, rest_us = left_us % span_us;
	int64_t time_us = left_us - guard_us;
	int64_t allowed = pace_allowed(p, now_us);
	double interval_us = pace_interval_us(p, now_us);
	double rate, whole, reach;

	if (time_us < LEAST_US)
		time_us = LEAST_US;
	rate = *units / (double)time_us;
	if (rate * interval_us <= 1)
		return rate * interval_us;
	/* What leaves at once is back after each window, and what stands in the
	 * ledger now leaves it as it came. */
	whole = (double)(left_us / span_us * allowed);
	reach = whole +
	    fmax(0,
		(double)(allowed - ledger_used(&p->ledger, now_us + rest_us)));
	if (*units > reach) {
		*units = reach;
		rate = reach / (double)left_us;
	} else if (*units > whole) {
		rate = fmax(rate, (*units - whole) / (double)rest_us);
	}
	return rate * interval_us;
}

/*
 * All that is due by the lane's deadline, its own lines included, if they come
 * in the order of their deadlines.  What cannot be done by then is none of the
 * later ones' business, and hurries nobody: that would only come closer to what
 * the upstream refuses, and nothing would be done sooner.
 */
static void
rate_lane(struct dispatch_rate *r, const struct dispatch_flow *f,
    const struct dispatch_lane *lane, int64_t now_us)
{
	int64_t left_us = lane->deadline_us - now_us;
	int64_t p99_us = (int64_t)(dispatch_p99_ms(f) * 1000);

	r->lane = lane->id;
	if (left_us < LEAST_US)
		return;
	r->due += lane_units(lane, f, &r->pace);
	r->hurry = fmax(r->hurry,
	    hurry(&r->pace, now_us, lane->deadline_us,
		route_guard_us(left_us, p99_us, 0), &r->due));
}

/*
 * A limit that moves with use shrinks when a budget beside it lets little
 * through: while there is work, the budget is spent so fast that it is used
 * well.
 */
static void
keep_warm(struct dispatch_flow *f, int64_t now_us)
{
	for (size_t i = 0; i < f->nrates; i++) {
		const struct pace *p = &f->rates[i]->pace;
		double per_us =
		    ADAPTIVE_WARM * (double)p->moving / (double)p->window_us;

		if (p->adaptive.told == 0)
			continue;
		for (size_t k = 0; k < f->nrates; k++) {
			struct dispatch_rate *r = f->rates[k];

			if (k != i && r->pace.dimension == p->dimension)
				r->hurry = fmax(r->hurry,
				    per_us *
					pace_interval_us(&r->pace, now_us));
		}
	}
}

static int
by_deadline(const void *a, const void *b)
{
	const struct dispatch_lane *x = *(struct dispatch_lane *const *)a;
	const struct dispatch_lane *y = *(struct dispatch_lane *const *)b;

	if (x->deadline_us != y->deadline_us)
		return x->deadline_us < y->deadline_us ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void
lane_hurry(struct dispatch *d, const struct dispatch_lane *lane, int64_t now_us)
{
	for (size_t i = 0; i < d->nflows; i++) {
		const struct dispatch_flow *f = d->flows[i];

		if (strcmp(f->model, lane->model) != 0)
			continue;
		keep_warm(d->flows[i], now_us);
		for (size_t k = 0; k < f->nrates; k++)
			if (f->rates[k]->pace.window_us >= PACE_BUDGET_US &&
			    f->rates[k]->lane != lane->id)
				rate_lane(f->rates[k], f, lane, now_us);
	}
}

void
dispatch_hurry(struct dispatch *d, int64_t now_us)
{
	struct dispatch_lane **lanes;
	size_t n = 0, budgets = 0;

	for (size_t i = 0; i < d->nrates; i++) {
		struct dispatch_rate *r = d->rates[i];

		r->hurry = 1;
		r->due = 0;
		r->lane = 0;
		budgets += r->pace.window_us >= PACE_BUDGET_US;
	}
	if (budgets == 0 || d->nlanes == 0)
		return;
	lanes = xcalloc(d->nlanes, sizeof(struct dispatch_lane *));
	for (size_t i = 0; i < d->nlanes; i++)
		if (d->lanes[i]->fresh.first < d->lanes[i]->fresh.n ||
		    d->lanes[i]->again.first < d->lanes[i]->again.n)
			lanes[n++] = d->lanes[i];
	if (n > 1)
		qsort(lanes, n, sizeof(struct dispatch_lane *), by_deadline);
	for (size_t i = 0; i < n; i++)
		lane_hurry(d, lanes[i], now_us);
	free(lanes);
}
