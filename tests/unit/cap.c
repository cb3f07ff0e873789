/* An output cap put into a body that has none. */
#include "unit.h"

#include "../../worker/cap.h"

static void
a_cap_is_one_member_after_the_brace(void)
{
	static const struct {
		const char *why, *endpoint, *body, *want; /* NULL: untouched */
	} cases[] = {
		{ "chat", "/v1/chat/completions",
		    "{\"model\":\"m\",\"n\":12345678901234567890}",
		    "{\"max_tokens\":7,\"model\":\"m\","
		    "\"n\":12345678901234567890}" },
		{ "space before it", "/v1/completions", " { \"model\":\"m\"}",
		    " {\"max_tokens\":7, \"model\":\"m\"}" },
		{ "responses", "/v1/responses", "{\"model\":\"m\"}",
		    "{\"max_output_tokens\":7,\"model\":\"m\"}" },
		{ "has one", "/v1/chat/completions",
		    "{\"model\":\"m\",\"max_tokens\":1}", NULL },
		{ "has the newer one", "/v1/chat/completions",
		    "{\"model\":\"m\",\"max_completion_tokens\":1}", NULL },
		{ "has one under another spelling", "/v1/responses",
		    "{\"model\":\"m\",\"max_\\u006futput_tokens\":1}", NULL },
		{ "null is the caller's word, too", "/v1/chat/completions",
		    "{\"model\":\"m\",\"max_tokens\":null}", NULL },
		{ "deeper down it is another thing", "/v1/chat/completions",
		    "{\"model\":\"m\",\"a\":{\"max_tokens\":1}}",
		    "{\"max_tokens\":7,\"model\":\"m\",\"a\":{\"max_tokens\":1}"
		    "}" },
		{ "embeddings have no output", "/v1/embeddings",
		    "{\"model\":\"m\"}", NULL },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf out = { 0 };
		bool added = cap_add(
		    slice_str(cases[i].body), cases[i].endpoint, 7, &out);

		CU_ASSERT_EQUAL(added, cases[i].want != NULL);
		if (added && cases[i].want != NULL)
			CU_ASSERT_STRING_EQUAL(buf_cstr(&out), cases[i].want);
		buf_fini(&out);
	}
}

UNIT_MAIN("cap", UNIT(a_cap_is_one_member_after_the_brace))
