/*
 * upstream - the account at the other end: limits, latency, answers, moods.
 */
#ifndef SIM_UPSTREAM_H
#define SIM_UPSTREAM_H

#include <sluice/dialect.h>

#include "sim.h"

struct wline;

enum up_end { UP_ANSWER, UP_BROKEN, UP_UNREACHED };

struct up_call {
	struct worker *worker;
	int64_t worker_gen;
	struct wline *wline;
	int64_t lane; /* which line: for the truth in the store */
	int32_t line;
	int32_t input, output, cap; /* tokens it costs, declares */
	int64_t work_us;
	int64_t sent_us; /* true time */
	bool orphan;     /* its worker lost it; it may go again */
	/* the answer */
	enum up_end end;
	int status;
	int64_t answered_us;    /* when it left */
	enum dimension refused; /* 429: by a limit of this dimension */
	int64_t wait_us;        /* that its Retry-After says, 0: it does not */
	char headers[640], body[160];
	struct up_call *next; /* in flight */
};

/* How things are with the upstream. */
enum mood {
	MOOD_WELL,
	MOOD_AWAY,   /* no connection */
	MOOD_ERRORS, /* 5xx */
	MOOD_FLAKY,  /* some calls break, some fail, some are refused */
};

struct upstream *upstream_new(struct sim *s);
void upstream_free(struct upstream *up);

/* Can a connection be made now? */
bool upstream_reached(const struct sim *s);
/* The request is written: it is on its way.  Takes the call over. */
void upstream_send(struct sim *s, struct up_call *call);
void upstream_mood(struct sim *s, enum mood mood);
/* Calls sent and not answered; those that it works on. */
struct up_call *upstream_open(const struct sim *s);
int64_t upstream_in_flight(const struct sim *s);

#endif
