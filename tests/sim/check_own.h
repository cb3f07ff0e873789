/*
 * check_own - what check.c and check_steady.c share.
 */
#ifndef SIM_CHECK_OWN_H
#define SIM_CHECK_OWN_H

#include "check.h"

enum {
	WARM_US = 30000000, /* of a backlog before it is measured */
	START_SEATS = 4,    /* of a path that nobody declared any for */
	TOLD_MAX = 4096,
	STRETCH_SENDS = 300, /* less is no measure */
};

struct told {
	int64_t seen, until_us;
};

struct check {
	struct limiter_log logs[LIMITS_MAX]; /* of arrivals, or charges */
	double worst[LIMITS_MAX];
	struct told told[TOLD_MAX];
	size_t ntold;
	int64_t paused_us; /* nothing committed from now on leaves before */
	int64_t busy_us;   /* there is a backlog since; 0: none */
	/* Of the first backlog more than WARM_US: where no concurrency is
	 * declared, calls at once start at START_SEATS and double with each
	 * latency, and until they are as many as the rate takes nothing is
	 * saturated. */
	int64_t rise_us;
	int64_t first_us, last_us, n; /* of the stretch: sends */
	double gaps, gaps2;
	size_t binding;              /* limit; LIMITS_MAX: none to measure */
	int64_t seat_limit, seat_us; /* seats: integral up to */
	int64_t looks;
};

/* The request limit that rules when nothing else does; LIMITS_MAX: none. */
size_t check_binding(const struct scenario *sc);
/* How long calls at once rise to what the limit of check_binding() takes. */
int64_t check_rise_us(const struct scenario *sc, size_t binding);
/* Seats were used as now until now. */
void check_seat_time(struct sim *s);
/* A line has left. */
void check_stretch(struct sim *s);

#endif
