#include "../../worker/outcome.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

enum { FIRST, LAST, BULK, BULK_LAST, TIMES }; /* of three tries */

/* The end of a call with nothing else to say; out holds rubbish before. */
static struct outcome
outcome(enum outcome_end end, int status, bool good_body, int time)
{
	struct outcome_in in = {
		.end = end,
		.status = status,
		.good_body = good_body,
		.bulk = time >= BULK,
		.tries = time == LAST || time == BULK_LAST ? 2 : 0,
		.attempts = 3,
		.chance = 0.5,
	};
	struct outcome out;

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
			struct outcome_in in = {
				.end = OUTCOME_ANSWER,
				.status = 500,
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

#define NOW  784111777 /* in the tables: Sun, 06 Nov 1994 08:49:37 GMT */
#define DATE "Date: Sun, 06 Nov 1994 09:00:00 GMT\r\n"
#define D400                                                                   \
	"00000000000000000000000000000000000000000000000000000000000000000000" \
	"00000000000000000000000000000000000000000000000000000000000000000000" \
	"00000000000000000000000000000000000000000000000000000000000000000000" \
	"00000000000000000000000000000000000000000000000000000000000000000000" \
	"00000000000000000000000000000000000000000000000000000000000000000000" \
	"000000000000000000000000000000000000000000000000000000000000"

static void
retry_after_is_read_or_ignored(void)
{
	static const struct {
		const char *why, *headers;
		int64_t ms;
	} cases[] = {
		{ "none", "", 0 },
		{ "seconds", "Retry-After: 7\r\n", 7000 },
		{ "a fraction", "retry-after: 0.25\r\n", 250 },
		{ "no digit before the point", "retry-after: .5\r\n", 500 },
		{ "rounded up", "retry-after: 1.2345\r\n", 1235 },
		{ "never to nothing", "retry-after: 0.000001\r\n", 1 },
		{ "zero is as good as none", "retry-after: 0\r\n", 0 },
		{ "so is 0.0", "retry-after: 0.0\r\n", 0 },
		{ "31 days", "retry-after: 2678400\r\n", 2678400000 },
		{ "and a second", "retry-after: 2678401\r\n", 0 },
		{ "32 days", "retry-after: 2764800\r\n", 0 },
		{ "over 64 bits", "retry-after: 18446744073709551617\r\n", 0 },
		{ "over a double", "retry-after: 1" D400 "\r\n", 0 },
		{ "a fraction over a double", "retry-after: 1." D400 "\r\n",
		    0 },
		{ "a small one, too", "retry-after: 0." D400 "1\r\n", 0 },
		{ "empty", "retry-after:\r\n", 0 },
		{ "a point", "retry-after: .\r\n", 0 },
		{ "two points", "retry-after: 1.2.3\r\n", 0 },
		{ "minus", "retry-after: -1\r\n", 0 },
		{ "plus", "retry-after: +1\r\n", 0 },
		{ "an exponent", "retry-after: 1e5\r\n", 0 },
		{ "infinity", "retry-after: inf\r\n", 0 },
		{ "no number", "retry-after: nan\r\n", 0 },
		{ "hexadecimal", "retry-after: 0x10\r\n", 0 },
		{ "a unit", "retry-after: 5s\r\n", 0 },
		{ "two of them", "retry-after: 5, 6\r\n", 0 },
		{ "milliseconds", "retry-after-ms: 1500\r\n", 1500 },
		{ "milliseconds, Azure", "x-ms-retry-after-ms: 20.1\r\n", 21 },
		{ "the finer goes first",
		    "retry-after: 7\r\nx-ms-retry-after-ms: 20\r\n"
		    "retry-after-ms: 10\r\n",
		    10 },
		{ "then Azure's", "retry-after: 7\r\nx-ms-retry-after-ms: 20",
		    20 },
		{ "if it makes sense", "retry-after-ms: x\r\nretry-after: 7",
		    7000 },
		{ "or says more than none",
		    "retry-after-ms: 0\r\nretry-after: 7", 7000 },
		{ "a date", "retry-after: Sun, 06 Nov 1994 08:49:57 GMT\r\n",
		    20000 },
		{ "a date against their clock",
		    DATE "retry-after: Sun, 06 Nov 1994 09:00:30 GMT\r\n",
		    30000 },
		{ "which may be behind ours",
		    "Date: Sat, 05 Nov 1994 00:00:00 GMT\r\n"
		    "retry-after: Sat, 05 Nov 1994 00:00:01 GMT\r\n",
		    1000 },
		{ "their clock is broken",
		    "Date: noon\r\n"
		    "retry-after: Sun, 06 Nov 1994 08:49:57 GMT\r\n",
		    20000 },
		{ "now", "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 0 },
		{ "the past", "retry-after: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
		    0 },
		{ "over the year's end",
		    "Date: Sat, 31 Dec 1994 23:59:59 GMT\r\n"
		    "retry-after: Sun, 01 Jan 1995 00:00:01 GMT\r\n",
		    2000 },
		{ "31 days", DATE "retry-after: Wed, 07 Dec 1994 09:00:00 GMT",
		    2678400000 },
		{ "and a second",
		    DATE "retry-after: Wed, 07 Dec 1994 09:00:01 GMT", 0 },
		{ "the year 9999", "retry-after: Fri, 31 Dec 9999 23:59:59 GMT",
		    0 },
		{ "no such month", "retry-after: Sun, 06 Foo 1994 08:49:57 GMT",
		    0 },
		{ "no such hour", "retry-after: Sun, 06 Nov 1994 25:49:57 GMT",
		    0 },
		{ "another zone", "retry-after: Sun, 06 Nov 1994 08:49:57 CET",
		    0 },
		{ "more after it",
		    "retry-after: Sun, 06 Nov 1994 08:49:57 GMT x", 0 },
		{ "a form nobody sends",
		    "retry-after: Sunday, 06-Nov-94 08:49:57 GMT", 0 },
		{ "too long for a date",
		    "retry-after: Sun, 06 Nov 1994 08:49:57 GMT          x",
		    0 },
	};

	/* Dates are GMT, wherever we are. */
	setenv("TZ", "XYZ5", 1);
	for (size_t i = 0; i < NITEMS(cases); i++)
		CHECK(outcome_retry_after_ms(
			  slice_str(cases[i].headers), NOW) == cases[i].ms,
		    cases[i].why);
	CU_ASSERT_EQUAL(outcome_retry_after_ms((struct slice){ 0 }, NOW), 0);
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
		struct outcome_in in = {
			.end = OUTCOME_ANSWER,
			.status = cases[i].status,
			.headers = slice_str(cases[i].headers),
			.attempts = 3,
			.chance = 0.5,
			.now_s = NOW,
		};
		struct outcome out;

		outcome_of(&in, &out);
		CHECK(out.wait_ms == cases[i].wait_ms &&
			out.pause_ms == cases[i].pause_ms,
		    cases[i].why);
	}
}

UNIT_MAIN("outcome", UNIT(every_status_means_something),
    UNIT(an_end_without_an_answer_has_a_code),
    UNIT(attempts_are_counted_to_the_last),
    UNIT(the_wait_doubles_up_to_thirty_seconds),
    UNIT(retry_after_is_read_or_ignored),
    UNIT(what_the_upstream_asks_for_goes_before_chance))
