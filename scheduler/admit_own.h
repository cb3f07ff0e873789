/*
 * admit_own - between admit.c, admit_known.c and admit_door.c alone.
 */
#ifndef SCHEDULER_ADMIT_OWN_H
#define SCHEDULER_ADMIT_OWN_H

#include <uthash.h>

#include "admit.h"
#include "admit_batch.h"
#include "admit_limits.h"

enum {
	ADMIT_LANES = 2,
	ADMIT_SHARE_MIN = 32,    /* calls; fewer are not shared among lanes */
	ADMIT_LOOK_MAX = 1024,   /* calls looked at for one batch */
	ADMIT_LOAD_MAX = 64,     /* sets of limits asked for at once */
	ADMIT_KNOWN_MAX = 20000, /* kept */
	ADMIT_TRIES = 8, /* a call whose limits change while it is judged */
	ADMIT_TICK_MS = 1000,
	ADMIT_LEASE_MS = 10000, /* then its calls are given up */
};

/* A counter of the database, as long as any limits name it. */
struct admit_counter {
	UT_hash_handle hh;
	char *id; /* limit, subject */
	int refs;
	struct admit_lane *lane; /* whose batch meets it; NULL: none */
	uint64_t passed;         /* by the fill in which a call had to wait */
};

/* Limits as they were read once; as long as anybody uses them. */
struct admit_read {
	int refs;
	uint64_t era; /* before they were asked for */
	struct admit_limits limits;
	struct admit_counter **counters; /* one for each limit */
};

/* A call that waits for its answer. */
struct admit_wait {
	struct admit_wait *next;
	struct admit_known *known;
	struct admit_read *read; /* under which it is judged */
	struct admit_ask ask;    /* its texts are known's */
	int tries;
	void (*done)(const struct admit_answer *answer, void *arg);
	void *arg;
};

struct admit_queue { /* zeroed: empty */
	struct admit_wait *first, *last;
};

/* A key, model and resource, and what is known of their limits. */
struct admit_known {
	UT_hash_handle hh;
	char *id; /* key, resource, model */
	int64_t account, key;
	char *model, *resource;
	struct admit_read *read;  /* NULL: not yet */
	bool asked;               /* it is to be read, or being read */
	struct admit_known *next; /* to be read */
	struct admit_queue waits;
	int uses;        /* calls that wait */
	int64_t refused; /* since that was last told */
};

/* A batch under way, on a connection of its own.  No two meet one counter: the
 * second would only wait for the first. */
struct admit_lane {
	struct admit *a;
	struct admit_batch batch;                   /* n 0: idle */
	struct admit_wait *judged[ADMIT_BATCH_MAX]; /* in the batch's order */
};

struct admit {
	uv_loop_t *loop;
	struct db *db;
	char *name;
	uv_timer_t tick;
	int64_t door; /* 0: not open */
	bool opening;
	uint64_t opened;  /* doors */
	uint64_t era;     /* as last seen */
	int64_t revision; /* what the newest limits were read under */
	struct admit_known *known;
	struct admit_known *unread, **unread_end;
	struct admit_known *reading[ADMIT_LOAD_MAX];
	size_t nreading;
	uint64_t reading_era;
	struct admit_counter *counters;
	struct admit_queue ready;
	size_t open; /* calls that are ready or being judged */
	struct admit_lane lanes[ADMIT_LANES];
	uint64_t fill;  /* the last one's number */
	bool answering; /* callers are told: what they ask is looked at after */
	size_t under_way; /* calls of the database */
	bool closing, closed;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

void admit_push(struct admit_queue *q, struct admit_wait *w);
struct admit_wait *admit_pop(struct admit_queue *q); /* NULL: empty */
/* Answers and frees. */
void admit_end(
    struct admit *a, struct admit_wait *w, const struct admit_answer *answer);
void
admit_end_db(struct admit *a, struct admit_queue *q); /* all, with ADMIT_DB */
/* Judge what is ready, as far as lanes are idle. */
void admit_pump(struct admit *a);

/* admit_known.c: the wait is ready when its limits are known. */
struct admit_known *admit_known(struct admit *a, const struct admit_ask *ask);
void admit_enlist(struct admit *a, struct admit_wait *w);
/* They are the newest, as far as is known. */
bool admit_is_current(struct admit *a, const struct admit_read *r);
void admit_read_drop(struct admit *a, struct admit_read *r);
void admit_known_free(struct admit *a);

/* admit_door.c */
void admit_door_open(struct admit *a);
void admit_quiet(struct admit *a); /* a call of the database has ended */

#endif
