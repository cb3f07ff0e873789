/*
 * live_own - what live.c, live_carry.c and live_wait.c share.
 */
#ifndef SCHEDULER_LIVE_OWN_H
#define SCHEDULER_LIVE_OWN_H

#include <sluice/kept.h>
#include <sluice/upstream.h>

#include "admit.h"
#include "live.h"
#include "live_ask.h"

/* What is served live: as which resource, and the model when none is named. */
struct live_kind {
	const char *path, *resource, *model;
};

enum live_cache_state {
	LIVE_CACHE_NONE, /* not wanted, or not known */
	LIVE_CACHE_MISS,
	LIVE_CACHE_HIT,
	LIVE_CACHE_KEEPING, /* an answer to be put away goes by */
};

struct live {
	uv_loop_t *loop;
	struct db *db;
	struct live_opts opts;
	struct admit *admit;
	struct upstream *upstream; /* the workers */
	size_t bodies;             /* bytes, as announced or come */
	/* calls that wait, those first that go first */
	struct live_call *waiting;
	uv_timer_t wake;
	int open; /* parts still closing */
	void (*on_closed)(void *arg);
	void *closed_arg;
};

enum live_stage {
	LIVE_READING, /* the body */
	LIVE_LOOKING, /* for an answer in the cache */
	LIVE_ASKING,  /* the door */
	LIVE_KNOWING, /* whose the key is, as it may have changed */
	LIVE_WAITING, /* for room at the upstream */
	LIVE_CALLING, /* the worker */
	LIVE_FINDING, /* another worker */
	LIVE_OVER,
	LIVE_STAGES
};

struct live_call {
	struct live *live;
	struct call *call;
	enum live_stage stage;
	const struct live_kind *kind;
	struct live_ask ask;
	int priority;
	size_t reserved; /* of live->bodies */
	/* while it waits or asks again */
	struct live_call *next;
	bool queued;
	int64_t until_ms, due_ms;
	/* once it is let in */
	int64_t admission;
	int32_t path;
	int64_t leave_us; /* when it is late, for the worker; 0: never */
	char url[ADMIT_URL_MAX + 1], token[ADMIT_TOKEN_MAX + 1];
	struct upstream_call *up;
	int status;
	bool started;    /* the answer is being streamed on */
	bool unsent;     /* the worker says that nothing has left */
	bool again;      /* another worker has been tried */
	struct buf said; /* an unsent call's answer */
	struct {
		enum live_cache_state state;
		unsigned char key[KEPT_KEY];
		struct buf type, body; /* of the answer */
	} cache;
};

void live_set(struct live_call *lc, enum live_stage next);
/* Ask the door; live_on_admitted() is next. */
void live_ask(struct live_call *lc);
/* The caller of a call that is over goes with it. */
void live_over(struct live_call *lc);

/* The body is read, and no answer to it is known: wait, or ask the door. */
void live_go(struct live_call *lc);

/* live_cache.c: true: live_ask() or live_go() follow. */
bool live_cache_look(struct live_call *lc);
/* The door has let in a call whose answer is known. */
void live_cache_answer(struct live_call *lc);
/* An answer goes by: its head, pieces, and that it was whole. */
void live_cache_head(struct live_call *lc, int status, struct slice headers);
void live_cache_piece(struct live_call *lc, struct slice piece);
void live_cache_end(struct live_call *lc);

/* live_carry.c: to the worker and back; live_over() in the end. */
void live_carry(struct live_call *lc);
/* Whoever let it in is told that nothing came of it. */
void live_drop_admission(struct live_call *lc);

/* live_wait.c: wait_us until there may be room; false: too long, or never. */
bool live_wait(struct live_call *lc, int64_t wait_us);
/* Calls wait that go before this one: then it joins them. */
bool live_wait_behind(struct live_call *lc);
void live_wait_leave(struct live_call *lc);
void live_wait_init(struct live *l);

#endif
