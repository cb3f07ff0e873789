/*
 * foreign - other clients of the same account.
 *
 * They are made up inside: calls that come as a Poisson process, are judged and
 * charged by the same limits, and get no answer.  They name no model and hold
 * no seat.
 */
#ifndef UPSTREAM_FOREIGN_H
#define UPSTREAM_FOREIGN_H

#include <uv.h>

#include "chance.h"

enum { FOREIGN_STEPS_MAX = 16 };

struct foreign_step {
	double rate; /* calls a minute */
	int64_t tokens;
	double from_s, to_s;
};

struct foreign_plan { /* zeroed: there are none */
	struct foreign_step v[FOREIGN_STEPS_MAX];
	size_t n;
};

struct foreign {
	uv_timer_t timer;
	struct chance chance;
	int64_t start_ns; /* steps count from here */
	double next_s;
	int64_t next_tokens;
};

/*
 * "200", "200:900" (tokens each), "200@0-60,600:900@60-120"; steps do not
 * overlap and stand in order.  Empty: none.
 */
bool foreign_parse(struct foreign_plan *plan, const char *spec, char err[160]);

/* When the next call comes after now_s, HUGE_VAL: never. */
double foreign_next(const struct foreign_plan *plan, double now_s,
    struct chance *chance, int64_t *tokens);

struct upstream;
/* Begin conf.foreign anew: the plan has changed. */
void foreign_start(struct upstream *u);

#endif
