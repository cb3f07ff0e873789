#include "../../worker/answer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define S(literal)                             \
	{                                      \
		(literal), sizeof(literal) - 1 \
	}

/* Bodies here have ' where JSON has ", to be read more easily. */
static void
put_quotes(struct buf *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->p[i] == '\'')
			b->p[i] = '"';
}

static bool
check(const char *body, struct answer_usage *usage)
{
	struct buf b = { 0 };
	bool good;

	buf_adds(&b, body);
	put_quotes(&b);
	memset(usage, 0x55, sizeof(*usage));
	good = answer_check(buf_slice(&b), usage);
	buf_fini(&b);
	return good;
}

static void
usage_is_read_in_every_dialect(void)
{
	static const struct {
		const char *why, *body;
		struct answer_usage usage;
	} cases[] = {
		{ "chat",
		    "{'id':'x','choices':[{'message':{'content':'usage'}}],"
		    "'usage':{'prompt_tokens':10,'completion_tokens':20,"
		    "'total_tokens':30,'prompt_tokens_details':"
		    "{'cached_tokens':4,'audio_tokens':9},"
		    "'completion_tokens_details':{'reasoning_tokens':5}}}",
		    { true, 10, 4, 20, 5 } },
		{ "responses",
		    "{'error':null,'usage':{'input_tokens':10,"
		    "'input_tokens_details':{'cached_tokens':4},"
		    "'output_tokens':20,'output_tokens_details':"
		    "{'reasoning_tokens':5},'total_tokens':30}}",
		    { true, 10, 4, 20, 5 } },
		{ "embeddings",
		    "{'data':[],'usage':{'prompt_tokens':8,'total_tokens':8}}",
		    { true, 8, 0, 0, 0 } },
		{ "pretty", " {\n \"usage\" : {\r\n\t'input_tokens' : 3 } }\n",
		    { true, 3, 0, 0, 0 } },
		{ "both dialects, one of sense",
		    "{'usage':{'prompt_tokens':null,'input_tokens':3,"
		    "'completion_tokens':1.5,'output_tokens':4}}",
		    { true, 3, 0, 4, 0 } },
		{ "nothing used is known",
		    "{'usage':{'prompt_tokens':0,'completion_tokens':0}}",
		    { true, 0, 0, 0, 0 } },
		{ "the most there is", "{'usage':{'prompt_tokens':1000000000}}",
		    { true, 1000000000, 0, 0, 0 } },
		{ "more than that", "{'usage':{'prompt_tokens':1000000001}}",
		    { 0 } },
		{ "none", "{}", { 0 } },
		{ "null", "{'usage':null}", { 0 } },
		{ "an array", "{'usage':[{'prompt_tokens':1}]}", { 0 } },
		{ "elsewhere",
		    "{'x':{'usage':{'prompt_tokens':1}},"
		    "'prompt_tokens':2}",
		    { 0 } },
		{ "details that are none",
		    "{'usage':{'prompt_tokens':1,'prompt_tokens_details':null,"
		    "'cached_tokens':9}}",
		    { true, 1, 0, 0, 0 } },
		{ "negative", "{'usage':{'prompt_tokens':-5}}", { 0 } },
		{ "minus zero", "{'usage':{'prompt_tokens':-0}}", { 0 } },
		{ "a fraction", "{'usage':{'prompt_tokens':5.0}}", { 0 } },
		{ "an exponent", "{'usage':{'prompt_tokens':5e1}}", { 0 } },
		{ "a string", "{'usage':{'prompt_tokens':'5'}}", { 0 } },
		{ "over 63 bits",
		    "{'usage':{'input_tokens':9223372036854775808}}", { 0 } },
		{ "over a double", "{'usage':{'input_tokens':1e300}}", { 0 } },
		{ "only the output makes sense",
		    "{'usage':{'prompt_tokens':-5,'completion_tokens':7}}",
		    { false, 0, 0, 7, 0 } },
		{ "only the input does",
		    "{'usage':{'prompt_tokens':5,'completion_tokens':-7,"
		    "'prompt_tokens_details':{'cached_tokens':-1},"
		    "'completion_tokens_details':{'reasoning_tokens':1e9}}}",
		    { true, 5, 0, 0, 0 } },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct answer_usage u;

		CHECK(check(cases[i].body, &u), cases[i].why);
		CHECK(u.known == cases[i].usage.known &&
			u.input == cases[i].usage.input &&
			u.cached == cases[i].usage.cached &&
			u.output == cases[i].usage.output &&
			u.reasoning == cases[i].usage.reasoning,
		    cases[i].why);
	}
}

static void
an_answer_is_an_object_without_error(void)
{
	static const struct {
		const char *why, *body;
		bool good;
	} cases[] = {
		{ "no error", "{'error':null}", true },
		{ "an error further in", "{'choices':[{'error':{}}]}", true },
		{ "an error", "{'error':{'message':'overloaded'}}", false },
		{ "an error beside a result", "{'usage':{},'error':{}}",
		    false },
		{ "an error as text", "{'error':'overloaded'}", false },
		{ "error: false", "{'error':false}", false },
		{ "two usages: which?", "{'usage':{},'usage':{}}", false },
		{ "an array", "[{}]", false },
		{ "a string", "'ok'", false },
		{ "null", "null", false },
		{ "HTML", "<html></html>", false },
		{ "an event stream", "data: {}\n\n", false },
		{ "two objects", "{}{}", false },
		{ "a cut one", "{'usage':{'prompt_tokens':1}", false },
		{ "not UTF-8", "{'a':'\xff'}", false },
		{ "empty", "", false },
	};
	struct answer_usage u;

	for (size_t i = 0; i < NITEMS(cases); i++) {
		CHECK(check(cases[i].body, &u) == cases[i].good, cases[i].why);
		CHECK(!u.known && u.input == 0 && u.output == 0, cases[i].why);
	}
	CU_ASSERT_FALSE(answer_check((struct slice){ 0 }, &u));
}

/* Is the line valid JSON, and one line only? */
static bool
is_line(struct buf *line)
{
	json_t *json =
	    json_loadb(line->p, line->n, JSON_REJECT_DUPLICATES, NULL);
	char *end = memchr(line->p, '\n', line->n);
	bool good = json != NULL && end == line->p + line->n - 1;

	json_decref(json);
	return good;
}

#define HEAD                                                               \
	"{\"id\":\"batch_req_1\",\"custom_id\":\"a\\u0041\",\"response\":" \
	"{\"status_code\":200,\"request_id\":\"req_7\",\"body\":"
#define TAIL "},\"error\":null}\n"

static void
bodies_stay_as_they_came(void)
{
	static const struct {
		const char *why;
		struct slice body;
		const char *json;
		bool beyond_jansson;
	} cases[] = {
		{ "an object", S("{\"b\": [1,  2], \"a\":{}}"),
		    "{\"b\": [1,  2], \"a\":{}}", false },
		{ "line ends become blanks",
		    S("\n{\n\t\"a\":\r\n[1,\n2]\r}\r\n\n"),
		    " { \t\"a\":  [1, 2] }", false },
		{ "not those in strings", S("{\"a\\nb\":\"\\r\\n\\u000a\"}"),
		    "{\"a\\nb\":\"\\r\\n\\u000a\"}", false },
		{ "blanks at the end go", S("[1] \t"), "[1]", false },
		{ "line ends of Unicode", S("\"\xe2\x80\xa8\""),
		    "\"\xe2\x80\xa8\"", false },
		{ "numbers", S("[0.1000,-0,1E+2,1e-07]"),
		    "[0.1000,-0,1E+2,1e-07]", false },
		{ "large numbers", S("[12345678901234567890,1e400]"),
		    "[12345678901234567890,1e400]", true },
		{ "a key twice", S("{\"a\":1,\"a\":2}"), "{\"a\":1,\"a\":2}",
		    true },
		{ "escapes of no character", S("\"\\ud83d\\u0000\""),
		    "\"\\ud83d\\u0000\"", true },
		{ "null", S("null"), "null", false },
		{ "empty", S(""), "\"\"", false },
		{ "no body", { NULL, 0 }, "\"\"", false },
		{ "only blanks", S(" \n"), "\" \\n\"", false },
		{ "HTML", S("<p>\"502\"\n</p>\x7f"),
		    "\"<p>\\\"502\\\"\\n</p>\\u007f\"", false },
		{ "more than one value", S("{}\n{}"), "\"{}\\n{}\"", false },
		{ "JSON in Latin 1", S("\"\xe4\""), "\"\\\"\xef\xbf\xbd\\\"\"",
		    false },
		{ "NUL", S("1\0"), "\"1\\u0000\"", true },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct answer_line line = {
			.id = "batch_req_1",
			.custom_id = SLICE("\"a\\u0041\""),
			.status = 200,
			.request_id = SLICE("req_7"),
			.body = cases[i].body,
		};
		struct buf out = { 0 }, want = { 0 };

		buf_addf(&want, HEAD "%s" TAIL, cases[i].json);
		answer_write(&out, &line);
		CHECK(cases[i].beyond_jansson || is_line(&out), cases[i].why);
		CHECK(
		    strcmp(buf_cstr(&out), buf_cstr(&want)) == 0, cases[i].why);
		/* The line before is not touched. */
		answer_write(&out, &line);
		CHECK(out.n == 2 * want.n &&
			memcmp(out.p, want.p, want.n) == 0 &&
			memcmp(out.p + want.n, want.p, want.n) == 0,
		    cases[i].why);
		buf_fini(&out);
		buf_fini(&want);
	}
}

static void
a_body_that_is_nested_too_deep_is_text(void)
{
	for (int depth = 1; depth <= 66; depth++) {
		struct buf body = { 0 }, out = { 0 };
		struct answer_line line = {
			.id = "i",
			.custom_id = SLICE("\"c\""),
		};

		for (int k = 0; k < depth; k++)
			buf_addc(&body, '[');
		for (int k = 0; k < depth; k++)
			buf_addc(&body, ']');
		line.body = buf_slice(&body);
		answer_write(&out, &line);
		CU_ASSERT(is_line(&out));
		CU_ASSERT_EQUAL(
		    strstr(buf_cstr(&out), "\"body\":[") != NULL, depth <= 64);
		buf_fini(&body);
		buf_fini(&out);
	}
}

static void
a_failure_has_a_code_and_a_message(void)
{
	struct answer_line line = {
		.id = "batch_req_1",
		.custom_id = SLICE("\"a\""),
		.status = 200,
		.request_id = SLICE("x"),
		.body = SLICE("{}"),
		.code = "outcome_unknown",
		.message = "the \"host\"\nis gone",
	};
	struct buf out = { 0 };

	answer_write(&out, &line);
	CU_ASSERT(is_line(&out));
	CU_ASSERT_STRING_EQUAL(buf_cstr(&out),
	    "{\"id\":\"batch_req_1\",\"custom_id\":\"a\",\"response\":null,"
	    "\"error\":{\"code\":\"outcome_unknown\",\"message\":"
	    "\"the \\\"host\\\"\\nis gone\"}}\n");
	buf_clear(&out);
	line.message = NULL;
	answer_write(&out, &line);
	CU_ASSERT(is_line(&out));
	CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out), "\"message\":\"\"}}\n"));
	buf_fini(&out);
}

static void
any_bytes_make_a_line(void)
{
	static const char bytes[] = "{}[]\":, \n\r\t0a\\\x7f\xc3\xa4\xff";
	uint64_t seed = 7;
	int as_json = 0;

	for (int i = 0; i < 20000; i++) {
		char body[6];
		struct answer_line line = {
			.id = "i",
			.custom_id = SLICE("\"c\""),
			.body = { body, (size_t)i % (sizeof(body) + 1) },
		};
		struct buf out = { 0 };

		for (size_t k = 0; k < sizeof(body); k++) {
			seed = seed * UINT64_C(6364136223846793005) + 1;
			body[k] = bytes[(seed >> 33) % (sizeof(bytes) - 1)];
		}
		line.request_id = line.body;
		answer_write(&out, &line);
		as_json += strstr(buf_cstr(&out), "\"body\":\"") == NULL;
		if (!is_line(&out)) {
			CU_FAIL("a line of JSON");
			printf("# %s", buf_cstr(&out));
		}
		buf_fini(&out);
	}
	CU_ASSERT(as_json > 100);
}

static void
keys_are_blanked(void)
{
	static const struct {
		const char *why, *secret, *text, *clean;
	} cases[] = {
		{ "nothing there", "s3cret", "{\"a\":1}", "{\"a\":1}" },
		{ "our secret", "s3cret", "key s3cret!", "key ******!" },
		{ "more than once", "s3cret", "s3crets3cret s3cret",
		    "************ ******" },
		{ "all of the text", "s3cret", "s3cret", "******" },
		{ "most of it", "s3cret", "s3cre", "s3cre" },
		{ "a secret longer than the text", "s3cret", "s", "s" },
		{ "no secret", NULL, "s3cret", "s3cret" },
		{ "an empty secret", "", "s3cret", "s3cret" },
		{ "no text", "s3cret", "", "" },
		{ "a key, and the point after it", NULL, "sk-abcdefghijkl.",
		    "sk-*************" },
		{ "somebody's key", NULL, "key \"sk-proj-A_b-1234567\" is",
		    "key \"sk-****************\" is" },
		{ "twelve characters make one", NULL, "sk-abcdefghijkl",
		    "sk-************" },
		{ "eleven do not", NULL, "sk-abcdefghijk", "sk-abcdefghijk" },
		{ "masked by the upstream", NULL, "sk-abcd********wxyz",
		    "sk-****************" },
		{ "a short one, then a key", NULL, "sk-a sk-abcdefghijkl",
		    "sk-a sk-************" },
		{ "two of them", NULL, "sk-abcdefghijkl,sk-abcdefghijkl",
		    "sk-************,sk-************" },
		{ "a token", NULL, "'Bearer abc' is", "'Bearer ***' is" },
		{ "as RFC 6750 has it", NULL, "Bearer a-._~+/9==, x",
		    "Bearer **********, x" },
		{ "a token of one", NULL, "Bearer x", "Bearer *" },
		{ "any case and two blanks", NULL, "bearer  abc",
		    "bearer  ***" },
		{ "no token", NULL, "Bearer ", "Bearer " },
		{ "the word", NULL, "Bearer, Bearer \"", "Bearer, Bearer \"" },
		{ "all three", "s3cret", "Bearer s3cret sk-s3cretabcdef",
		    "Bearer ****** sk-************" },
	};

	char nul[] = "Bearer a\0b";

	for (size_t i = 0; i < NITEMS(cases); i++) {
		size_t n = strlen(cases[i].text);
		char *p = malloc(n); /* its size shows reads past it */
		const char *clean = cases[i].clean;

		memcpy(p, cases[i].text, n);
		answer_redact(p, n, slice_str(cases[i].secret));
		CHECK(n == strlen(clean) && memcmp(p, clean, n) == 0,
		    cases[i].why);
		free(p);
	}
	/* NUL ends a token; the body of an answer that has none. */
	answer_redact(nul, sizeof(nul), (struct slice){ 0 });
	CU_ASSERT(memcmp(nul, "Bearer *\0b", sizeof(nul)) == 0);
	answer_redact(NULL, 0, SLICE("s3cret"));
	answer_redact(NULL, 0, (struct slice){ 0 });
}

static void
a_body_that_grows_too_long_does_not_fit(void)
{
	size_t most = ANSWER_TEXT_MAX;
	char *p = malloc(most + 1);
	static const struct {
		const char *why;
		char fill;
		size_t n;
		bool fits;
	} cases[] = {
		{ "grows sixfold", '\x01', ANSWER_TEXT_MAX / 6 + 1, false },
		{ "just fits", '\x7f', ANSWER_TEXT_MAX / 6, true },
		{ "bad UTF-8 grows threefold", '\xff', ANSWER_TEXT_MAX / 3 + 1,
		    false },
		{ "quotes grow twofold", '"', ANSWER_TEXT_MAX / 2, false },
		{ "no JSON, and quotes around it", 'a', ANSWER_TEXT_MAX - 1,
		    false },
		{ "fits to the byte", 'a', ANSWER_TEXT_MAX - 2, true },
		{ "JSON stays as it is", '1', ANSWER_TEXT_MAX, true },
		{ "JSON too long by itself", '1', ANSWER_TEXT_MAX + 1, false },
	};

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		memset(p, cases[i].fill, cases[i].n);
		CHECK(answer_fits((struct slice){ p, cases[i].n }) ==
			cases[i].fits,
		    cases[i].why);
	}
	CU_ASSERT(answer_fits((struct slice){ "", 0 }));
	free(p);
}

UNIT_MAIN("answer", UNIT(usage_is_read_in_every_dialect),
    UNIT(an_answer_is_an_object_without_error), UNIT(bodies_stay_as_they_came),
    UNIT(a_body_that_is_nested_too_deep_is_text),
    UNIT(a_failure_has_a_code_and_a_message), UNIT(any_bytes_make_a_line),
    UNIT(keys_are_blanked), UNIT(a_body_that_grows_too_long_does_not_fit))
