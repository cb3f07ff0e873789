#include "provider_own.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	CLAIM_MS = 250,
	PACK_MS = 500,
};

/* Claims ----------------------------------------------------------------------
 */

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
		job_int(job, "in_ms", PROVIDER_BACKOFF_MS);
		job->ended = true;
	} else if (job->path->trouble[0] != '\0') {
		job_seen_down(job, job->path->trouble);
		if (strcmp(job->was, "packed") == 0)
			step_give_back(job, job->path->trouble, true);
		else
			job_failed(
			    job, PROVIDER_BACKOFF_MS, job->path->trouble);
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
		    job->upload != NULL || now_ms < job->write_at_ms)
			continue;
		job_write(job);
	}
	if (p->worker != 0 && !p->stopping)
		claim(p, now_ms);
}

/* Life ------------------------------------------------------------------------
 */

struct provider *
provider_new(
    uv_loop_t *loop, struct paths *paths, struct chunks *chunks, struct db *db)
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
