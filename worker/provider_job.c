#include "provider_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sluice/dialect.h>
#include <sluice/log.h>

#include "answer.h"

enum {
	WRITE_AGAIN_MS = 250,
	BACKOFF_DOUBLINGS = 6,
	BACKOFF_MAX_MS = 60000,
};

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

bool
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

/* Ends ------------------------------------------------------------------------
 */

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

	path_told(job->path, true, false, "");
	json_object_set_new(seen, "ok", json_integer(1));
	json_object_set_new(seen, "taken", json_boolean(taken));
}

void
job_seen_down(struct provider_job *job, const char *why)
{
	json_t *seen = job_seen(job);

	path_told(job->path, false, true, why);
	json_object_set_new(seen, "down", json_true());
	json_object_set_new(seen, "why", words(why));
}

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
		log_error("provider.step", "id=%" PRId64 " why=\"%s\"", job->id,
		    db_message(res));
	job->lost = true;
}

void
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
	int64_t base = job->path->poll_ms < PROVIDER_BACKOFF_MS
	    ? job->path->poll_ms
	    : PROVIDER_BACKOFF_MS;
	int64_t most = base
	    << (job->failures < BACKOFF_DOUBLINGS ? job->failures
						  : BACKOFF_DOUBLINGS);

	if (wait_ms == 0)
		wait_ms = (int64_t)((double)most *
		    (0.5 + provider_chance(job->p) / 2));
	if (wait_ms > BACKOFF_MAX_MS)
		wait_ms = BACKOFF_MAX_MS;
	log_warn("provider.failed",
	    "id=%" PRId64 " was=%s batch=%s failures=%" PRId64 " why=\"%s\"",
	    job->id, job->was, job->batch, job->failures + 1, why);
	job_bool(job, "failed");
	job_text(job, "why", why);
	job_end(job, wait_ms);
}

/* Answers ---------------------------------------------------------------------
 */

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
		out->reply =
		    got->end == UPSTREAM_UNREACHED ? REPLY_DOWN : REPLY_AGAIN;
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
