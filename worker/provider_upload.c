#include "provider_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cap.h"

/* Runs in the order of the file; one chunk at a time is read and written out.
 */
struct upload_run {
	int64_t id, chunk, max_tokens;
	char day[11];
	struct buf line; /* int32_t: their indexes in the chunk */
};

struct upload {
	struct provider_job *job;
	struct upload_run *runs;
	size_t nruns, next; /* to be read */
	struct chunk *chunk;
	bool reading, broken, tail;
	struct buf out; /* what is to be sent, from at on */
	size_t at;
	char mark[48];
};

bool
upload_over(struct upload *u)
{
	if (u->reading)
		return false;
	for (size_t i = 0; i < u->nruns; i++)
		buf_fini(&u->runs[i].line);
	if (u->chunk != NULL)
		chunk_drop(u->chunk);
	buf_fini(&u->out);
	free(u->runs);
	free(u);
	return true;
}

static void
add_line(struct upload *u, const struct upload_run *run, size_t place)
{
	int32_t index = ((const int32_t *)run->line.p)[place];
	struct slice body = chunk_body(u->chunk, index);
	struct buf capped = { 0 };

	if (run->max_tokens > 0 &&
	    cap_add(body, u->job->endpoint, run->max_tokens, &capped))
		body = buf_slice(&capped);
	provider_line_write(&u->out, run->id, place, u->job->endpoint, body);
	buf_fini(&capped);
}

static void
upload_on_chunk(struct chunk *chunk, void *arg)
{
	struct upload *u = arg;
	const struct upload_run *run = &u->runs[u->next];

	u->reading = false;
	u->broken = !chunk->loaded;
	if (chunk->loaded && !u->job->lost)
		for (size_t k = 0; k < run->line.n / sizeof(int32_t); k++)
			add_line(u, run, k);
	u->next++;
	if (u->job->call != NULL)
		upstream_feed(u->job->call);
}

static void
read_next(struct upload *u)
{
	const struct upload_run *run = &u->runs[u->next];

	if (u->chunk != NULL)
		chunk_drop(u->chunk);
	u->reading = true;
	chunks_hold(u->job->p->chunks, slice_str(run->day), run->chunk,
	    &u->chunk, upload_on_chunk, u);
}

/* libcurl asks for more of the body. */
static size_t
upload_fill(char *p, size_t n, void *arg)
{
	struct provider_job *job = arg;
	struct upload *u = job->upload;

	if (u->at == u->out.n) {
		u->at = 0;
		buf_clear(&u->out);
		if (!u->reading && !u->broken && u->next < u->nruns)
			read_next(u);
		if (u->reading)
			return UPSTREAM_LATER;
		if (u->out.n == 0 && u->next == u->nruns && !u->tail) {
			u->tail = true;
			buf_addf(&u->out, "\r\n--%s--\r\n", u->mark);
		}
	}
	if (u->broken)
		return UPSTREAM_GIVE_UP;
	if (n > u->out.n - u->at)
		n = u->out.n - u->at;
	memcpy(p, u->out.p + u->at, n);
	u->at += n;
	return n;
}

static void
upload_on_done(struct provider_job *job, const struct upstream_result *got)
{
	if (job->upload->broken)
		job_failed(job, 0, "its lines could not be read");
	else
		step_uploaded(job, got);
}

static void
upload_start(struct upload *u)
{
	struct provider_job *job = u->job;
	struct upstream_request request = job_request(job, "/v1/files");
	char type[96];

	/* 128 bits that nobody can know beforehand are in no line. */
	snprintf(u->mark, sizeof(u->mark), "sluice%s", job->uid);
	buf_addf(&u->out,
	    "--%s\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n"
	    "batch\r\n--%s\r\nContent-Disposition: form-data; name=\"file\"; "
	    "filename=\"sluice-%s.jsonl\"\r\nContent-Type: "
	    "application/jsonl\r\n\r\n",
	    u->mark, u->mark, job->uid);
	snprintf(
	    type, sizeof(type), "multipart/form-data; boundary=%s", u->mark);
	request.headers = paths_headers(job->path, type);
	request.whole_ms = PROVIDER_STREAM_MS;
	request.fill = upload_fill;
	job_start(job, &request, upload_on_done);
	upstream_headers_drop(request.headers);
}

static void
upload_on_lines(struct db_result *res, void *arg)
{
	struct provider_job *job = arg;
	struct upload *u = job->upload;

	job->writing = false;
	if (job->lost)
		return;
	if (db_rc(res) != SLC_OK) {
		job_failed(job, 0, db_message(res));
		return;
	}
	u->nruns = (size_t)db_rows(res, 0);
	u->runs = xcalloc(u->nruns, sizeof(*u->runs));
	for (size_t i = 0; i < u->nruns; i++) {
		struct upload_run *run = &u->runs[i];
		int row = (int)i;
		struct slice day = db_slice(res, 0, row, LINES_DAY);

		run->id = db_int(res, 0, row, LINES_ID);
		run->chunk = db_int(res, 0, row, LINES_CHUNK);
		run->max_tokens = db_int(res, 0, row, LINES_MAX_TOKENS);
		snprintf(run->day, sizeof(run->day), "%.*s", (int)day.n, day.p);
		db_ints(res, 0, row, LINES_LINE, &run->line, 0);
	}
	if (u->nruns == 0) {
		/* All of them have gone: their batches have failed. */
		step_give_back(job, "no lines are left", false);
		return;
	}
	upload_start(u);
}

void
upload_begin(struct provider_job *job)
{
	struct upload *u = xcalloc(1, sizeof(*u));

	u->job = job;
	job->upload = u;
	job->writing = true; /* with the database */
	db_run(job->p->db, upload_on_lines, job, STMT_PROVIDER_LINES,
	    job->p->worker, job->id, job->fence, false);
}
