/*
 * dispatch_order - who goes first: books for what lines contend for, and in
 * each, turn by turn, the account (fair.h) and the lane of it.
 *
 * Pure.  Of an account the lane goes first whose start can least wait (its
 * deadline less what its lines need of all that the account may have), then
 * the older one.  Lanes in danger of missing their deadline go before all
 * others of their account, those of higher classes included, unless they can no
 * longer make it: who cannot be helped holds up nobody.
 */
#ifndef SCHEDULER_DISPATCH_ORDER_H
#define SCHEDULER_DISPATCH_ORDER_H

#include "dispatch.h"

enum {
	DISPATCH_RECKON_US = 1000000,
	/* A limit that somebody waited for so lately is contended. */
	DISPATCH_CONTEND_US = 10000000,
	/* Latest starts are compared in steps of a quarter of a power of two of
	 * the time until then: two batches that are alike do not take turns. */
	DISPATCH_START_STEPS = 4,
	DISPATCH_SPARE_US = 5000000, /* and a tenth: kept for retries */
	DISPATCH_BOOK_US =
	    600000000, /* unused for so long, a book is dropped */
	/* A plan is handed out in so many turns or more. */
	DISPATCH_TURNS = 64,
};

/* An account in a class of a book: its lanes, in the order they go. */
struct dispatch_turn {
	struct fair_book *book;
	int class, weight;
	int64_t account;
	size_t first, n, at; /* of d->lanes */
	size_t lift, nlift;  /* of lifted */
};

struct dispatch_turns {
	struct dispatch_turn *list;
	size_t n, cap;
	struct dispatch_lane **lifted; /* in danger */
	size_t nlifted, lifted_cap;
	struct fair_book **open; /* books in which somebody waits */
	size_t nopen, open_cap, next;
	int64_t reckoned_us;
	bool stale; /* lanes, or what they contend for, have changed */
};

void dispatch_order_fini(struct dispatch *d);
/* Lanes have come or gone. */
void dispatch_order_stale(struct dispatch *d);
/* Remember whose a lane is that leaves. */
void dispatch_order_gone(struct dispatch *d, const struct dispatch_lane *lane);

/* dispatch_contend.c */
/* Which lines contend, and so stand in one book; true when that has changed. */
bool dispatch_books_find(struct dispatch *d, int64_t now_us);
/* Those that were not used for long. */
void dispatch_books_drop(struct dispatch *d, int64_t now_us);

/* Before a plan, after dispatch_begin(). */
void dispatch_order_begin(struct dispatch *d, int64_t now_us);
/* Whose turn it is: the books in turn; NULL: nobody waits any more. */
struct dispatch_turn *dispatch_order_next(struct dispatch *d);
/* The lane of the turn that goes first; NULL: all are over. */
struct dispatch_lane *
dispatch_order_lane(struct dispatch *d, struct dispatch_turn *t);

#endif
