/*
 * dispatcher - the loop around dispatch: takes the lease, looks, plans,
 * commits, and does the chores that only one process may do (places for chunks,
 * ends of batches, the dead's work).
 *
 * Every sluiced runs one; at most one of all holds the lease.
 */
#ifndef SCHEDULER_DISPATCHER_H
#define SCHEDULER_DISPATCHER_H

#include <sluice/db.h>
#include <uv.h>

struct dispatcher;

struct dispatcher_opts {
	double margin; /* struct dispatch */
	/* How much of what was committed a failover may lose. */
	int64_t failover_lag_ms;
};

/* db: connections of its own, two or more; name: of this process, unique. */
struct dispatcher *dispatcher_start(uv_loop_t *loop, struct db *db,
    const char *name, const struct dispatcher_opts *opts);

/* Gives the lease back; on_stopped follows when nothing is under way. */
void dispatcher_stop(
    struct dispatcher *dr, void (*on_stopped)(void *arg), void *arg);

#endif
