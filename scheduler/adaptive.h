/*
 * adaptive - limits that move with use: used well they grow, left idle they
 * shrink, and a steep start is refused.
 *
 * Pure.  What the upstream last said is the limit while we call.  It says
 * nothing while we do not, so that a limit left idle for a while is taken to
 * have shrunk as such limits do: by a third in each quarter of an hour, to an
 * eighth at least.  From there it doubles in an hour at most, whatever is said
 * meanwhile.  Times are microseconds.
 */
#ifndef SCHEDULER_ADAPTIVE_H
#define SCHEDULER_ADAPTIVE_H

#include <stdint.h>

/* Who uses four fifths of it makes it grow; what lateness may cost beside. */
#define ADAPTIVE_WARM      0.85
#define ADAPTIVE_SHRUNK    (2.0 / 3)
#define ADAPTIVE_LEAST     0.125
#define ADAPTIVE_PERIOD_US INT64_C(900000000)
#define ADAPTIVE_DOUBLE_US INT64_C(3600000000)

struct adaptive {        /* zeroed: a limit that does not move */
	int64_t told;    /* units, as last said; 0: it does not move */
	int64_t used_us; /* the last call; 0: none that is known */
	double ramp;     /* units at ramp_us, after it was idle; 0: warm */
	int64_t ramp_us;
};

/* Units of it at at_us, amount at most; amount when it does not move; >= 1. */
int64_t adaptive_units(const struct adaptive *a, int64_t amount, int64_t at_us);

/* A call leaves at at_us. */
void adaptive_used(struct adaptive *a, int64_t amount, int64_t at_us);

#endif
