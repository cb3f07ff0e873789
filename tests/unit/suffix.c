/* A suffix put to the model's name in a body's bytes. */
#include "unit.h"

#include <string.h>

#include "../../worker/suffix.h"

static void
a_suffix_stands_before_the_closing_quote(void)
{
	static const struct {
		const char *why, *before, *after;
	} cases[] = {
		{ "nothing else changes", "{\"n\":1e400,\"model\":\"gpt",
		    "\",\"x\":12345678901234567890}" },
		{ "an escaped name", "{\"model\" : \"g\\u0070t\\\"", "\"}" },
		{ "the last byte", "{\"model\":\"", "\"" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf body = { 0 }, out = { 0 }, want = { 0 };

		buf_addf(&body, "%s%s", cases[i].before, cases[i].after);
		buf_addf(&want, "%s:batch%s", cases[i].before, cases[i].after);
		suffix_put(
		    buf_slice(&body), strlen(cases[i].before), ":batch", &out);
		CU_ASSERT_STRING_EQUAL(buf_cstr(&out), buf_cstr(&want));
		buf_fini(&body);
		buf_fini(&out);
		buf_fini(&want);
	}
}

static void
a_name_that_has_it_keeps_it(void)
{
	CU_ASSERT_TRUE(suffix_has("gpt:batch", ":batch"));
	CU_ASSERT_FALSE(suffix_has("gpt", ":batch"));
	CU_ASSERT_FALSE(suffix_has("gpt:batches", ":batch"));
	/* A suffix alone is no model. */
	CU_ASSERT_FALSE(suffix_has(":batch", ":batch"));
}

UNIT_MAIN("suffix", UNIT(a_suffix_stands_before_the_closing_quote),
    UNIT(a_name_that_has_it_keeps_it))
