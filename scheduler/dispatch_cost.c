#include "dispatch_offer.h"

#include <math.h>

int64_t
dispatch_shape_units(
    const struct dispatch_rate *r, const struct dispatch_offer *o)
{
	return pace_cost(&r->pace, PACE_CHARGE_ACTUAL, o->input, o->output);
}

void
dispatch_offer_cost(struct dispatch_offer *o, const struct dispatch_flow *f,
    const struct dispatch_lane *lane, const struct dispatch_line *line)
{
	double mean;

	o->lane = lane;
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
	o->large = false;
	for (size_t i = 0; i < f->nrates; i++)
		o->large |= pace_is_large(&f->rates[i]->pace,
		    pace_cost(&f->rates[i]->pace, f->path->charge, o->input,
			o->output));
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
