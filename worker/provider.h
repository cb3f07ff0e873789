/*
 * provider - lines through an upstream's own /v1/files + /v1/batches (paths of
 * kind batches).
 *
 * Which batch there is and what comes next stands in the database
 * (sql/006h_provider.sql); a worker claims a step that is due, does it and says
 * what came of it.  Whoever dies in between leaves a step that another worker
 * can begin again: an upload is made anew and its strays are deleted; a batch
 * that may have been created is looked for before it is created; results are
 * settled once, however often they are fetched.
 */
#ifndef WORKER_PROVIDER_H
#define WORKER_PROVIDER_H

#include <sluice/db.h>
#include <uv.h>

#include "chunks.h"
#include "paths.h"

struct provider;

struct provider *provider_new(
    uv_loop_t *loop, struct paths *paths, struct chunks *chunks, struct db *db);
void provider_free(
    struct provider *p, void (*on_closed)(void *arg), void *arg); /* idle */

/* As whom; from now on steps are claimed. */
void provider_worker(struct provider *p, int64_t worker);
/* To be called often. */
void provider_tick(struct provider *p, int64_t now_ms);
/* Claim nothing more; at_once: end the steps that are under way, too. */
void provider_stop(struct provider *p, bool at_once);
/* The worker's lease is gone, and its claims with it. */
void provider_drop(struct provider *p);
bool provider_idle(const struct provider *p);

#endif
