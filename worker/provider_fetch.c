#include "provider_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/log.h>

#include "answer.h"
#include "result.h"

enum {
	HELD_BYTES_MAX = 4 << 20, /* of results: then read no more */
	HELD_LINES_MAX = 4000,
	AROUND_MAX = 64 << 10, /* bytes of a line around its body */
	START_BYTES = 4096,    /* of a line that is too long */
};

struct fetch {
	struct provider_job *job;
	struct flush *flush;
	struct run **runs; /* by id */
	size_t nruns;
	const char *files[2];
	size_t nfiles, at;
	int status; /* of the download under way; 0: no head yet */
	struct buf line;
	bool too_long; /* the rest of the line is skipped */
	bool held;
	struct buf said; /* of an answer that is no file */
	int64_t strange; /* lines that are none of ours, or came twice */
};

static int
by_id(const void *key, const void *item)
{
	int64_t id = *(const int64_t *)key;
	const struct run *run = *(struct run *const *)item;

	return id < run->id ? -1 : id > run->id;
}

/* The line, if it has no outcome yet. */
static struct line *
find_line(const struct fetch *f, int64_t id, size_t place)
{
	struct run **at =
	    bsearch(&id, f->runs, f->nruns, sizeof(struct run *), by_id);

	if (at == NULL || place >= (*at)->n ||
	    (*at)->lines[place].state != LINE_SENDING)
		return NULL;
	return &(*at)->lines[place];
}

/* Results ---------------------------------------------------------------------
 */

static void
settle_line(struct fetch *f, struct line *line, struct result *r)
{
	line_set(line, LINE_SETTLING);
	flush_add(f->flush, r);
}

static double
spread(const struct line *line)
{
	return (double)(line_number(line) % 97) / 97;
}

/* As if the upstream had answered the line's own call. */
static void
take_response(
    struct fetch *f, struct line *line, const struct provider_answer *a)
{
	struct buf head = { 0 };
	struct upstream_result got = {
		.end = UPSTREAM_ANSWERED,
		.status = a->status,
		.body = a->body,
		.sent_us = 1,
		.ms = f->job->ran_ms,
	};

	buf_adds(&head, "HTTP/1.1 200 OK\r\n");
	if (a->request_id.n > 0) {
		buf_adds(&head, "x-request-id: ");
		for (size_t i = 0; i < a->request_id.n; i++)
			if (a->request_id.p[i] > ' ')
				buf_addc(&head, a->request_id.p[i]);
		buf_adds(&head, "\r\n");
	}
	buf_adds(&head, "\r\n");
	got.headers = buf_slice(&head);
	settle_line(f, line, result_of(line, &got, spread(line)));
	buf_fini(&head);
}

static void
take_lack(struct fetch *f, struct line *line, struct provider_answer *a)
{
	struct upstream_result got = { .end = UPSTREAM_UNKNOWN,
		.sent_us = 1,
		.why = a->message.n > 0 ? buf_cstr(&a->message)
					: "the upstream has no answer" };
	struct result *r;

	answer_redact(
	    a->message.p, a->message.n, buf_slice(&f->job->path->secret));
	switch (provider_lack_of(buf_slice(&a->code))) {
	case PROVIDER_NOT_RUN:
		return; /* with all that have no result */
	case PROVIDER_TRY:
		settle_line(f, line, result_of(line, &got, spread(line)));
		return;
	case PROVIDER_NEVER:
		r = result_failed(line, buf_cstr(&a->code), got.why);
		r->sends++;
		settle_line(f, line, r);
		return;
	}
}

static void
take_line(struct fetch *f, struct slice text)
{
	struct provider_answer a = { 0 };
	struct line *line;

	if (provider_line_read(text, &a) &&
	    (line = find_line(f, a.run, a.place)) != NULL) {
		if (a.answered)
			take_response(f, line, &a);
		else
			take_lack(f, line, &a);
	} else {
		f->strange++;
	}
	provider_answer_fini(&a);
}

static void
take_too_long(struct fetch *f)
{
	struct upstream_result got = { .end = UPSTREAM_TOO_LARGE,
		.sent_us = 1 };
	struct line *line;
	int64_t run;
	size_t place;

	if (provider_line_name(buf_slice(&f->line), &run, &place) &&
	    (line = find_line(f, run, place)) != NULL)
		settle_line(f, line, result_of(line, &got, spread(line)));
	else
		f->strange++;
}

/* The line's end has come. */
static void
line_ends(struct fetch *f)
{
	if (f->too_long)
		take_too_long(f);
	else if (f->line.n > 0)
		take_line(f, buf_slice(&f->line));
	f->too_long = false;
	buf_clear(&f->line);
}

static void
add_piece(struct fetch *f, struct slice piece)
{
	size_t most = f->job->path->answer_max + AROUND_MAX;

	while (piece.n > 0) {
		const char *end = memchr(piece.p, '\n', piece.n);
		size_t n = end == NULL ? piece.n : (size_t)(end - piece.p);

		if (!f->too_long && f->line.n + n > most) {
			f->too_long = true;
			if (f->line.n < START_BYTES)
				buf_add(&f->line, piece.p,
				    n < START_BYTES ? n : START_BYTES);
			if (f->line.n > START_BYTES)
				f->line.n = START_BYTES;
		} else if (!f->too_long) {
			buf_add(&f->line, piece.p, n);
		}
		if (end == NULL)
			return;
		line_ends(f);
		piece = (struct slice){ end + 1, piece.n - n - 1 };
	}
}

static bool
is_full(const struct fetch *f)
{
	return *flush_bytes(f->flush) > HELD_BYTES_MAX ||
	    flush_lines(f->flush) > HELD_LINES_MAX;
}

static void
fetch_on_settled(struct line *line, void *arg)
{
	struct fetch *f = arg;

	(void)line;
	if (!f->held || is_full(f) || f->job->call == NULL)
		return;
	f->held = false;
	upstream_go_on(f->job->call);
}

/* Downloads
 * --------------------------------------------------------------------- */

static void
fetch_on_head(int status, struct slice headers, void *arg)
{
	struct provider_job *job = arg;

	(void)headers;
	job->fetch->status = status;
}

static bool
fetch_on_piece(struct slice piece, void *arg)
{
	struct provider_job *job = arg;
	struct fetch *f = job->fetch;

	if (job->lost)
		return true;
	if (f->status != 200) {
		if (f->said.n < START_BYTES)
			buf_add(&f->said, piece.p,
			    piece.n < START_BYTES ? piece.n : START_BYTES);
		return true;
	}
	add_piece(f, piece);
	f->held = is_full(f);
	return !f->held;
}

static void fetch_next(struct fetch *f);

static void
fetch_on_done(struct provider_job *job, const struct upstream_result *got)
{
	struct fetch *f = job->fetch;
	struct upstream_result whole = *got;
	struct reply_said said;

	f->held = false;
	whole.body = buf_slice(&f->said);
	reply_read(job, &whole, &said);
	/* The last line needs no line end; a broken one is no line. */
	if (said.reply == REPLY_OK)
		line_ends(f);
	else if (said.reply != REPLY_GONE ||
	    job->failures < PROVIDER_FAILURES_MAX) {
		if (said.reply == REPLY_DOWN)
			job_seen_down(job, said.why);
		job_failed(job, said.wait_ms, said.why);
		return;
	}
	f->at++;
	fetch_next(f);
}

static void
fetch_next(struct fetch *f)
{
	struct provider_job *job = f->job;
	struct upstream_request request;
	char target[PROVIDER_ID_MAX + 32];

	if (f->at == f->nfiles) {
		if (f->strange > 0)
			log_warn("provider.strange",
			    "id=%" PRId64 " batch=%s lines=%" PRId64, job->id,
			    job->batch, f->strange);
		step_settle(job);
		return;
	}
	buf_clear(&f->line);
	buf_clear(&f->said);
	f->too_long = false;
	f->status = 0;
	snprintf(
	    target, sizeof(target), "/v1/files/%s/content", f->files[f->at]);
	buf_clear(&job->body);
	request = job_request(job, target);
	request.method = "GET";
	request.whole_ms = PROVIDER_STREAM_MS;
	request.on_head = fetch_on_head;
	request.on_piece = fetch_on_piece;
	job_start(job, &request, fetch_on_done);
}

static void
fetch_on_lines(struct db_result *res, void *arg)
{
	struct provider_job *job = arg;
	struct fetch *f = job->fetch;

	job->writing = false;
	if (job->lost)
		return;
	if (db_rc(res) != SLC_OK) {
		job_failed(job, 0, db_message(res));
		return;
	}
	f->nruns = (size_t)db_rows(res, 0);
	f->runs = xcalloc(f->nruns, sizeof(struct run *));
	for (size_t i = 0; i < f->nruns; i++)
		f->runs[i] = provider_run_new(job, res, (int)i);
	fetch_next(f);
}

void
fetch_begin(struct provider_job *job)
{
	struct fetch *f = xcalloc(1, sizeof(*f));

	f->job = job;
	f->flush = flush_new(job->p->loop, job->p->db, fetch_on_settled, f);
	flush_worker(f->flush,
	    (struct flush_as){ .worker = job->p->worker,
		.provider = job->id,
		.fence = job->fence });
	if (job->output_file[0] != '\0')
		f->files[f->nfiles++] = job->output_file;
	if (job->error_file[0] != '\0')
		f->files[f->nfiles++] = job->error_file;
	job->fetch = f;
	job->writing = true; /* with the database */
	db_run(job->p->db, fetch_on_lines, job, STMT_PROVIDER_LINES,
	    job->p->worker, job->id, job->fence, true);
}

static void
fetch_on_closed(void *arg)
{
	struct fetch *f = arg;

	for (size_t i = 0; i < f->nruns; i++)
		provider_run_free(f->runs[i]);
	buf_fini(&f->line);
	buf_fini(&f->said);
	free(f->runs);
	free(f);
}

bool
fetch_over(struct fetch *f, bool lost)
{
	if (lost)
		flush_drop(f->flush);
	if (!flush_idle(f->flush))
		return false;
	flush_free(f->flush, fetch_on_closed, f);
	return true;
}
