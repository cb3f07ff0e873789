/*
 * kept - which requests have the same answer each time, and what such an answer
 * is called, so that it can be found again.
 *
 * Pure.  sluiced and workers call it the same, and so does
 * sluice.kept_before(): what was answered live serves lines of batches, and the
 * other way round.
 */
#ifndef SLUICE_KEPT_H
#define SLUICE_KEPT_H

#include <sluice/slc.h>

enum { KEPT_KEY = 32, KEPT_HEADERS = 5 };

/* Headers that may change what comes back. */
extern const char *const kept_headers[KEPT_HEADERS];

struct kept_request {
	struct slice path, query;
	/* as kept_headers has them; not there: p NULL */
	struct slice header[KEPT_HEADERS];
	struct slice body;
	int64_t max_tokens; /* that Sluice adds where the body has none; or 0 */
};

/* An embedding, a moderation, or a chat or completion of temperature 0; not
 * streamed.  /v1/responses has tools, and what the upstream keeps. */
bool kept_repeats(struct slice path, struct slice body);

/* "application/json" says no more than nothing, nor does an Accept of that or
 * of anything. */
void kept_key(const struct kept_request *r, unsigned char out[KEPT_KEY]);

#endif
