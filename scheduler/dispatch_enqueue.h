/*
 * dispatch_enqueue - lines for an upstream's own batches (paths of kind
 * batches).
 *
 * Pure.  Such a path has no slots and no seats, and the limits of its pool that
 * have a window mean other calls than these.  What it has is a queue at the
 * upstream, whose length (requests, or tokens of a model) may be limited: a
 * line goes as long as all that is out there and the line are within it.
 */
#ifndef SCHEDULER_DISPATCH_ENQUEUE_H
#define SCHEDULER_DISPATCH_ENQUEUE_H

#include "dispatch_offer.h"

enum {
	/* A line that nobody has packed after so long comes back. */
	DISPATCH_PACK_US = 600000000,
	/* After a batch was refused for the queue's length what may be in it
	 * begins with what else was, or half of the batch, and grows by the
	 * amount in so long. */
	DISPATCH_QUEUE_GROWS_US = 1800000000,
	DISPATCH_QUEUE_DOUBLINGS = 5,
};

/* A limit on what is with the upstream at once. */
struct dispatch_queued {
	int32_t id;
	struct dispatch_scope scope;
	bool tokens; /* else requests */
	int64_t configured, amount;
	int64_t out;
	/* learned from refusals */
	int64_t most; /* may be out, at refused_us; 0: the amount */
	int64_t refused_us;
	int64_t paused_us;
	int refusals; /* in a row */
	bool changed;
	char why[128];
};

/* Lines of a path and model that are out, and of these such that are not with
 * the upstream yet; after dispatch_world_begin(). */
void dispatch_queued_out(struct dispatch *d, int32_t path, const char *model,
    int64_t lines, int64_t tokens, int64_t going);

/* What may be out now. */
int64_t
dispatch_queued_allowed(const struct dispatch_queued *q, int64_t now_us);

/* A batch of so many lines and tokens was accepted; or, later, refused because
 * too much is enqueued: then nothing goes for wait_us, twice as long each time
 * in a row. */
void dispatch_queued_taken(
    struct dispatch *d, int32_t path, const char *model);
void dispatch_queued_refused(struct dispatch *d, int32_t path,
    const char *model, int64_t lines, int64_t tokens, int64_t wait_us,
    int64_t now_us);

/* The parts of dispatch_offer_best(), dispatch_offer_take() and
 * dispatch_too_large() for a flow of such a path; o has the line's costs. */
bool dispatch_queued_offer(struct dispatch_flow *f, int64_t now_us,
    struct dispatch_offer *o);
void dispatch_queued_take(
    struct dispatch_flow *f, const struct dispatch_offer *o);
/* The limit that tokens of one line are more than, or NULL. */
const struct dispatch_queued *
dispatch_queued_bursts(const struct dispatch_flow *f, int64_t tokens);

/* Tokens that a line counts for in the queue. */
int64_t dispatch_queued_tokens(
    const struct dispatch_flow *f, const struct dispatch_offer *o);

#endif
