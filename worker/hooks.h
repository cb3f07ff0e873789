/*
 * hooks - tells the endpoints of accounts that batches have ended.
 *
 * Events come from the database, where the transaction that ended the batch
 * wrote them; a try is counted there before it begins, and tries go on until
 * the receiver says 2xx or the database gives up.  Nothing is kept here.
 */
#ifndef WORKER_HOOKS_H
#define WORKER_HOOKS_H

#include <sluice/db.h>
#include <uv.h>

#include "hook_net.h"

struct hooks;

/* rules are copied. */
struct hooks *
hooks_new(uv_loop_t *loop, struct db *db, const struct hook_rules *rules);
/* Idle. */
void hooks_free(struct hooks *h, void (*on_closed)(void *arg), void *arg);

/* The database says that some are due. */
void hooks_due(struct hooks *h);

/* Begin no more; with calls, end those that are open: they are tried again. */
void hooks_stop(struct hooks *h, bool calls);
bool hooks_idle(const struct hooks *h);

#endif
