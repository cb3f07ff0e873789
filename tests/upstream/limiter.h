/*
 * limiter - rate limits in the ways providers enforce them.
 *
 * Pure: no clock, no loop, no log.  Written for the tests alone and from the
 * definitions alone, so that the product is not judged by its own code.
 *
 *   log      at most AMOUNT in any closed interval of WINDOW, both ends
 *            included
 *   log1s    the same by a clock that knows whole seconds only
 *   fixed    at most AMOUNT in each interval of WINDOW; they are counted from
 *            1970-01-01 UTC plus a phase, hence 1m is the calendar's minute
 *   counter  fixed, and the share of the window before that a sliding window
 *            would still cover, as if its units had come evenly
 *   adaptive log, whose amount moves: after each period in which four fifths
 *            of it were used it grows by a fifth, after one with half of it or
 *            less it shrinks by a third, to an eighth of AMOUNT at least
 *   bucket   holds AMOUNT (or another capacity), starts full, is refilled by
 *            AMOUNT in WINDOW
 *
 * Times are nanoseconds since 1970 and never go back.
 */
#ifndef UPSTREAM_LIMITER_H
#define UPSTREAM_LIMITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LIMITS_MAX = 32 };
#define LIMIT_NEVER INT64_MAX

enum limit_dim {
	DIM_REQUESTS,
	DIM_TOKENS, /* as the account is charged */
	DIM_INPUT,  /* of them */
	DIM_OUTPUT,
	DIM_CONCURRENT,
	DIMS
};
enum limit_algo {
	ALGO_LOG,
	ALGO_LOG1S,
	ALGO_FIXED,
	ALGO_COUNTER,
	ALGO_BUCKET,
	ALGO_ADAPTIVE,
	ALGOS
};

struct limit {
	char spec[96];  /* as given, without the model */
	char model[64]; /* empty: every model */
	enum limit_dim dim;
	enum limit_algo algo;
	int64_t window_ns; /* 0 of DIM_CONCURRENT */
	int64_t amount;
	int64_t capacity; /* of a bucket */
	int64_t phase_ns; /* 0..window_ns; adaptive: the first period's start */
	int64_t adapt_ns; /* adaptive: a period */
	int64_t least;    /* the same: of amount */
	bool phase_random;

	uint64_t refused;                  /* calls this limit turned away */
	int64_t period, current, previous; /* fixed, counter; adaptive */
	double level;                      /* bucket */
	int64_t level_ns;
	struct charge *ring; /* log; its size is a power of two */
	size_t ring_size;
	uint64_t head, tail; /* of all charges ever made */
	int64_t sum;
};

struct limiter {
	struct limit v[LIMITS_MAX];
	size_t n;
};

struct limit_ask {
	const char *model;
	int64_t units[DIMS];   /* of DIM_CONCURRENT: unused */
	int64_t running;       /* calls in progress, this one not among them */
	int64_t model_running; /* of them, those of the same model */
};

/* What a charge can be taken back by. */
struct limit_ticket {
	uint64_t at[LIMITS_MAX];
};

/*
 * Add a limit: DIM/WINDOW=AMOUNT[:ALGO][:PHASE] or concurrent=N, either after
 * "MODEL:".  False, with a message, if it cannot be understood.
 */
bool limiter_add(struct limiter *set, const char *spec, char err[160]);

/* Choose the random phases and fill the buckets: before the first call. */
void limiter_start(struct limiter *set, uint64_t (*random)(void *), void *arg);
void limiter_fini(struct limiter *set);

const char *limit_dim_name(enum limit_dim dim); /* "input-tokens" */
bool limit_applies(const struct limit *l, const char *model);

/*
 * The limit that refuses a call for longest, or NULL if all let it pass; wait
 * is then how long in ns, or LIMIT_NEVER.  Nothing is charged.
 */
struct limit *limiter_refusal(struct limiter *set, const struct limit_ask *ask,
    int64_t now_ns, int64_t *wait_ns);
void limiter_charge(struct limiter *set, const struct limit_ask *ask,
    int64_t now_ns, struct limit_ticket *ticket);
/* Charge the units of ask but no request: what became known later. */
void limiter_charge_tokens(
    struct limiter *set, const struct limit_ask *ask, int64_t now_ns);
/* Take output tokens back from what ask was charged. */
void limiter_refund(struct limiter *set, const struct limit_ask *ask,
    const struct limit_ticket *ticket, int64_t tokens, int64_t now_ns);

/* Units still free, >= 0, and ns until all of them are. */
int64_t limit_left(struct limit *l, int64_t now_ns);
int64_t limit_reset_ns(struct limit *l, int64_t now_ns);

#endif
