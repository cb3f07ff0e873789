#include "adaptive.h"

#include <math.h>

/* What it can be taken for after so long without a call. */
static double
shrunk(double units, int64_t idle_us)
{
	if (idle_us < ADAPTIVE_PERIOD_US)
		return units;
	return units *
	    fmax(ADAPTIVE_LEAST,
		pow(ADAPTIVE_SHRUNK, (double)(idle_us / ADAPTIVE_PERIOD_US)));
}

static double
units_at(const struct adaptive *a, int64_t amount, int64_t at_us)
{
	double units = (double)(a->told < amount ? a->told : amount);

	if (a->ramp > 0)
		units = fmin(units,
		    a->ramp *
			exp2((double)(at_us - a->ramp_us) /
			    (double)ADAPTIVE_DOUBLE_US));
	return a->used_us > 0 ? shrunk(units, at_us - a->used_us) : units;
}

int64_t
adaptive_units(const struct adaptive *a, int64_t amount, int64_t at_us)
{
	double units;

	if (a->told == 0)
		return amount;
	units = units_at(a, amount, at_us);
	return units < 1 ? 1 : (int64_t)units;
}

void
adaptive_used(struct adaptive *a, int64_t amount, int64_t at_us)
{
	if (a->told > 0 && a->used_us > 0 &&
	    at_us - a->used_us >= ADAPTIVE_PERIOD_US) {
		a->ramp = units_at(a, amount, at_us);
		a->ramp_us = at_us;
	} else if (a->ramp > 0 &&
	    at_us - a->ramp_us >= 3 * ADAPTIVE_DOUBLE_US) {
		a->ramp = 0; /* eight times what it was: all */
	}
	if (a->used_us < at_us)
		a->used_us = at_us;
}
