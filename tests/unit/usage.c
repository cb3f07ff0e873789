#include "../../worker/usage.h"

#include <string.h>

#include "unit.h"

#define U(in, out) \
	"\"usage\":{\"prompt_tokens\":" #in ",\"completion_tokens\":" #out "}"

struct got {
	bool known;
	int64_t input, output, cached, chunks;
};

/* In pieces of so many bytes. */
static struct got
run(bool stream, struct slice text, size_t piece)
{
	struct usage u = { .stream = stream };
	struct got got;

	for (size_t at = 0; at < text.n; at += piece)
		usage_feed(&u,
		    (struct slice){ text.p + at,
			text.n - at < piece ? text.n - at : piece });
	usage_end(&u);
	CU_ASSERT(u.kept.cap <= 4 * USAGE_KEPT_MAX);
	got = (struct got){ u.found.known, u.found.input, u.found.output,
		u.found.cached, u.chunks };
	usage_fini(&u);
	return got;
}

static void
usage_is_found_wherever_a_provider_puts_it(void)
{
	static const struct {
		const char *why;
		bool stream;
		const char *text;
		struct got want;
	} cases[] = {
		{ "a body", false, "{\"id\":\"x\"," U(3, 4) "}",
		    { true, 3, 4, 0, 0 } },
		{ "its first member", false, "{" U(3, 4) ",\"choices\":[]}",
		    { true, 3, 4, 0, 0 } },
		{ "blanks", false, "{ \"usage\" :\n { \"input_tokens\" : 7 } }",
		    { true, 7, 0, 0, 0 } },
		{ "details", false,
		    "{\"usage\":{\"input_tokens\":7,\"input_tokens_details\":"
		    "{\"cached_tokens\":5},\"output_tokens\":1}}",
		    { true, 7, 1, 5, 0 } },
		{ "nothing", false, "", { 0 } },
		{ "no event", true, "", { 0 } },
		{ "none", false, "{\"text\":\"hello\"}", { 0 } },
		{ "not a number", false,
		    "{\"usage\":{\"prompt_tokens\":\"3\"}}", { 0 } },
		{ "words of the model's", false,
		    "{\"text\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":9}\"}",
		    { 0 } },
		{ "words before the truth", false,
		    "{\"text\":\"\\\"usage\\\":{\"," U(1, 2) "}",
		    { true, 1, 2, 0, 0 } },
		{ "an object that does not end", false,
		    "{\"usage\":{\"prompt_tokens\":9", { 0 } },
		{ "the last event but [DONE]", true,
		    "data: {\"a\":1,\"usage\":null}\n\n"
		    "data: {\"a\":2}\n\ndata: {" U(5, 6) "}\n\n"
							 "data: [DONE]\n\n",
		    { true, 5, 6, 0, 3 } },
		{ "in every event: the last counts", true,
		    "data:{" U(5, 1) "}\n\ndata:{" U(5, 2) "}\n\n",
		    { true, 5, 2, 0, 2 } },
		{ "/v1/responses", true,
		    "event: response.created\ndata: {\"type\":\"x\"}\n\n"
		    "event: response.completed\ndata: {\"response\":{"
		    "\"usage\":{\"input_tokens\":8,\"output_tokens\":9}}}\n\n",
		    { true, 8, 9, 0, 2 } },
		{ "comments that keep the line open", true,
		    ": keep-alive\n\n: keep-alive\n\n\n\ndata: {" U(
			1, 1) "}\n\n: keep-alive\n\n",
		    { true, 1, 1, 0, 1 } },
		{ "carriage returns", true,
		    "data: {\"a\":1}\r\n\r\ndata: {" U(1, 1) "}\r\n\r\n",
		    { true, 1, 1, 0, 2 } },
		{ "an event of several lines", true,
		    "data: {\ndata: " U(2, 3) "\ndata: }\n\n",
		    { true, 2, 3, 0, 1 } },
		{ "an event without its end", true, "data: {" U(2, 3) "}",
		    { true, 2, 3, 0, 1 } },
		{ "no data", true, "event: ping\nid: 3\n\n", { 0 } },
		{ "another field", true, "database: {" U(2, 3) "}\n\n", { 0 } },
	};

	for (size_t i = 0; i < NITEMS(cases); i++)
		for (size_t piece = 1; piece < 40; piece += 3) {
			struct got got = run(
			    cases[i].stream, slice_str(cases[i].text), piece);

			CHECK(got.known == cases[i].want.known &&
				got.input == cases[i].want.input &&
				got.output == cases[i].want.output &&
				got.cached == cases[i].want.cached &&
				got.chunks == cases[i].want.chunks,
			    cases[i].why);
		}
}

/* What is long is not kept, and its end is. */
static void
of_long_answers_the_end_is_enough(void)
{
	for (int stream = 0; stream < 2; stream++)
		for (size_t piece = 1000; piece < 9000000; piece *= 20) {
			struct buf text = { 0 };
			struct got got;

			buf_adds(&text, stream ? "data: " : "");
			buf_adds(&text, "{\"embedding\":[");
			for (int i = 0; i < 100000; i++)
				buf_adds(&text, "0.12345,");
			buf_adds(&text, "0]," U(11, 12) "}");
			buf_adds(&text, stream ? "\n\n" : "\n");
			got = run(stream, buf_slice(&text), piece);
			CU_ASSERT(got.known);
			CU_ASSERT_EQUAL(got.input, 11);
			CU_ASSERT_EQUAL(got.output, 12);
			CU_ASSERT_EQUAL(got.chunks, stream);
			buf_fini(&text);
		}
}

UNIT_MAIN("usage", UNIT(usage_is_found_wherever_a_provider_puts_it),
    UNIT(of_long_answers_the_end_is_enough))
