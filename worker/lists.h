/*
 * lists - does an upstream take several texts in one call at all?
 *
 * Pure.  Some refuse lists, or answer them as one text: each call of N lines
 * would be halved until all are alone, 2N-1 calls, for ever.  Zeroed is ready
 * to use.
 */
#ifndef WORKER_LISTS_H
#define WORKER_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LISTS_REFUSED_MAX = 8, /* in a row */
	LISTS_MODELS = 8,      /* remembered of a path: the last ones */
};
#define LISTS_REST_US INT64_C(3600000000)

enum lists_end {
	LISTS_NOTHING, /* it says nothing of lists */
	LISTS_TAKEN,   /* a part for each line */
	LISTS_REFUSED, /* a list was no use, whoever is to blame */
	LISTS_ALONE,   /* a line that was split off has its answer */
};

struct lists {
	struct lists_model {
		char *model;
		int refused;      /* in a row */
		int64_t until_us; /* lines of it go alone */
	} models[LISTS_MODELS];
	size_t next;
};

/* After LISTS_REFUSED_MAX lists in a row that were refused, an answer to a line
 * alone: the upstream is to blame, and lists rest for LISTS_REST_US. */
void lists_saw(
    struct lists *l, const char *model, enum lists_end end, int64_t now_us);
bool lists_rest(const struct lists *l, const char *model, int64_t now_us);
void lists_fini(struct lists *l);

#endif
