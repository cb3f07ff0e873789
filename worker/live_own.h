/*
 * live_own - what live.c, live_up.c and live_answer.c share.
 */
#ifndef WORKER_LIVE_OWN_H
#define WORKER_LIVE_OWN_H

#include <sluice/http.h>
#include <sluice/live.h>
#include <sluice/upstream.h>

#include "live.h"
#include "live_settle.h"
#include "usage.h"

enum {
	LIVE_UNSENT_MAX = 64 << 10, /* of an answer; then the upstream waits */
	LIVE_ERROR_MAX = 64 << 10,  /* an error's body, to be blanked */
};

struct live {
	uv_loop_t *loop;
	struct paths *paths;
	struct db *db;
	struct live_opts opts;
	struct live_settle *settle;
	struct http_server *server;
	struct upstream *upstream;
	char token[2 * LIVE_TOKEN_BYTES + 1];
	struct buf url;     /* of this listener */
	int64_t worker;     /* 0: none */
	int64_t told_at_ms; /* the database: where we listen; INT64_MIN */
	int64_t told_us;    /* boot time */
	int64_t log_at_ms;  /* refused secrets */
	bool telling;
	bool stopping;
	size_t bodies; /* bytes of bodies, as announced or come */
	int32_t n;
	struct live_call *calls;
	int open; /* parts still closing */
	void (*on_closed)(void *arg);
	void *closed_arg;
};

enum live_stage {
	LIVE_READING, /* the body */
	LIVE_PARKED,  /* the path is not known yet */
	LIVE_CALLING,
	LIVE_DONE, /* or refused */
	LIVE_STAGES
};

struct live_call {
	struct live *live;
	struct live_call *next, **prev;
	struct http_req *req; /* NULL: the caller has gone */
	enum live_stage stage;
	int64_t admission;
	int32_t path_id;
	int64_t leave_us; /* LIVE_LEAVE, or 0 */
	struct path *path;
	struct buf model, body;
	size_t reserved; /* of live->bodies */
	int64_t parked_ms;
	bool json; /* the body */
	struct upstream_call *up;
	int32_t in_flight; /* of the path as this one left, itself included */
	/* the answer */
	int status;
	bool started; /* being streamed on */
	bool error;   /* kept whole instead, in error_body */
	bool too_long;
	struct buf error_body;
	struct usage usage;
};

void live_set(struct live_call *c, enum live_stage next);
/* An answer of our own: nothing has been sent, another may try. */
void live_refuse(
    struct live_call *c, int status, const char *code, const char *text);

/* The body is whole: to the upstream, once the path is known. */
void live_call_ready(struct live_call *c);
/* Callbacks of the upstream's answer; arg is the call. */
void live_on_head(int status, struct slice headers, void *arg);
bool live_on_piece(struct slice piece, void *arg);
void live_on_done(const struct upstream_result *got, void *arg);
/* The caller has gone, and the upstream's call is over: free it. */
void live_call_drop(struct live_call *c);

#endif
