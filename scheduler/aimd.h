/*
 * aimd - how many calls an upstream takes at once, where nobody says so.
 *
 * Pure.  From 4, doubled each latency while there is work for it, one by one
 * over that time so that few too many are under way when the first is refused:
 * until a refusal that names concurrency, then one less than were in flight; or
 * one without a reason (RFC 6585 does not make them say which), then half.
 * After a rest one more is tried; where that stands the refusal was a stray
 * one, and the doubling goes on.  Each refusal doubles the rest.
 */
#ifndef SCHEDULER_AIMD_H
#define SCHEDULER_AIMD_H

#include <stdbool.h>
#include <stdint.h>

enum { AIMD_START = 4, AIMD_UNBOUND = 4096 };
/* A latency that is longer is not known yet. */
#define AIMD_LATENCY_MAX_US INT64_C(3600000000)
#define AIMD_UNKNOWN_US     INT64_C(10000000)
/* From a refusal until it is heeded, at most. */
#define AIMD_NEWS_US     INT64_C(1000000)
#define AIMD_REST_US     INT64_C(600000000)
#define AIMD_BRIEF_US    INT64_C(60000000) /* the same, unexplained */
#define AIMD_REST_MAX_US INT64_C(86400000000)

struct aimd {            /* zeroed: nothing known, starts at AIMD_START */
	int64_t limit;   /* 0: AIMD_START; AIMD_UNBOUND: there is none to see */
	bool found;      /* by a refusal */
	bool risen;      /* by one, since */
	bool brief;      /* found by one without a reason */
	int64_t rest_us; /* before it rises; 0: AIMD_REST_US */
	int64_t refused_at; /* in flight then */
	int64_t moved_us;
	/* Doubling: it was from at since_us. */
	int64_t from, since_us;
	bool wanted; /* more would have gone, since it was last grown */
};

int64_t aimd_limit(const struct aimd *a); /* INT64_MAX: unbound */

/* The limit has been felt once, and live calls obey it, too. */
bool aimd_binds(const struct aimd *a);

/*
 * Live calls, which come unasked until the limit binds: one was refused that
 * was the in_flight-th when it was sent.  Of many that left together the first
 * to be refused shows the limit, whichever is heard of first.
 */
void aimd_refused_live(
    struct aimd *a, int64_t now_us, int64_t sent_us, int64_t in_flight);

/* May one more go beside so many?  If not, that is remembered for growing. */
bool aimd_allows(struct aimd *a, int64_t out);

/* Before a plan: grow, when more was wanted. */
void aimd_grow(struct aimd *a, int64_t now_us, int64_t latency_us);

/* A call sent at sent_us was refused, or found nobody, and nothing says what
 * for: half as many from now on, and one more each minute that it stands. */
void aimd_unexplained(struct aimd *a, int64_t now_us, int64_t sent_us);

/* A call sent at sent_us was refused for concurrency with so many in flight,
 * itself included. */
void aimd_refused(
    struct aimd *a, int64_t now_us, int64_t sent_us, int64_t in_flight);

#endif
