/*
 * live - calls that callers wait for: a listener for sluiced, which hands each
 * over with the path it was let in for (sluice/live.h), and streams.
 *
 *   live.c         the listener
 *   live_up.c      the way up
 *   live_answer.c  the way down, and what an upstream's end means here
 *   live_settle.c  into the database
 */
#ifndef WORKER_LIVE_H
#define WORKER_LIVE_H

#include <sluice/db.h>
#include <sluice/slc.h>

#include "paths.h"

struct live;

struct live_opts {
	const char *listen; /* "127.0.0.1:0" or "unix:/path" */
	const char *url;    /* where sluiced finds it; NULL: as it listens */
	int32_t max_calls;
	/* A path is asked for that is not known yet: read the configuration,
	 * then call live_configured(). */
	void (*want_paths)(void *arg);
	void *arg;
};

/* paths and db are borrowed.  NULL and err when it cannot listen. */
struct live *live_new(uv_loop_t *loop, struct paths *paths, struct db *db,
    const struct live_opts *opts, struct slc_err *err);
/* In all that follows l may be NULL: no live calls. */

/* Ends what is under way.  To be called once nothing is with the database, or
 * after it has been closed. */
void live_free(struct live *l, void (*on_closed)(void *arg), void *arg);

/* Tell the database where this worker listens; 0: no worker any more. */
void live_worker(struct live *l, int64_t worker);
void live_configured(struct live *l);
void live_tick(struct live *l, int64_t now_ms);

/* Take no further calls; with calls, end those that are under way and settle
 * nothing that the database did not take so far. */
void live_stop(struct live *l, bool calls);
int32_t live_calls(const struct live *l); /* under way */
bool live_idle(const struct live *l);     /* none, and all is settled */

#endif
