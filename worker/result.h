/*
 * result - from the end of a call to what is to be settled.
 */
#ifndef WORKER_RESULT_H
#define WORKER_RESULT_H

#include <sluice/upstream.h>

#include "flush.h"
#include "outcome.h"
#include "work.h"

/* With what is known before any call; the caller's. */
struct result *result_new(struct line *line, enum result_kind kind);
/* The path's in_flight no longer counts the call; its health is told.  got's
 * body may be changed.  chance: random, [0, 1). */
struct result *
result_of(struct line *line, const struct upstream_result *got, double chance);

/* It fails with a code that came from outside (cut down to letters). */
struct result *
result_failed(struct line *line, const char *code, const char *message);

/* Parts of it, for calls that are no lines. */
enum outcome_end result_end(enum upstream_end end);
/* What the dispatcher should know of an answer's limits. */
void result_keep_said(const struct dialect_answer *said, bool refused,
    int32_t in_flight, struct result *r);
/* What is said of a line that goes again, or a path that is down: in why. */
void result_describe(
    const struct upstream_result *got, bool billing, struct result *r);

#endif
