/*
 * idset - which custom_ids have been seen.
 *
 * Pure.  Keeps 128 bits of the SHA-256 of each, so that memory is 22 to 43
 * bytes an id whatever its length, and nobody can make two ids collide.
 */
#ifndef SCHEDULER_IDSET_H
#define SCHEDULER_IDSET_H

#include <sluice/slc.h>

struct idset { /* zeroed is empty and ready to use */
	uint64_t (*slots)[2];
	size_t cap, n;
};

/* False if it was in already. */
bool idset_add(struct idset *s, struct slice id);
void idset_fini(struct idset *s);

#endif
