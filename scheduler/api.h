/*
 * api - which request goes where, who may, and how errors look.
 *
 * api.c has the life of a call, api_who.c who calls, api_routes.c the table of
 * routes; the files
 * beside them have the routes: api_files.c, api_batches.c, upload.c, content.c,
 * api_usage.c; and of operators api_admin_paths.c, api_plans.c, api_keys.c,
 * api_limits.c, api_webhooks.c.
 */
#ifndef SCHEDULER_API_H
#define SCHEDULER_API_H

#include <sluice/db.h>
#include <sluice/http.h>

#include "reply.h"
#include "who.h"

struct api_conf {
	int64_t max_file_bytes, max_file_lines;
};

struct api {
	uv_loop_t *loop;
	struct db *db;
	struct live *live;
	struct whos whos; /* of live calls */
	struct api_conf conf;
	bool draining; /* being stopped: not ready */
	int64_t calls; /* under way */
};

/* A listener, and which routes it has: the ctx of api_handler. */
struct api_front {
	struct api *api;
	bool admin, callers; /* /admin/..., /v1/... */
};

struct call;

enum api_body {
	API_NO_BODY, /* what comes is skipped */
	API_JSON,    /* up to SLC_JSON_BODY_MAX bytes */
	API_CONFIG,  /* JSON, up to SLC_CONFIG_BODY_MAX bytes */
	API_STREAM,  /* the route takes the pieces */
};

struct route {
	const char *method;
	const char *pattern; /* one "*" stands for one segment: call->id */
	const char *scope;   /* NULL: anybody */
	enum api_body body;
	void (*run)(struct call *call); /* JSON: the body is whole */
};

/* A request on its way through; freed when it is gone and nothing refers to it.
 */
struct call {
	struct api *api;
	struct http_req *req; /* NULL once the peer has left */
	const struct route *route;
	struct slice id; /* the segment of "*" */
	int64_t account, key;
	enum reply_dialect dialect; /* the caller's */
	int max_priority;           /* that its key may use */
	bool cache;    /* its account wants answers kept, and gets kept ones */
	int64_t as_of; /* the callers_revision that says all this */
	uint64_t era;  /* of the door (admit.h), before that was asked */
	bool remembered;              /* it is as it was for an earlier call */
	unsigned char hash[KEY_HASH]; /* of its key */
	int64_t asked_ms;             /* whose it is */
	struct buf body;
	int64_t bytes_seen;
	int refs;
	bool answered;
	/* the route's own; called while req is still valid, or as it goes */
	void *state;
	void (*on_piece)(struct call *call, struct slice piece);
	void (*on_end)(struct call *call);
	void (*on_gone)(struct call *call);
	void (*on_known)(struct call *call, bool ok); /* api_who() */
};

/* That of a request, with call->id; NULL: answered with 404 or 405. */
const struct route *api_route(struct call *call, const struct api_front *front);

extern const struct http_handler api_handler; /* ctx: struct api_front */

/* Answers; harmless when the peer has left. */
void api_json(struct call *call, int status, struct slice json);
void
api_error(struct call *call, int status, const char *code, const char *param,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The error of a database call. */
void api_db_error(struct call *call, const struct db_result *res);

/*
 * Run one statement and answer with the JSON it returns (or its error): the
 * whole of most routes.  Arguments as for db_run().
 */
#define api_query(call, ...)                                          \
	do {                                                          \
		struct call *q_ = (call);                             \
		q_->refs++;                                           \
		db_run(q_->api->db, api_on_queried, q_, __VA_ARGS__); \
	} while (0)
void api_on_queried(struct db_result *res, void *call);
void call_drop(struct call *call); /* one reference */

/*
 * api_who.c: whose key is it, and may it do that?  Then call->on_known; not ok:
 * answered, or gone.  From what is known (who.h), or as the database says now.
 */
void api_who(struct call *call);
void api_who_again(struct call *call);

/*
 * "file-..." or "batch_..." to 32 hex digits; answers 404 and returns false
 * when it is no such id.
 */
bool api_id(struct call *call, struct slice text, const char *prefix,
    const char *what, const char *param, char hex[33]);

/* ?limit= and ?after=; answers 400 and returns false when they are wrong. */
bool api_page(struct call *call, int64_t limit_default, int64_t limit_max,
    const char *prefix, const char *what, int64_t *limit, char after[33],
    bool *has_after);

/* The Idempotency-Key header: NULL without one.  False: answered, too long. */
bool api_idempotency_key(struct call *call, struct buf *out, const char **key);

/*
 * What the caller's dialect says of its limits, in headers of the answer to
 * come; once for a call.  Routes of the scope "live" do it themselves, when the
 * door has answered; for all others it is done with what STMT_AUTH knew.
 */
void api_reply(struct call *call, const struct admit_headline *headline,
    const char *resource, int priority);
/* The same, and all of a 429. */
void api_reply_refused(struct call *call, const struct admit_headline *headline,
    const char *resource, int priority, const struct reply_refusal *refusal);

/* Routes */
void api_files_upload(struct call *call);
void api_files_list(struct call *call);
void api_files_get(struct call *call);
void api_files_content(struct call *call);
void api_files_delete(struct call *call);
void api_batches_create(struct call *call);
void api_batches_list(struct call *call);
void api_batches_get(struct call *call);
void api_batches_edit(struct call *call);
void api_batches_cancel(struct call *call);
void api_plans_list(struct call *call);
void api_plans_create(struct call *call);
void api_plans_get(struct call *call);
void api_plans_edit(struct call *call);
void api_plans_remove(struct call *call);
void api_accounts_list(struct call *call);
void api_accounts_create(struct call *call);
void api_accounts_get(struct call *call);
void api_accounts_edit(struct call *call);
void api_keys_list(struct call *call);
void api_keys_create(struct call *call);
void api_keys_get(struct call *call);
void api_keys_edit(struct call *call);
void api_keys_revoke(struct call *call);
void api_limits_list(struct call *call);
void api_limits_create(struct call *call);
void api_limits_get(struct call *call);
void api_limits_edit(struct call *call);
void api_limits_delete(struct call *call);
void api_everybody_get(struct call *call);
void api_everybody_edit(struct call *call);
void api_webhooks_list(struct call *call);
void api_webhooks_create(struct call *call);
void api_webhooks_get(struct call *call);
void api_webhooks_remove(struct call *call);
void api_webhooks_test(struct call *call);
void api_workers_list(struct call *call);
void api_pools_list(struct call *call);
void api_paths_list(struct call *call);
void api_paths_get(struct call *call);
void api_apply(struct call *call);
void api_usage_all(struct call *call);
void api_usage_mine(struct call *call);
void api_usage_peak_all(struct call *call);
void api_usage_peak_mine(struct call *call);
void api_usage_forecast_all(struct call *call);
void api_usage_forecast_mine(struct call *call);

#endif
