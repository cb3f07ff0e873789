/*
 * reply - how a caller is told of limits: headers and errors by dialect.
 *
 * Pure.  The other side of lib/dialect*.c, and shares no code with it.
 */
#ifndef SCHEDULER_REPLY_H
#define SCHEDULER_REPLY_H

#include <sluice/buf.h>
#include <sluice/slc.h>

#include "admit.h"

enum reply_dialect {
	REPLY_ACCOUNT,
	REPLY_PRIORITY,
	REPLY_CHUNKS,
	REPLY_RELAY,
	REPLY_OPENAI,
	REPLY_IETF,
	REPLY_DIALECTS
};
/* Names as in sluice.plan.dialect; false: unknown. */
bool reply_dialect(struct slice name, enum reply_dialect *out);

struct reply_in {
	enum reply_dialect dialect;
	struct admit_headline headline;
	const char *resource; /* NULL: not of a model */
	int priority;         /* 1..4; 0: not of a model */
	int64_t now_s;        /* Unix time, for resets that are instants */
	int64_t now_us;       /* of that second, past: 0..999999 */
};

/* Call set for each header an answer of that dialect has. */
void reply_headers(const struct reply_in *in,
    void (*set)(void *arg, const char *name, const char *value), void *arg);

/* The same and Retry-After, and the body, of a refusal: wait_us as in
 * struct admit_answer. */
struct reply_refusal {
	int64_t wait_us;
	const char *limit, *dimension, *scope;
	bool upstream; /* the provider's limit, not the caller's */
};
void reply_refused(const struct reply_in *in, const struct reply_refusal *r,
    void (*set)(void *arg, const char *name, const char *value), void *arg,
    struct buf *body);

#endif
