/*
 * usage - the tokens of a live answer, found as its bytes pass by.
 *
 * Pure.  Nothing of the answer is kept but what may hold its usage: a short
 * body whole, of a long one the end, of a stream the event at hand.
 */
#ifndef WORKER_USAGE_H
#define WORKER_USAGE_H

#include <sluice/buf.h>
#include <sluice/slc.h>

#include "answer.h"

enum {
	USAGE_KEPT_MAX = 64 << 10, /* bytes of a body or an event kept */
	USAGE_TEXT_MAX = 4 << 10,  /* of a "usage" object */
};

/* Zeroed is ready for a body that is one JSON value. */
struct usage {
	bool stream; /* server-sent events; set it before the first byte */
	struct buf kept;
	bool cut; /* its beginning is lost */
	/* of a stream: the line at hand, as far as it matters */
	char field[8];
	size_t field_n;
	bool in_value, data, skip_space, after_cr;
	int64_t chunks; /* events with data, "[DONE]" excepted */
	struct answer_usage found;
};

void usage_fini(struct usage *u);
void usage_feed(struct usage *u, struct slice bytes);
/* No more bytes: found is what the last word on it was. */
void usage_end(struct usage *u);

#endif
