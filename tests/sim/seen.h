/*
 * seen - what a worker tells of its calls, as worker/flush_seen.c writes it.
 */
#ifndef SIM_SEEN_H
#define SIM_SEEN_H

#include "worker_own.h"

void seen_write(const struct wresult *list, size_t n, struct buf *out);

/* When the last wait that upstreams asked for in these is over; 0: none. */
int64_t seen_until_us(const struct wresult *list, size_t n);

#endif
