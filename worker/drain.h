/*
 * drain - the life of a worker: register, beat, take runs, give them to send,
 * and stop without leaving anything open.
 */
#ifndef WORKER_DRAIN_H
#define WORKER_DRAIN_H

#include <sluice/db.h>
#include <uv.h>

#include "hook_net.h"
#include "live.h"

struct drain_opts {
	const char *name; /* shown to operators */
	const char *dsn;
	int32_t max_in_flight; /* calls at once */
	int64_t drain_ms;      /* what calls get to end when stopping */
	struct live_opts live; /* listen, url, max_calls; listen NULL: none */
	struct hook_rules hooks;
};

struct drain;

/* NULL and err when it cannot listen: then the program is to end. */
struct drain *drain_start(
    uv_loop_t *loop, const struct drain_opts *opts, struct slc_err *err);

/* Take nothing more, finish what is out, give the rest back. */
void drain_stop(struct drain *d, void (*on_stopped)(void *arg), void *arg);

#endif
