/*
 * route - which of a model's paths a line may take now, and in which order.
 *
 * Pure.  Patient work goes by the cheapest path until only dearer ones can
 * still make the deadline: that moment, the latest start, is reckoned by what
 * the direct paths carry for sure, as a cheap one may end at any time.  From
 * then on all paths are used, the cheapest first, so that just as much goes the
 * dearer way as must.
 */
#ifndef SCHEDULER_ROUTE_H
#define SCHEDULER_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/slc.h>

/* sluice.batch.choice, in this order */
enum route_choice { ROUTE_AUTO, ROUTE_DIRECT, ROUTE_CHEAP };

enum {
	ROUTE_GUARD_MIN_US = 20000000, /* does not vanish near the deadline */
	ROUTE_GUARD_PART = 20,         /* of the time left */
	ROUTE_GUARD_LATENCIES = 3,
	/* What is out by an upstream's own batches comes back so long after it
	 * was asked for: a poll, and a cancel that takes ten minutes. */
	ROUTE_BACK_US = 660000000,
};

/* A path of a model. */
struct route_way {
	bool cheap;      /* suffix or batches: slower, and made to be cheaper */
	bool packed;     /* batches: what goes by it comes back all at once */
	int64_t turn_us; /* nearly all lines are back after it */
	bool priced; /* else cost is not known: a direct one is free, a cheap
			one half of a direct one */
	bool down;
	double cost;  /* of one line, money in millionths, now */
	double least; /* the same: the lowest of now and later, while it is not
			 too late */
	int rank;     /* 0 first, equal ones together; -1: not now */
};

/* What is to go. */
struct route_work {
	enum route_choice choice;
	bool no_escalate; /* cheap is cheap: never direct instead */
	bool urgent;      /* high or critical */
	int64_t left_us;  /* until the deadline */
	int64_t
	    spare_us; /* until it is too late for a cheap path; may be < 0 */
};

/* Rank the ways. */
void
route_rank(const struct route_work *work, struct route_way *ways, size_t n);

/* Patient work may wait, for a cheaper path or hour. */
bool route_patient(const struct route_work *work);

/* How long before the deadline all must have left, when left_us are left,
 * nearly all calls end within p99_us and what is out is back in back_us. */
int64_t route_guard_us(int64_t left_us, int64_t p99_us, int64_t back_us);

/* Prices ----------------------------------------------------------------- */

/* Of one model or pattern by a path, for a million tokens; in these times, or
 * (none) whenever no other price holds. */
struct route_price {
	char *model; /* glob */
	int64_t input, cached, output;
	bool timed;
	struct route_span {
		int64_t from_us, until_us;
	} * spans; /* ascending */
	size_t nspans;
};

/*
 * The price of the model at a time; NULL: none.  Of those that match, a timed
 * one first, then one that names the model, then the one with most letters
 * (sluice.price_of()).
 */
const struct route_price *route_price(const struct route_price *prices,
    size_t n, const char *model, int64_t at_us);

/* Money of so many tokens, millionths. */
double
route_money(const struct route_price *price, double input, double output);

/* The lowest that they cost at any time in [from_us, until_us]; from_us at
 * least is looked at. */
double
route_money_least(const struct route_price *prices, size_t n, const char *model,
    double input, double output, int64_t from_us, int64_t until_us);

void route_prices_free(struct route_price *prices, size_t n);

#endif
