#include <stdio.h>
#include <string.h>

#include <sluice/kept.h>

#include "unit.h"

#define CHAT   "/v1/chat/completions"
#define TOKENS "/v1/embeddings"

static void
what_repeats_is_known_by_endpoint_and_body(void)
{
	static const struct {
		const char *path, *body;
		bool repeats;
	} cases[] = {
		{ CHAT, "{\"model\":\"m\",\"temperature\":0}", true },
		{ CHAT, "{\"model\":\"m\",\"temperature\":0.000}", true },
		{ CHAT, "{\"model\":\"m\",\"temperature\":-0.0e+5}", true },
		{ CHAT, "{\"model\":\"m\"}", false },
		{ CHAT, "{\"model\":\"m\",\"temperature\":0.01}", false },
		{ CHAT, "{\"model\":\"m\",\"temperature\":1e-9}", false },
		{ CHAT, "{\"model\":\"m\",\"temperature\":\"0\"}", false },
		{ CHAT, "{\"model\":\"m\",\"temperature\":null}", false },
		{ CHAT, "{\"model\":\"m\",\"a\":{\"temperature\":0}}", false },
		{ CHAT, "{\"temperature\":0,\"temperature\":1}", false },
		{ CHAT, "{\"temperature\":0,\"stream\":true}", false },
		{ CHAT, "{\"temperature\":0,\"stream\":false}", true },
		{ CHAT, "{\"temperature\":0", false },
		{ CHAT, "[0]", false },
		{ "/v1/completions", "{\"temperature\":0}", true },
		{ "/v1/responses", "{\"temperature\":0}", false },
		{ TOKENS, "{\"input\":\"x\"}", true },
		{ TOKENS, "{\"temperature\":1}", true },
		{ TOKENS, "{", false },
		{ "/v1/moderations", "{}", true },
		{ "/v1/images/edits", "{}", false },
	};

	for (size_t i = 0; i < NITEMS(cases); i++)
		CHECK(kept_repeats(slice_str(cases[i].path),
			  slice_str(cases[i].body)) == cases[i].repeats,
		    cases[i].body);
}

static const char *
key_of(const struct kept_request *r)
{
	static char hex[2][2 * KEPT_KEY + 1];
	static int turn;
	unsigned char key[KEPT_KEY];
	char *out = hex[turn ^= 1];

	kept_key(r, key);
	for (size_t i = 0; i < KEPT_KEY; i++)
		sprintf(out + 2 * i, "%02x", key[i]);
	return out;
}

/* tests/sql/known.sql has the same two. */
static void
sql_calls_it_the_same(void)
{
	struct kept_request r = { .path = SLICE(TOKENS),
		.body = SLICE("{\"model\":\"m\",\"input\":\"x\"}") };

	CU_ASSERT_STRING_EQUAL(key_of(&r),
	    "316e9b89d13079ebb74377896627ac01"
	    "0921b7b6377828d876bdbdea05e1e5f1");
	r.max_tokens = 7;
	CU_ASSERT_STRING_EQUAL(key_of(&r),
	    "d09bac28727f2ed110c08ca57eee3d4c"
	    "3012177f18d5c3d93b0a1dfd81d8f4cc");
}

static void
all_that_may_change_the_answer_is_in_its_key(void)
{
	const struct kept_request plain = { .path = SLICE(CHAT),
		.body = SLICE("{}") };
	struct kept_request r = plain;

	r.header[0] = SLICE("Application/JSON");
	r.header[1] = SLICE("*/*");
	CU_ASSERT_STRING_EQUAL(key_of(&r), key_of(&plain));
	r.header[1] = SLICE("application/json");
	CU_ASSERT_STRING_EQUAL(key_of(&r), key_of(&plain));
	r.header[1] = SLICE("text/event-stream");
	CU_ASSERT_STRING_NOT_EQUAL(key_of(&r), key_of(&plain));
	for (size_t i = 0; i < KEPT_HEADERS; i++) {
		r = plain;
		r.header[i] = SLICE("x");
		CHECK(strcmp(key_of(&r), key_of(&plain)) != 0, kept_headers[i]);
	}
	r = plain;
	r.query = SLICE("{}");
	r.body = SLICE("");
	CU_ASSERT_STRING_NOT_EQUAL(key_of(&r), key_of(&plain));
	r = plain;
	r.path = SLICE("/v1/completions");
	CU_ASSERT_STRING_NOT_EQUAL(key_of(&r), key_of(&plain));
}

UNIT_MAIN("kept", UNIT(what_repeats_is_known_by_endpoint_and_body),
    UNIT(sql_calls_it_the_same),
    UNIT(all_that_may_change_the_answer_is_in_its_key))
