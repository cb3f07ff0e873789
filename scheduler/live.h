/*
 * live - calls that callers wait for: let in by admit, carried by a live worker
 * (sluice/live.h), streamed back as they come.
 *
 *   live.c         a call's way: its body, the door, its end
 *   live_carry.c   to the worker, and the answer back
 *   live_wait.c    calls that wait for room at the upstream
 *   live_models.c  GET /v1/models
 */
#ifndef SCHEDULER_LIVE_H
#define SCHEDULER_LIVE_H

#include "api.h"

struct live_opts {
	const char *name;    /* of this sluiced, among doors */
	int64_t wait_ms;     /* for room at the upstream, before 429 */
	int32_t connections; /* to workers, kept at most */
};

struct live *
live_new(uv_loop_t *loop, struct db *db, const struct live_opts *opts);
/* No request is under way. */
void live_free(struct live *l, void (*on_closed)(void *arg), void *arg);

/* That of its door. */
uint64_t live_era(const struct live *l);

void api_live(struct call *call);
void api_models_list(struct call *call);
void api_models_get(struct call *call);

#endif
