/*
 * upstream - the whole program's state, owned by main().
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include <uv.h>

#include "chance.h"
#include "conf.h"
#include "limiter.h"
#include "request.h"
#include "serve.h"
#include "stats.h"

struct upstream {
	uv_loop_t *loop;
	struct server server;
	struct conf conf;
	struct limiter limits;
	uint32_t limits_era; /* counts the times limits were replaced */
	struct stats stats;
	struct chance latencies, faults, phases;
	struct foreign foreign;
	struct call *free_calls;
	uint64_t serial; /* of the last call */
	int64_t start_ns;
	int64_t clock_skew_ns; /* from the monotonic clock to 1970 */
};

/* The monotonic clock, moved to count from 1970. */
int64_t upstream_now(const struct upstream *u);
bool upstream_is_out(const struct upstream *u);

/* Put conf.limits in force; they learn what has been accepted so far. */
void upstream_set_limits(struct upstream *u);

/*
 * fault_reply.c: send what a call with a fault gets in place of r, whose body
 * is the good answer; returns the status, 0 for none.
 */
int fault_reply(
    struct conn *c, const struct fault *f, struct reply *r, struct text *body);

/* control.c: what lives below /_; control_stats() appends GET /_stats. */
void control_on_request(struct upstream *u, struct conn *c);
void control_stats(struct upstream *u, const char *url, struct text *out);

/* call.c: a request for the API is there. */
void call_on_request(struct upstream *u, struct conn *c);
/* The headers are there: true if the connection has been dealt with. */
bool call_on_headers(struct upstream *u, struct conn *c);
/* call_draft.c: what the request q with a body of so many bytes will get, and
 * the tokens taken at admission: what comes with input, what may come out. */
void call_draft(struct answer *a, struct upstream *u, enum endpoint endpoint,
    const struct request *q, const struct arrival *arrival, size_t body_n);
int64_t call_tokens(
    const struct conf *conf, const struct answer *a, const struct request *q);
/* The client of a call has gone. */
void call_on_gone(struct call *call);

#endif
