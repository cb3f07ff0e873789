/*
 * ladder - what a limit's refusals teach about how the upstream counts.
 *
 * Pure.  A refusal although our own ledger is below the limit, and nobody else
 * uses the account, says that the upstream counts otherwise than assumed.  Each
 * step gives up a little more:
 *
 *   1  one unit of the limit: sliding counters, inclusive comparisons
 *   2  a second more of slack: clocks that count whole seconds
 *   3  slack for every slot: buckets of one
 *
 * The first is left out where our own count was so low that one unit cannot be
 * the reason.  One step for each time that what the last one changed is all
 * there is to see, so that the calls that were under way at a climb do not
 * cause the next.  A step down after an hour; where that leads to a refusal
 * again, after twice as long the next time, a week at most.
 */
#ifndef SCHEDULER_LADDER_H
#define SCHEDULER_LADDER_H

#include <stdbool.h>
#include <stdint.h>

enum {
	LADDER_TOP = 3,
	LADDER_UNITS = 1, /* one less is the reason if we were so near */
};
#define LADDER_HOLD_US     INT64_C(3600000000)
#define LADDER_HOLD_MAX_US (168 * LADDER_HOLD_US)

struct ladder { /* zeroed is the ground */
	int step;
	int64_t moved_us; /* the last step, up or down */
	int64_t hold_us;  /* before the next one down; 0: LADDER_HOLD_US */
	bool fell;        /* the last step was down */
};

/*
 * A call sent at sent_us was refused without a known reason: climb, to least (1
 * or 2) at least, unless it was sent before the last climb or within drain_us
 * after it.  True: climbed.
 */
bool ladder_refused(struct ladder *l, int64_t now_us, int64_t sent_us,
    int64_t drain_us, int least);

/* Step down when it is time; true: it did. */
bool ladder_rest(struct ladder *l, int64_t now_us);

#endif
