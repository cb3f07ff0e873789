/*
 * api - which request goes where, who may, and how errors look.
 *
 * api.c has the life of a call, api_routes.c the table in which a row adds a
 * route; the files beside them have the routes: api_files.c, api_batches.c,
 * api_admin_*.c, api_usage.c, upload.c, content.c.
 */
#ifndef SCHEDULER_API_H
#define SCHEDULER_API_H

#include <sluice/db.h>
#include <sluice/http.h>

struct api_conf {
	int64_t max_file_bytes, max_file_lines;
};

struct api {
	uv_loop_t *loop;
	struct db *db;
	struct live *live;
	struct api_conf conf;
	bool draining; /* being stopped: not ready */
	int64_t calls; /* under way */
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
	struct buf body;
	int64_t bytes_seen;
	int refs;
	bool answered;
	/* the route's own; called while req is still valid, or as it goes */
	void *state;
	void (*on_piece)(struct call *call, struct slice piece);
	void (*on_end)(struct call *call);
	void (*on_gone)(struct call *call);
};

/* Which route a call is for; NULL: answered 404 or 405. */
const struct route *api_route(struct call *call);

extern const struct http_handler api_handler; /* ctx: struct api */

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

/* Routes */
void api_files_upload(struct call *call);
void api_files_list(struct call *call);
void api_files_get(struct call *call);
void api_files_content(struct call *call);
void api_files_delete(struct call *call);
void api_batches_create(struct call *call);
void api_batches_list(struct call *call);
void api_batches_get(struct call *call);
void api_batches_cancel(struct call *call);
void api_accounts_list(struct call *call);
void api_accounts_create(struct call *call);
void api_keys_list(struct call *call);
void api_keys_create(struct call *call);
void api_keys_revoke(struct call *call);
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
