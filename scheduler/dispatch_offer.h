/*
 * dispatch_offer - what a line would get where; the parts of a plan.
 *
 * Pure.  dispatch.c puts plans together out of this; dispatch_begin.c brings
 * the limits up to date before each.
 */
#ifndef SCHEDULER_DISPATCH_OFFER_H
#define SCHEDULER_DISPATCH_OFFER_H

#include "dispatch.h"

/* What a line would get on a flow. */
struct dispatch_offer {
	struct dispatch_flow *flow;
	const struct dispatch_lane *lane;
	size_t n; /* lines: one call */
	int64_t slot_us, keep_us;
	int64_t input, output; /* tokens reserved */
	double variance;       /* of the output, where nobody declares it */
	int32_t cap;           /* output tokens allowed, -1: not said */
	const struct route_price *price;
	bool large;
	bool waits_large; /* no offer: there is no room for its size yet */
	double limit_us;  /* of dispatch_limit_us() */
	double money;     /* it will cost, at most as far as is known */
	struct dispatch_purse *purse; /* that pays for it, or NULL */
	bool too_dear; /* no offer: the purse does not hold it on any way */
};

/*
 * Of the lane's best ways that have one the earliest slot for the first of
 * lines[0..n), which may share a call: best->n of them do.  False: none does
 * now.
 */
bool dispatch_offer_best(struct dispatch *d, const struct dispatch_lane *lane,
    const struct dispatch_line *lines, size_t n, int64_t now_us,
    struct dispatch_offer *best);

/*
 * dispatch_cost.c: what the first of lines[0..n) will cost there, as far as it
 * is known, with as many of the others as the path, the purse and the limits
 * let into its call: not so many that the call is large.
 */
void dispatch_offer_cost(struct dispatch_offer *o,
    const struct dispatch_flow *f, const struct dispatch_lane *lane,
    const struct dispatch_line *lines, size_t n);
/* The tokens of one of them. */
void dispatch_line_cost(const struct dispatch_flow *f,
    const struct dispatch_lane *lane, const struct dispatch_line *line,
    struct dispatch_offer *o);
/* Units of a caller's limit: all that so many lines take, whatever the upstream
 * counts. */
int64_t dispatch_shape_units(const struct dispatch_rate *r, int64_t lines,
    int64_t input, int64_t output);
/*
 * How long the line may wait for a seat after its slot; -1: there is no room
 * for it now.
 *
 * Strict while the rate limits need fewer seats than there are (Little: rate x
 * latency), loose otherwise.  The stock is what seats may take up before the
 * news of their being free has come here and another grant has gone out.
 */
int64_t
dispatch_keep_us(const struct dispatch *d, const struct dispatch_flow *f,
    int64_t now_us, const struct dispatch_offer *o);

/* Charge the ledgers for it. */
void
dispatch_offer_take(const struct dispatch *d, const struct dispatch_offer *o);

/* Lines a second as lines[0..n) are that the flow lets through, of those of
 * all. */
double dispatch_lines_s(const struct dispatch_flow *f,
    const struct dispatch_lane *lane, const struct dispatch_line *lines,
    size_t n, int64_t now_us);
/* Nearly all calls of the flow end within it; a guess until some have. */
double dispatch_p99_ms(const struct dispatch_flow *f);
/* How long the limit that it takes most of is busy with a call. */
double dispatch_limit_us(const struct dispatch_flow *f, int64_t input,
    int64_t output, int64_t now_us);

/*
 * The line is more than a limit of each of its paths, beyond doubt: a body has
 * 16 bytes a token at the very most.  Then why is filled.
 */
bool dispatch_too_large(struct dispatch *d, const struct dispatch_lane *lane,
    const struct dispatch_line *line, char *why, size_t size);

/* The rate counts tokens that nobody declares on the flow. */
bool
dispatch_guessed(const struct dispatch_flow *f, const struct dispatch_rate *r);
/* Put the doubt about calls under way into the rate's margin. */
void dispatch_uncertain(const struct dispatch *d, struct dispatch_rate *r);

/* Before a plan: what has been learned, and what time has changed. */
void dispatch_begin(struct dispatch *d, int64_t now_us);

/* dispatch_hurry.c: how much faster than evenly each budget must be spent for
 * the deadlines of the lanes that draw on it, as far as that can be done. */
void dispatch_hurry(struct dispatch *d, int64_t now_us);

/*
 * The limit that a reading speaks of: of its dimension and window, or, where no
 * window is said, of its amount.  A limit that moves need not be of the amount.
 * NULL: one that is not configured; its word is shown, and makes nothing
 * faster.
 */
struct dispatch_rate *dispatch_reading_rate(
    const struct dispatch_flow *f, const struct dialect_reading *said);

/* Calls of the flow were refused alike, in the observation all. */
void dispatch_refused(struct dispatch_flow *f, int64_t now_us, int64_t workers,
    const struct dispatch_seen *all, const struct dispatch_refusal *seen);

#endif
