/*
 * fair - whose turn it is under a limit that several want.
 *
 * Pure.  A book is kept for each limit, or group of limits, that lines contend
 * for; what does not contend has books of its own and holds nothing up.  In a
 * book there are classes (priorities), in a class accounts.
 *
 *   critical  goes first, but with no more than half of what is given while
 *             others wait (and FAIR_BURST_US of it in advance);
 *   1, 2, 3   share by FAIR weights 1:2:4: each grant moves the class's pass on
 *             by what it takes of the limit, and the least pass is next;
 *   accounts  of a class share by virtual time: each grant moves it on by
 *             tokens / weight, and the least is next.  What was estimated
 *             is put right when it is known.
 *
 * Who comes back after waiting for nothing is lifted to the least of those who
 * do wait: nobody saves up.
 */
#ifndef SCHEDULER_FAIR_H
#define SCHEDULER_FAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FAIR_CRITICAL = 4, /* classes 1 .. 4 */
	FAIR_CLASSES = 5,
	FAIR_BURST_US = 300000, /* time of the limit; two lines at least */
	FAIR_AWAY_US = 2000000, /* who waited so lately has not been away */
	FAIR_FORGET_US = 60000000,
};

struct fair_account {
	int64_t id;
	double weight;
	double vtime;    /* tokens / weight */
	int64_t seen_us; /* it last waited */
	size_t arg;      /* the caller's, of this plan */
	bool waits;      /* in this plan */
	bool back;       /* from being away */
};

struct fair_class {
	struct fair_account **accounts; /* by id */
	size_t naccounts, cap;
	struct fair_account **heap; /* those who wait, the least vtime first */
	size_t nheap, heap_cap;
	double vtime;    /* of who went last: nobody begins below */
	double pass;     /* time of the limit, over the class's weight */
	double weights;  /* of those who wait, together */
	int64_t seen_us; /* somebody waited */
};

struct fair_book {
	int64_t id;
	struct fair_class classes[FAIR_CLASSES];
	double lead_us; /* critical's, over the others, while both waited */
	double last_us; /* of the limit, critical's last line */
	int64_t now_us;
	int64_t lines, last_lines; /* the caller's: of this plan, of the last */
};

/* Zeroed but for its id, a book is ready to use. */
void fair_fini(struct fair_book *b);

/* A plan: begin, then who waits (each account of a class once), then ready. */
void fair_begin(struct fair_book *b, int64_t now_us);
void fair_wants(
    struct fair_book *b, int class, int64_t account, int weight, size_t arg);
void fair_ready(struct fair_book *b);

/* Whose turn it is, and in which class; NULL: nobody waits any more. */
struct fair_account *fair_next(const struct fair_book *b, int *class);
/* Nothing more of its can go in this plan.  a: what fair_next() said. */
void fair_done(struct fair_book *b, int class);
/* A line of the account whose turn it was goes: so much of the limit's time,
 * so many tokens. */
void
fair_charge(struct fair_book *b, int class, double limit_us, int64_t tokens);

/* It took so much more than was charged (less: negative). */
void fair_settle(struct fair_book *b, int class, int64_t account,
    double limit_us, int64_t tokens);

/* The part of all that the account may count on as things stand: 0 .. 1; 1 of a
 * book where nobody waits. */
double fair_share(const struct fair_book *b, int64_t account);

/* Make a class or an account what it was, as another dispatcher left it. */
void fair_load_class(
    struct fair_book *b, int class, double pass, double vtime, int64_t now_us);
void fair_load(struct fair_book *b, int class, int64_t account, double vtime,
    int64_t now_us);
/* The account stands where one that comes back would be put: no need to keep
 * it over a takeover. */
bool fair_is_plain(const struct fair_class *c, const struct fair_account *a);

#endif
