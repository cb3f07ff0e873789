/*
 * Fuzz target: a file cut into pieces is the file read whole; all of its bytes
 * come out, and what is said to stand in a line stands there.
 *
 * The first byte says how long the pieces are, the second how many lines may
 * come.
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../../scheduler/jsonl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct seen {
	struct jsonl jsonl;
	struct slc_err err;
	enum slc_rc rc;
	struct buf bytes;
	struct buf lines; /* as text */
};

/* It is JSON of the given type. */
static void
check_part(struct slice line, int32_t at, int32_t len, json_type type)
{
	json_error_t error;
	json_t *value;

	assert(at > 0 && len > 1 && (size_t)at + (size_t)len < line.n);
	value = json_loadb(line.p + at, (size_t)len, JSON_DECODE_ANY, &error);
	/* A body may hold what jansson cannot. */
	if (value != NULL || type == JSON_STRING)
		assert(json_typeof(value) == type);
	json_decref(value);
}

static void
seen_on_line(void *ctx, struct slice bytes, const struct jsonl_line *line)
{
	struct seen *s = ctx;

	buf_add(&s->bytes, bytes.p, bytes.n);
	buf_addf(&s->lines, "(%zu %d %d %d %d %d %d %d %d)", bytes.n,
	    line->id_at, line->id_len, line->body_at, line->body_len,
	    line->model_at, line->model_len, line->cap, line->model);
	if (line->model == 0)
		return;
	assert(line->cap >= -1 && line->model <= s->jsonl.nmodels);
	check_part(bytes, line->id_at, line->id_len, JSON_STRING);
	check_part(bytes, line->body_at, line->body_len, JSON_OBJECT);
	check_part(bytes, line->model_at, line->model_len, JSON_STRING);
	assert(line->model_at > line->body_at);
	assert(
	    line->model_at + line->model_len < line->body_at + line->body_len);
}

static void
seen_on_filler(void *ctx, struct slice bytes)
{
	struct seen *s = ctx;

	assert(bytes.n > 0);
	buf_add(&s->bytes, bytes.p, bytes.n);
	buf_addf(&s->lines, "~%zu", bytes.n);
}

static const struct jsonl_handler handler = { seen_on_line, seen_on_filler };

static void
read_file(struct seen *s, struct slice file, size_t each, int64_t lines_max)
{
	*s = (struct seen){ 0 };
	jsonl_init(&s->jsonl, &handler, s, lines_max);
	while (s->rc == SLC_OK && file.n > 0) {
		size_t n = file.n < each ? file.n : each;
		char *piece = malloc(n); /* its size shows reads past it */

		memcpy(piece, file.p, n);
		s->rc =
		    jsonl_feed(&s->jsonl, (struct slice){ piece, n }, &s->err);
		free(piece);
		file = (struct slice){ file.p + n, file.n - n };
	}
	if (s->rc == SLC_OK)
		s->rc = jsonl_end(&s->jsonl, &s->err);
}

static void
seen_fini(struct seen *s)
{
	jsonl_fini(&s->jsonl);
	buf_fini(&s->bytes);
	buf_fini(&s->lines);
}

static bool
same(const struct buf *a, const struct buf *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice file;
	struct seen whole, cut;

	if (n < 3)
		return 0;
	file = (struct slice){ (const char *)data + 2, n - 2 };
	read_file(&whole, file, file.n, data[1] % 16);
	read_file(&cut, file, data[0] % 64 + 1, data[1] % 16);
	assert(whole.rc == cut.rc);
	assert(whole.rc == SLC_OK || whole.rc == SLC_EINPUT);
	assert(strcmp(whole.err.text, cut.err.text) == 0);
	assert(same(&whole.bytes, &cut.bytes));
	assert(same(&whole.lines, &cut.lines));
	assert(same(&whole.jsonl.faults, &cut.jsonl.faults));
	if (whole.rc == SLC_OK)
		assert(whole.bytes.n == file.n &&
		    memcmp(whole.bytes.p, file.p, file.n) == 0);
	if (whole.jsonl.nfaults > 0) {
		struct buf text = { 0 };
		json_t *faults;

		buf_addf(&text, "[%s]", buf_cstr(&whole.jsonl.faults));
		faults = json_loadb(text.p, text.n, 0, NULL);
		assert(json_array_size(faults) == (size_t)whole.jsonl.nfaults);
		json_decref(faults);
		buf_fini(&text);
	}
	seen_fini(&whole);
	seen_fini(&cut);
	return 0;
}
