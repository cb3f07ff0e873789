/*
 * What goes to an upstream's batches and what comes from them, hostile
 * upstreams included.
 */
#include "unit.h"

#include <string.h>

#include "../../worker/provider_line.h"

static void
a_line_keeps_its_bytes(void)
{
	struct buf b = { 0 };

	provider_line_write(&b, 12, 3, "/v1/embeddings",
	    SLICE("{\"z\":1e400, \"a\": 12345678901234567890}"));
	CU_ASSERT_STRING_EQUAL(buf_cstr(&b),
	    "{\"custom_id\":\"r12-3\",\"method\":\"POST\",\"url\":"
	    "\"/v1/embeddings\",\"body\":{\"z\":1e400, \"a\": "
	    "12345678901234567890}}\n");
	buf_fini(&b);
}

static void
results_are_read(void)
{
	static const struct {
		const char *why, *line;
		bool ok;
		int64_t run;
		size_t place;
		int status; /* 0: none */
		const char *body, *request, *code;
	} cases[] = {
		{ "an answer",
		    "{\"id\":\"x\",\"custom_id\":\"r7-0\",\"response\":{"
		    "\"status_code\":200,\"request_id\":\"req\",\"body\":{"
		    "\"a\":"
		    " 1e400}},\"error\":null}",
		    true, 7, 0, 200, "{\"a\": 1e400}", "req", "" },
		{ "members in another order, a body that is no object",
		    "{\"response\":{\"body\":\"x\",\"status_code\":500},"
		    "\"custom_id\":\"r7-255\"}",
		    true, 7, 255, 500, "\"x\"", "", "" },
		{ "no response",
		    "{\"custom_id\":\"r7-1\",\"response\":null,\"error\":{"
		    "\"code\":\"batch_expired\",\"message\":\"m\"}}",
		    true, 7, 1, 0, "", "", "batch_expired" },
		{ "a body without a status is no answer",
		    "{\"custom_id\":\"r7-1\",\"response\":{\"body\":{}}}", true,
		    7, 1, 0, "{}", "", "" },
		{ "a status that is none",
		    "{\"custom_id\":\"r7-1\",\"response\":{\"body\":{},"
		    "\"status_code\":2e2}}",
		    true, 7, 1, 0, "{}", "", "" },
		{ "another's name", "{\"custom_id\":\"q-1\",\"response\":null}",
		    false, 0, 0, 0, "", "", "" },
		{ "a name with more",
		    "{\"custom_id\":\"r7-1x\",\"response\":null}", false, 0, 0,
		    0, "", "", "" },
		{ "a number that is too large",
		    "{\"custom_id\":\"r99999999999999999999-1\"}", false, 0, 0,
		    0, "", "", "" },
		{ "a place that is none", "{\"custom_id\":\"r7-257\"}", false,
		    0, 0, 0, "", "", "" },
		{ "two names",
		    "{\"custom_id\":\"r7-1\",\"custom_id\":\"r7-2\"}", false, 0,
		    0, 0, "", "", "" },
		{ "no name", "{\"response\":null}", false, 0, 0, 0, "", "",
		    "" },
		{ "a number for a name", "{\"custom_id\":7}", false, 0, 0, 0,
		    "", "", "" },
		{ "cut off", "{\"custom_id\":\"r7-1\",\"respon", false, 0, 0, 0,
		    "", "", "" },
		{ "nothing", "", false, 0, 0, 0, "", "", "" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct provider_answer a = { 0 };
		bool ok = provider_line_read(slice_str(cases[i].line), &a);

		CHECK(ok == cases[i].ok, cases[i].why);
		if (ok && cases[i].ok) {
			CHECK(
			    a.run == cases[i].run && a.place == cases[i].place,
			    cases[i].why);
			CHECK(a.answered == (cases[i].status > 0) &&
				a.status == cases[i].status,
			    cases[i].why);
			CHECK(slice_eq(a.body, cases[i].body) ||
				(a.body.p == NULL && !cases[i].body[0]),
			    cases[i].why);
			CHECK(strcmp(buf_cstr(&a.request_id),
				  cases[i].request) == 0 &&
				strcmp(buf_cstr(&a.code), cases[i].code) == 0,
			    cases[i].why);
		}
		provider_answer_fini(&a);
	}
}

static void
the_name_of_a_line_too_long_is_found(void)
{
	int64_t run = 0;
	size_t place = 0;

	CU_ASSERT(provider_line_name(
	    SLICE("{\"id\":\"x\", \"custom_id\" : \"r12-34\", \"resp"), &run,
	    &place));
	CU_ASSERT(run == 12 && place == 34);
	CU_ASSERT_FALSE(provider_line_name(
	    SLICE("{\"id\":\"x\",\"custom_id\":\"r12"), &run, &place));
	CU_ASSERT_FALSE(
	    provider_line_name(SLICE("{\"custom_id\""), &run, &place));
	CU_ASSERT_FALSE(provider_line_name(SLICE("{}"), &run, &place));
}

static void
lacks_are_told_apart(void)
{
	CU_ASSERT_EQUAL(
	    provider_lack_of(SLICE("batch_expired")), PROVIDER_NOT_RUN);
	CU_ASSERT_EQUAL(
	    provider_lack_of(SLICE("batch_cancelled")), PROVIDER_NOT_RUN);
	CU_ASSERT_EQUAL(
	    provider_lack_of(SLICE("request_timeout")), PROVIDER_TRY);
	CU_ASSERT_EQUAL(
	    provider_lack_of((struct slice){ NULL, 0 }), PROVIDER_TRY);
	CU_ASSERT_EQUAL(
	    provider_lack_of(SLICE("invalid_image")), PROVIDER_NEVER);
}

static void
batches_are_read(void)
{
	static const struct {
		const char *why, *json;
		bool ok;
		enum provider_status status;
		const char *output;
		enum provider_fault fault;
		const char *faults;
	} cases[] = {
		{ "under way", "{\"id\":\"batch_1\",\"status\":\"finalizing\"}",
		    true, PROVIDER_UNDER_WAY, "", 0, "" },
		{ "a status nobody knows",
		    "{\"id\":\"batch_1\",\"status\":\"resting\"}", true,
		    PROVIDER_UNDER_WAY, "", 0, "" },
		{ "done",
		    "{\"id\":\"batch_1\",\"status\":\"completed\","
		    "\"output_file_id\":\"file-2\",\"error_file_id\":null}",
		    true, PROVIDER_COMPLETED, "file-2", 0, "" },
		{ "an id that would lead elsewhere",
		    "{\"id\":\"batch_1\",\"status\":\"completed\","
		    "\"output_file_id\":\"../../x\"}",
		    true, PROVIDER_COMPLETED, "", 0, "" },
		{ "another", "{\"id\":\"a/b\",\"status\":\"completed\"}", false,
		    0, "", 0, "" },
		{ "no status", "{\"id\":\"batch_1\"}", false, 0, "", 0, "" },
		{ "no object", "[]", false, 0, "", 0, "" },
		{ "over the limit",
		    "{\"id\":\"b\",\"status\":\"failed\",\"errors\":{\"data\":["
		    "{"
		    "\"code\":\"token_limit_exceeded\",\"message\":\"Enqueued "
		    "token limit\",\"line\":null}]}}",
		    true, PROVIDER_FAILED, "", PROVIDER_OVER, "" },
		{ "money",
		    "{\"id\":\"b\",\"status\":\"failed\",\"errors\":{\"data\":["
		    "{"
		    "\"code\":\"billing_hard_limit_reached\",\"message\":\"\"}]"
		    "}"
		    "}",
		    true, PROVIDER_FAILED, "", PROVIDER_MONEY, "" },
		{ "lines that are wrong",
		    "{\"id\":\"b\",\"status\":\"failed\",\"errors\":{\"data\":["
		    "{"
		    "\"code\":\"model_not_found\",\"message\":\"no\",\"line\":"
		    "3}"
		    ",{\"code\":\"\\u0022evil\",\"message\":\"x\",\"line\":4},{"
		    "\"code\":\"x\",\"line\":-1}]}}",
		    true, PROVIDER_FAILED, "", PROVIDER_WRONG,
		    "[{\"line\":3,\"code\":\"model_not_found\",\"message\":"
		    "\"no\"},{\"line\":4,\"code\":\"invalid_request\","
		    "\"message\":\"x\"}]" },
		{ "no reason", "{\"id\":\"b\",\"status\":\"failed\"}", true,
		    PROVIDER_FAILED, "", PROVIDER_OTHER, "" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct provider_batch b = { 0 };
		bool ok = provider_batch_read(slice_str(cases[i].json), &b);

		CHECK(ok == cases[i].ok, cases[i].why);
		if (ok) {
			CHECK(b.status == cases[i].status &&
				strcmp(b.output_file, cases[i].output) == 0,
			    cases[i].why);
			CHECK(b.status != PROVIDER_FAILED ||
				b.fault == cases[i].fault,
			    cases[i].why);
			CHECK(strcmp(buf_cstr(&b.faults), cases[i].faults) == 0,
			    cases[i].why);
		}
		provider_batch_fini(&b);
	}
}

static void
pages_are_searched(void)
{
	static const char page[] =
	    "{\"data\":[{\"id\":\"b1\",\"status\":\"failed\",\"metadata\":null}"
	    ","
	    "{\"id\":\"b2\",\"status\":\"completed\",\"input_file_id\":\"f\","
	    "\"metadata\":{\"sluice\":\"u\"}}],\"has_more\":true}";
	char last[PROVIDER_ID_MAX + 1];
	struct provider_batch b = { 0 };
	struct buf ids = { 0 };

	CU_ASSERT_EQUAL(provider_list_find(SLICE(page), "u", "g", &b, last), 1);
	CU_ASSERT_STRING_EQUAL(b.id, "b2");
	provider_batch_fini(&b);
	CU_ASSERT_EQUAL(provider_list_find(SLICE(page), "v", "f", &b, last), 1);
	provider_batch_fini(&b);
	CU_ASSERT_EQUAL(provider_list_find(SLICE(page), "v", "g", &b, last), 0);
	CU_ASSERT_STRING_EQUAL(last, "b2");
	CU_ASSERT_EQUAL(
	    provider_list_find(SLICE("{\"data\":[]}"), "v", "g", &b, last), 0);
	CU_ASSERT_STRING_EQUAL(last, "");
	CU_ASSERT_EQUAL(
	    provider_list_find(SLICE("{}"), "v", "g", &b, last), -1);
	CU_ASSERT_EQUAL(
	    provider_list_strays(
		SLICE("{\"data\":[{\"id\":\"f1\",\"filename\":\"n\"},{\"id\":"
		      "\"f2\",\"filename\":\"n\"},{\"id\":\"f3\",\"filename\":"
		      "\"m\"}]}"),
		"n", "f2", &ids, last),
	    0);
	CU_ASSERT(ids.n == 3 && memcmp(ids.p, "f1", 3) == 0);
	buf_fini(&ids);
}

UNIT_MAIN("provider_line", UNIT(a_line_keeps_its_bytes), UNIT(results_are_read),
    UNIT(the_name_of_a_line_too_long_is_found), UNIT(lacks_are_told_apart),
    UNIT(batches_are_read), UNIT(pages_are_searched))
