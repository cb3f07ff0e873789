#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "../../scheduler/reply.h"
#include "unit.h"

/* "Name: value" of each header, one a line. */
static void
reply_on_header(void *arg, const char *name, const char *value)
{
	buf_addf(arg, "%s: %s\n", name, value);
}

static struct reply_in
half_used(enum reply_dialect dialect)
{
	return (struct reply_in){ .dialect = dialect,
		.headline = { .known = true,
		    .amount = 50,
		    .used = 3,
		    .window_s = 60,
		    .reset_us = 12300000 },
		.resource = "chat",
		.priority = 2,
		.now_s = 1709251187 };
}

static void
each_dialect_says_what_is_documented_of_it(void)
{
	static const struct {
		enum reply_dialect dialect;
		const char *why, *headers;
	} cases[] = {
		{ REPLY_ACCOUNT, "account: seconds from now",
		    "X-RateLimit-Limit-Requests: 50\n"
		    "X-RateLimit-Remaining-Requests: 47\n"
		    "X-RateLimit-Reset-Requests: 13\n" },
		{ REPLY_PRIORITY, "priority: a Unix time, resource, priority",
		    "X-RateLimit-Limit: 50\n"
		    "X-RateLimit-Remaining: 47\n"
		    "X-RateLimit-Reset: 1709251200\n"
		    "X-RateLimit-Resource: chat\n"
		    "X-RateLimit-Used: 3\n"
		    "X-Request-Priority: 2\n" },
		{ REPLY_CHUNKS, "chunks: lower case",
		    "x-ratelimit-limit: 50\n"
		    "x-ratelimit-remaining: 47\n"
		    "x-ratelimit-reset: 1709251200\n" },
		{ REPLY_RELAY, "relay",
		    "X-RateLimit-Limit: 50\n"
		    "X-RateLimit-Remaining: 47\n"
		    "X-RateLimit-Reset: 1709251200\n" },
		{ REPLY_OPENAI, "openai: Go durations",
		    "x-ratelimit-limit-requests: 50\n"
		    "x-ratelimit-remaining-requests: 47\n"
		    "x-ratelimit-reset-requests: 12.3s\n" },
		{ REPLY_IETF, "ietf: structured fields",
		    "RateLimit-Policy: \"requests/1m\";q=50;w=60\n"
		    "RateLimit: \"requests/1m\";r=47;t=13\n" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct reply_in in = half_used(cases[i].dialect);
		struct buf got = { 0 };

		reply_headers(&in, reply_on_header, &got);
		CHECK(strcmp(buf_cstr(&got), cases[i].headers) == 0,
		    cases[i].why);
		buf_fini(&got);
	}
}

static void
what_is_not_known_is_not_said(void)
{
	for (int d = 0; d < REPLY_DIALECTS; d++) {
		struct reply_in in = half_used((enum reply_dialect)d);
		struct buf got = { 0 };

		in.headline.known = false;
		reply_headers(&in, reply_on_header, &got);
		CU_ASSERT_STRING_EQUAL(buf_cstr(&got),
		    d == REPLY_PRIORITY ? "X-RateLimit-Resource: chat\n"
					  "X-Request-Priority: 2\n"
					: "");
		in.resource = NULL;
		in.priority = 0;
		buf_clear(&got);
		reply_headers(&in, reply_on_header, &got);
		CU_ASSERT_STRING_EQUAL(buf_cstr(&got), "");
		buf_fini(&got);
	}
}

static void
more_used_than_allowed_leaves_nothing(void)
{
	struct reply_in in = half_used(REPLY_RELAY);
	struct buf got = { 0 };

	in.headline.used = 51; /* the amount was lowered meanwhile */
	reply_headers(&in, reply_on_header, &got);
	CU_ASSERT_PTR_NOT_NULL(
	    strstr(buf_cstr(&got), "X-RateLimit-Remaining: 0\n"));
	buf_fini(&got);
}

static void
resets_are_written_as_go_writes_durations(void)
{
	static const struct {
		int64_t us;
		const char *text;
	} cases[] = {
		{ 0, "0s" },
		{ -5, "0s" },
		{ 1, "1ms" },
		{ 12000, "12ms" },
		{ 999001, "1s" },
		{ 1000000, "1s" },
		{ 1050000, "1.05s" },
		{ 59999000, "59.999s" },
		{ INT64_C(360000000), "6m0s" },
		{ INT64_C(90500000), "1m30.5s" },
		{ INT64_C(3600000000), "1h0m0s" },
		{ INT64_C(86399999999), "24h0m0s" },
		{ INT64_C(2678400000000), "744h0m0s" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct reply_in in = half_used(REPLY_OPENAI);
		struct buf got = { 0 };
		const char *at;

		in.headline.reset_us = cases[i].us;
		reply_headers(&in, reply_on_header, &got);
		at = strstr(buf_cstr(&got), "reset-requests: ");
		CHECK(at != NULL &&
			strncmp(at + 16, cases[i].text,
			    strlen(cases[i].text)) == 0 &&
			at[16 + strlen(cases[i].text)] == '\n',
		    cases[i].text);
		buf_fini(&got);
	}
}

static void
an_instant_does_not_move_by_the_time_it_took_to_say_it(void)
{
	struct reply_in in = half_used(REPLY_PRIORITY);

	/* Full at :00, asked at any part of :47, and told up to 90 ms later. */
	for (int64_t late_us = 0; late_us <= 90000; late_us += 30000)
		for (int64_t us = 0; us < 1000000; us += 10000) {
			struct buf got = { 0 };

			in.now_us = (us + late_us) % 1000000;
			in.now_s = 1709251187 + (us + late_us) / 1000000;
			in.headline.reset_us = 13000000 - us;
			reply_headers(&in, reply_on_header, &got);
			CU_ASSERT_PTR_NOT_NULL(strstr(
			    buf_cstr(&got), "X-RateLimit-Reset: 1709251200\n"));
			buf_fini(&got);
		}
}

/* The error object of a refusal; its headers go to headers. */
static json_t *
refuse(enum reply_dialect dialect, int64_t wait_us, bool upstream,
    struct buf *headers)
{
	struct reply_in in = half_used(dialect);
	const struct reply_refusal r = { .wait_us = wait_us,
		.limit = "requests/1m",
		.dimension = "requests",
		.scope = "key",
		.upstream = upstream };
	struct buf body = { 0 };
	json_t *doc, *error;

	reply_refused(&in, &r, reply_on_header, headers, &body);
	doc = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
	error = json_incref(json_object_get(doc, "error"));
	json_decref(doc);
	buf_fini(&body);
	return error;
}

static const char *
text_of(const json_t *error, const char *name)
{
	const char *s = json_string_value(json_object_get(error, name));

	return s != NULL ? s : "";
}

static void
refusals_have_the_shape_of_their_dialect(void)
{
	static const struct {
		enum reply_dialect dialect;
		const char *code, *type, *message;
		bool status;
	} cases[] = {
		{ REPLY_ACCOUNT, "AUTH_1028", "rate_limit_error",
		    "Rate limit exceeded. Please retry after 12 seconds.",
		    false },
		{ REPLY_PRIORITY, "rate_limit_exceeded", "rate_limit_error",
		    "Rate limit exceeded. Please retry after 12 seconds.",
		    false },
		{ REPLY_CHUNKS, "rate_limit_exceeded", "rate_limit_error",
		    "You have exceeded your request rate limit. Please try "
		    "again after 12 seconds.",
		    true },
		{ REPLY_RELAY, "rate_limit_exceeded", "rate_limit_error",
		    "Rate limit exceeded. Please try again in 12 seconds.",
		    false },
		{ REPLY_OPENAI, "rate_limit_exceeded", "requests",
		    "Rate limit reached. Please try again in 12s.", false },
		{ REPLY_IETF, "rate_limit_exceeded", "rate_limit_error",
		    "Rate limit reached. Please try again in 12s.", false },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf headers = { 0 };
		json_t *e = refuse(cases[i].dialect, 11200000, false, &headers);

		CHECK(strcmp(text_of(e, "code"), cases[i].code) == 0, "code");
		CHECK(strcmp(text_of(e, "type"), cases[i].type) == 0, "type");
		CHECK(strcmp(text_of(e, "message"), cases[i].message) == 0,
		    cases[i].message);
		CU_ASSERT_EQUAL(
		    json_integer_value(json_object_get(e, "status")),
		    cases[i].status ? 429 : 0);
		CU_ASSERT_STRING_EQUAL(text_of(e, "limit"), "requests/1m");
		CU_ASSERT_STRING_EQUAL(text_of(e, "dimension"), "requests");
		CU_ASSERT_STRING_EQUAL(text_of(e, "scope"), "key");
		CHECK(strstr(buf_cstr(&headers), "Retry-After: 12\n") != NULL,
		    "every dialect says when");
		CHECK(strstr(buf_cstr(&headers), "imit") != NULL,
		    "and how full the limit is");
		json_decref(e);
		buf_fini(&headers);
	}
}

static void
a_wait_is_never_too_short_and_at_least_a_second(void)
{
	static const struct {
		int64_t us;
		const char *header;
	} cases[] = {
		{ 0, "Retry-After: 1\n" },
		{ 1, "Retry-After: 1\n" },
		{ 1000000, "Retry-After: 1\n" },
		{ 1000001, "Retry-After: 2\n" },
		{ INT64_C(86400000000), "Retry-After: 86400\n" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf headers = { 0 };
		json_t *e = refuse(REPLY_RELAY, cases[i].us, false, &headers);

		CHECK(strstr(buf_cstr(&headers), cases[i].header) != NULL,
		    cases[i].header);
		json_decref(e);
		buf_fini(&headers);
	}
}

static void
what_can_never_pass_is_not_to_be_tried_again(void)
{
	for (int d = 0; d < REPLY_DIALECTS; d++) {
		struct buf headers = { 0 };
		json_t *e = refuse((enum reply_dialect)d, -1, false, &headers);

		CU_ASSERT_STRING_EQUAL(
		    text_of(e, "code"), "request_exceeds_limit");
		CU_ASSERT_PTR_NULL(strstr(buf_cstr(&headers), "Retry-After"));
		CU_ASSERT_PTR_NOT_NULL(
		    strstr(buf_cstr(&headers), "x-should-retry: false\n"));
		json_decref(e);
		buf_fini(&headers);
	}
}

static void
the_providers_limit_is_told_from_the_callers(void)
{
	struct buf headers = { 0 };
	json_t *e = refuse(REPLY_ACCOUNT, 5, true, &headers);

	CU_ASSERT_STRING_EQUAL(text_of(e, "scope"), "upstream");
	json_decref(e);
	buf_fini(&headers);
}

static void
dialects_are_known_by_name(void)
{
	enum reply_dialect d = REPLY_DIALECTS;

	CU_ASSERT(reply_dialect(SLICE("chunks"), &d));
	CU_ASSERT_EQUAL(d, REPLY_CHUNKS);
	CU_ASSERT(reply_dialect(SLICE("ietf"), &d));
	CU_ASSERT_EQUAL(d, REPLY_IETF);
	CU_ASSERT_FALSE(reply_dialect(SLICE("named"), &d));
	CU_ASSERT_FALSE(reply_dialect(SLICE(""), &d));
	CU_ASSERT_EQUAL(d, REPLY_IETF);
}

UNIT_MAIN("reply", UNIT(each_dialect_says_what_is_documented_of_it),
    UNIT(what_is_not_known_is_not_said),
    UNIT(more_used_than_allowed_leaves_nothing),
    UNIT(resets_are_written_as_go_writes_durations),
    UNIT(an_instant_does_not_move_by_the_time_it_took_to_say_it),
    UNIT(refusals_have_the_shape_of_their_dialect),
    UNIT(a_wait_is_never_too_short_and_at_least_a_second),
    UNIT(what_can_never_pass_is_not_to_be_tried_again),
    UNIT(the_providers_limit_is_told_from_the_callers),
    UNIT(dialects_are_known_by_name))
