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
 *
 * Costs that differ keep the ledger full when whatever leaves the window is
 * replaced at once by as much.  A large cost (over a PACE_LARGE_PART of the
 * amount) that waits claims the place where room for it comes together with the
 * least of it idle before, mostly where one left that was as large; small ones
 * take all the rest, the room of a large one included when none waits, and it
 * stays together for the next large one.
 */
#ifndef SCHEDULER_PACE_H
#define SCHEDULER_PACE_H

#include "adaptive.h"
#include "ladder.h"
#include "ledger.h"

enum pace_dimension {
	PACE_REQUESTS,
	PACE_TOKENS, /* input and output */
	PACE_INPUT_TOKENS,
	PACE_OUTPUT_TOKENS,
	PACE_CONCURRENT,        /* no business of this module: seats, */
	PACE_ENQUEUED_REQUESTS, /* and queues */
	PACE_ENQUEUED_TOKENS,
	PACE_DIMENSIONS
};

/* As sluice.rate_limit.dimension has them. */
extern const char *const pace_dimension_names[PACE_DIMENSIONS];

/* What an upstream takes from a token limit, and when (sluice.path.charge). */
enum pace_charge {
	PACE_CHARGE_ACTUAL,   /* what was used, unknown beforehand */
	PACE_CHARGE_DECLARED, /* input and max_tokens, for good */
	PACE_CHARGE_REFUNDED, /* the same, corrected at the end */
	PACE_CHARGE_INPUT,    /* output is free */
};

#define PACE_NEVER LEDGER_NEVER

enum {
	PACE_LATE_US =
	    200000, /* a line leaves so long after its slot at most */
	PACE_LATE_MIN_US = 50000,
	PACE_JITTER_US = 200000, /* spread of the time to the upstream */
	PACE_JITTER_MIN_US = 50000,
	PACE_JITTER_MAX_US = 350000, /* beyond it is the ladder's business */
	/* Windows from here on are budgets: spent evenly, faster in a hurry. */
	PACE_BUDGET_US = 600000000,
	PACE_LARGE_PART = 20,
	PACE_SPARE_PART = 3,   /* of the window: what live calls leave */
	PACE_CREDIT_PART = 60, /* of the window: what was not used of a guess */
	PACE_IDLE_PART = 120,  /* so long may room for a large one be idle */
	PACE_BURST_PART = 16,  /* of the window: it fades so often, */
	PACE_FADE_PART = 256,  /* by so much */
	PACE_FAST = 16, /* times the pace: how small ones take room that came at
			   once */
	/* Per cent of the amount that is ours whatever others are said to use;
	 * doubled every two windows without a refusal, for headers may lie. */
	PACE_FLOOR = 2,
	PACE_FLOOR_MAX = 16,
	/* Grants that have left the window are remembered so much longer: what
	 * an answer says was so when its call was sent. */
	PACE_MEMORY_US = 120000000,
	PACE_WAIT_MAX_US =
	    2000000000,          /* a refusal's, if its window is shorter */
	PACE_PROBE_US = 1500000, /* a probe not refused by then is served */
	PACE_RAMP_PART = 10,     /* of the window: from a standstill to all */
	PACE_RAMP_MAX_US = 60000000,
	/* A live call leaves so long after it was let in at the latest. */
	PACE_LIVE_KEEP_US = 1000000,
};

/* Others' use of the limit, as foreign.c sees it. */
struct pace_others {
	int64_t units;      /* kept free for them */
	int64_t even_units; /* the grid's, where it differs; 0: the same */
	int64_t end_us;     /* of the upstream's window; 0: not known */
	int64_t begin_us;   /* the same */
	int64_t next_units; /* kept free for them after end_us */
};

struct pace {
	enum pace_dimension dimension;
	int64_t amount;  /* units that batch work may use; >= 1 */
	int64_t reserve; /* beside it: of the limit, kept for live requests */
	int64_t window_us;
	int64_t keep_us;   /* of the last grant */
	int64_t late_us;   /* learned by path: of strict slots */
	int64_t jitter_us; /* the same: of arrivals */
	/* Live calls of ours, each at the moment it leaves at the latest; and
	 * units that they are likely to take before the next plan. */
	struct ledger live;
	int64_t live_lead;
	int64_t live_used;        /* by them, as of this plan */
	struct adaptive adaptive; /* it moves with use, if it does */
	int64_t moving;           /* units of it as of this plan, or 0 */
	int64_t
	    uncertain; /* estimates of calls under way may be too low by it */
	struct pace_others others;
	int64_t others_floor; /* PACE_FLOOR .. PACE_FLOOR_MAX, % */
	int64_t floor_us;     /* it was last moved, or not needed */
	struct ladder ladder;
	int64_t next_us;     /* the grid: nothing before */
	int64_t paused_us;   /* after a refusal: nothing before */
	int64_t probe_us;    /* the one slot after it, 0: none yet or no need */
	int64_t probe_until; /* nothing else before */
	int64_t ramp_us;     /* from here it becomes faster; 0: full speed */
	int64_t full_us;     /* full speed again since, after a refusal */
	int refusals;        /* in a row */
	bool probing;        /* a refusal has not been followed by an answer */
	struct ledger ledger;
	/* Costs that differ. */
	int64_t claim;    /* kept free for a large one that waits; 0: none */
	int64_t claim_us; /* when it will be */
	int64_t waits_us; /* the first one that waits does so since then */
	int64_t large_us; /* the last one's slot */
	int64_t burst;    /* the largest of late, fading */
	int64_t burst_us; /* it last changed */
	int64_t small;    /* the last other one */
	int64_t fast_us;  /* no other before, however much is free */
};

/* What one line costs under the limit; at least 1, so that all are spread. */
int64_t pace_cost(const struct pace *p, enum pace_charge charge, int64_t input,
    int64_t output);

/* amount less headroom and reserve (shares of it), 1 at least. */
int64_t pace_amount(int64_t amount, double headroom, double reserve);

void pace_init(struct pace *p, enum pace_dimension dimension, int64_t amount,
    int64_t window_us);
void pace_fini(struct pace *p);

/* Before a plan: forget what is over, follow the ladder and the slack. */
void pace_begin(struct pace *p, int64_t now_us);

/*
 * A large cost waits: keep room for it where that costs least within the next
 * window; crowded: as soon as can be.  Holds until a large one is granted.
 */
void pace_claim(struct pace *p, int64_t units, bool crowded, int64_t from_us);

/* Units that may stand in a window that holds at_us. */
int64_t pace_allowed(const struct pace *p, int64_t at_us);

/* Units that live calls may take now without exceeding the limit, when nothing
 * else is granted; >= 0. */
int64_t pace_live_left(const struct pace *p, int64_t now_us);

bool pace_is_large(const struct pace *p, int64_t units);

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

/*
 * Was a call of sent_us sent at full speed again after a refusal?  What was
 * before that refusal has no part in what becomes of it.
 */
bool pace_steady(const struct pace *p, int64_t sent_us);

/* A call sent at sent_us was served: the upstream lets us in again. */
void pace_served(struct pace *p, int64_t now_us, int64_t sent_us);

enum pace_blame {
	PACE_BLAME_US,     /* neither others nor guesses: the ladder */
	PACE_BLAME_OTHERS, /* or what we cannot know */
	PACE_BLAME_GUESS,  /* tokens that nobody declared: that will happen */
};

/*
 * A call sent at sent_us was refused: nothing before now + wait (or, wait 0, a
 * time that doubles up to 30 s with each refusal in a row), then, unless it was
 * a guess, one probe and a ramp.
 */
void pace_refused(struct pace *p, int64_t now_us, int64_t wait_us,
    int64_t sent_us, enum pace_blame blame);

/* Grants of so long may be unknown: count them as if they had been at the full
 * rate, just now. */
void pace_charge_lost(struct pace *p, int64_t now_us, int64_t lost_us);

/* Microseconds from one unit to the next at full speed. */
double pace_interval_us(const struct pace *p, int64_t at_us);

/* What keeps two sends of one window apart in spite of all: lateness, jitter
 * and a cell of the ledger; 0.45 s for a minute at first. */
int64_t pace_slack_us(const struct pace *p);

#endif
