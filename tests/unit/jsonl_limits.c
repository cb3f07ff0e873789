#include "../../scheduler/jsonl.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

/* What came out, counted. */
struct count {
	struct jsonl jsonl;
	struct slc_err err;
	int good, wrong;
	size_t bytes, filler;
};

static void
count_on_line(void *ctx, struct slice bytes, const struct jsonl_line *line)
{
	struct count *c = ctx;

	c->good += line->model != 0;
	c->wrong += line->model == 0;
	c->bytes += bytes.n;
}

static void
count_on_filler(void *ctx, struct slice bytes)
{
	struct count *c = ctx;

	c->filler += bytes.n;
	c->bytes += bytes.n;
}

static const struct jsonl_handler handler = { count_on_line, count_on_filler };

static enum slc_rc
read_file(struct count *c, struct buf *file, size_t piece, int64_t lines_max)
{
	struct slice rest = buf_slice(file);
	enum slc_rc rc = SLC_OK;

	memset(c, 0, sizeof(*c));
	jsonl_init(&c->jsonl, &handler, c, lines_max);
	while (rc == SLC_OK && rest.n > 0) {
		size_t n = rest.n < piece ? rest.n : piece;

		rc =
		    jsonl_feed(&c->jsonl, (struct slice){ rest.p, n }, &c->err);
		rest = (struct slice){ rest.p + n, rest.n - n };
	}
	if (rc == SLC_OK)
		rc = jsonl_end(&c->jsonl, &c->err);
	if (rc == SLC_OK)
		CU_ASSERT_EQUAL(c->bytes, file->n);
	return rc;
}

/* The fault of that index is this one. */
static bool
has_fault(struct count *c, size_t i, int line, const char *code)
{
	struct buf text = { 0 };
	json_t *faults, *f;
	bool good;

	buf_addc(&text, '[');
	buf_add(&text, c->jsonl.faults.p, c->jsonl.faults.n);
	buf_addc(&text, ']');
	faults = json_loadb(text.p, text.n, 0, NULL);
	f = json_array_get(faults, i);
	good = f != NULL &&
	    json_integer_value(json_object_get(f, "line")) == line &&
	    strcmp(json_string_value(json_object_get(f, "code")), code) == 0;
	json_decref(faults);
	buf_fini(&text);
	return good;
}

static void
add_many(struct buf *b, const char *s, size_t n)
{
	while (n-- > 0)
		buf_adds(b, s);
}

static void
add_line(struct buf *b, const char *id, int number, const char *model)
{
	buf_addf(b,
	    "{\"custom_id\":\"%s%d\",\"method\":\"POST\","
	    "\"url\":\"/v1/responses\",\"body\":{\"model\":\"%s\"}}\n",
	    id, number, model);
}

/* A good line of so many bytes, without its end. */
static void
add_long_line(struct buf *b, size_t n)
{
	size_t end = b->n + n;

	add_line(b, "long", 0, "m");
	b->n -= 2; /* }\n */
	add_many(b, " ", end - b->n - 1);
	buf_addc(b, '}');
}

static void
a_line_may_have_four_mebibytes(void)
{
	static const size_t pieces[] = { SIZE_MAX, SLC_LINE_MAX, 99991 };
	static const char *const ends[] = { "\n", "" };

	for (size_t p = 0; p < NITEMS(pieces); p++)
		for (size_t e = 0; e < NITEMS(ends); e++) {
			struct buf file = { 0 };
			struct count c;

			add_line(&file, "a", 1, "m");
			/* Blanks that are held back are not part of it. */
			buf_adds(&file, "\n");
			add_long_line(&file, SLC_LINE_MAX);
			buf_adds(&file, ends[e]);
			CU_ASSERT_EQUAL(
			    read_file(&c, &file, pieces[p], 9), SLC_OK);
			CU_ASSERT(c.good == 2 && c.jsonl.nfaults == 1);
			CU_ASSERT(has_fault(&c, 0, 2, "invalid_json_line"));
			jsonl_fini(&c.jsonl);
			buf_fini(&file);
		}
}

static void
a_byte_more_is_a_fault(void)
{
	static const size_t pieces[] = { SIZE_MAX, SLC_LINE_MAX + 1, 99991 };
	static const size_t more[] = { 1, SLC_LINE_MAX };

	for (size_t p = 0; p < NITEMS(pieces); p++)
		for (size_t m = 0; m < NITEMS(more); m++) {
			struct buf file = { 0 };
			struct count c;

			add_line(&file, "a", 1, "m");
			buf_adds(&file, "\n");
			add_long_line(&file, SLC_LINE_MAX + more[m]);
			buf_adds(&file, "\n");
			add_line(&file, "a", 1, "m");
			CU_ASSERT_EQUAL(
			    read_file(&c, &file, pieces[p], 9), SLC_OK);
			CU_ASSERT(c.good == 1 && c.wrong == 1);
			CU_ASSERT_EQUAL(c.filler, SLC_LINE_MAX + more[m] + 2);
			CU_ASSERT_EQUAL(c.jsonl.nfaults, 3);
			CU_ASSERT(has_fault(&c, 0, 2, "invalid_json_line"));
			CU_ASSERT(has_fault(&c, 1, 3, "line_too_long"));
			/* The lines after it are read, and numbered right. */
			CU_ASSERT(has_fault(&c, 2, 4, "duplicate_custom_id"));
			jsonl_fini(&c.jsonl);
			buf_fini(&file);
		}
}

static void
at_the_end_it_needs_no_end(void)
{
	struct buf file = { 0 };
	struct count c;

	add_line(&file, "a", 1, "m");
	add_long_line(&file, SLC_LINE_MAX + 1);
	for (size_t piece = 65536; piece <= 4 * file.n; piece *= 4) {
		CU_ASSERT_EQUAL(read_file(&c, &file, piece, 9), SLC_OK);
		CU_ASSERT_EQUAL(c.jsonl.nfaults, 1);
		CU_ASSERT(has_fault(&c, 0, 2, "line_too_long"));
		jsonl_fini(&c.jsonl);
	}
	/* A file of nothing else is not empty. */
	buf_clear(&file);
	buf_adds(&file, "\n");
	add_long_line(&file, SLC_LINE_MAX + 1);
	CU_ASSERT_EQUAL(read_file(&c, &file, SIZE_MAX, 9), SLC_OK);
	CU_ASSERT_EQUAL(c.jsonl.nfaults, 2);
	CU_ASSERT(has_fault(&c, 1, 2, "line_too_long"));
	jsonl_fini(&c.jsonl);
	buf_fini(&file);
}

static void
a_first_line_that_is_too_long_is_refused(void)
{
	static const char *const ends[] = { "\n", "", "\n{}\n" };

	for (size_t e = 0; e < NITEMS(ends); e++)
		for (size_t piece = 65536; piece <= 16 << 20; piece *= 16) {
			struct buf file = { 0 };
			struct count c;

			add_long_line(&file, SLC_LINE_MAX + 1);
			buf_adds(&file, ends[e]);
			CU_ASSERT_EQUAL(
			    read_file(&c, &file, piece, 9), SLC_EINPUT);
			CU_ASSERT_STRING_EQUAL(c.err.text,
			    "Line 1: The line is longer than 4194304 bytes.");
			CU_ASSERT_EQUAL(c.bytes, 0);
			jsonl_fini(&c.jsonl);
			buf_fini(&file);
		}
}

/* A name of n bytes when decoded, as many pieces of so many bytes as fit. */
static void
add_name(struct buf *b, const char *piece, size_t bytes, size_t n)
{
	add_many(b, piece, n / bytes);
	add_many(b, "x", n % bytes);
}

static void
names_have_a_limit_in_decoded_bytes(void)
{
	static const struct {
		const char *piece;
		size_t bytes;
	} cases[] = {
		{ "x", 1 },
		{ "\xc3\xa4", 2 },
		{ "\\u00e4", 2 },
		{ "\\ud83d\\ude00", 4 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++)
		for (size_t more = 0; more <= 1; more++) {
			struct buf file = { 0 }, id = { 0 }, model = { 0 };
			struct count c;

			/* add_line() adds a digit to the id. */
			add_name(&id, cases[i].piece, cases[i].bytes,
			    SLC_CUSTOM_ID_MAX - 1 + more);
			add_name(&model, cases[i].piece, cases[i].bytes,
			    SLC_MODEL_MAX + more);
			add_line(&file, buf_cstr(&id), 1, "m");
			add_line(&file, "a", 2, buf_cstr(&model));
			CU_ASSERT_EQUAL(
			    read_file(&c, &file, file.n, 9), SLC_OK);
			CU_ASSERT_EQUAL(c.jsonl.nfaults, (int)more * 2);
			CU_ASSERT_EQUAL(c.wrong, (int)more * 2);
			if (more == 1) {
				CU_ASSERT(has_fault(&c, 0, 1, "invalid_value"));
				CU_ASSERT(has_fault(&c, 1, 2, "invalid_value"));
			}
			jsonl_fini(&c.jsonl);
			buf_fini(&file);
			buf_fini(&id);
			buf_fini(&model);
		}
}

static void
a_file_may_have_64_models(void)
{
	struct buf file = { 0 };
	struct count c;

	/* Twice, so that all are known when the last comes. */
	for (int i = 0; i < 2 * SLC_FILE_MODELS_MAX; i++) {
		char model[16];

		snprintf(model, sizeof(model), "m%d", i % SLC_FILE_MODELS_MAX);
		add_line(&file, "a", i, model);
	}
	CU_ASSERT_EQUAL(read_file(&c, &file, file.n, 1000), SLC_OK);
	CU_ASSERT(c.jsonl.nfaults == 0 && c.good == 2 * SLC_FILE_MODELS_MAX);
	CU_ASSERT_EQUAL(c.jsonl.nmodels, SLC_FILE_MODELS_MAX);
	CU_ASSERT_STRING_EQUAL(c.jsonl.models[63].name, "m63");
	CU_ASSERT_EQUAL(c.jsonl.models[63].lines, 2);
	jsonl_fini(&c.jsonl);

	add_line(&file, "b", 1, "one more");
	add_line(&file, "b", 2, "m0");
	CU_ASSERT_EQUAL(read_file(&c, &file, file.n, 1000), SLC_OK);
	CU_ASSERT(c.jsonl.nfaults == 1 && c.wrong == 1);
	CU_ASSERT(has_fault(&c, 0, 129, "too_many_models"));
	CU_ASSERT_EQUAL(c.jsonl.nmodels, SLC_FILE_MODELS_MAX);
	CU_ASSERT_EQUAL(c.jsonl.models[0].lines, 3);
	jsonl_fini(&c.jsonl);
	buf_fini(&file);
}

static void
lines_past_the_maximum_are_one_fault(void)
{
	enum { MAX = 5 };

	for (int lines = 1; lines <= MAX + 3; lines++) {
		struct buf file = { 0 };
		struct count c;

		for (int i = 0; i < lines; i++)
			add_line(&file, "a", i, "m");
		buf_adds(&file, lines == MAX + 3 ? "not even JSON" : "\n");
		CU_ASSERT_EQUAL(read_file(&c, &file, file.n, MAX), SLC_OK);
		CU_ASSERT_EQUAL(c.good, lines < MAX ? lines : MAX);
		CU_ASSERT_EQUAL(c.jsonl.nfaults, lines > MAX);
		if (lines > MAX)
			CU_ASSERT(has_fault(&c, 0, MAX + 1, "too_many_tasks"));
		CU_ASSERT_EQUAL(c.jsonl.lines, lines + (lines == MAX + 3));
		CU_ASSERT_EQUAL(c.good + c.wrong, c.jsonl.lines);
		jsonl_fini(&c.jsonl);
		buf_fini(&file);
	}
}

static void
a_thousand_faults_are_kept(void)
{
	enum { LINES = SLC_FILE_FAULTS_MAX + 200 };
	struct buf file = { 0 };
	struct count c;

	add_line(&file, "a", 1, "m");
	add_many(&file, "bad\n", LINES);
	add_line(&file, "b", 1, "m");
	CU_ASSERT_EQUAL(read_file(&c, &file, file.n, 5000), SLC_OK);
	CU_ASSERT_EQUAL(c.jsonl.nfaults, SLC_FILE_FAULTS_MAX);
	CU_ASSERT(has_fault(&c, 0, 2, "invalid_json_line"));
	CU_ASSERT(has_fault(&c, 999, 1001, "invalid_json_line"));
	CU_ASSERT_FALSE(has_fault(&c, 1000, 1002, "invalid_json_line"));
	CU_ASSERT(c.good == 2 && c.wrong == LINES);
	jsonl_fini(&c.jsonl);
	buf_fini(&file);
}

static void
blank_lines_at_the_end_have_a_limit(void)
{
	for (size_t more = 0; more <= 1; more++) {
		struct buf file = { 0 };
		struct count c;

		add_line(&file, "a", 1, "m");
		add_many(&file, "\r\n", JSONL_BLANK_MAX / 2 - 1);
		add_many(&file, " ", 1 + more);
		buf_adds(&file, "\n");
		CU_ASSERT_EQUAL(read_file(&c, &file, 1000, 9),
		    more == 0 ? SLC_OK : SLC_EINPUT);
		if (more == 0)
			CU_ASSERT_EQUAL(c.filler, JSONL_BLANK_MAX)
		else
			CU_ASSERT_PTR_NOT_NULL(strstr(c.err.text,
			    "Line 32769: more than 65536 bytes of blank"));
		jsonl_fini(&c.jsonl);
		buf_fini(&file);
	}
}

static void
a_line_may_be_nested_64_deep(void)
{
	for (size_t more = 0; more <= 1; more++) {
		struct buf file = { 0 };
		struct count c;

		add_line(&file, "a", 1, "m");
		add_line(&file, "a", 2, "m");
		file.n -= 3; /* }}\n: inside it is two deep */
		buf_adds(&file, ",\"x\":");
		add_many(&file, "[", SLC_DEPTH_MAX - 2 + more);
		add_many(&file, "]", SLC_DEPTH_MAX - 2 + more);
		buf_adds(&file, "}}\n");
		CU_ASSERT_EQUAL(read_file(&c, &file, file.n, 9), SLC_OK);
		CU_ASSERT_EQUAL(c.jsonl.nfaults, (int)more);
		jsonl_fini(&c.jsonl);
		buf_fini(&file);
	}
}

static void
endpoints_are_five(void)
{
	CU_ASSERT(jsonl_endpoint_ok(SLICE("/v1/chat/completions")));
	CU_ASSERT(jsonl_endpoint_ok(SLICE("/v1/completions")));
	CU_ASSERT(jsonl_endpoint_ok(SLICE("/v1/embeddings")));
	CU_ASSERT(jsonl_endpoint_ok(SLICE("/v1/responses")));
	CU_ASSERT(jsonl_endpoint_ok(SLICE("/v1/moderations")));
	CU_ASSERT_FALSE(jsonl_endpoint_ok(SLICE("/v1/images/generations")));
	CU_ASSERT_FALSE(jsonl_endpoint_ok(SLICE("/v1/chat/completion")));
	CU_ASSERT_FALSE(jsonl_endpoint_ok(SLICE("v1/responses")));
	CU_ASSERT_FALSE(jsonl_endpoint_ok(SLICE("")));
}

UNIT_MAIN("jsonl_limits", UNIT(a_line_may_have_four_mebibytes),
    UNIT(a_byte_more_is_a_fault), UNIT(at_the_end_it_needs_no_end),
    UNIT(a_first_line_that_is_too_long_is_refused),
    UNIT(names_have_a_limit_in_decoded_bytes), UNIT(a_file_may_have_64_models),
    UNIT(lines_past_the_maximum_are_one_fault),
    UNIT(a_thousand_faults_are_kept), UNIT(blank_lines_at_the_end_have_a_limit),
    UNIT(a_line_may_be_nested_64_deep), UNIT(endpoints_are_five))
