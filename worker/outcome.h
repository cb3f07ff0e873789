/*
 * outcome - what the end of a call means for its line and its path.
 *
 * Pure.
 */
#ifndef WORKER_OUTCOME_H
#define WORKER_OUTCOME_H

#include <sluice/slc.h>

enum outcome_kind {
	OUTCOME_DONE,    /* a result for the output file */
	OUTCOME_FAILED,  /* a result for the error file */
	OUTCOME_AGAIN,   /* another try, which counts */
	OUTCOME_REFUSED, /* throttled: again, not counted, the limit pauses */
	OUTCOME_DOWN, /* the path's fault: again, not counted, the path waits */
	OUTCOME_UNSENT, /* nothing left: give it back */
};

/* How the call ended, as far as it matters here. */
enum outcome_end {
	OUTCOME_ANSWER,    /* status, headers and body are there */
	OUTCOME_NOT_SENT,  /* its slot was over, or we stopped */
	OUTCOME_UNREACHED, /* no connection */
	OUTCOME_BROKEN,    /* sent, then the connection broke or timed out */
	OUTCOME_OVERSIZE,  /* the answer was cut off at its limit */
};

struct outcome_in {
	enum outcome_end end;
	int status;
	struct slice headers;
	bool good_body; /* an answer with 200 is what the endpoint gives */
	bool bulk;      /* many different lines fail on this path (health.h) */
	int tries;      /* that counted so far */
	int attempts;   /* that may count */
	double chance;  /* random, [0, 1) */
	int64_t now_s;  /* Unix time, for a Retry-After with a date */
};

struct outcome {
	enum outcome_kind kind;
	const char *code; /* of a failure without an answer, else NULL */
	int64_t wait_ms;  /* before it may go again */
	int64_t pause_ms; /* REFUSED: as the upstream said, 0: it did not */
};

/*
 * 2xx: done when the body is good, else another try.  429: refused.  401, 402,
 * 3xx: down.  403, 408, 409, 5xx and broken connections: another try, or down
 * in bulk; after the last try failed.  Everything else: failed.  The wait is
 * Retry-After, or random up to min(30 s, 1 s x 2^tries).
 */
void outcome_of(const struct outcome_in *in, struct outcome *out);

/*
 * Retry-After, retry-after-ms and x-ms-retry-after-ms in ms; 0 when there is
 * none that makes sense (RFC 9110 10.2.3; more than 31 days does not).
 */
int64_t outcome_retry_after_ms(struct slice headers, int64_t now_s);

#endif
