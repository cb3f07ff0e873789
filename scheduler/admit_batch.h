/*
 * admit_batch - calls that are judged together, as sluice.admit() takes them.
 *
 * Pure.  Every counter that the calls meet stands once, in the order in which
 * counters are locked: by limit, then by the bytes of the subject.
 */
#ifndef SCHEDULER_ADMIT_BATCH_H
#define SCHEDULER_ADMIT_BATCH_H

#include <sluice/slc.h>

#include "admit_limits.h"

enum {
	ADMIT_BATCH_MAX = 256,  /* calls */
	ADMIT_KNOWN_ANSWER = 2, /* instead of cheap, 0 or 1 */
};

struct admit_batch { /* zeroed: empty */
	/* the calls, in the order they were added */
	size_t n;
	int64_t account[ADMIT_BATCH_MAX], key[ADMIT_BATCH_MAX];
	struct slice model[ADMIT_BATCH_MAX], resource[ADMIT_BATCH_MAX];
	int64_t input[ADMIT_BATCH_MAX], output[ADMIT_BATCH_MAX];
	int16_t priority[ADMIT_BATCH_MAX], cheap[ADMIT_BATCH_MAX];
	int64_t as_of[ADMIT_BATCH_MAX];
	int32_t head[ADMIT_BATCH_MAX]; /* counter, from 1; 0: none */
	int32_t last[ADMIT_BATCH_MAX]; /* uses up to and with this call's */
	/* what they use: counter (from 1) and units */
	size_t nuses, uses_max;
	const struct admit_limit **met; /* borrowed */
	int32_t *use;
	int64_t *units;
	/* the counters */
	size_t nstates;
	const struct admit_limit **state;
	int32_t *limit, *window;
	struct slice *subject, *zone;
	int64_t *amount;
	int16_t *algorithm, *hold;
};

/* The ask's texts and the limits are borrowed until the batch is cleared.  Not
 * more than ADMIT_BATCH_MAX. */
void admit_batch_add(struct admit_batch *b, const struct admit_ask *ask,
    const struct admit_limits *limits);
/* All are added: the counters are found and numbered. */
void admit_batch_close(struct admit_batch *b);
void admit_batch_clear(struct admit_batch *b); /* frees */

#endif
