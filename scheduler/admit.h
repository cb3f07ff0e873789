/*
 * admit - may this call go now, and by which way?
 *
 * All limits that a call meets, before its caller and towards the upstream,
 * are judged in one transaction of the database, all or none; calls that wait
 * at the same time share one.  What is let in holds a reservation until it is
 * settled by the truth, by the live worker that carried it.
 */
#ifndef SCHEDULER_ADMIT_H
#define SCHEDULER_ADMIT_H

#include <sluice/db.h>
#include <sluice/slc.h>

enum {
	ADMIT_RESOURCE_MAX = 15,
	ADMIT_URL_MAX = 255,
	ADMIT_TOKEN_MAX = 63,
	ADMIT_LIMIT_MAX = 159,
};

struct admit;

struct admit_ask { /* borrowed for the call of admit_ask() */
	int64_t account, key;
	const char *model;
	const char *resource; /* chat, embeddings, moderations, images, audio */
	int64_t input;        /* tokens, estimated from bytes */
	int64_t output;       /* the declared cap, or an estimate */
	int priority;         /* 1..4 */
	int64_t as_of;        /* callers_revision that says whose key it is */
	uint64_t era;         /* admit_era() before that was asked */
	bool cheap;           /* model:batch: by a cheaper path only */
	bool known;           /* the answer is: the caller's requests count,
				 nothing is reserved and no way is chosen */
};

/* How full the limit is that the caller's dialect speaks of. */
struct admit_headline {
	bool known; /* false: there is no such limit */
	int64_t amount, used;
	int64_t window_s;
	int64_t reset_us; /* until the counter is empty again, from now */
};

enum admit_verdict {
	ADMIT_YES,
	ADMIT_LIMITED,  /* a limit before the caller: 429 */
	ADMIT_BUSY,     /* the upstream's limits: 429, or wait */
	ADMIT_NO_MODEL, /* no path serves the model: 404 */
	ADMIT_NO_CHEAP, /* no cheaper path can take it live: 400 */
	ADMIT_NO_PATH,  /* all paths are down, or no live worker: 503 */
	ADMIT_STALE,    /* as_of: the key may have changed, nothing was done */
	ADMIT_DB,       /* the database is away: 503 */
};

struct admit_answer {
	enum admit_verdict verdict;
	struct admit_headline headline;
	/* YES */
	int64_t admission; /* what the worker settles */
	int32_t path;
	char worker_url[ADMIT_URL_MAX + 1];
	char worker_token[ADMIT_TOKEN_MAX + 1];
	int64_t leave_us; /* LIVE_LEAVE; 0: none */
	/* LIMITED, BUSY: when this very call would pass, > 0; -1: never, the
	 * call is larger than the limit */
	int64_t wait_us;
	char limit[ADMIT_LIMIT_MAX + 1]; /* in words: "requests/1m" */
	char dimension[24], scope[24];
};

struct admit *admit_new(uv_loop_t *loop, struct db *db, const char *name);
/* Asks that wait are answered with ADMIT_DB first. */
void admit_free(struct admit *a, void (*on_closed)(void *arg), void *arg);

/* Another one each time that what the database had said may be undone: a
 * connection was lost, or a door opened. */
uint64_t admit_era(struct admit *a);

/* done is called once, never from inside. */
void admit_ask(struct admit *a, const struct admit_ask *ask,
    void (*done)(const struct admit_answer *answer, void *arg), void *arg);

/* The caller of an ask was told 429, and not to wait: counted, for usage. */
void admit_refused(struct admit *a, const struct admit_ask *ask);

#endif
