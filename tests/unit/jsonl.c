#include "../../scheduler/jsonl.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

/* Files here have ' where JSON has ", to be read more easily. */
#define HEAD(id, url) \
	"{'custom_id':'" id "','method':'POST','url':'/v1/" url "','body':"
#define LINE(id, body) HEAD(id, "chat/completions") body "}"
#define GOOD(id)       LINE(id, "{'model':'m'}")

static void
put_quotes(struct buf *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->p[i] == '\'')
			b->p[i] = '"';
}

/*
 * What comes of a file, as text.  A line: <id model#index cap>, or <-> when it
 * is wrong; filler: ~.  Then each fault: line, code and param.
 */
struct reading {
	struct jsonl jsonl;
	struct buf bytes, trace;
	struct slc_err err;
};

static void
reading_on_line(void *ctx, struct slice bytes, const struct jsonl_line *line)
{
	struct reading *r = ctx;
	struct slice id = { bytes.p + line->id_at, (size_t)line->id_len };
	struct slice body = { bytes.p + line->body_at, (size_t)line->body_len };
	struct slice model = { bytes.p + line->model_at,
		(size_t)line->model_len };

	buf_add(&r->bytes, bytes.p, bytes.n);
	if (line->model == 0) {
		CU_ASSERT_EQUAL(line->cap, -1);
		buf_adds(&r->trace, "<->");
		return;
	}
	buf_addf(&r->trace, "<%.*s %.*s#%d %d>", (int)id.n - 2, id.p + 1,
	    (int)model.n - 2, model.p + 1, line->model, line->cap);
	CU_ASSERT(body.p + body.n < bytes.p + bytes.n);
	CU_ASSERT(body.p[0] == '{' && body.p[body.n - 1] == '}');
	CU_ASSERT(model.p > body.p && model.p + model.n < body.p + body.n);
	CU_ASSERT(id.p[0] == '"' && id.p[id.n - 1] == '"');
	CU_ASSERT(model.p[0] == '"' && model.p[model.n - 1] == '"');
}

static void
reading_on_filler(void *ctx, struct slice bytes)
{
	struct reading *r = ctx;

	buf_add(&r->bytes, bytes.p, bytes.n);
	if (r->trace.n == 0 || r->trace.p[r->trace.n - 1] != '~')
		buf_addc(&r->trace, '~');
}

static const struct jsonl_handler handler = { reading_on_line,
	reading_on_filler };

static void
trace_faults(struct reading *r)
{
	struct buf text = { 0 };
	json_t *faults, *f;
	size_t i;

	buf_addf(&text, "[%.*s]", (int)r->jsonl.faults.n, r->jsonl.faults.p);
	faults = json_loadb(text.p, text.n, 0, NULL);
	CU_ASSERT_EQUAL(json_array_size(faults), (size_t)r->jsonl.nfaults);
	json_array_foreach(faults, i, f)
	{
		const char *param =
		    json_string_value(json_object_get(f, "param"));

		CU_ASSERT(
		    json_string_length(json_object_get(f, "message")) > 9);
		buf_addf(&r->trace, " %d:%s",
		    (int)json_integer_value(json_object_get(f, "line")),
		    json_string_value(json_object_get(f, "code")));
		if (param != NULL)
			buf_addf(&r->trace, "(%s)", param);
	}
	json_decref(faults);
	buf_fini(&text);
}

/* Cut after the first so many bytes, then after each so many. */
static enum slc_rc
read_file(struct reading *r, struct slice file, size_t first, size_t each,
    int64_t lines_max)
{
	struct slice rest = file;
	enum slc_rc rc = SLC_OK;
	size_t n = first;

	memset(r, 0, sizeof(*r));
	jsonl_init(&r->jsonl, &handler, r, lines_max);
	while (rc == SLC_OK && rest.n > 0) {
		/* A copy of its own size shows reads past its end. */
		char *piece;

		n = n > rest.n ? rest.n : n;
		piece = malloc(n);
		memcpy(piece, rest.p, n);
		rc = jsonl_feed(&r->jsonl, (struct slice){ piece, n }, &r->err);
		free(piece);
		rest = (struct slice){ rest.p + n, rest.n - n };
		n = each;
	}
	if (rc == SLC_OK)
		rc = jsonl_end(&r->jsonl, &r->err);
	if (rc == SLC_OK) {
		CU_ASSERT_EQUAL(r->bytes.n, file.n);
		CU_ASSERT(file.n == r->bytes.n &&
		    memcmp(r->bytes.p, file.p, file.n) == 0);
		trace_faults(r);
	}
	return rc;
}

static void
reading_fini(struct reading *r)
{
	jsonl_fini(&r->jsonl);
	buf_fini(&r->bytes);
	buf_fini(&r->trace);
}

/* Whole, byte by byte and cut in two at every place: always the same. */
static bool
reads_as(struct slice file, const char *want)
{
	bool good = true;

	for (size_t cut = 0; cut <= file.n && good; cut++) {
		struct reading r;
		enum slc_rc rc = read_file(
		    &r, file, cut == 0 ? 1 : cut, cut == 0 ? 1 : file.n, 50000);
		const char *got =
		    rc == SLC_OK ? buf_cstr(&r.trace) : r.err.text;

		good = rc == SLC_OK ? strcmp(got, want) == 0
				    : rc == SLC_EINPUT && r.err.rc == rc &&
			want[0] == '!' && strstr(got, want + 1) != NULL;
		if (!good)
			printf("# cut at %zu: %s\n", cut, got);
		reading_fini(&r);
	}
	return good;
}

static bool
text_reads_as(const char *text, const char *want)
{
	struct buf file = { 0 };
	bool good;

	buf_adds(&file, text);
	put_quotes(&file);
	good = reads_as(buf_slice(&file), want);
	buf_fini(&file);
	return good;
}

#define BOM "\xef\xbb\xbf"

static void
files_are_split_into_requests(void)
{
	static const struct {
		const char *why, *file, *want; /* ! refused, and why */
	} cases[] = {
		{ "one line", GOOD("a") "\n", "<a m#1 -1>" },
		{ "no line end", GOOD("a"), "<a m#1 -1>" },
		{ "two", GOOD("a") "\n" GOOD("b") "\n",
		    "<a m#1 -1><b m#1 -1>" },
		{ "the last has no end", GOOD("a") "\n" GOOD("b"),
		    "<a m#1 -1><b m#1 -1>" },
		{ "CRLF", GOOD("a") "\r\n" GOOD("b") "\r\n",
		    "<a m#1 -1><b m#1 -1>" },
		{ "CR alone is no line end", GOOD("a") "\r" GOOD("b") "\n",
		    "!Line 1: The line is not valid JSON: byte 85: more" },
		{ "byte order mark", BOM GOOD("a") "\n" GOOD("b"),
		    "<a m#1 -1><b m#1 -1>" },
		{ "a second mark is an error", GOOD("a") "\n" BOM GOOD("b"),
		    "<a m#1 -1><-> 2:invalid_json_line" },
		{ "blanks around a line", " \t" GOOD("a") " \r\n",
		    "<a m#1 -1>" },
		{ "empty", "", "!The file is empty" },
		{ "only line ends", "\n\r\n\n", "!The file is empty" },
		{ "only blanks", "  \t", "!The file is empty" },
		{ "only a mark", BOM, "!Line 1: The line is not valid JSON" },
		{ "a mark and a blank line", BOM "\n" GOOD("a"), "!Line 1: " },
		{ "blank lines at the end", GOOD("a") "\n\n \n",
		    "<a m#1 -1>~" },
		{ "so with CRLF", GOOD("a") "\r\n\r\n\r\n", "<a m#1 -1>~" },
		{ "blanks without a line end", GOOD("a") "\n\n  ",
		    "<a m#1 -1>~" },
		{ "a blank line inside", GOOD("a") "\n\n" GOOD("b"),
		    "<a m#1 -1>~<b m#1 -1> 2:invalid_json_line" },
		{ "blank lines inside are one mistake",
		    GOOD("a") "\n\n \r\n\n" GOOD("b") "\n{}\n\n",
		    "<a m#1 -1>~<b m#1 -1><->~ 2:invalid_json_line "
		    "6:missing_required_parameter(custom_id) "
		    "6:missing_required_parameter(method) "
		    "6:missing_required_parameter(url) "
		    "6:missing_required_parameter(body)" },
		{ "a blank line first", "\n" GOOD("a"),
		    "~<a m#1 -1> 1:invalid_json_line" },
		{ "a first line is no other", "\njunk",
		    "~<-> 1:invalid_json_line 2:invalid_json_line" },
		{ "a first line that is no JSON", "custom_id,url\n" GOOD("a"),
		    "!Line 1: The line is not valid JSON: byte 1: not a JSON "
		    "value. Each line must be {\"custom_id\", \"method\", " },
		{ "a JSON array", "[" GOOD("a") "," GOOD("b") "]",
		    "!Line 1: The line must be a JSON object." },
		{ "pretty printed", "{\n'custom_id':'a'\n}",
		    "!Line 1: The line is not valid JSON: byte 3: " },
		{ "a wanted name twice in the first line", "{'url':1,'url':2}",
		    "!byte 10: \"url\" stands twice" },
		{ "a first line that is wrong is kept", "{}",
		    "<-> 1:missing_required_parameter(custom_id) "
		    "1:missing_required_parameter(method) "
		    "1:missing_required_parameter(url) "
		    "1:missing_required_parameter(body)" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++)
		CHECK(
		    text_reads_as(cases[i].file, cases[i].want), cases[i].why);
}

static void
a_wrong_line_is_kept_with_its_fault(void)
{
	static const struct {
		const char *why, *line, *fault;
	} cases[] = {
		{ "cut", "{'custom_id':'x'", "invalid_json_line" },
		{ "an array", "[]", "invalid_json_line" },
		{ "text", "'x'", "invalid_json_line" },
		{ "not UTF-8", LINE("\xff", "{'model':'m'}"),
		    "invalid_json_line" },
		{ "a name twice", LINE("x", "{'model':'m','mod\\u0065l':'n'}"),
		    "invalid_json_line" },
		{ "no custom_id",
		    "{'method':'POST','url':'/v1/chat/completions'"
		    ",'body':{'model':'m'}}",
		    "missing_required_parameter(custom_id)" },
		{ "null for it",
		    "{'custom_id':null,'method':'POST',"
		    "'url':'/v1/chat/completions','body':{'model':'m'}}",
		    "missing_required_parameter(custom_id)" },
		{ "a number for it",
		    "{'custom_id':7,'method':'POST',"
		    "'url':'/v1/chat/completions','body':{'model':'m'}}",
		    "invalid_type(custom_id)" },
		{ "an empty one", GOOD(""), "invalid_value(custom_id)" },
		{ "NUL in it", GOOD("x\\u0000"), "invalid_type(custom_id)" },
		{ "half a pair in it", GOOD("\\ud83d"),
		    "invalid_type(custom_id)" },
		{ "one that was there", GOOD("a"),
		    "duplicate_custom_id(custom_id)" },
		{ "in other letters", GOOD("\\u0061"),
		    "duplicate_custom_id(custom_id)" },
		{ "no method",
		    "{'custom_id':'x','url':'/v1/chat/completions',"
		    "'body':{'model':'m'}}",
		    "missing_required_parameter(method)" },
		{ "GET",
		    "{'custom_id':'x','method':'GET',"
		    "'url':'/v1/chat/completions','body':{'model':'m'}}",
		    "invalid_value(method)" },
		{ "small letters",
		    "{'custom_id':'x','method':'post',"
		    "'url':'/v1/chat/completions','body':{'model':'m'}}",
		    "invalid_value(method)" },
		{ "no url",
		    "{'custom_id':'x','method':'POST',"
		    "'body':{'model':'m'}}",
		    "missing_required_parameter(url)" },
		{ "a number for it",
		    "{'custom_id':'x','method':'POST','url':1,"
		    "'body':{'model':'m'}}",
		    "invalid_type(url)" },
		{ "an unknown url", HEAD("x", "models") "{'model':'m'}}",
		    "invalid_url(url)" },
		{ "more than a known one",
		    HEAD("x", "chat/completions/") "{'model':'m'}}",
		    "invalid_url(url)" },
		{ "not that of the others",
		    HEAD("x", "embeddings") "{'model':'m'}}",
		    "url_mismatch(url)" },
		{ "no body",
		    "{'custom_id':'x','method':'POST',"
		    "'url':'/v1/chat/completions'}",
		    "missing_required_parameter(body)" },
		{ "null for it", LINE("x", "null"),
		    "missing_required_parameter(body)" },
		{ "an array for it", LINE("x", "[]"), "invalid_type(body)" },
		{ "JSON as text for it", LINE("x", "'{}'"),
		    "invalid_type(body)" },
		{ "no model", LINE("x", "{}"),
		    "missing_required_parameter(body.model)" },
		{ "model not in the body", "{'model':'m'," GOOD("x") "}",
		    "invalid_json_line" },
		{ "null for it", LINE("x", "{'model':null}"),
		    "missing_required_parameter(body.model)" },
		{ "an object for it", LINE("x", "{'model':{}}"),
		    "invalid_type(body.model)" },
		{ "an empty one", LINE("x", "{'model':''}"),
		    "invalid_value(body.model)" },
		{ "streaming", LINE("x", "{'model':'m','stream':true}"),
		    "streaming_unsupported(body.stream)" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf file = { 0 }, want = { 0 };

		buf_addf(
		    &file, "%s\n%s\n%s\n", GOOD("a"), cases[i].line, GOOD("b"));
		buf_addf(&want, "<a m#1 -1><-><b m#1 -1> 2:%s", cases[i].fault);
		CHECK(text_reads_as(buf_cstr(&file), buf_cstr(&want)),
		    cases[i].why);
		buf_fini(&file);
		buf_fini(&want);
	}
}

static void
each_mistake_of_a_line_is_told(void)
{
	CU_ASSERT(text_reads_as(
	    GOOD("a") "\n"
		      "{'custom_id':'a','method':'GET','url':'/','body':"
		      "{'stream':true}}\n",
	    "<a m#1 -1><-> 2:duplicate_custom_id(custom_id) "
	    "2:invalid_value(method) 2:invalid_url(url) "
	    "2:streaming_unsupported(body.stream) "
	    "2:missing_required_parameter(body.model)"));
}

static void
output_caps_are_read(void)
{
	static const struct {
		const char *why, *url, *body;
		int cap;
	} cases[] = {
		{ "not said", "chat/completions", "", -1 },
		{ "the old name", "chat/completions", ",'max_tokens':7", 7 },
		{ "the new name", "chat/completions",
		    ",'max_completion_tokens':8", 8 },
		{ "the new one goes first", "chat/completions",
		    ",'max_tokens':7,'max_completion_tokens':8", 8 },
		{ "if it is a number", "chat/completions",
		    ",'max_tokens':7,'max_completion_tokens':null", 7 },
		{ "of responses", "responses", ",'max_output_tokens':9", 9 },
		{ "of completions", "completions", ",'max_tokens':5", 5 },
		{ "each of n", "chat/completions", ",'max_tokens':7,'n':3",
		    21 },
		{ "n alone", "chat/completions", ",'n':3", -1 },
		{ "n of none", "chat/completions", ",'max_tokens':7,'n':0", 7 },
		{ "n that is no number", "chat/completions",
		    ",'max_tokens':7,'n':'3'", 7 },
		{ "none at all", "chat/completions", ",'max_tokens':0", 0 },
		{ "negative", "chat/completions", ",'max_tokens':-1", -1 },
		{ "a fraction", "chat/completions", ",'max_tokens':7.0", -1 },
		{ "text", "chat/completions", ",'max_tokens':'7'", -1 },
		{ "the largest", "chat/completions", ",'max_tokens':2147483647",
		    INT32_MAX },
		{ "and one", "chat/completions", ",'max_tokens':2147483648",
		    -1 },
		{ "the product is too large", "chat/completions",
		    ",'max_tokens':2147483647,'n':1000", INT32_MAX },
		{ "not in the body", "chat/completions",
		    ",'x':{'max_tokens':7}", -1 },
		{ "not streaming", "chat/completions", ",'stream':false", -1 },
		{ "so said", "chat/completions", ",'stream':null", -1 },
		{ "embeddings have no output", "embeddings", ",'max_tokens':7",
		    0 },
		{ "nor have moderations", "moderations", "", 0 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf file = { 0 }, want = { 0 };

		buf_addf(&file,
		    "{'custom_id':'a','method':'POST','url':'/v1/%s',"
		    "'body':{'model':'m'%s}}",
		    cases[i].url, cases[i].body);
		buf_addf(&want, "<a m#1 %d>", cases[i].cap);
		CHECK(text_reads_as(buf_cstr(&file), buf_cstr(&want)),
		    cases[i].why);
		buf_fini(&file);
		buf_fini(&want);
	}
}

UNIT_MAIN("jsonl", UNIT(files_are_split_into_requests),
    UNIT(a_wrong_line_is_kept_with_its_fault),
    UNIT(each_mistake_of_a_line_is_told), UNIT(output_caps_are_read))
