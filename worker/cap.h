/*
 * cap - an output cap for a request that has none, where the submitter lets
 * Sluice set it.
 *
 * Pure.  The only edit of a body: one member after its opening brace, all other
 * bytes as they were.
 */
#ifndef WORKER_CAP_H
#define WORKER_CAP_H

#include <sluice/buf.h>
#include <sluice/slc.h>

/*
 * Put body with "max_tokens" (or "max_output_tokens" for /v1/responses) into
 * out.  False, and out untouched: it has a cap, whatever its name and value, or
 * the endpoint has none.
 */
bool cap_add(struct slice body, const char *endpoint, int64_t max_tokens,
    struct buf *out);

#endif
