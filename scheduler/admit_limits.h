/*
 * admit_limits - which limits calls of one key, model and resource meet.
 *
 * Pure: what sluice.door_limits() answers, taken apart once and kept.
 */
#ifndef SCHEDULER_ADMIT_LIMITS_H
#define SCHEDULER_ADMIT_LIMITS_H

#include <sluice/slc.h>

#include "admit.h"

/* As sluice.admit() takes them. */
enum admit_algorithm {
	ADMIT_NO_WINDOW,
	ADMIT_SLIDING,
	ADMIT_FIXED,
	ADMIT_ANCHORED,
	ADMIT_BUCKET,
};
enum admit_hold {
	ADMIT_COUNTED,  /* at once, for good */
	ADMIT_RESERVED, /* until settled */
	ADMIT_TOLD,     /* counted; more may come when settled */
	ADMIT_MONEY,    /* reserved; the database knows prices */
};

struct admit_limit {
	int32_t id;
	char *subject; /* whose counter */
	enum admit_algorithm algorithm;
	enum admit_hold hold;
	int64_t amount;
	int32_t window_s;
	char *zone, *text, *dimension, *scope;
};

struct admit_limits {
	int64_t revision; /* of sluice.config.callers_revision */
	bool served;      /* false: no path takes the model */
	struct admit_limit *v;
	size_t n;
	int head; /* the one that headers speak of; -1: none */
};

/* False: not a document of door_limits(); out is zeroed then. */
bool admit_limits_read(struct slice json, struct admit_limits *out);
void admit_limits_fini(struct admit_limits *l);

/* What a call takes of a limit, by estimate; 0 for money. */
int64_t
admit_limit_units(const struct admit_limit *l, int64_t input, int64_t output);

/*
 * The hint of a refusal by sluice.batch_admit(), "WAIT_US DIMENSION SCOPE
 * LIMIT": out is then an answer ADMIT_LIMITED.  False: it is something else.
 */
bool admit_refusal_read(const char *hint, struct admit_answer *out);

#endif
