/* Which requests may share a call, and what of their bodies must be equal. */
#include "unit.h"

#include <string.h>

#include <sluice/combine.h>

#include "../../scheduler/ingest.h"

#define EMBEDDINGS  "/v1/embeddings"
#define COMPLETIONS "/v1/completions"

static void
one_text_and_nothing_that_makes_more_of_it(void)
{
	static const struct {
		const char *why, *endpoint, *body, *value; /* NULL: may not */
	} cases[] = {
		{ "an embedding", EMBEDDINGS,
		    "{\"model\":\"m\",\"input\":\"a\"}", "\"a\"" },
		{ "as it stands", EMBEDDINGS,
		    "{ \"input\" : \"\\u0061\\\"\" , \"model\":\"m\"}",
		    "\"\\u0061\\\"\"" },
		{ "a name in escapes", EMBEDDINGS, "{\"inp\\u0075t\":\"x\"}",
		    "\"x\"" },
		{ "a prompt", COMPLETIONS, "{\"prompt\":\"p\",\"n\":1}",
		    "\"p\"" },
		{ "what it says is the default", COMPLETIONS,
		    "{\"n\":null,\"best_of\":1,\"stream\":false,\"prompt\":"
		    "\"\"}",
		    "\"\"" },
		{ "two choices", COMPLETIONS, "{\"prompt\":\"p\",\"n\":2}",
		    NULL },
		{ "one, but as a fraction", COMPLETIONS,
		    "{\"prompt\":\"p\",\"n\":1.0}", NULL },
		{ "the best of two", COMPLETIONS,
		    "{\"prompt\":\"p\",\"best_of\":2}", NULL },
		{ "a stream", COMPLETIONS, "{\"prompt\":\"p\",\"stream\":true}",
		    NULL },
		{ "a list already", EMBEDDINGS, "{\"input\":[\"a\"]}", NULL },
		{ "tokens", EMBEDDINGS, "{\"input\":[1,2]}", NULL },
		{ "no text", EMBEDDINGS, "{\"prompt\":\"a\"}", NULL },
		{ "deeper down", EMBEDDINGS, "{\"x\":{\"input\":\"a\"}}",
		    NULL },
		{ "two texts", EMBEDDINGS, "{\"input\":\"a\",\"input\":\"b\"}",
		    NULL },
		{ "a chat", "/v1/chat/completions",
		    "{\"prompt\":\"p\",\"input\":\"a\"}", NULL },
		{ "no object", EMBEDDINGS, "\"input\"", NULL },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct slice value = { NULL, 0 };
		bool may = combine_value(
		    slice_str(cases[i].body), cases[i].endpoint, &value);

		CHECK(may == (cases[i].value != NULL), cases[i].why);
		CHECK(!may || slice_eq(value, cases[i].value), cases[i].why);
	}
}

static void
all_but_the_text_is_compared(void)
{
	static const struct {
		const char *why, *a, *b;
		bool same;
	} cases[] = {
		{ "other texts", "{\"model\":\"m\",\"input\":\"a\"}",
		    "{\"model\":\"m\",\"input\":\"quite another\"}", true },
		{ "another model", "{\"model\":\"m\",\"input\":\"a\"}",
		    "{\"model\":\"n\",\"input\":\"a\"}", false },
		{ "a space more", "{\"model\":\"m\",\"input\":\"a\"}",
		    "{\"model\":\"m\",\"input\": \"a\"}", false },
		{ "what follows", "{\"input\":\"a\",\"user\":\"u\"}",
		    "{\"input\":\"a\",\"user\":\"v\"}", false },
		{ "longer at the end", "{\"input\":\"a\"}",
		    "{\"input\":\"a\",\"user\":\"v\"}", false },
		{ "in another place", "{\"input\":\"a\",\"user\":\"v\"}",
		    "{\"user\":\"v\",\"input\":\"a\"}", false },
		{ "the text in the place of another's member",
		    "{\"a\":1,\"input\":\"\"}", "{\"input\":\"\",\"a\":1}",
		    false },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct slice a = slice_str(cases[i].a),
			     b = slice_str(cases[i].b);
		struct slice va, vb;

		CU_ASSERT_TRUE_FATAL(combine_value(a, EMBEDDINGS, &va) &&
		    combine_value(b, EMBEDDINGS, &vb));
		CHECK(
		    combine_same(a, va, b, vb) == cases[i].same, cases[i].why);
		CHECK((combine_hash(a, va) == combine_hash(b, vb)) ==
			cases[i].same,
		    cases[i].why);
		CHECK(combine_hash(a, va) != 0, cases[i].why);
	}
}

#define LINE(id, url, body)                                            \
	"{\"custom_id\":\"" id "\",\"method\":\"POST\",\"url\":\"" url \
	"\",\"body\":{\"model\":\"m\"," body "}}\n"

static void
a_chunk_says_which_of_its_lines_are_alike(void)
{
	static const char file[] = LINE("a", EMBEDDINGS, "\"input\":\"x\"")
	    LINE("b", EMBEDDINGS, "\"input\":\"another text\"")
		LINE("c", EMBEDDINGS, "\"input\":[\"x\"]")
		    LINE("d", EMBEDDINGS, "\"input\":\"x\",\"user\":\"u\"");
	static const char chat[] =
	    LINE("a", "/v1/chat/completions", "\"input\":\"x\"");
	struct ingest *in = ingest_new(10);
	const struct ingest_chunk *c;
	struct slc_err err;

	CU_ASSERT_EQUAL(ingest_feed(in, slice_str(file), &err), SLC_OK);
	CU_ASSERT_EQUAL(ingest_end(in, &err), SLC_OK);
	c = ingest_next(in);
	CU_ASSERT_EQUAL_FATAL(c->lines, 4);
	CU_ASSERT_TRUE(c->combines);
	CU_ASSERT_TRUE(c->combine[0] != 0 && c->combine[0] == c->combine[1]);
	CU_ASSERT_EQUAL(c->combine[2], 0);
	CU_ASSERT_TRUE(c->combine[3] != 0 && c->combine[3] != c->combine[0]);
	ingest_free(in);
	in = ingest_new(10);
	CU_ASSERT_EQUAL(ingest_feed(in, slice_str(chat), &err), SLC_OK);
	CU_ASSERT_EQUAL(ingest_end(in, &err), SLC_OK);
	CU_ASSERT_FALSE(ingest_next(in)->combines);
	ingest_free(in);
}

UNIT_MAIN("combine", UNIT(one_text_and_nothing_that_makes_more_of_it),
    UNIT(all_but_the_text_is_compared),
    UNIT(a_chunk_says_which_of_its_lines_are_alike))
