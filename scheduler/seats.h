/*
 * seats - share the calls of one concurrency limit among the workers.
 *
 * Pure.  granted is what a worker may have open now; it grows only into what is
 * free, and a worker whose target is lower gives up seats as its calls end.
 */
#ifndef SCHEDULER_SEATS_H
#define SCHEDULER_SEATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seats_worker {
	int64_t id;
	bool live;    /* a dead worker keeps granted until it is swept */
	int32_t most; /* calls it can have open */
	int32_t granted;
	int32_t target;
};

/*
 * Set the live workers' targets to equal shares of amount, as far as their most
 * and what others still hold allow.  Returns true when any target changed.
 */
bool seats_share(int64_t amount, struct seats_worker *workers, size_t n);

#endif
