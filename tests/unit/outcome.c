#include "../../worker/outcome.h"

#include <string.h>

#include "unit.h"

enum { FIRST, LAST, BULK, BULK_LAST, TIMES }; /* of three tries */

/* The end of a call with nothing else to say; out holds rubbish before. */
static struct outcome
outcome(enum outcome_end end, int status, bool good_body, int time)
{
	struct dialect_answer said;
	struct outcome_in in = {
		.end = end,
		.status = status,
		.said = &said,
		.good_body = good_body,
		.bulk = time >= BULK,
		.tries = time == LAST || time == BULK_LAST ? 2 : 0,
		.attempts = 3,
		.chance = 0.5,
	};
	struct outcome out;

	dialect_read(
	    NULL, status, (struct slice){ 0 }, (struct slice){ 0 }, 0, &said);
	memset(&out, 0x55, sizeof(out));
	outcome_of(&in, &out);
	return out;
}

#define ALWAYS(kind)                   \
	{                              \
		kind, kind, kind, kind \
	}
#define TRY_AGAIN                                                         \
	{                                                                 \
		OUTCOME_AGAIN, OUTCOME_FAILED, OUTCOME_DOWN, OUTCOME_DOWN \
	}

static void
every_status_means_something(void)
{
	static const struct {
		const char *why;
		int from, to;
		bool good_body;
		enum outcome_kind kind[TIMES];
	} cases[] = {
		{ "no status of HTTP", -1, 99, false, TRY_AGAIN },
		{ "cannot be the end", 100, 199, false, TRY_AGAIN },
		{ "a result", 200, 299, true, ALWAYS(OUTCOME_DONE) },
		{ "no result", 200, 299, false, TRY_AGAIN },
		{ "the url is wrong", 300, 399, false, ALWAYS(OUTCOME_DOWN) },
		{ "the line is wrong", 400, 400, false,
		    ALWAYS(OUTCOME_FAILED) },
		{ "our secret, our money", 401, 402, false,
		    ALWAYS(OUTCOME_DOWN) },
		{ "a content filter, or we", 403, 403, false, TRY_AGAIN },
		{ "the line is wrong", 404, 407, false,
		    ALWAYS(OUTCOME_FAILED) },
		{ "timeout, conflict", 408, 409, false, TRY_AGAIN },
		{ "the line is wrong", 410, 428, false,
		    ALWAYS(OUTCOME_FAILED) },
		{ "throttled, whatever the body", 429, 429, false,
		    ALWAYS(OUTCOME_REFUSED) },
		{ "throttled, whatever the body", 429, 429, true,
		    ALWAYS(OUTCOME_REFUSED) },
		{ "the line is wrong", 430, 499, false,
		    ALWAYS(OUTCOME_FAILED) },
		{ "a body is good only with 2xx", 400, 400, true,
		    ALWAYS(OUTCOME_FAILED) },
		{ "a body is good only with 2xx", 500, 500, true, TRY_AGAIN },
		{ "its own fault", 500, 999, false, TRY_AGAIN },
	};

	for (size_t i = 0; i < NITEMS(cases); i++)
		for (int s = cases[i].from; s <= cases[i].to; s++)
			for (int t = 0; t < TIMES; t++) {
				struct outcome out = outcome(
				    OUTCOME_ANSWER, s, cases[i].good_body, t);
				bool again = out.kind == OUTCOME_AGAIN;

				CHECK(out.kind == cases[i].kind[t] &&
					out.code == NULL && out.pause_ms == 0 &&
					out.wait_ms == (again ? 500 : 0),
				    cases[i].why);
			}
}

static void
an_end_without_an_answer_has_a_code(void)
{
	static const struct {
		const char *why;
		enum outcome_end end;
		enum outcome_kind kind[TIMES];
		const char *code[TIMES];
	} cases[] = {
		{ "nothing has left", OUTCOME_NOT_SENT, ALWAYS(OUTCOME_UNSENT),
		    { NULL } },
		{ "nobody there", OUTCOME_UNREACHED, ALWAYS(OUTCOME_DOWN),
		    { NULL } },
		{ "who knows", OUTCOME_BROKEN, TRY_AGAIN,
		    { [LAST] = "outcome_unknown" } },
		{ "it would be as long again", OUTCOME_OVERSIZE,
		    ALWAYS(OUTCOME_FAILED),
		    { "answer_too_large", "answer_too_large",
			"answer_too_large", "answer_too_large" } },
	};

	for (size_t i = 0; i < NITEMS(cases); i++)
		for (int t = 0; t < TIMES; t++) {
			/* A status that came before the end says nothing. */
			struct outcome out =
			    outcome(cases[i].end, 200, true, t);
			const char *code = cases[i].code[t];
			bool again = out.kind == OUTCOME_AGAIN;

			CHECK(out.kind == cases[i].kind[t], cases[i].why);
			CHECK(code == NULL ? out.code == NULL
					   : out.code != NULL &&
				    strcmp(out.code, code) == 0,
			    cases[i].why);
			CHECK(out.wait_ms == (again ? 500 : 0) &&
				out.pause_ms == 0,
			    cases[i].why);
		}
}

static void
attempts_are_counted_to_the_last(void)
{
	for (int attempts = 1; attempts <= 5; attempts++)
		for (int tries = 0; tries <= 6; tries++) {
			struct dialect_answer said = { 0 };
			struct outcome_in in = {
				.end = OUTCOME_ANSWER,
				.status = 500,
				.said = &said,
				.tries = tries,
				.attempts = attempts,
			};
			struct outcome out;

			outcome_of(&in, &out);
			CU_ASSERT_EQUAL(out.kind,
			    tries + 1 < attempts ? OUTCOME_AGAIN
						 : OUTCOME_FAILED);
		}
}

static void
the_wait_doubles_up_to_thirty_seconds(void)
{
	static const int64_t bound_ms[] = { 1000, 2000, 4000, 8000, 16000,
		30000, 30000 };
	static const double chances[] = { 0, 0.001, 0.5, 0.999, 0.9999999999 };

	for (int tries = 0; tries < 100; tries++)
		for (size_t c = 0; c < NITEMS(chances); c++) {
			struct outcome_in in = {
				.end = OUTCOME_BROKEN,
				.tries = tries,
				.attempts = 1000,
				.chance = chances[c],
			};
			int64_t bound = bound_ms[tries > 6 ? 6 : tries];
			struct outcome out;

			outcome_of(&in, &out);
			CU_ASSERT_EQUAL(
			    out.wait_ms, (int64_t)(chances[c] * (double)bound));
			CU_ASSERT(out.wait_ms >= 0 && out.wait_ms < bound);
		}
}

/* One that is too large for the limit is refused for ever. */
static void
refused_too_often_is_parked_or_halved(void)
{
	static const struct {
		const char *why;
		int status, refused;
		bool shared, park, half;
	} cases[] = {
		{ "the first", 429, 0, false, false, false },
		{ "the last that is borne", 429, 3, false, false, false },
		{ "one too many", 429, 4, false, true, false },
		{ "the first of many lines", 429, 0, true, false, false },
		{ "the last of many", 429, 3, true, false, false },
		{ "the call is too large", 429, 4, true, false, true },
		{ "no refusal at all", 401, 4, true, false, false },
		{ "answered at last", 200, 4, true, false, false },
		{ "refused for what is in it", 400, 4, true, false, true },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct dialect_answer said;
		struct outcome_in in = { .end = OUTCOME_ANSWER,
			.status = cases[i].status,
			.said = &said,
			.good_body = cases[i].status == 200,
			.refused = cases[i].refused,
			.shared = cases[i].shared,
			.attempts = 3 };
		struct outcome out;

		dialect_read(NULL, cases[i].status, (struct slice){ 0 },
		    (struct slice){ 0 }, 0, &said);
		outcome_of(&in, &out);
		CHECK(out.park == cases[i].park, cases[i].why);
		CHECK(out.half == cases[i].half, cases[i].why);
	}
}

#define NOW 784111777 /* in the tables: Sun, 06 Nov 1994 08:49:37 GMT */
static void
refusals_are_told_apart(void)
{
	static const struct {
		const char *why;
		int status;
		enum dialect_refusal refusal;
		enum outcome_kind kind;
		const char *code;
	} cases[] = {
		{ "a window", 429, DIALECT_RATE, OUTCOME_REFUSED, NULL },
		{ "a day", 429, DIALECT_DAY, OUTCOME_REFUSED, NULL },
		{ "seats", 429, DIALECT_CONCURRENCY, OUTCOME_REFUSED, NULL },
		{ "not declared", 403, DIALECT_SECONDARY, OUTCOME_REFUSED,
		    NULL },
		{ "throttled, if for their trouble", 429, DIALECT_OVERLOAD,
		    OUTCOME_REFUSED, NULL },
		{ "an error as any", 503, DIALECT_OVERLOAD, OUTCOME_AGAIN,
		    NULL },
		{ "the same in a body", 200, DIALECT_OVERLOAD, OUTCOME_AGAIN,
		    NULL },
		{ "a refusal in a body", 200, DIALECT_RATE, OUTCOME_REFUSED,
		    NULL },
		{ "money", 429, DIALECT_BILLING, OUTCOME_DOWN, NULL },
		{ "money in a body", 200, DIALECT_BILLING, OUTCOME_DOWN, NULL },
		{ "money, though 400 is the line's", 400, DIALECT_BILLING,
		    OUTCOME_DOWN, NULL },
		{ "never", 429, DIALECT_TOO_LARGE, OUTCOME_FAILED,
		    "request_exceeds_limit" },
		{ "never", 413, DIALECT_TOO_LARGE, OUTCOME_FAILED,
		    "request_exceeds_limit" },
		{ "an error that is none", 200, DIALECT_SERVED, OUTCOME_AGAIN,
		    NULL },
		{ "what is left", 400, DIALECT_SERVED, OUTCOME_FAILED, NULL },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct dialect_answer said = { .refusal = cases[i].refusal,
			.wait_ms = 7000 };
		struct outcome_in in = {
			.end = OUTCOME_ANSWER,
			.status = cases[i].status,
			.said = &said,
			.attempts = 3,
		};
		struct outcome out;

		outcome_of(&in, &out);
		CHECK(out.kind == cases[i].kind, cases[i].why);
		CHECK(cases[i].code == NULL ? out.code == NULL
					    : out.code != NULL &&
			    strcmp(out.code, cases[i].code) == 0,
		    cases[i].why);
		CHECK(out.pause_ms == (out.kind == OUTCOME_REFUSED ? 7000 : 0),
		    cases[i].why);
		CHECK(out.wait_ms == (out.kind == OUTCOME_AGAIN ? 7000 : 0),
		    cases[i].why);
	}
	/* A result is a result, whatever else the answer says. */
	struct dialect_answer said = { .refusal = DIALECT_RATE };
	struct outcome_in in = { .end = OUTCOME_ANSWER,
		.status = 200,
		.good_body = true,
		.said = &said };
	struct outcome out;

	outcome_of(&in, &out);
	CU_ASSERT_EQUAL(out.kind, OUTCOME_DONE);
}

static void
what_the_upstream_asks_for_goes_before_chance(void)
{
	static const struct {
		const char *why;
		int status;
		const char *headers;
		int64_t wait_ms, pause_ms;
	} cases[] = {
		{ "it says how long", 503, "retry-after: 90", 90000, 0 },
		{ "it says nothing of sense", 503, "retry-after: -1", 500, 0 },
		{ "the time has passed", 503,
		    "retry-after: Sun, 06 Nov 1994 08:00:00 GMT", 500, 0 },
		{ "our clock serves when it has none", 503,
		    "retry-after: Sun, 06 Nov 1994 08:49:47 GMT", 10000, 0 },
		{ "a bad body, too", 200, "retry-after: 2", 2000, 0 },
		{ "throttled: the limit pauses, the line has its slot", 429,
		    "retry-after: 90", 0, 90000 },
		{ "throttled until a date", 429,
		    "retry-after: Sun, 06 Nov 1994 08:49:47 GMT", 0, 10000 },
		{ "throttled, nothing said", 429, "", 0, 0 },
		{ "a path that is down waits by its own rule", 401,
		    "retry-after: 90", 0, 0 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct dialect_answer said;
		struct outcome_in in = {
			.end = OUTCOME_ANSWER,
			.status = cases[i].status,
			.said = &said,
			.attempts = 3,
			.chance = 0.5,
		};
		struct outcome out;

		dialect_read(NULL, cases[i].status, slice_str(cases[i].headers),
		    (struct slice){ 0 }, NOW, &said);
		outcome_of(&in, &out);
		CHECK(out.wait_ms == cases[i].wait_ms &&
			out.pause_ms == cases[i].pause_ms,
		    cases[i].why);
	}
}

static void
what_fails_for_one_of_several_is_split(void)
{
	static const struct {
		const char *why;
		enum outcome_end end;
		int status;
		bool good_body, unlike;
		int tries;
		enum outcome_kind alone, shared;
	} cases[] = {
		{ "refused for what is in it", OUTCOME_ANSWER, 400, false,
		    false, 0, OUTCOME_FAILED, OUTCOME_SPLIT },
		{ "too large", OUTCOME_ANSWER, 413, false, false, 0,
		    OUTCOME_FAILED, OUTCOME_SPLIT },
		{ "makes no sense", OUTCOME_ANSWER, 422, false, false, 0,
		    OUTCOME_FAILED, OUTCOME_SPLIT },
		{ "too long an answer", OUTCOME_OVERSIZE, 200, false, false, 0,
		    OUTCOME_FAILED, OUTCOME_SPLIT },
		{ "answered in parts", OUTCOME_ANSWER, 200, true, false, 0,
		    OUTCOME_DONE, OUTCOME_DONE },
		{ "answered in other parts", OUTCOME_ANSWER, 200, true, true, 0,
		    OUTCOME_DONE, OUTCOME_SPLIT },
		{ "trouble may be a line's fault", OUTCOME_ANSWER, 500, false,
		    false, 0, OUTCOME_AGAIN, OUTCOME_SPLIT },
		{ "a filter, perhaps", OUTCOME_ANSWER, 403, false, false, 0,
		    OUTCOME_AGAIN, OUTCOME_SPLIT },
		{ "no result", OUTCOME_ANSWER, 200, false, false, 0,
		    OUTCOME_AGAIN, OUTCOME_SPLIT },
		{ "until it does not end", OUTCOME_ANSWER, 500, false, false, 2,
		    OUTCOME_FAILED, OUTCOME_SPLIT },
		{ "broken", OUTCOME_BROKEN, 0, false, false, 0, OUTCOME_AGAIN,
		    OUTCOME_SPLIT },
		{ "nobody there", OUTCOME_UNREACHED, 0, false, false, 0,
		    OUTCOME_DOWN, OUTCOME_DOWN },
		{ "broken once more", OUTCOME_BROKEN, 0, false, false, 2,
		    OUTCOME_FAILED, OUTCOME_SPLIT },
		{ "throttled", OUTCOME_ANSWER, 429, false, false, 2,
		    OUTCOME_REFUSED, OUTCOME_REFUSED },
		{ "our secret", OUTCOME_ANSWER, 401, false, false, 2,
		    OUTCOME_DOWN, OUTCOME_DOWN },
		{ "not sent", OUTCOME_NOT_SENT, 0, false, false, 2,
		    OUTCOME_UNSENT, OUTCOME_UNSENT },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct dialect_answer said;
		struct outcome_in in = { .end = cases[i].end,
			.status = cases[i].status,
			.said = &said,
			.good_body = cases[i].good_body,
			.tries = cases[i].tries,
			.attempts = 3,
			.chance = 0.5 };
		struct outcome out, shared;

		dialect_read(NULL, cases[i].status, (struct slice){ 0 },
		    (struct slice){ 0 }, 0, &said);
		outcome_of(&in, &out);
		CHECK(out.kind == cases[i].alone, cases[i].why);
		in.shared = true;
		in.unlike = cases[i].unlike;
		outcome_of(&in, &shared);
		CHECK(shared.kind == cases[i].shared, cases[i].why);
		/* An outage is not hammered with halves. */
		if (out.kind == OUTCOME_AGAIN)
			CHECK(shared.trouble && shared.wait_ms == out.wait_ms &&
				shared.wait_ms > 0,
			    cases[i].why);
		else if (out.kind != OUTCOME_FAILED)
			CHECK(!shared.trouble, cases[i].why);
	}
}

UNIT_MAIN("outcome", UNIT(every_status_means_something),
    UNIT(an_end_without_an_answer_has_a_code),
    UNIT(attempts_are_counted_to_the_last),
    UNIT(the_wait_doubles_up_to_thirty_seconds), UNIT(refusals_are_told_apart),
    UNIT(what_the_upstream_asks_for_goes_before_chance),
    UNIT(what_fails_for_one_of_several_is_split),
    UNIT(refused_too_often_is_parked_or_halved))
