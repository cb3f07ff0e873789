#include "provider_own.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <sluice/dialect.h>
#include <sluice/log.h>

#include "answer.h"

enum {
	CLAIM_MS = 250,
	PACK_MS = 500,
	WRITE_AGAIN_MS = 250,
	BACKOFF_MS = 1000,
	BACKOFF_DOUBLINGS = 6,
	BACKOFF_MAX_MS = 60000,
};

/* Jobs ----------------------------------------------------------------------- */

static void
job_free(struct provider_job *job)
{
	struct provider *p = job->p;
	struct provider_job **at = &p->jobs;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	p->njobs--;
	p->claim_at_ms = 0;
	free(job->model);
	free(job->endpoint);
	buf_fini(&job->url);
	buf_fini(&job->body);
	buf_fini(&job->ids);
	json_decref(job->faults);
	json_decref(job->doc);
	free(job);
}

/* Nothing of it is under way any more; true: it has been freed. */
static bool
job_reap(struct provider_job *job)
{
	if (job->call != NULL || job->writing || (!job->ended && !job->lost))
		return false;
	if (job->upload != NULL) {
		if (!upload_over(job->upload))
			return false;
		job->upload = NULL;
	}
	if (job->fetch != NULL) {
		if (!fetch_over(job->fetch, job->lost))
			return false;
		job->fetch = NULL;
	}
	if (!job->lost)
		return false;
	job_free(job);
	return true;
}

static void
job_on_called(const struct upstream_result *got, void *arg)
{
	struct provider_job *job = arg;

	job->call = NULL;
	if (got->end == UPSTREAM_ABANDONED)
		job->lost = true;
	if (!job->lost)
		job->then(job, got);
}

struct upstream_request
job_request(struct provider_job *job, const char *target)
{
	buf_clear(&job->url);
	paths_url(job->path->url, target, &job->url);
	return (struct upstream_request){
		.url = buf_cstr(&job->url),
		.headers = job->path->headers,
		.ca_file = job->path->ca_file,
		.body = buf_slice(&job->body),
		.connect_ms = job->path->connect_ms,
		.idle_ms = job->path->idle_ms,
		.whole_ms = job->path->whole_ms,
		.answer_max = PROVIDER_REPLY_MAX,
		.done = job_on_called,
		.arg = job,
	};
}

void
job_start(struct provider_job *job, struct upstream_request *request,
    void (*then)(struct provider_job *job, const struct upstream_result *got))
{
	job->then = then;
	job->call = upstream_start(job->p->u, request);
}

void
job_call(struct provider_job *job, const char *method, const char *target,
    void (*then)(struct provider_job *job, const struct upstream_result *got))
{
	struct upstream_request request = job_request(job, target);
	char key[100];

	snprintf(key, sizeof(key), "Idempotency-Key: sluice-%s-%" PRId64,
	    job->uid, job->uploads);
	request.method = method;
	if (job->body.n > 0)
		request.own_header = key;
	job_start(job, &request, then);
}

/* Ends ------------------------------------------------------------------------ */

/* What comes from outside need not be UTF-8, or was cut. */
static json_t *
words(const char *text)
{
	struct buf b = { 0 };
	json_t *v;

	buf_add_json(&b, slice_str(text));
	v = json_loadb(b.p, b.n, JSON_DECODE_ANY, NULL);
	buf_fini(&b);
	return v;
}

void
job_text(struct provider_job *job, const char *name, const char *text)
{
	if (text[0] != '\0')
		json_object_set_new(job->doc, name, words(text));
}

void
job_state(struct provider_job *job, const char *state)
{
	job_text(job, "state", state);
}

void
job_int(struct provider_job *job, const char *name, int64_t value)
{
	json_object_set_new(job->doc, name, json_integer(value));
}

void
job_bool(struct provider_job *job, const char *name)
{
	json_object_set_new(job->doc, name, json_true());
}

static json_t *
job_seen(struct provider_job *job)
{
	json_t *seen = json_object_get(job->doc, "seen");

	if (seen != NULL)
		return seen;
	seen = json_object();
	json_object_set_new(job->doc, "seen", seen);
	json_object_set_new(seen, "path", json_integer(job->path->id));
	json_object_set_new(seen, "model", words(job->model));
	return seen;
}

void
job_seen_ok(struct provider_job *job, bool taken)
{
	json_t *seen = job_seen(job);

	json_object_set_new(seen, "ok", json_integer(1));
	json_object_set_new(seen, "taken", json_boolean(taken));
}

void
job_seen_down(struct provider_job *job, const char *why)
{
	json_t *seen = job_seen(job);

	json_object_set_new(seen, "down", json_true());
	json_object_set_new(seen, "why", words(why));
}

static void job_write(struct provider_job *job);

static void
job_on_written(struct db_result *res, void *arg)
{
	struct provider_job *job = arg;
	enum slc_rc rc = db_rc(res);

	job->writing = false;
	if (job->lost)
		return;
	/* When nobody knows whether it was written, the fence does. */
	if (rc == SLC_EDB) {
		job->write_at_ms =
		    (int64_t)uv_now(job->p->loop) + WRITE_AGAIN_MS;
		return;
	}
	if (rc != SLC_OK && !db_is(res, "SL410"))
		log_error("provider.step", "id=%" PRId64 " why=\"%s\"",
		    job->id, db_message(res));
	job->lost = true;
}

static void
job_write(struct provider_job *job)
{
	char *text = json_dumps(job->doc, JSON_COMPACT);

	job->writing = true;
	db_run(job->p->db, job_on_written, job, STMT_PROVIDER_STEP,
	    job->p->worker, job->id, job->fence, text);
	free(text);
}

void
job_end(struct provider_job *job, int64_t in_ms)
{
	job_int(job, "in_ms", in_ms);
	job->ended = true;
	job->write_at_ms = 0;
}

/* xorshift64*: to spread tries, not to keep secrets. */
double
provider_chance(struct provider *p)
{
	p->random ^= p->random >> 12;
	p->random ^= p->random << 25;
	p->random ^= p->random >> 27;
	return (double)((p->random * UINT64_C(0x2545f4914f6cdd1d)) >> 11) /
	    9007199254740992.0;
}

void
job_failed(struct provider_job *job, int64_t wait_ms, const char *why)
{
	int64_t base = job->path->poll_ms < BACKOFF_MS ? job->path->poll_ms
						       : BACKOFF_MS;
	int64_t most = base << (job->failures < BACKOFF_DOUBLINGS
			       ? job->failures
			       : BACKOFF_DOUBLINGS);

	if (wait_ms == 0)
		wait_ms = (int64_t)((double)most * (0.5 + provider_chance(job->p) / 2));
	if (wait_ms > BACKOFF_MAX_MS)
		wait_ms = BACKOFF_MAX_MS;
	log_warn("provider.failed",
	    "id=%" PRId64 " was=%s batch=%s failures=%" PRId64 " why=\"%s\"",
	    job->id, job->was, job->batch, job->failures + 1, why);
	job_bool(job, "failed");
	job_text(job, "why", why);
	job_end(job, wait_ms);
}

/* Answers --------------------------------------------------------------------- */

static enum reply
reply_of_status(int s)
{
	if (s >= 200 && s < 300)
		return REPLY_OK;
	if (s == 404 || s == 410)
		return REPLY_GONE;
	if (s == 401 || s == 402 || s == 403 || (s >= 300 && s < 400))
		return REPLY_DOWN;
	if (s == 408 || s == 425 || s == 429 || s >= 500 || s < 200)
		return REPLY_AGAIN;
	return REPLY_REFUSED;
}

void
reply_read(const struct provider_job *job, const struct upstream_result *got,
    struct reply_said *out)
{
	struct dialect_answer said;
	char why[PROVIDER_TEXT_MAX + 1] = "";

	memset(out, 0, sizeof(*out));
	out->sent = got->sent_us > 0;
	if (got->end != UPSTREAM_ANSWERED) {
		out->reply = got->end == UPSTREAM_UNREACHED ? REPLY_DOWN
							    : REPLY_AGAIN;
		snprintf(out->why, sizeof(out->why), "%s", got->why);
		return;
	}
	out->reply = reply_of_status(got->status);
	answer_redact((char *)(uintptr_t)got->body.p, got->body.n,
	    buf_slice(&job->path->secret));
	if (out->reply == REPLY_OK)
		return;
	memset(&said, 0, sizeof(said));
	dialect_read(job->path->dialect, got->status, got->headers, got->body,
	    (int64_t)time(NULL), &said);
	out->wait_ms = said.wait_ms;
	out->fault = provider_error_read(got->body, why);
	if (said.refusal == DIALECT_BILLING)
		out->fault = PROVIDER_MONEY;
	if (out->fault == PROVIDER_MONEY)
		out->reply = REPLY_DOWN;
	snprintf(out->why, sizeof(out->why), "HTTP %d%s%s", got->status,
	    why[0] != '\0' ? ": " : "", why);
}

/* Claims ---------------------------------------------------------------------- */

/* Columns of sluice.provider_next(). */
enum {
	COL_ID,
	COL_FENCE,
	COL_UID,
	COL_PATH,
	COL_MODEL,
	COL_ENDPOINT,
	COL_WAS,
	COL_LINES,
	COL_TOKENS,
	COL_CANCEL,
	COL_TOLD,
	COL_UPLOADS,
	COL_FILE,
	COL_BATCH,
	COL_OUTPUT,
	COL_ERROR,
	COL_STATUS,
	COL_FAULTS,
	COL_FAILURES,
	COL_AGE,
	COL_RAN,
	COL_CANCEL_MS,
};

static void
copy(char *to, size_t size, struct slice from)
{
	snprintf(to, size, "%.*s", (int)from.n, from.p == NULL ? "" : from.p);
}

static void
job_add(struct provider *p, struct db_result *res, int row)
{
	struct provider_job *job = xcalloc(1, sizeof(*job));
	struct slice s;

	job->p = p;
	job->id = db_int(res, 0, row, COL_ID);
	job->fence = db_int(res, 0, row, COL_FENCE);
	copy(job->uid, sizeof(job->uid), db_slice(res, 0, row, COL_UID));
	job->path =
	    paths_find(p->paths, (int32_t)db_int(res, 0, row, COL_PATH));
	s = db_slice(res, 0, row, COL_MODEL);
	job->model = xstrndup(s.p, s.n);
	s = db_slice(res, 0, row, COL_ENDPOINT);
	job->endpoint = xstrndup(s.p, s.n);
	copy(job->was, sizeof(job->was), db_slice(res, 0, row, COL_WAS));
	job->lines = db_int(res, 0, row, COL_LINES);
	job->tokens = db_int(res, 0, row, COL_TOKENS);
	job->cancel = db_bool(res, 0, row, COL_CANCEL);
	job->told = db_bool(res, 0, row, COL_TOLD);
	job->uploads = db_int(res, 0, row, COL_UPLOADS);
	copy(job->file, sizeof(job->file), db_slice(res, 0, row, COL_FILE));
	copy(job->batch, sizeof(job->batch), db_slice(res, 0, row, COL_BATCH));
	copy(job->output_file, sizeof(job->output_file),
	    db_slice(res, 0, row, COL_OUTPUT));
	copy(job->error_file, sizeof(job->error_file),
	    db_slice(res, 0, row, COL_ERROR));
	copy(job->status, sizeof(job->status),
	    db_slice(res, 0, row, COL_STATUS));
	s = db_slice(res, 0, row, COL_FAULTS);
	job->faults = s.n > 0 ? json_loadb(s.p, s.n, 0, NULL) : NULL;
	job->failures = db_int(res, 0, row, COL_FAILURES);
	job->age_ms = db_int(res, 0, row, COL_AGE);
	job->ran_ms = db_int(res, 0, row, COL_RAN);
	job->cancel_ms = db_int(res, 0, row, COL_CANCEL_MS);
	job->doc = json_object();
	job->next = p->jobs;
	p->jobs = job;
	p->njobs++;
	/* Not configured here yet, or its secret cannot be read. */
	if (job->path == NULL) {
		job_int(job, "in_ms", BACKOFF_MS);
		job->ended = true;
	} else if (job->path->trouble[0] != '\0') {
		job_seen_down(job, job->path->trouble);
		if (strcmp(job->was, "packed") == 0)
			step_give_back(job, job->path->trouble, true);
		else
			job_failed(job, BACKOFF_MS, job->path->trouble);
	} else {
		step_begin(job);
	}
}

static void
provider_on_claimed(struct db_result *res, void *arg)
{
	struct provider *p = arg;

	p->claiming = false;
	if (db_rc(res) != SLC_OK || p->worker == 0 || p->stopping)
		return;
	for (int i = 0; i < db_rows(res, 0); i++)
		job_add(p, res, i);
}

static void
provider_on_packed(struct db_result *res, void *arg)
{
	struct provider *p = arg;

	p->packing = false;
	if (db_rc(res) == SLC_OK && db_int(res, 0, 0, 0) > 0)
		p->claim_at_ms = 0;
}

static bool
has_paths(const struct provider *p)
{
	for (size_t i = 0; i < p->paths->n; i++)
		if (p->paths->list[i]->batches && !p->paths->list[i]->gone)
			return true;
	return false;
}

static void
claim(struct provider *p, int64_t now_ms)
{
	if (!has_paths(p))
		return;
	if (!p->packing && now_ms >= p->pack_at_ms) {
		p->packing = true;
		p->pack_at_ms = now_ms + PACK_MS;
		db_run(p->db, provider_on_packed, p, STMT_PROVIDER_PACK);
	}
	if (p->claiming || now_ms < p->claim_at_ms ||
	    p->njobs >= PROVIDER_JOBS_MAX)
		return;
	p->claiming = true;
	p->claim_at_ms = now_ms + CLAIM_MS;
	db_run(p->db, provider_on_claimed, p, STMT_PROVIDER_NEXT, p->worker,
	    (int64_t)(PROVIDER_JOBS_MAX - p->njobs));
}

void
provider_tick(struct provider *p, int64_t now_ms)
{
	struct provider_job *job, *next;

	for (job = p->jobs; job != NULL; job = next) {
		next = job->next;
		if (job_reap(job) || job->lost || !job->ended || job->writing ||
		    job->call != NULL || job->fetch != NULL ||
		    job->upload != NULL ||
		    now_ms < job->write_at_ms)
			continue;
		job_write(job);
	}
	if (p->worker != 0 && !p->stopping)
		claim(p, now_ms);
}

/* Life ------------------------------------------------------------------------ */

struct provider *
provider_new(uv_loop_t *loop, struct paths *paths, struct chunks *chunks,
    struct db *db)
{
	struct provider *p = xcalloc(1, sizeof(*p));
	struct upstream_opts opts = { .connections = PROVIDER_JOBS_MAX,
		.buffer_max = PROVIDER_JOBS_MAX * PROVIDER_REPLY_MAX,
		.elsewhere = &p->elsewhere };

	p->loop = loop;
	p->paths = paths;
	p->chunks = chunks;
	p->db = db;
	if (getrandom(&p->random, sizeof(p->random), 0) != sizeof(p->random))
		p->random = (uint64_t)boot_us();
	p->random |= 1; /* never 0 */
	p->u = upstream_new(loop, &opts);
	return p;
}

static void
provider_on_closed(void *arg)
{
	struct provider *p = arg;
	void (*on_closed)(void *arg) = p->on_closed;
	void *closed_arg = p->closed_arg;

	free(p);
	on_closed(closed_arg);
}

void
provider_free(struct provider *p, void (*on_closed)(void *arg), void *arg)
{
	assert(p->jobs == NULL);
	p->on_closed = on_closed;
	p->closed_arg = arg;
	upstream_close(p->u, provider_on_closed, p);
}

void
provider_worker(struct provider *p, int64_t worker)
{
	p->worker = worker;
	p->stopping = false;
}

void
provider_stop(struct provider *p, bool at_once)
{
	p->stopping = true;
	for (struct provider_job *job = p->jobs; job != NULL; job = job->next) {
		/* These take long and lose nothing by beginning again. */
		if (!at_once && job->upload == NULL && job->fetch == NULL)
			continue;
		if (job->call != NULL)
			upstream_cancel(job->call);
		if (at_once || job->upload != NULL || job->fetch != NULL)
			job->lost |= at_once || !job->ended;
	}
}

void
provider_drop(struct provider *p)
{
	p->worker = 0;
	for (struct provider_job *job = p->jobs; job != NULL; job = job->next) {
		job->lost = true;
		if (job->call != NULL)
			upstream_cancel(job->call);
	}
}

bool
provider_idle(const struct provider *p)
{
	return p->jobs == NULL && !p->claiming && !p->packing;
}
