/*
 * live_settle - what came of live calls, on its way into the database.
 *
 * One transaction for each.  What the database does not take now is tried
 * again; calls that nobody settles are ended there as they were estimated.
 */
#ifndef WORKER_LIVE_SETTLE_H
#define WORKER_LIVE_SETTLE_H

#include <sluice/dialect.h>
#include <sluice/upstream.h>

#include "answer.h"
#include "flush.h"

enum { LIVE_SETTLE_MAX = 20000 }; /* that wait; then the oldest is given up */

struct live_settle;

struct live_settle *live_settle_new(uv_loop_t *loop, struct db *db);
/* What waits is lost.  Idle, or the database is closed first. */
void live_settle_free(
    struct live_settle *s, void (*on_closed)(void *arg), void *arg);
void live_settle_drop(struct live_settle *s); /* what waits */
bool live_settle_idle(const struct live_settle *s);
/* As which worker; the dispatcher's time less boot time. */
void live_settle_as(struct live_settle *s, int64_t worker, int64_t offset_us);

/* A call leaves now, and should have by leave_us (0: whenever). */
void
live_settle_left(struct live_settle *s, int64_t admission, int64_t leave_us);

/* A call that is over; all borrowed. */
struct live_end {
	int64_t admission;
	bool
	    settle; /* false: it goes on elsewhere, only what was seen counts */
	int status; /* as the caller was answered */
	struct answer_usage usage;
	int64_t chunks;
	/* for the dispatcher */
	struct path *path;
	const char *model;
	const struct upstream_result *got;
	const struct dialect_answer *said;
	int64_t bytes; /* of a JSON body; 0: sizes say nothing of tokens */
	int32_t in_flight;
};

void live_settle_add(struct live_settle *s, const struct live_end *end);

#endif
