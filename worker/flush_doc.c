#include "flush_doc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "flush_seen.h"

/* Results in the order wanted; ties keep the order of their ends. */
struct sorted {
	struct result *r;
	size_t i;
};

static int
by_run(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;

	if (x->r->line->run->id != y->r->line->run->id)
		return x->r->line->run->id < y->r->line->run->id ? -1 : 1;
	return x->i < y->i ? -1 : 1;
}

/* Those for files first, together by file. */
static int
by_file(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;
	int64_t bx = x->r->line->run->batch, by = y->r->line->run->batch;

	if ((x->r->kind == RESULT_AGAIN) != (y->r->kind == RESULT_AGAIN))
		return x->r->kind == RESULT_AGAIN ? 1 : -1;
	if (bx != by)
		return bx < by ? -1 : 1;
	if (x->r->kind != y->r->kind)
		return x->r->kind < y->r->kind ? -1 : 1;
	return x->i < y->i ? -1 : 1;
}

/* What the dispatcher counts together. */
static int
by_flow(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;
	const struct run *rx = x->r->line->run, *ry = y->r->line->run;
	int c;

	if (rx->path->id != ry->path->id)
		return rx->path->id < ry->path->id ? -1 : 1;
	c = strcmp(rx->model, ry->model);
	return c != 0 ? c : x->i < y->i ? -1 : 1;
}

/* What usage is counted by: batch, path, model. */
static int
by_use(const void *a, const void *b)
{
	const struct run *x = ((const struct sorted *)a)->r->line->run;
	const struct run *y = ((const struct sorted *)b)->r->line->run;

	if (x->batch != y->batch)
		return x->batch < y->batch ? -1 : 1;
	if (x->path->id != y->path->id)
		return x->path->id < y->path->id ? -1 : 1;
	return strcmp(x->model, y->model);
}

static void
write_closed(const struct sorted *s, size_t n, struct buf *out)
{
	struct buf bits = { 0 };

	buf_addc(out, '[');
	for (size_t i = 0; i < n;) {
		const struct run *run = s[i].r->line->run;

		if (i > 0)
			buf_addc(out, ',');
		buf_clear(&bits);
		for (size_t k = 0; k < run->n; k++)
			buf_addc(&bits, '0');
		for (; i < n && s[i].r->line->run == run; i++)
			bits.p[s[i].r->line - run->lines] = '1';
		buf_addf(out, "{\"run\":%" PRId64 ",\"bits\":\"%s\"}", run->id,
		    buf_cstr(&bits));
	}
	buf_addc(out, ']');
	buf_fini(&bits);
}

static void
write_again(const struct sorted *s, size_t n, struct buf *out)
{
	bool first = true;

	buf_addc(out, '[');
	for (size_t i = 0; i < n; i++) {
		const struct result *r = s[i].r;

		if (r->kind != RESULT_AGAIN)
			continue;
		buf_addf(out,
		    "%s{\"lane\":%" PRId64 ",\"line\":%" PRId32
		    ",\"batch\":%" PRId64 ",\"in_ms\":%" PRId64
		    ",\"tries\":%d,\"sends\":%d,\"refused\":%d",
		    first ? "" : ",", r->line->run->lane, line_number(r->line),
		    r->line->run->batch, r->wait_ms, r->tries, r->sends,
		    r->times_refused);
		if (r->most > 0)
			buf_addf(out, ",\"most\":%d", r->most);
		buf_adds(out, ",\"why\":");
		buf_add_json(out, slice_str(r->why));
		buf_addc(out, '}');
		first = false;
	}
	buf_addc(out, ']');
}

static void
write_seen(const struct sorted *s, size_t n, struct buf *out)
{
	const struct result **list = xcalloc(n, sizeof(*list));

	for (size_t i = 0; i < n; i++)
		list[i] = s[i].r;
	flush_seen_write(list, n, out);
	free(list);
}

/* The results s[0..] of one batch, path and model; returns how many. */
static size_t
write_use(const struct sorted *s, size_t n, struct buf *out)
{
	const struct run *run = s[0].r->line->run;
	struct answer_usage sum = { 0 };
	size_t i, failed = 0;

	for (i = 0; i < n && by_use(s, s + i) == 0; i++) {
		const struct result *r = s[i].r;

		failed += r->kind == RESULT_ERROR;
		sum.input += r->usage.input;
		sum.cached += r->usage.cached;
		sum.output += r->usage.output;
	}
	buf_addf(out,
	    "%s{\"batch\":%" PRId64 ",\"path\":%" PRId32
	    ",\"requests\":%zu,\"failed\":%zu,\"input\":%" PRId64
	    ",\"cached\":%" PRId64 ",\"output\":%" PRId64 ",\"model\":",
	    out->n > 0 ? "," : "[", run->batch, run->path->id, i, failed,
	    sum.input, sum.cached, sum.output);
	buf_add_json(out, slice_str(run->model));
	buf_addc(out, '}');
	return i;
}

/* Lines that go again are not counted before they have ended. */
static void
add_usage(struct db_call *call, struct sorted *s, size_t n)
{
	struct buf use = { 0 };

	if (n == 0)
		return;
	qsort(s, n, sizeof(*s), by_use);
	for (size_t i = 0; i < n;)
		i += write_use(s + i, n - i, &use);
	buf_addc(&use, ']');
	db_add(call, STMT_SETTLE_USAGE, buf_cstr(&use));
	buf_fini(&use);
}

/* One chunk: the results s[0..] of one file that fit; returns how many. */
static size_t
add_chunk(struct db_call *call, const struct sorted *s, size_t n)
{
	enum { MOST = SLC_CHUNK_LINES_MAX };
	int32_t ends[MOST], answers[MOST], paths[MOST], in[MOST], out[MOST];
	int32_t cached_each[MOST];
	int64_t lanes[MOST];
	int16_t status[MOST], sends[MOST], shared[MOST];
	const struct result *first = s[0].r;
	int64_t cached = 0, reasoning = 0;
	struct buf bytes = { 0 };
	size_t i;

	for (i = 0; i < n && i < MOST; i++) {
		const struct result *r = s[i].r;

		if (r->kind != first->kind ||
		    r->line->run->batch != first->line->run->batch ||
		    (i > 0 && bytes.n + r->text.n > SLC_CHUNK_BYTES_MAX))
			break;
		buf_add(&bytes, r->text.p, r->text.n);
		ends[i] = (int32_t)bytes.n;
		answers[i] = line_number(r->line);
		status[i] = r->status;
		paths[i] = r->line->run->path->id;
		sends[i] = r->sends;
		in[i] = (int32_t)r->usage.input;
		out[i] = (int32_t)r->usage.output;
		lanes[i] = r->line->run->lane;
		cached_each[i] = (int32_t)r->usage.cached;
		shared[i] = r->shared;
		cached += r->usage.cached;
		reasoning += r->usage.reasoning;
	}
	db_add(call, STMT_SETTLE_CHUNK, first->line->run->batch,
	    first->kind == RESULT_ERROR, buf_slice(&bytes), ends, i, answers, i,
	    status, i, paths, i, sends, i, in, i, out, i, cached, reasoning,
	    lanes, i, cached_each, i, shared, i);
	buf_fini(&bytes);
	return i;
}

void
flush_doc_add(struct db_call *call, const struct flush_as *as,
    struct result *list, size_t n)
{
	struct sorted *s = xcalloc(n, sizeof(*s));
	struct buf closed = { 0 }, again = { 0 }, seen = { 0 };
	size_t i = 0;

	for (struct result *r = list; r != NULL; r = r->next, i++)
		s[i] = (struct sorted){ r, i };
	qsort(s, n, sizeof(*s), by_run);
	write_closed(s, n, &closed);
	qsort(s, n, sizeof(*s), by_flow);
	write_seen(s, n, &seen);
	write_again(s, n, &again);
	if (as->provider != 0)
		db_add(call, STMT_PROVIDER_SETTLE, as->worker, as->provider,
		    as->fence, buf_cstr(&closed), buf_cstr(&again),
		    buf_cstr(&seen));
	else
		db_add(call, STMT_SETTLE_RUNS, as->worker, buf_cstr(&closed),
		    buf_cstr(&again), buf_cstr(&seen));
	qsort(s, n, sizeof(*s), by_file);
	for (i = 0; i < n && s[i].r->kind != RESULT_AGAIN;)
		i += add_chunk(call, s + i, n - i);
	add_usage(call, s, i);
	buf_fini(&closed);
	buf_fini(&again);
	buf_fini(&seen);
	free(s);
}

void
flush_doc_runs(const struct result *list, struct buf *out)
{
	int64_t last = -1;

	buf_addc(out, '{');
	for (const struct result *r = list; r != NULL; r = r->next) {
		if (r->line->run->id == last)
			continue;
		buf_addf(
		    out, "%s%" PRId64, last < 0 ? "" : ",", r->line->run->id);
		last = r->line->run->id;
	}
	buf_addc(out, '}');
}

bool
flush_doc_open(const struct db_result *res, const struct line *line)
{
	size_t at = (size_t)(line - line->run->lines);

	for (int i = 0; i < db_rows(res, 0); i++) {
		struct slice open = db_slice(res, 0, i, 1);

		if (db_int(res, 0, i, 0) == line->run->id)
			return at < open.n && open.p[at] == '1';
	}
	return false;
}

bool
flush_doc_spoil(struct result *r)
{
	char id[48] = "batch_req_";
	struct answer_line line = {
		.id = id,
		.custom_id =
		    chunk_custom_id(r->line->run->chunk, r->line->index),
		.code = "internal_error",
		.message = "The answer could not be stored.",
	};

	if (r->spoilt)
		return false;
	r->spoilt = true;
	r->usage = (struct answer_usage){ 0 };
	r->why[0] = '\0';
	if (r->kind == RESULT_AGAIN)
		return true;
	line_hash(r->line, "result", id + strlen(id));
	buf_clear(&r->text);
	r->kind = RESULT_ERROR;
	answer_write(&r->text, &line);
	return true;
}
