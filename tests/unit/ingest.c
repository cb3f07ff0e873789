#include "../../scheduler/ingest.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static uint64_t seed;

static size_t
below(size_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed % n);
}

enum { LINES_MAX = 1000 };

/* A file and where things are in it. */
struct sample {
	struct buf file;
	struct place {
		bool good;
		size_t end, id, id_len, body, body_len, model, model_len, cap;
	} lines[LINES_MAX];
	size_t nlines;
	bool faults;
};

static size_t
add_text(struct buf *b, const char *before, const char *text)
{
	buf_adds(b, before);
	buf_adds(b, text);
	return b->n - strlen(text);
}

/* A good line with so much text in it; its end is the caller's to add. */
static void
add_line(struct sample *s, size_t text)
{
	struct place *l = &s->lines[s->nlines];
	struct buf *b = &s->file;
	char id[32], model[16];

	snprintf(id, sizeof(id), "\"id \\u00e4 %zu\"", s->nlines++);
	snprintf(model, sizeof(model), "\"m%zu\"", below(5));
	l->good = true;
	l->id = add_text(b, "{ \"custom_id\": ", id);
	l->id_len = strlen(id);
	l->body = add_text(b,
	    ",\"method\":\"POST\",\"url\":\"/v1/responses\",\"body\" :", "{");
	l->cap = below(1000);
	buf_addf(b, "\"max_output_tokens\":%zu,\"input\":\"", l->cap);
	for (size_t i = 0; i < text; i++)
		buf_addc(b, (char)('a' + i % 26));
	l->model = add_text(b, "\",\"model\":", model);
	l->model_len = strlen(model);
	buf_addc(b, '}');
	l->body_len = b->n - l->body;
	buf_addc(b, '}');
	l->end = b->n;
}

static void
end_line(struct sample *s, const char *end)
{
	buf_adds(&s->file, end);
	s->lines[s->nlines - 1].end = s->file.n;
}

static void
add_wrong(struct sample *s, const char *line)
{
	buf_adds(&s->file, line);
	s->lines[s->nlines++].good = false;
	s->faults = true;
}

static struct sample *
sample_random(void)
{
	static const char *const ends[] = { "\n", "\r\n", " \t\n" };
	static const char *const blank[] = { "\n", "\r\n", "  \n" };
	static const char *const wrong[] = { "{}", "junk", "[]", "{\"",
		"{\"custom_id\":\"id \\u00e4 0\",\"body\":{\"model\":\"m\"}}" };
	static const size_t most[] = { 1, 10, 10, 10, 10, 200, 5000, 140000 };
	struct sample *s = xcalloc(1, sizeof(*s));
	size_t n = 1 + below(below(2) == 0 ? 600 : 20);
	bool blanks = below(2) == 0;

	if (below(4) == 0)
		buf_adds(&s->file, "\xef\xbb\xbf");
	for (size_t i = 0; i < n; i++) {
		const char *end = ends[below(NITEMS(ends))];

		if (i > 0 && below(30) == 0)
			add_wrong(s, wrong[below(NITEMS(wrong))]);
		else
			add_line(s,
			    below(
				most[below(NITEMS(most) - (n > 100 ? 1 : 0))]));
		if (i + 1 < n || below(2) == 0)
			end_line(s, end);
		else
			s->lines[s->nlines - 1].end = s->file.n;
		for (size_t k = below(30); blanks && k < 2; k++) {
			s->faults |= i + 1 < n;
			if (s->file.p[s->file.n - 1] == '\n')
				buf_adds(&s->file, blank[below(3)]);
		}
	}
	return s;
}

static void
sample_free(struct sample *s)
{
	buf_fini(&s->file);
	free(s);
}

/* Take what waits, check its form, and write it down to compare. */
static void
take_chunks(struct ingest *in, struct buf *out, int64_t *bytes, int64_t *lines)
{
	const struct ingest_chunk *c;

	while ((c = ingest_next(in)) != NULL) {
		size_t n = c->lines, waiting = ingest_waiting(in);

		CU_ASSERT(c->bytes.n > 0 && waiting >= c->bytes.n);
		CU_ASSERT(n <= SLC_CHUNK_LINES_MAX);
		CU_ASSERT(c->bytes.n <= SLC_CHUNK_BYTES_MAX || n == 1);
		CU_ASSERT_EQUAL(c->first_byte, *bytes);
		CU_ASSERT_EQUAL(c->first_line, *lines + 1);
		*bytes += (int64_t)c->bytes.n;
		*lines += (int64_t)n;
		buf_addf(out, "[%zu %zu]", c->bytes.n, n);
		buf_add(out, c->bytes.p, c->bytes.n);
		for (size_t i = 0; i < n; i++)
			buf_addf(out, "(%d %d %d %d %d %d %d %d %d)",
			    c->line_end[i], c->id_at[i], c->id_len[i],
			    c->body_at[i], c->body_len[i], c->model[i],
			    c->model_at[i], c->model_len[i], c->cap[i]);
		ingest_done(in);
		CU_ASSERT(waiting > ingest_waiting(in));
	}
	CU_ASSERT_EQUAL(ingest_waiting(in), 0);
}

/* What comes of a file cut into pieces of up to most bytes, as text. */
static void
digest(struct buf *file, size_t most, struct buf *out)
{
	struct ingest *in = ingest_new(50000);
	struct slice rest = buf_slice(file);
	struct ingest_total total;
	int64_t bytes = 0, lines = 0;
	struct slc_err err;

	buf_clear(out);
	while (rest.n > 0) {
		size_t n = most > rest.n ? rest.n : 1 + below(most);
		char *piece = malloc(n); /* its size shows reads past it */

		memcpy(piece, rest.p, n);
		CU_ASSERT_EQUAL_FATAL(
		    ingest_feed(in, (struct slice){ piece, n }, &err), SLC_OK);
		free(piece);
		rest = (struct slice){ rest.p + n, rest.n - n };
		CU_ASSERT_EQUAL_FATAL(
		    (size_t)ingest_bytes(in), file->n - rest.n);
		if (below(3) == 0)
			take_chunks(in, out, &bytes, &lines);
	}
	CU_ASSERT_EQUAL(ingest_end(in, &err), SLC_OK);
	take_chunks(in, out, &bytes, &lines);
	ingest_total(in, &total);
	CU_ASSERT(total.bytes == bytes && (size_t)bytes == file->n);
	CU_ASSERT_EQUAL(total.lines, lines);
	buf_addf(out, "%s %s", total.endpoint,
	    total.faults == NULL ? "-" : total.faults);
	for (size_t i = 0; i < total.nmodels; i++)
		buf_addf(out, " %.*s:%d", (int)total.models[i].n,
		    total.models[i].p, total.model_lines[i]);
	ingest_free(in);
}

static bool
is_at(const struct ingest_chunk *c, int32_t at, int32_t len, size_t want,
    size_t want_len)
{
	return (size_t)c->first_byte + (size_t)at == want &&
	    (size_t)len == want_len;
}

/* Each line is where the sample has it, and all bytes are there. */
static void
check_places(struct sample *s)
{
	struct ingest *in = ingest_new(50000);
	const struct ingest_chunk *c;
	struct ingest_total total;
	struct slc_err err;
	size_t line = 0, wrong = 0;

	CU_ASSERT_EQUAL(ingest_feed(in, buf_slice(&s->file), &err), SLC_OK);
	CU_ASSERT_EQUAL(ingest_end(in, &err), SLC_OK);
	ingest_total(in, &total);
	CU_ASSERT_EQUAL(total.faults != NULL, s->faults);
	while ((c = ingest_next(in)) != NULL) {
		wrong += memcmp(c->bytes.p, s->file.p + c->first_byte,
			     c->bytes.n) != 0;
		for (size_t i = 0; i < c->lines; i++, line++) {
			const struct place *l = &s->lines[line];
			char model[16];

			wrong +=
			    (size_t)(c->first_byte + c->line_end[i]) != l->end;
			wrong += (c->model[i] > 0) != l->good;
			if (!l->good || c->model[i] <= 0)
				continue;
			snprintf(model, sizeof(model), "\"%s\"",
			    total.models[c->model[i] - 1].p);
			wrong += (size_t)c->cap[i] != l->cap;
			wrong += !is_at(c, c->id_at[i], c->id_len[i], l->id,
				     l->id_len) ||
			    !is_at(c, c->body_at[i], c->body_len[i], l->body,
				l->body_len) ||
			    !is_at(c, c->model_at[i], c->model_len[i], l->model,
				l->model_len) ||
			    memcmp(model, s->file.p + l->model, l->model_len) !=
				0;
		}
		ingest_done(in);
	}
	CU_ASSERT_EQUAL(line, s->nlines);
	CU_ASSERT_EQUAL(wrong, 0);
	ingest_free(in);
}

static void
lines_are_found_and_bytes_kept_however_they_come(void)
{
	struct buf whole = { 0 }, cut = { 0 };

	seed = 88172645463325252;
	for (int i = 0; i < 60; i++) {
		struct sample *s = sample_random();
		size_t most[] = { s->file.n < 60000 ? 1 : 700, 3 + below(60),
			1 + below(70000), 1 + below(400000) };

		check_places(s);
		digest(&s->file, SIZE_MAX, &whole);
		for (size_t k = 0; k < NITEMS(most); k++) {
			digest(&s->file, most[k], &cut);
			CU_ASSERT(whole.n == cut.n &&
			    memcmp(whole.p, cut.p, cut.n) == 0);
		}
		sample_free(s);
	}
	buf_fini(&whole);
	buf_fini(&cut);
}

static void
a_line_too_long_is_cut_the_same_however_it_comes(void)
{
	static const size_t most[] = { 1 << 16, 1 << 17, 99991, 1 << 20 };
	struct sample *s = xcalloc(1, sizeof(*s));
	struct buf whole = { 0 }, cut = { 0 };

	seed = 1;
	add_line(s, 10);
	end_line(s, "\n");
	add_line(s, SLC_LINE_MAX + 300000);
	end_line(s, "\n");
	add_line(s, 10);
	digest(&s->file, SIZE_MAX, &whole);
	CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&whole), "line_too_long"));
	for (size_t k = 0; k < NITEMS(most); k++) {
		digest(&s->file, most[k], &cut);
		CU_ASSERT(
		    whole.n == cut.n && memcmp(whole.p, cut.p, cut.n) == 0);
	}
	sample_free(s);
	buf_fini(&whole);
	buf_fini(&cut);
}

/* The chunks as "bytes/lines", with a blank between. */
static void
shape(struct sample *s, struct buf *out)
{
	struct ingest *in = ingest_new(50000);
	struct slc_err err;
	const struct ingest_chunk *c;

	buf_clear(out);
	CU_ASSERT_EQUAL(ingest_feed(in, buf_slice(&s->file), &err), SLC_OK);
	CU_ASSERT_EQUAL(ingest_end(in, &err), SLC_OK);
	for (; (c = ingest_next(in)) != NULL; ingest_done(in))
		buf_addf(out, "%zu/%zu ", c->bytes.n, c->lines);
	buf_cstr(out);
	ingest_free(in);
	sample_free(s);
}

static void
chunks_are_full_to_the_byte(void)
{
	enum { REST = 150 }; /* more than a line has besides its text */
	static const struct {
		const char *why;
		size_t bytes[4]; /* of lines */
		const char *shape;
	} cases[] = {
		{ "fits", { 100000, 31072 }, "131072/2 " },
		{ "a byte more", { 100000, 31073 }, "100000/1 31073/1 " },
		{ "one that fills it", { 131072, 200 }, "131072/1 200/1 " },
		{ "one that is longer", { 200, 131073, 200 },
		    "200/1 131073/1 200/1 " },
		{ "much longer", { 4000000, 200, 200 }, "4000000/1 400/2 " },
		{ "at the end", { 200, 200, 4000000 }, "400/2 4000000/1 " },
	};
	struct buf out = { 0 };

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct sample *s = xcalloc(1, sizeof(*s));

		for (size_t k = 0; k < 4 && cases[i].bytes[k] > 0; k++) {
			size_t start = s->file.n;

			add_line(s, cases[i].bytes[k] - REST);
			while (s->file.n + 1 < start + cases[i].bytes[k])
				buf_addc(&s->file, ' ');
			end_line(s, "\n");
		}
		shape(s, &out);
		if (strcmp(out.p, cases[i].shape) != 0) {
			CU_FAIL("shape");
			printf("# %s: %s\n", cases[i].why, out.p);
		}
	}
	buf_fini(&out);
}

static void
chunks_have_256_lines_at_most(void)
{
	static const struct {
		size_t lines;
		const char *shape; /* without the bytes */
	} cases[] = { { 256, "256 " }, { 257, "256 1 " },
		{ 513, "256 256 1 " } };

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct sample *s = xcalloc(1, sizeof(*s));
		struct buf out = { 0 }, lines = { 0 };

		for (size_t k = 0; k < cases[i].lines; k++) {
			add_line(s, 1);
			end_line(s, "\n");
		}
		shape(s, &out);
		for (char *p = out.p; (p = strchr(p, '/')) != NULL;)
			buf_addf(&lines, "%ld ", strtol(p + 1, &p, 10));
		CU_ASSERT_STRING_EQUAL(buf_cstr(&lines), cases[i].shape);
		buf_fini(&out);
		buf_fini(&lines);
	}
}

static void
full_chunks_wait_until_they_are_taken(void)
{
	size_t faults;
	struct ingest *in = ingest_new(50000);
	struct sample *s = xcalloc(1, sizeof(*s));
	struct ingest_total total;
	struct slc_err err;

	add_line(s, 100000);
	end_line(s, "\n");
	CU_ASSERT_PTR_NULL(ingest_next(in));
	CU_ASSERT_EQUAL(ingest_feed(in, buf_slice(&s->file), &err), SLC_OK);
	CU_ASSERT_PTR_NULL(ingest_next(in));
	CU_ASSERT_EQUAL(ingest_waiting(in), 0);
	CU_ASSERT_EQUAL(ingest_feed(in, buf_slice(&s->file), &err), SLC_OK);
	CU_ASSERT_EQUAL(ingest_waiting(in), ingest_weight(ingest_next(in)));
	CU_ASSERT_EQUAL(ingest_bytes(in), 2 * (int64_t)s->file.n);
	CU_ASSERT_EQUAL(ingest_end(in, &err), SLC_OK);
	CU_ASSERT_EQUAL(ingest_waiting(in), 2 * ingest_weight(ingest_next(in)));
	ingest_total(in, &total);
	CU_ASSERT_EQUAL(total.lines, 2);
	CU_ASSERT_EQUAL(total.nmodels, 1);
	CU_ASSERT_EQUAL(total.model_lines[0], 2);
	CU_ASSERT_STRING_EQUAL(total.endpoint, "/v1/responses");
	CU_ASSERT_PTR_NOT_NULL(strstr(total.faults, "[{\"code\":\"duplicate_"));
	/* Asked again, it says the same. */
	faults = strlen(total.faults);
	ingest_total(in, &total);
	CU_ASSERT_EQUAL(strlen(total.faults), faults);
	/* What nobody takes is freed with the rest. */
	ingest_free(in);
	ingest_free(NULL);
	sample_free(s);
}

static void
what_waits_weighs_what_it_takes(void)
{
	struct ingest *in = ingest_new(1000000);
	const struct ingest_chunk *c;
	size_t chunks = 0, takes = 0, waiting;
	struct slc_err err;

	CU_ASSERT_EQUAL(ingest_feed(in, SLICE("{}\n"), &err), SLC_OK);
	for (int i = 0; i < 100000; i++)
		ingest_feed(in, SLICE("1\n"), &err);
	waiting = ingest_waiting(in);
	for (; (c = ingest_next(in)) != NULL; ingest_done(in)) {
		chunks++;
		takes += sizeof(*c) + c->bytes.cap;
	}
	CU_ASSERT_EQUAL(chunks, 100000 / SLC_CHUNK_LINES_MAX);
	CU_ASSERT(waiting >= takes);
	ingest_free(in);
}

/* Lines beyond the limit make a fault and take no room. */
static void
lines_too_many_are_not_kept(void)
{
	static const char *const cases[] = { "1\n", "\n{}\n", "{}\n\n" };
	static char longer[SLC_LINE_MAX + 2];

	memset(longer, 'x', sizeof(longer));
	for (size_t i = 0; i < NITEMS(cases) * 2; i++) {
		struct ingest *in = ingest_new(100);
		const char *more = cases[i / 2];
		struct ingest_total total;
		struct slc_err err;
		struct buf out = { 0 };
		int64_t bytes = 0, lines = 0;

		for (int k = 0; k < 100; k++)
			ingest_feed(in, SLICE("{}\n"), &err);
		for (int k = 0; k < 9999; k++)
			ingest_feed(in, slice_str(more), &err);
		if (i % 2 == 1)
			ingest_feed(
			    in, (struct slice){ longer, sizeof(longer) }, &err);
		CU_ASSERT_EQUAL(ingest_end(in, &err), SLC_OK);
		take_chunks(in, &out, &bytes, &lines);
		ingest_total(in, &total);
		CU_ASSERT_EQUAL(total.lines, 100);
		CU_ASSERT_EQUAL(lines, 100);
		CU_ASSERT_EQUAL(total.bytes, bytes);
		CU_ASSERT(bytes <= 301); /* a blank line before the 101st */
		CU_ASSERT_PTR_NOT_NULL(strstr(total.faults, "too_many_tasks"));
		buf_fini(&out);
		ingest_free(in);
	}
}

static void
a_refused_upload_can_be_freed(void)
{
	static char blanks[70000];
	struct ingest *in = ingest_new(50000);
	struct ingest_total total;
	struct slc_err err;

	CU_ASSERT_EQUAL(ingest_end(in, &err), SLC_EINPUT);
	ingest_free(in);
	in = ingest_new(50000);
	CU_ASSERT_EQUAL(ingest_feed(in, SLICE("a\n"), &err), SLC_EINPUT);
	ingest_free(in);
	/* Refused at its end, so that a chunk is still open. */
	memset(blanks, ' ', sizeof(blanks));
	in = ingest_new(50000);
	CU_ASSERT_EQUAL(ingest_feed(in, SLICE("{}\n"), &err), SLC_OK);
	CU_ASSERT_EQUAL(
	    ingest_feed(in, (struct slice){ blanks, sizeof(blanks) }, &err),
	    SLC_OK);
	CU_ASSERT_EQUAL(ingest_end(in, &err), SLC_EINPUT);
	CU_ASSERT_EQUAL(ingest_waiting(in), 0);
	ingest_total(in, &total);
	CU_ASSERT(total.endpoint == NULL && total.nmodels == 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(total.faults, "\"body\""));
	ingest_free(in);
}

UNIT_MAIN("ingest", UNIT(lines_are_found_and_bytes_kept_however_they_come),
    UNIT(a_line_too_long_is_cut_the_same_however_it_comes),
    UNIT(chunks_are_full_to_the_byte), UNIT(chunks_have_256_lines_at_most),
    UNIT(full_chunks_wait_until_they_are_taken),
    UNIT(what_waits_weighs_what_it_takes), UNIT(lines_too_many_are_not_kept),
    UNIT(a_refused_upload_can_be_freed))
