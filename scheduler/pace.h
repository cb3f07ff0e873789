/*
 * pace - one limit of an upstream: when may the next units leave?
 *
 * Pure.  Two things answer together.  The grid spreads grants at
 * (window + slack) / amount apart, so that no algorithm an upstream may use,
 * whatever its phase, sees more than the amount in a window.  The ledger holds
 * when units differ in size, over hours and days, and after a restart.
 *
 * Slack is a time: what arrivals may jitter, how late a line may leave, and how
 * coarse the ledger is.  The share of the limit that is used is
 * window / (window + slack), whatever the amount.
 */
#ifndef SCHEDULER_PACE_H
#define SCHEDULER_PACE_H

#include "ledger.h"

enum pace_dimension {
	PACE_REQUESTS,
	PACE_TOKENS, /* input and output */
	PACE_INPUT_TOKENS,
	PACE_OUTPUT_TOKENS,
	PACE_CONCURRENT, /* no business of this module: seats */
};

#define PACE_NEVER LEDGER_NEVER

enum {
	PACE_LATE_US =
	    200000, /* a line leaves so long after its slot at most */
	PACE_JITTER_US = 200000, /* spread of the time to the upstream */
	/* Windows from here on are budgets: spent evenly, faster in a hurry. */
	PACE_BUDGET_US = 600000000,
};

struct pace {
	enum pace_dimension dimension;
	int64_t amount; /* units that batch work may use; >= 1 */
	int64_t window_us;
	int64_t next_us;   /* the grid: nothing before */
	int64_t paused_us; /* after a refusal: nothing before */
	int refusals;      /* in a row */
	struct ledger ledger;
};

/* What one line costs under the limit; at least 1, so that all are spread. */
int64_t pace_cost(const struct pace *p, int64_t input, int64_t output);

/* amount less headroom and reserve (shares of it), 1 at least. */
int64_t pace_amount(int64_t amount, double headroom, double reserve);

void pace_init(struct pace *p, enum pace_dimension dimension, int64_t amount,
    int64_t window_us);
void pace_fini(struct pace *p);

/* The earliest slot >= from_us for so many units.  More than the limit ever
 * allows counts as all of it: such a line goes alone. */
int64_t pace_earliest(const struct pace *p, int64_t units, int64_t from_us);

/*
 * Grant a slot that leaves in [slot_us, slot_us + keep_us].  hurry >= 1 lets a
 * budget be spent that much faster than evenly.
 */
void pace_grant(struct pace *p, int64_t units, int64_t slot_us, int64_t keep_us,
    double hurry);

/*
 * A line granted for slot_us with keep_us was sent at sent_us (0: not known to
 * have been sent) and cost used units instead of units.
 */
void pace_settle(struct pace *p, int64_t units, int64_t slot_us,
    int64_t keep_us, int64_t used, int64_t sent_us);

/* Refused: nothing before now + wait (or, wait 0, a time that doubles up to
 * 30 s with each refusal in a row). */
void pace_refused(struct pace *p, int64_t now_us, int64_t wait_us);

/* Microseconds from one unit to the next: (window + slack) / amount. */
double pace_interval_us(const struct pace *p);

/* What keeps two sends of one window apart in spite of all: lateness, jitter
 * and a cell of the ledger; 0.45 s for a minute. */
int64_t pace_slack_us(int64_t window_us);

#endif
