#include "dispatch_offer.h"

#include <math.h>

/* Such calls a second that a rate limit lets through. */
static double
rate_calls(const struct dispatch_flow *f, size_t i, int64_t now_us,
    const struct dispatch_offer *o)
{
	const struct pace *p = &f->rates[i]->pace;

	return 1e6 /
	    (pace_interval_us(p, now_us) *
		(double)pace_cost(p, f->path->charge, o->input, o->output));
}

/* Of all of them; INFINITY without any. */
static double
flow_rate(const struct dispatch_flow *f, int64_t now_us,
    const struct dispatch_offer *o)
{
	double rate = INFINITY;

	for (size_t i = 0; i < f->nrates; i++)
		rate = fmin(rate, rate_calls(f, i, now_us, o));
	for (size_t i = 0; i < o->lane->nshapes; i++) {
		const struct dispatch_rate *r = o->lane->shapes[i];

		rate = fmin(rate,
		    1e6 /
			(pace_interval_us(&r->pace, now_us) *
			    (double)dispatch_shape_units(
				r, (int64_t)o->n, o->input, o->output)));
	}
	return rate;
}

/*
 * How long loose lines may be kept when so many a second find a seat: a line
 * counts for a window more, and where calls are long nobody says sooner when it
 * left.  Longer, and the limit would bind where seats do.
 */
static int64_t
flow_carries_us(const struct dispatch_flow *f, double turn, int64_t now_us,
    const struct dispatch_offer *o)
{
	double least_us = DISPATCH_LOOSE_MAX_US;

	for (size_t i = 0; i < f->nrates; i++)
		least_us = fmin(least_us,
		    (double)f->rates[i]->pace.window_us *
			(rate_calls(f, i, now_us, o) / turn - 1));
	return (int64_t)fmax(least_us, DISPATCH_LOOSE_US);
}

int64_t
dispatch_keep_us(const struct dispatch *d, const struct dispatch_flow *f,
    int64_t now_us, const struct dispatch_offer *o)
{
	static const double round_s = 0.75; /* news, plan, commit, take */
	double latency_s = estimate_latency_ms(&f->estimate) / 1000;
	double rate = flow_rate(f, now_us, o), turns = 0;
	bool strict = isfinite(rate);
	int64_t keep_us, most_us;

	for (size_t i = 0; i < f->nseats; i++)
		f->seats[i]->wanted_us = now_us;
	if (f->undeclared &&
	    !aimd_allows(&f->path->aimd, dispatch_path_open(f->path))) {
		f->path->contended_us = now_us;
		return -1;
	}
	for (size_t i = 0; i < f->nseats; i++) {
		const struct dispatch_seats *s = f->seats[i];
		double seats = (double)s->granted;

		if (s->granted <= 0)
			return -1;
		/* A seat is free, whatever is on its way. */
		if (latency_s > 0 &&
		    (double)s->out + rate * round_s + 2 < seats)
			continue;
		if (latency_s > 0 ? rate * latency_s * 1.25 + 1 >= seats
				  : (double)s->out >= seats)
			strict = false;
		if ((double)s->out >= seats + rate + 2)
			strict = false;
	}
	if (strict)
		return dispatch_late_us(f->path);
	for (size_t i = 0; i < f->nseats; i++) {
		struct dispatch_seats *s = f->seats[i];
		double seats = (double)s->granted;
		/* Unknown latency: guess high where a guess costs nothing. */
		double guess_s = isfinite(rate) ? 4 : 0.1;
		double turn =
		    seats / (latency_s > 0 ? fmax(latency_s, 0.005) : guess_s);
		double stock =
		    fmin(rate, turn) * round_s + (double)d->workers + 1;

		if ((double)s->out >= seats + stock) {
			s->contended_us = now_us;
			return -1;
		}
		turns = i == 0 ? turn : fmin(turns, turn);
	}
	keep_us = (int64_t)(latency_s * 3e6);
	most_us = flow_carries_us(f, turns, now_us, o);
	if (keep_us > most_us)
		keep_us = most_us;
	if (keep_us < DISPATCH_LOOSE_US)
		keep_us = DISPATCH_LOOSE_US;
	return keep_us;
}

double
dispatch_lines_s(const struct dispatch_flow *f,
    const struct dispatch_lane *lane, const struct dispatch_line *lines,
    size_t n, int64_t now_us)
{
	struct dispatch_offer o = { 0 };
	double rate;

	/* How fast others' batches are is not known. */
	if (f->path->kind == DISPATCH_BATCHES)
		return 0;
	dispatch_offer_cost(&o, f, lane, lines, n);
	rate = flow_rate(f, now_us, &o);
	for (size_t i = 0; f->estimate.n > 0 && i < f->nseats; i++)
		rate = fmin(rate,
		    (double)f->seats[i]->granted * 1000 /
			fmax(f->estimate.ms, 1));
	return rate * (double)o.n;
}
