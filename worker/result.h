/*
 * result - from the end of a call to what is to be settled.
 */
#ifndef WORKER_RESULT_H
#define WORKER_RESULT_H

#include <sluice/upstream.h>

#include "flush.h"
#include "work.h"

/* With what is known before any call; the caller's. */
struct result *result_new(struct line *line, enum result_kind kind);
/* The path's in_flight no longer counts the call; its health is told.  got's
 * body may be changed.  chance: random, [0, 1). */
struct result *
result_of(struct line *line, const struct upstream_result *got, double chance);

#endif
