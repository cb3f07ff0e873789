#include "dispatch_offer.h"

#include <math.h>

int64_t
dispatch_shape_units(
    const struct dispatch_rate *r, int64_t lines, int64_t input, int64_t output)
{
	return r->pace.dimension == PACE_REQUESTS
	    ? lines
	    : pace_cost(&r->pace, PACE_CHARGE_ACTUAL, input, output);
}

void
dispatch_line_cost(const struct dispatch_flow *f,
    const struct dispatch_lane *lane, const struct dispatch_line *line,
    struct dispatch_offer *o)
{
	double mean;

	o->cap = line->cap >= 0    ? line->cap
	    : lane->max_tokens > 0 ? lane->max_tokens
				   : -1;
	o->input = estimate_input(&f->estimate, line->bytes);
	o->variance = 0;
	switch (f->path->charge) {
	case PACE_CHARGE_DECLARED:
	case PACE_CHARGE_REFUNDED:
		o->output = estimate_output(&f->estimate, o->cap);
		break;
	case PACE_CHARGE_INPUT:
		o->output = 0;
		break;
	case PACE_CHARGE_ACTUAL:
		estimate_pending(&f->estimate, 0, o->cap, &mean, &o->variance);
		o->output = (int64_t)ceil(mean);
		break;
	}
	if (o->purse != NULL)
		o->money = route_money(o->price, (double)o->input,
		    (double)estimate_output(&f->estimate, o->cap));
}

/* The call with one line more. */
static struct dispatch_offer
with_line(const struct dispatch_offer *o, const struct dispatch_flow *f,
    const struct dispatch_line *line)
{
	struct dispatch_offer more = *o;

	dispatch_line_cost(f, o->lane, line, &more);
	more.n = o->n + 1;
	more.input += o->input;
	more.output += o->output;
	more.variance += o->variance;
	more.money += o->purse != NULL ? o->money : 0;
	if (more.cap >= 0)
		more.cap = o->cap < INT32_MAX - more.cap ? o->cap + more.cap
							 : INT32_MAX;
	return more;
}

static bool
is_large(const struct dispatch_offer *o, const struct dispatch_flow *f)
{
	for (size_t i = 0; i < f->nrates; i++)
		if (pace_is_large(&f->rates[i]->pace,
			pace_cost(&f->rates[i]->pace, f->path->charge, o->input,
			    o->output)))
			return true;
	return false;
}

/* A limit of the caller's would let go less than all of it for long. */
static bool
crowds_shapes(const struct dispatch_offer *o)
{
	for (size_t i = 0; i < o->lane->nshapes; i++) {
		const struct dispatch_rate *r = o->lane->shapes[i];

		if (dispatch_shape_units(
			r, (int64_t)o->n, o->input, o->output) *
			PACE_LARGE_PART >
		    r->pace.amount)
			return true;
	}
	return false;
}

void
dispatch_offer_cost(struct dispatch_offer *o, const struct dispatch_flow *f,
    const struct dispatch_lane *lane, const struct dispatch_line *lines,
    size_t n)
{
	/* One bad line of many would keep a path down. */
	size_t most = f->path->breaker.health == BREAKER_UP
	    ? (size_t)f->path->combine
	    : 1;

	o->lane = lane;
	o->n = 1;
	dispatch_line_cost(f, lane, &lines[0], o);
	o->large = is_large(o, f);
	while (!o->large && o->n < n && o->n < most) {
		struct dispatch_offer more = with_line(o, f, &lines[o->n]);

		if (is_large(&more, f) || crowds_shapes(&more) ||
		    (o->purse != NULL && more.money > o->purse->left))
			break;
		*o = more;
	}
}

double
dispatch_limit_us(const struct dispatch_flow *f, int64_t input, int64_t output,
    int64_t now_us)
{
	double us = 1;

	for (size_t i = 0; i < f->nrates; i++) {
		const struct pace *p = &f->rates[i]->pace;

		us = fmax(us,
		    pace_interval_us(p, now_us) *
			(double)pace_cost(p, f->path->charge, input, output));
	}
	for (size_t i = 0; i < f->nseats; i++)
		if (f->seats[i]->granted > 0)
			us = fmax(us,
			    f->estimate.ms * 1000 /
				(double)f->seats[i]->granted);
	return us;
}
