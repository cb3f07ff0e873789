/*
 * paths - where to send, with which secret, and how many calls at once.
 *
 * The configuration comes from the database; secrets from files that only the
 * worker reads, and again when they change.
 */
#ifndef WORKER_PATHS_H
#define WORKER_PATHS_H

#include <sluice/buf.h>
#include <sluice/slc.h>
#include <sluice/upstream.h>

#include "health.h"
#include "lists.h"

/* One concurrency limit: what this worker may have open under it. */
struct seats {
	int32_t id, pool, path;
	char *model; /* glob */
	int32_t target;
	int32_t used;
	bool gone;
};

struct path {
	int32_t id, pool;
	char *name, *url;
	char *ca_file;     /* NULL: the system's authorities */
	char *dialect;     /* NULL: to be recognised (dialect.h) */
	char *suffix;      /* to models' names; NULL: none */
	char *secret_file; /* NULL: no secret */
	struct buf secret; /* empty when it cannot be read */
	int64_t secret_mtime_ns;
	struct upstream_headers *headers; /* with the secret in them */
	char trouble[160]; /* with the secret; "" when all is well */
	bool http2;
	bool batches; /* of that kind: no calls of single lines */
	int64_t poll_ms;
	int attempts;
	int64_t connect_ms, idle_ms, whole_ms;
	size_t answer_max;
	bool gone; /* removed by the operator */
	struct health health;
	bool said_down; /* in the log */
	struct lists lists;
	/* After a refusal lines of that model do not leave: those on their
	 * way here were planned before the dispatcher knew. */
	char *held_model;
	int64_t held_until_us; /* boot time */
	/* calls of this worker's lines on it */
	int32_t held; /* taken, without an outcome */
	int32_t in_flight;
	int32_t live;      /* live calls, which are not among them */
	double done_per_s; /* calls that end, smoothed */
	int64_t done;      /* since the last look */
	struct line *ready, **ready_last; /* their slots have come */
	size_t nready;
};

struct paths {
	int64_t revision;
	struct path **list;
	size_t n;
	struct seats **seats;
	size_t nseats;
};

void paths_init(struct paths *p);
void paths_fini(struct paths *p);

/* sluice.worker_config().  Which seats calls use may change with it: none are
 * used afterwards, paths_keep() says again which calls are open. */
enum slc_rc paths_read(struct paths *p, struct slice json, struct slc_err *err);
/* "seats" of sluice.worker_beat() */
void paths_targets(struct paths *p, struct slice json);
/* Read secrets whose files have changed. */
void paths_refresh(struct paths *p);

struct path *paths_find(struct paths *p, int32_t id);

/* What a call made of the path's health: whether it was answered, or the path
 * is down and why.  Logged when it changes. */
void path_told(struct path *path, bool ok, bool down, const char *why);

/* Headers for a call with a body of that type, with the secret; the caller's to
 * drop. */
struct upstream_headers *
paths_headers(const struct path *path, const char *content_type);

/* Room for one more call of the model: takes the seats, or returns false. */
bool paths_sit(struct paths *p, const struct path *path, const char *model);
void paths_keep(struct paths *p, const struct path *path, const char *model);
void paths_rise(struct paths *p, const struct path *path, const char *model);
/* Calls that limits on the path as a whole let this worker have open. */
int32_t paths_share(const struct paths *p, const struct path *path);

/*
 * The URL of an endpoint: a base with a path of its own ("https://h/v1") stands
 * for "/v1", a bare one ("https://h") gets all of the endpoint.
 */
void paths_url(const char *base, const char *endpoint, struct buf *out);

#endif
