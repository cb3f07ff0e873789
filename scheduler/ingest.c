#include "ingest.h"

#include <assert.h>
#include <stdlib.h>

#include <sluice/combine.h>

#include "jsonl.h"

enum {
	LINE_SENT_BYTES = 80
}; /* of a line's places, as the database gets them */

struct ingest {
	struct jsonl jsonl;
	struct ingest_chunk *open; /* being filled */
	struct ingest_chunk *first, **last;
	size_t waiting;
	int64_t fed;   /* bytes */
	int64_t bytes; /* in chunks so far */
	int32_t lines; /* in chunks so far */
	int64_t lines_max;
	bool over; /* there are more: of no use, and not kept */
	struct slice models[SLC_FILE_MODELS_MAX];
	int32_t model_lines[SLC_FILE_MODELS_MAX];
	struct buf faults;
};

static void
chunk_free(struct ingest_chunk *c)
{
	if (c == NULL)
		return;
	buf_fini(&c->bytes);
	free(c);
}

size_t
ingest_weight(const struct ingest_chunk *c)
{
	return sizeof(*c) + c->bytes.cap + c->lines * LINE_SENT_BYTES;
}

static void
chunk_close(struct ingest *in)
{
	struct ingest_chunk *c = in->open;

	if (c == NULL)
		return;
	in->open = NULL;
	*in->last = c;
	in->last = &c->next;
	in->waiting += ingest_weight(c);
}

/* The chunk that takes n more bytes; a longer line gets one of its own. */
static struct ingest_chunk *
chunk_for(struct ingest *in, size_t n)
{
	struct ingest_chunk *c = in->open;

	if (c != NULL &&
	    (c->lines == SLC_CHUNK_LINES_MAX ||
		(c->bytes.n > 0 && c->bytes.n + n > SLC_CHUNK_BYTES_MAX))) {
		chunk_close(in);
		c = NULL;
	}
	if (c == NULL) {
		c = xmalloc(sizeof(*c));
		c->next = NULL;
		c->bytes = (struct buf){ 0 };
		c->first_byte = in->bytes;
		c->first_line = in->lines + 1;
		c->lines = 0;
		c->combines = false;
		in->open = c;
	}
	in->bytes += (int64_t)n;
	return c;
}

/* 0: it shares no call. */
static int32_t
line_combine(
    const struct ingest *in, struct slice bytes, const struct jsonl_line *line)
{
	struct slice body = { bytes.p + line->body_at, (size_t)line->body_len };
	struct slice value;

	if (line->model == 0 || in->jsonl.endpoint == NULL ||
	    !combine_value(body, in->jsonl.endpoint, &value))
		return 0;
	return combine_hash(body, value);
}

static void
ingest_on_line(void *ctx, struct slice bytes, const struct jsonl_line *line)
{
	struct ingest *in = ctx;
	struct ingest_chunk *c;
	int32_t base;
	size_t i;

	if (in->lines == in->lines_max)
		in->over = true;
	if (in->over)
		return;
	c = chunk_for(in, bytes.n);
	base = (int32_t)c->bytes.n;
	i = c->lines++;
	buf_add(&c->bytes, bytes.p, bytes.n);
	in->lines++;
	c->line_end[i] = (int32_t)c->bytes.n;
	c->id_at[i] = base + line->id_at;
	c->id_len[i] = line->id_len;
	c->body_at[i] = base + line->body_at;
	c->body_len[i] = line->body_len;
	c->model[i] = line->model;
	c->model_at[i] = base + line->model_at;
	c->model_len[i] = line->model_len;
	c->cap[i] = line->cap;
	c->combine[i] = line_combine(in, bytes, line);
	c->combines |= c->combine[i] != 0;
}

static void
ingest_on_filler(void *ctx, struct slice bytes)
{
	struct ingest *in = ctx;

	/* Chunks are filled up, so that they do not tell how it came in. */
	while (bytes.n > 0 && !in->over) {
		size_t used = in->open == NULL ? 0 : in->open->bytes.n;
		size_t room = used < SLC_CHUNK_BYTES_MAX
		    ? SLC_CHUNK_BYTES_MAX - used
		    : SLC_CHUNK_BYTES_MAX;
		size_t n = bytes.n < room ? bytes.n : room;
		struct ingest_chunk *c = chunk_for(in, n);

		buf_add(&c->bytes, bytes.p, n);
		bytes.p += n;
		bytes.n -= n;
	}
}

static const struct jsonl_handler jsonl_handler = {
	.on_line = ingest_on_line,
	.on_filler = ingest_on_filler,
};

struct ingest *
ingest_new(int64_t lines_max)
{
	struct ingest *in = xcalloc(1, sizeof(*in));

	assert(lines_max < INT32_MAX);
	in->last = &in->first;
	in->lines_max = lines_max;
	jsonl_init(&in->jsonl, &jsonl_handler, in, lines_max);
	return in;
}

void
ingest_free(struct ingest *in)
{
	if (in == NULL)
		return;
	while (in->first != NULL)
		ingest_done(in);
	chunk_free(in->open);
	jsonl_fini(&in->jsonl);
	buf_fini(&in->faults);
	free(in);
}

enum slc_rc
ingest_feed(struct ingest *in, struct slice bytes, struct slc_err *err)
{
	in->fed += (int64_t)bytes.n;
	return jsonl_feed(&in->jsonl, bytes, err);
}

enum slc_rc
ingest_end(struct ingest *in, struct slc_err *err)
{
	enum slc_rc rc = jsonl_end(&in->jsonl, err);

	if (rc == SLC_OK)
		chunk_close(in);
	return rc;
}

int64_t
ingest_bytes(const struct ingest *in)
{
	return in->fed;
}

size_t
ingest_waiting(const struct ingest *in)
{
	return in->waiting;
}

const struct ingest_chunk *
ingest_next(const struct ingest *in)
{
	return in->first;
}

void
ingest_done(struct ingest *in)
{
	struct ingest_chunk *c = in->first;

	in->first = c->next;
	if (in->first == NULL)
		in->last = &in->first;
	in->waiting -= ingest_weight(c);
	chunk_free(c);
}

void
ingest_total(struct ingest *in, struct ingest_total *total)
{
	const struct jsonl *j = &in->jsonl;

	for (int i = 0; i < j->nmodels; i++) {
		in->models[i] = slice_str(j->models[i].name);
		in->model_lines[i] = j->models[i].lines;
	}
	*total = (struct ingest_total){
		.bytes = in->bytes,
		.lines = in->lines,
		.endpoint = j->endpoint,
		.models = in->models,
		.model_lines = in->model_lines,
		.nmodels = (size_t)j->nmodels,
	};
	if (j->nfaults > 0) {
		buf_clear(&in->faults);
		buf_addc(&in->faults, '[');
		buf_add(&in->faults, j->faults.p, j->faults.n);
		buf_addc(&in->faults, ']');
		total->faults = buf_cstr(&in->faults);
	}
}
