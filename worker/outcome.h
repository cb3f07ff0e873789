/*
 * outcome - what the end of a call means for its line and its path.
 *
 * Pure.
 */
#ifndef WORKER_OUTCOME_H
#define WORKER_OUTCOME_H

#include <sluice/dialect.h>
#include <sluice/slc.h>

enum outcome_kind {
	OUTCOME_DONE,    /* a result for the output file */
	OUTCOME_FAILED,  /* a result for the error file */
	OUTCOME_AGAIN,   /* another try, which counts */
	OUTCOME_REFUSED, /* throttled: again, not counted, the limit pauses */
	OUTCOME_DOWN, /* the path's fault: again, not counted, the path waits */
	OUTCOME_UNSENT, /* nothing left: give it back */
	OUTCOME_SPLIT,  /* one of the call's lines may be to blame: again, not
			   counted, half as many; after trouble the first goes
			   alone */
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
	const struct dialect_answer
	    *said;      /* of an answer; else it is not read */
	bool good_body; /* an answer with 200 is what the endpoint gives */
	bool bulk;      /* many different lines fail on this path (health.h) */
	int tries;      /* that counted so far */
	int refused;    /* in a row, before */
	int attempts;   /* that may count */
	bool shared;    /* by several lines */
	bool unlike;    /* and a good body has not one part for each */
	double chance;  /* random, [0, 1) */
};

enum { OUTCOME_REFUSED_MAX = 5 }; /* in a row; then it is no window's fault */

struct outcome {
	enum outcome_kind kind;
	const char *code; /* of a failure, NULL: the answer is the result */
	int64_t wait_ms;  /* before it may go again */
	int64_t pause_ms; /* REFUSED: as the upstream said, 0: it did not */
	bool park;        /* REFUSED: once too often, it waits for long */
	bool half;        /* of a shared call: as many lines the next time */
	bool trouble;     /* SPLIT: it may be the upstream that is to blame */
};

/*
 * 2xx: done when the body is good.  A refusal (429, or one that only the body
 * tells): refused; but down when it is about money, and failed, as
 * request_exceeds_limit, when waiting never helps.  401, 402, 3xx: down.  Other
 * bad bodies of 2xx, 403, 408, 409, 5xx and broken connections: another try, or
 * down in bulk; after the last try failed.  Everything else: failed.  The wait
 * is the upstream's word, or random up to min(30 s, 1 s x 2^tries).  Where
 * several lines share the call, what would have failed is split, and so is what
 * would have been tried again: waiting as that does.  Refused for the
 * OUTCOME_REFUSED_MAXth time in a row, a line is parked, a shared call halved.
 */
void outcome_of(const struct outcome_in *in, struct outcome *out);

#endif
