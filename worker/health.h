/*
 * health - does one line fail, or the path?
 *
 * Pure.  Several different lines that fail in a row, with no answer between,
 * say that the upstream fails as a whole; then no line is charged for it.
 */
#ifndef WORKER_HEALTH_H
#define WORKER_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEALTH_BULK = 4 }; /* different lines */

struct health { /* zeroed is well */
	uint64_t failed[HEALTH_BULK];
	size_t n;
};

void health_ok(struct health *h);
/* line: any number that tells lines apart.  True: it is the path. */
bool health_failed(struct health *h, uint64_t line);

#endif
