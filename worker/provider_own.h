/*
 * provider_own - one step of an upstream's batch, shared by provider*.c.
 *
 * A job is a claimed step.  It makes calls one after the other and ends with
 * job_end(), which writes what came of it; then it is freed.  When its claim is
 * lost it ends without a word.
 */
#ifndef WORKER_PROVIDER_OWN_H
#define WORKER_PROVIDER_OWN_H

#include <jansson.h>
#include <sluice/upstream.h>

#include "provider.h"
#include "provider_line.h"

enum {
	PROVIDER_JOBS_MAX = 8,         /* steps under way in one worker */
	PROVIDER_REPLY_MAX = 16 << 20, /* bytes of an answer that is kept */
	PROVIDER_FAILURES_MAX = 6, /* of one step in a row, before lines go */
	PROVIDER_STREAM_MS = 7200000, /* for a whole upload or download */
	PROVIDER_BACKOFF_MS = 1000,   /* of the first failure */
	PROVIDER_TARGET_MAX = 2 * PROVIDER_ID_MAX,
};

struct provider {
	uv_loop_t *loop;
	struct paths *paths;
	struct chunks *chunks;
	struct db *db;
	struct upstream *u;
	size_t elsewhere; /* 0: upstream.h wants one */
	int64_t worker;   /* 0: none */
	struct provider_job *jobs;
	size_t njobs;
	bool claiming, packing, stopping;
	int64_t claim_at_ms, pack_at_ms;
	uint64_t random;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

struct upload;
struct fetch;

struct provider_job {
	struct provider *p;
	struct provider_job *next;
	/* sluice.provider_next() */
	int64_t id, fence, lines, tokens, failures, uploads;
	int64_t age_ms, ran_ms, cancel_ms;
	char uid[33];
	struct path *path;
	char *model, *endpoint;
	char was[16], status[32];
	bool cancel, told;
	char file[PROVIDER_ID_MAX + 1], batch[PROVIDER_ID_MAX + 1];
	char output_file[PROVIDER_ID_MAX + 1], error_file[PROVIDER_ID_MAX + 1];
	json_t *faults; /* NULL; a list of lines'; {fault, why} */
	/* under way */
	struct upstream_call *call;
	void (*then)(
	    struct provider_job *job, const struct upstream_result *got);
	struct buf url, body;
	struct buf ids; /* files to delete, each with '\0' */
	size_t next_id; /* in them */
	struct upload *upload;
	struct fetch *fetch;
	json_t *doc; /* for sluice.provider_step() */
	bool ended;  /* doc is whole */
	bool lost;   /* nothing is to be written any more */
	bool writing;
	int64_t write_at_ms;
};

/* provider_job.c ------------------------------------------------------------
 */

/* A call about the path's target ("/v1/batches"); body (job->body) unless it is
 * empty; then is called with its end. */
void job_call(struct provider_job *job, const char *method, const char *target,
    void (*then)(struct provider_job *job, const struct upstream_result *got));
/* The parts: the request with what all calls have in common; and the start. */
struct upstream_request
job_request(struct provider_job *job, const char *target);
void job_start(struct provider_job *job, struct upstream_request *request,
    void (*then)(struct provider_job *job, const struct upstream_result *got));

/* Nothing of it is under way any more; true: it has been freed. */
bool job_reap(struct provider_job *job);
/* Write what came of it, once it has ended. */
void job_write(struct provider_job *job);

/* What came of the step: members of the document, then its end. */
void job_state(struct provider_job *job, const char *state);
void job_text(struct provider_job *job, const char *name, const char *text);
void job_int(struct provider_job *job, const char *name, int64_t value);
void job_bool(struct provider_job *job, const char *name);
void job_end(struct provider_job *job, int64_t in_ms);
/* It did not succeed: again later, after wait_ms if that is not 0. */
void job_failed(struct provider_job *job, int64_t wait_ms, const char *why);
/* What the dispatcher should know: the upstream works, or does not. */
void job_seen_ok(struct provider_job *job, bool taken);
void job_seen_down(struct provider_job *job, const char *why);

enum reply {
	REPLY_OK,
	REPLY_AGAIN,   /* it may do later; perhaps it was done */
	REPLY_DOWN,    /* the upstream does not work, or not for us */
	REPLY_GONE,    /* it does not know what is asked for */
	REPLY_REFUSED, /* it does not like what is asked for */
};
struct reply_said {
	enum reply reply;
	enum provider_fault fault; /* of a refusal */
	bool sent;                 /* something may have reached it */
	int64_t wait_ms;           /* as it says; 0: it does not */
	char why[PROVIDER_TEXT_MAX + 40];
};
void reply_read(const struct provider_job *job,
    const struct upstream_result *got, struct reply_said *out);

/* 0 to 1: to spread tries and polls. */
double provider_chance(struct provider *p);

/* provider_step.c ------------------------------------------------------------
 */

void step_begin(struct provider_job *job);
void step_uploaded(struct provider_job *job, const struct upstream_result *got);

/* provider_rest.c: lines without an outcome
 * ------------------------------------ */

struct step_rest {
	bool counts;      /* it was a try of each line's own */
	bool sent;        /* the upstream may have worked on them */
	const char *code; /* of a line that has no more tries */
	const char *why;
};

void step_settle_rest(struct provider_job *job, const struct step_rest *rest);
/* Lines without an outcome go as job->status and job->faults say. */
void step_settle(struct provider_job *job);
/* Nothing was created: lines go again, uncounted; down: not by this path. */
void step_give_back(struct provider_job *job, const char *why, bool down);
void step_give_back_cancelled(struct provider_job *job);
/* Too much is enqueued: the dispatcher waits, and no line is charged. */
void step_settle_over(struct provider_job *job, const char *why);

/* provider_clean.c
 * ------------------------------------------------------------- */

void step_clean(struct provider_job *job);

/* provider_run.c
 * --------------------------------------------------------------- */

/* Columns of sluice.provider_lines(). */
enum {
	LINES_ID,
	LINES_BATCH,
	LINES_BATCH_UID,
	LINES_LANE,
	LINES_DAY,
	LINES_CHUNK,
	LINES_FIRST_LINE,
	LINES_LINE,
	LINES_OPEN,
	LINES_TRIES,
	LINES_SENDS,
	LINES_REFUSED,
	LINES_MAX_TOKENS,
	LINES_IDS,
	LINES_ID_LEN,
	LINES_BODY_LEN,
};

struct run;
/* A row of it: lines of one run, as results want them. */
struct run *
provider_run_new(struct provider_job *job, struct db_result *res, int row);
void provider_run_free(struct run *run);

/* provider_upload.c, provider_fetch.c
 * ------------------------------------------ */

void upload_begin(struct provider_job *job);
/* Its call is over; false: not yet, a chunk is being read. */
bool upload_over(struct upload *u);
void fetch_begin(struct provider_job *job);
/* False: not yet, it is still settling; lost: forget what is not settled. */
bool fetch_over(struct fetch *f, bool lost);

#endif
