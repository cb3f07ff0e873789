#include <sluice/dialect.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/buf.h>

#include "unit.h"

/* The exchanges of tests/data/dialect, see the README there. */
#define FOLDER "tests/data/dialect"
#define NOW    1700000000

static struct slice
load(const char *name, const char *suffix, struct buf *b)
{
	char path[300], piece[4096];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s%s", FOLDER, name, suffix);
	f = fopen(path, "rb");
	CHECK(f != NULL, path);
	while (f != NULL && (n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(b, piece, n);
	if (f != NULL)
		fclose(f);
	return buf_slice(b);
}

static struct slice
take_line(struct slice *s)
{
	const char *nl = memchr(s->p, '\n', s->n);
	struct slice line = { s->p, nl == NULL ? s->n : (size_t)(nl - s->p) };

	s->p += nl == NULL ? s->n : line.n + 1;
	s->n -= nl == NULL ? s->n : line.n + 1;
	return line;
}

/* Up to the next title. */
static struct slice
take_exchange(struct slice *s)
{
	const char *end = s->n == 0 ? NULL : memmem(s->p, s->n, "\n### ", 5);
	struct slice whole = { s->p,
		end == NULL ? s->n : (size_t)(end - s->p) + 1 };

	s->p += whole.n;
	s->n -= whole.n;
	return whole;
}

struct exchange {
	struct slice title;
	int status;
	struct buf headers;
	struct slice body;
};

static void
parse(struct slice text, struct exchange *x)
{
	struct slice line;

	*x = (struct exchange){ .title = take_line(&text) };
	line = take_line(&text);
	x->status = line.n > 12 ? atoi(line.p + 9) : 0;
	while (text.n > 0 && (line = take_line(&text)).n > 0) {
		buf_add(&x->headers, line.p, line.n);
		buf_adds(&x->headers, "\r\n");
	}
	if (text.n > 0 && text.p[text.n - 1] == '\n')
		text.n--;
	x->body = text;
}

/* As .expect has it. */
static void
render(const struct dialect_answer *a, struct buf *out)
{
	buf_addf(out, "%s: %s %s %" PRId32,
	    a->dialect == NULL ? "-" : a->dialect,
	    dialect_refusal_name(a->refusal), dialect_dim_name(a->refused_dim),
	    a->refused_window_s);
	if (a->wait_ms > 0)
		buf_addf(out, " wait %" PRId64 " %s", a->wait_ms, a->wait_from);
	buf_addf(out, "%s\n", a->error_in_body ? " error in body" : "");
	for (size_t i = 0; i < a->nreadings; i++) {
		const struct dialect_reading *r = &a->readings[i];

		buf_addf(out,
		    "  %s %" PRId32 " limit %" PRId64 " remaining %" PRId64
		    " reset %" PRId64 "%s %s\n",
		    dialect_dim_name(r->dim), r->window_s, r->limit,
		    r->remaining, r->reset_ms, r->dynamic ? " dynamic" : "",
		    r->from);
	}
}

static void
render_exchange(const char *name, struct slice text, struct buf *out)
{
	struct exchange x;
	struct dialect_answer answer;
	struct buf said = { 0 }, automatic = { 0 };

	parse(text, &x);
	dialect_read(
	    name, x.status, buf_slice(&x.headers), x.body, NOW, &answer);
	render(&answer, &said);
	dialect_read(
	    NULL, x.status, buf_slice(&x.headers), x.body, NOW, &answer);
	render(&answer, &automatic);
	buf_add(out, x.title.p, x.title.n);
	buf_addf(out, "\n%sauto", buf_cstr(&said));
	if (strcmp(buf_cstr(&said), buf_cstr(&automatic)) == 0)
		buf_adds(out, ": the same\n");
	else
		buf_addf(out, " %s", buf_cstr(&automatic));
	buf_fini(&said);
	buf_fini(&automatic);
	buf_fini(&x.headers);
}

static void
exchanges_are_read_as_expected(void)
{
	for (int i = 0; dialect_names[i] != NULL; i++) {
		const char *name = dialect_names[i];
		struct buf in = { 0 }, expect = { 0 };
		struct slice exchanges = load(name, ".http", &in);
		struct slice wanted = load(name, ".expect", &expect);

		CHECK(exchanges.n > 0, name);
		while (exchanges.n > 0) {
			struct buf got = { 0 };
			struct slice want;

			render_exchange(name, take_exchange(&exchanges), &got);
			want = take_exchange(&wanted);
			if (!slice_eq(want, buf_cstr(&got))) {
				CHECK(false, name);
				printf("# %s, wanted:\n%.*s# got:\n%s", name,
				    (int)want.n, want.p, buf_cstr(&got));
			}
			buf_fini(&got);
		}
		CHECK(wanted.n == 0, "an expectation without its exchange");
		buf_fini(&in);
		buf_fini(&expect);
	}
}

/* now, in the tables: Sun, 06 Nov 1994 08:49:37 GMT */
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
		{ "a span", "retry-after: 1m5s\r\n", 65000 },
		{ "not in words", "retry-after: 5 seconds\r\n", 0 },
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
		{ "RFC 850", "retry-after: Sunday, 06-Nov-94 08:49:57 GMT",
		    20000 },
		{ "to a year of the next century",
		    "Date: Friday, 31-Dec-99 23:59:59 GMT\r\n"
		    "retry-after: Saturday, 01-Jan-00 00:00:19 GMT",
		    20000 },
		{ "not to one of the last",
		    "Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n"
		    "retry-after: Friday, 31-Dec-99 23:59:59 GMT",
		    0 },
		{ "RFC 850 with four digits",
		    "retry-after: Sunday, 06-Nov-1994 08:49:57 GMT", 0 },
		{ "asctime", "retry-after: Sun Nov  6 08:49:57 1994", 20000 },
		{ "asctime, against asctime",
		    "Date: Wed Nov 16 08:49:37 1994\r\n"
		    "retry-after: Wed Nov 16 08:49:57 1994",
		    20000 },
		{ "asctime without its space",
		    "retry-after: Sun Nov 6 08:49:57 1994", 0 },
		{ "asctime and more",
		    "retry-after: Sun Nov  6 08:49:57 1994 GMT", 0 },
		{ "no day of the week", "retry-after: Nov  6 08:49:57 1994",
		    0 },
		{ "too long for a date",
		    "retry-after: Sun, 06 Nov 1994 08:49:57 GMT          x",
		    0 },
	};

	/* Dates are GMT, wherever we are. */
	setenv("TZ", "XYZ5", 1);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct dialect_answer a;

		dialect_read(NULL, 500, slice_str(cases[i].headers),
		    (struct slice){ 0 }, 784111777, &a);
		CHECK(a.wait_ms == cases[i].ms &&
			(a.wait_from == NULL) == (a.wait_ms == 0),
		    cases[i].why);
	}
}

static void
years_of_two_digits_are_the_nearest(void)
{
	static const struct {
		const char *why;
		int64_t now_s;
	} cases[] = {
		{ "of this century", 946684799 }, /* 1999-12-31 23:59:59 */
		{ "of the last one", 946684800 },
		{ "and a year later", 978307200 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct dialect_answer a;

		dialect_read(NULL, 503,
		    slice_str("Date: Friday, 31-Dec-99 23:59:59 GMT\r\n"
			      "Retry-After: Sat, 01 Jan 2000 00:00:19 GMT"),
		    (struct slice){ 0 }, cases[i].now_s, &a);
		CHECK(a.wait_ms == 20000, cases[i].why);
	}
}

static void
resets_are_told_by_their_shape(void)
{
	static const struct {
		const char *why, *reset;
		int64_t ms;
	} cases[] = {
		{ "seconds", "12", 12000 },
		{ "a fraction", "0.25", 250 },
		{ "ms", "12ms", 12 },
		{ "us, rounded up", "9\xc2\xb5s", 1 },
		{ "ns", "3ns", 1 },
		{ "minutes", "6m0s", 360000 },
		{ "all of them", "1d2h3m4.5s", 93784500 },
		{ "epoch", "1700000060", 60000 },
		{ "epoch, ms", "1700000060500", 60500 },
		{ "epoch, us", "1700000060500000", 60500 },
		{ "RFC 3339", "2023-11-14T22:14:20Z", 60000 },
		{ "in another zone", "2023-11-14T17:14:20.5-05:00", 60500 },
		{ "leap day", "2024-02-29T00:00:00Z", 0 },
		{ "a date", "Tue, 14 Nov 2023 22:13:50 GMT", 30000 },
		{ "JavaScript's",
		    "Tue Nov 14 2023 22:13:50 GMT+0000 (Coordinated "
		    "Universal Time)",
		    30000 },
		{ "in another zone",
		    "Tue Nov 14 2023 17:43:50 GMT-0430 (x (y) z)", 30000 },
		{ "east of here, the next day",
		    "Wed Nov 15 2023 00:13:50 "
		    "GMT+0200",
		    30000 },
		{ "without a zone", "Tue Nov 14 2023 22:13:50 GMT", 30000 },
		{ "no name behind it", "Tue Nov 14 2023 22:13:50 GMT+0000 x",
		    -1 },
		{ "half a zone", "Tue Nov 14 2023 22:13:50 GMT+00", -1 },
		{ "no sign", "Tue Nov 14 2023 22:13:50 GMT 0000", -1 },
		{ "RFC 850", "Tuesday, 14-Nov-23 22:13:50 GMT", 30000 },
		{ "asctime", "Tue Nov 14 22:13:50 2023", 30000 },
		{ "now", "1700000000", -1 },
		{ "the past", "1699999999", -1 },
		{ "a past day", "2023-11-14T22:13:19Z", -1 },
		{ "31 days", "2678400", 2678400000 },
		{ "more", "2678401", -1 },
		{ "an absurd epoch", "99999999999999999999999", -1 },
		{ "nothing", "0", -1 },
		{ "no time", "0s", -1 },
		{ "unknown", "-1", -1 },
		{ "not a number", "nan", -1 },
		{ "infinite", "inf", -1 },
		{ "no unit", "1m30", -1 },
		{ "no such unit", "3y", -1 },
		{ "month 13", "2023-13-14T22:14:20Z", -1 },
		{ "cut off", "2023-11-14T22:14", -1 },
		{ "empty", "", -1 },
		{ "long", "1" D400, -1 },
		{ "long and small", "0." D400 "1", -1 },
		{ "long and strange", "1." D400 "s", -1 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf b = { 0 };
		struct dialect_answer a;
		int64_t ms = cases[i].ms;

		buf_addf(&b,
		    "x-ratelimit-remaining: 1\r\nx-ratelimit-reset: %s\r\n",
		    cases[i].reset);
		dialect_read(
		    "relay", 200, buf_slice(&b), (struct slice){ 0 }, NOW, &a);
		if (ms == 0) /* days from 2023-11-14 22:13:20 */
			ms = INT64_C(106) * 86400000 - 80000000;
		if (ms > DIALECT_WAIT_MAX_MS)
			ms = -1;
		CHECK(a.nreadings == 1 && a.readings[0].reset_ms == ms,
		    cases[i].why);
		buf_fini(&b);
	}
}

static void
counts_are_whole_or_not_there(void)
{
	static const struct {
		const char *why, *limit, *remaining;
		int64_t n, left;
	} cases[] = {
		{ "numbers", "60", "59", 60, 59 },
		{ "nothing left", "60", "0", 60, 0 },
		{ "a limit of nothing is none", "0", "7", -1, 7 },
		{ "fractions", "2.5", "0.9", 2, 0 },
		{ "unknown", "-1", "7", -1, 7 },
		{ "a list", "100, 100;window=60", "7", 100, 7 },
		{ "words", "unlimited", "7", -1, 7 },
		{ "a number and words", "60 requests", "7", -1, 7 },
		{ "the largest", "999999999999999", "7", 999999999999999, 7 },
		{ "larger", "1000000000000000", "7", -1, 7 },
		{ "more left than there is", "5", "7", 5, 7 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf b = { 0 };
		struct dialect_answer a;

		buf_addf(&b, "X-RateLimit-Limit: %s\nx-ratelimit-remaining:%s",
		    cases[i].limit, cases[i].remaining);
		dialect_read(
		    "relay", 200, buf_slice(&b), (struct slice){ 0 }, NOW, &a);
		CHECK(a.nreadings == 1 && a.readings[0].limit == cases[i].n &&
			a.readings[0].remaining == cases[i].left,
		    cases[i].why);
		buf_fini(&b);
	}
}

#define TRIO                           \
	"X-RateLimit-Limit: 300\r\n"   \
	"X-RateLimit-Remaining: 2\r\n" \
	"X-RateLimit-Reset: 60\r\n"
#define TRIO_REQUESTS                           \
	"x-ratelimit-limit-requests: 300\r\n"   \
	"x-ratelimit-remaining-requests: 2\r\n" \
	"x-ratelimit-reset-requests: 60\r\n"

static void
a_limit_moves_only_where_that_is_sure(void)
{
	static const struct {
		const char *why, *name, *headers;
		bool moves;
	} cases[] = {
		{ "many send these", NULL, TRIO, false },
		{ "the path says so", "together", TRIO, true },
		{ "or that it is another's", "x-ratelimit", TRIO, false },
		{ "one alone sends this", NULL,
		    TRIO "x-tokenlimit-limit: 30000\r\n", true },
		{ "without a reset", NULL, "x-ratelimit-limit: 10\r\n", false },
		{ "of requests", NULL, TRIO_REQUESTS, false },
		{ "as the path says", "nebius", TRIO_REQUESTS, true },
		{ "a mark", NULL,
		    TRIO_REQUESTS
		    "x-ratelimit-dynamic-period-remaining: 9s\r\n",
		    true },
		{ "prompts", NULL, "x-ratelimit-limit-tokens-prompt: 60000\r\n",
		    true },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct dialect_answer a;

		dialect_read(cases[i].name, 200, slice_str(cases[i].headers),
		    (struct slice){ 0 }, NOW, &a);
		CHECK(a.nreadings > 0, cases[i].why);
		for (size_t k = 0; k < a.nreadings; k++)
			CHECK(a.readings[k].dynamic == cases[i].moves,
			    cases[i].why);
	}
}

static void
names_go_both_ways(void)
{
	for (int d = DIALECT_UNKNOWN; d <= DIALECT_CONCURRENT; d++)
		CU_ASSERT_EQUAL(
		    dialect_dim_of(dialect_dim_name((enum dialect_dim)d)), d);
	for (int r = DIALECT_SERVED; r <= DIALECT_SECONDARY; r++)
		CU_ASSERT_EQUAL(dialect_refusal_of(dialect_refusal_name(
				    (enum dialect_refusal)r)),
		    r);
	CU_ASSERT_EQUAL(dialect_dim_of("widgets"), DIALECT_UNKNOWN);
	CU_ASSERT_EQUAL(dialect_refusal_of("no"), DIALECT_RATE);
}

static void
an_unknown_name_is_recognised_like_none(void)
{
	static const char headers[] = "anthropic-ratelimit-tokens-limit: 5\r\n";
	static const char *const names[] = { NULL, "auto", "klingon", "" };

	for (size_t i = 0; i < NITEMS(names); i++) {
		struct dialect_answer a;

		dialect_read(names[i], 200, slice_str(headers),
		    (struct slice){ 0 }, NOW, &a);
		CU_ASSERT_STRING_EQUAL(a.dialect, "anthropic");
		CU_ASSERT_EQUAL(a.nreadings, 1);
	}
}

/* Mutations ------------------------------------------------------------------
 */

static uint64_t
next(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

/* In memory of its own length, so that a byte too far is noticed. */
static void
read_bytes(const char *name, int status, const struct buf *b, size_t split)
{
	char *headers = xmalloc(split + 1), *body = xmalloc(b->n - split + 1);
	char *h = headers + 1, *y = body + 1;
	struct dialect_answer a;

	memcpy(h, b->p, split);
	memcpy(y, b->p + split, b->n - split);
	dialect_read(name, status, (struct slice){ h, split },
	    (struct slice){ y, b->n - split }, NOW, &a);
	CU_ASSERT(a.nreadings <= DIALECT_READINGS_MAX);
	CU_ASSERT(a.wait_ms >= 0 && a.wait_ms <= DIALECT_WAIT_MAX_MS);
	CU_ASSERT((a.wait_ms == 0) == (a.wait_from == NULL));
	for (size_t i = 0; i < a.nreadings; i++) {
		const struct dialect_reading *r = &a.readings[i];

		CU_ASSERT(r->limit >= -1 && r->remaining >= -1);
		CU_ASSERT(
		    r->reset_ms >= -1 && r->reset_ms <= DIALECT_WAIT_MAX_MS);
		CU_ASSERT(r->window_s >= 0);
	}
	free(headers);
	free(body);
}

static void
any_bytes_do_no_harm(void)
{
	enum { TIMES = 200 };
	uint64_t random = 88172645463325252u;

	for (int i = 0; dialect_names[i] != NULL; i++) {
		struct buf in = { 0 };
		struct slice exchanges = load(dialect_names[i], ".http", &in);

		while (exchanges.n > 0) {
			struct exchange x;
			size_t headers;

			parse(take_exchange(&exchanges), &x);
			headers = x.headers.n;
			buf_add(&x.headers, x.body.p, x.body.n);
			for (int t = 0; t < TIMES && x.headers.n > 0; t++) {
				struct buf b = { 0 };
				size_t n = next(&random) % 8;

				buf_add(&b, x.headers.p, x.headers.n);
				while (n-- > 0)
					b.p[next(&random) % b.n] =
					    "\0\"{}[],:;=*0Zs\\\r\n \xff"
					    "T.-"[next(&random) % 23];
				if (t % 4 == 0)
					b.n = next(&random) % b.n;
				read_bytes(t % 2 ? dialect_names[i] : NULL,
				    x.status, &b,
				    headers < b.n ? headers : b.n);
				buf_fini(&b);
			}
			buf_fini(&x.headers);
		}
		buf_fini(&in);
	}
}

UNIT_MAIN("dialect", UNIT(exchanges_are_read_as_expected),
    UNIT(retry_after_is_read_or_ignored),
    UNIT(years_of_two_digits_are_the_nearest),
    UNIT(resets_are_told_by_their_shape), UNIT(counts_are_whole_or_not_there),
    UNIT(a_limit_moves_only_where_that_is_sure), UNIT(names_go_both_ways),
    UNIT(an_unknown_name_is_recognised_like_none), UNIT(any_bytes_do_no_harm))
