/*
 * limiter - how an upstream counts one limit.  Shares no code with the product.
 *
 * Times are microseconds of the upstream's clock and never go back.
 */
#ifndef SIM_LIMITER_H
#define SIM_LIMITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum limiter_kind {
	LIMITER_LOG,     /* every call of the last window */
	LIMITER_FIXED,   /* calendar windows at a phase */
	LIMITER_COUNTER, /* last window's count, fading, and this one's */
	LIMITER_BUCKET,  /* filled evenly, holds burst */
	LIMITER_QUANTA,  /* a share in each quantum of the window */
	LIMITER_SECONDS, /* a log of whole seconds, both ends included */
	LIMITER_KINDS
};

extern const char *const limiter_names[LIMITER_KINDS];

struct limiter_entry {
	int64_t at_us, units;
};

/* A queue of charges and their sum. */
struct limiter_log {
	struct limiter_entry *entries;
	size_t first, n, cap;
	int64_t sum;
};

struct limiter {
	enum limiter_kind kind;
	int64_t amount, window_us;
	int64_t
	    phase_us; /* FIXED, COUNTER: windows begin at phase + k x window */
	int64_t quantum_us;  /* QUANTA */
	int64_t burst;       /* BUCKET */
	bool charge_refused; /* refused calls count, too */
	struct limiter_log log;
	int64_t window_no, used, used_before; /* FIXED, COUNTER, QUANTA */
	double level;                         /* BUCKET: units used */
	int64_t level_us;
};

void limiter_init(struct limiter *l, enum limiter_kind kind, int64_t amount,
    int64_t window_us, int64_t phase_us);
void limiter_fini(struct limiter *l);

/* May so many units pass?  Then they are charged. */
bool limiter_admit(struct limiter *l, int64_t now_us, int64_t units);
/* Charge without asking; negative: give back. */
void limiter_charge(struct limiter *l, int64_t now_us, int64_t units);
/* Units that would pass now. */
int64_t limiter_left(struct limiter *l, int64_t now_us);
/* Until so many units would pass, when nothing else comes. */
int64_t limiter_wait_us(struct limiter *l, int64_t now_us, int64_t units);
/* Until all of it is free again. */
int64_t limiter_reset_us(struct limiter *l, int64_t now_us);

void limiter_log_add(struct limiter_log *g, int64_t at_us, int64_t units);
/* Drop what is older than from_us. */
void limiter_log_drop(struct limiter_log *g, int64_t from_us);

#endif
