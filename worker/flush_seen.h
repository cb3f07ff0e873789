/*
 * flush_seen - what results tell the dispatcher: sluice.observation.seen, as
 * scheduler/dispatch_json.c reads it.
 */
#ifndef WORKER_FLUSH_SEEN_H
#define WORKER_FLUSH_SEEN_H

#include "flush.h"

enum { FLUSH_SEEN_MAX = 32 }; /* readings, refusals of one path and model */

/* Append an array, one object for each path and model; list is sorted by them.
 * Of readings alike only the one whose call was sent last is told. */
void
flush_seen_write(const struct result *const *list, size_t n, struct buf *out);

#endif
