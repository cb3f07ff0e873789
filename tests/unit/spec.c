#include <sluice/spec.h>

#include <string.h>

#include "unit.h"

#define MODEL_256                                                          \
	"mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm" \
	"mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm" \
	"mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm" \
	"mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm"

static void
limits_are_read(void)
{
	static const struct {
		const char *text, *model, *dimension;
		int32_t window_s;
		int64_t amount;
	} cases[] = {
		{ "requests/1m=300", "*", "requests", 60, 300 },
		{ "tokens/1h=2m", "*", "tokens", 3600, 2000000 },
		{ "input_tokens/1d=5G", "*", "input_tokens", 86400,
		    5000000000 },
		{ "output_tokens/31d=1", "*", "output_tokens", 31 * 86400, 1 },
		{ "concurrent=10", "*", "concurrent", 0, 10 },
		{ "requests/1S=1K", "*", "requests", 1, 1000 },
		{ "requests/1m=1000g", "*", "requests", 60, SPEC_AMOUNT_MAX },
		{ "gpt-4:requests/1m=10", "gpt-4", "requests", 60, 10 },
		{ "glm-*:concurrent=3", "glm-*", "concurrent", 0, 3 },
		{ "enqueued_tokens=2m", "*", "enqueued_tokens", 0, 2000000 },
		{ "m:enqueued_requests=9", "m", "enqueued_requests", 0, 9 },
		{ "a/b:batch:tokens/1m=1k", "a/b:batch", "tokens", 60, 1000 },
		{ "x=y:requests/1m=1", "x=y", "requests", 60, 1 },
		{ MODEL_256 ":concurrent=1", MODEL_256, "concurrent", 0, 1 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct spec_limit l;

		CU_ASSERT_EQUAL(spec_limit(cases[i].text, &l, NULL), SLC_OK);
		CU_ASSERT_STRING_EQUAL(l.model, cases[i].model);
		CU_ASSERT_STRING_EQUAL(l.dimension, cases[i].dimension);
		CU_ASSERT_EQUAL(l.window_s, cases[i].window_s);
		CU_ASSERT_EQUAL(l.amount, cases[i].amount);
	}
}

static void
wrong_limits_say_what_is_right(void)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "write requests/1m=300" },
		{ "requests/1m", "write requests/1m=300" },
		{ "requests=300", "write requests/1m=300" },
		{ "tokens=300", "write tokens/1m=300" },
		{ "concurrent/1m=10", "write concurrent=10" },
		{ "enqueued_tokens/1d=1", "enqueued_tokens has no window" },
		{ "rpm/1m=300", "use requests, tokens" },
		{ "Requests/1m=300", "use requests, tokens" },
		{ " requests/1m=300", "use requests, tokens" },
		{ "requests/1m =300", "window \"1m \" is not a time" },
		{ "requests/=300", "window \"\" is not a time: write 90s" },
		{ "requests/60=300", "window \"60\" is not a time" },
		{ "requests/0s=300", "not within 1s to 31d" },
		{ "requests/32d=300", "not within 1s to 31d" },
		{ "requests/1m=", "amount \"\": write 1 to 1000g" },
		{ "requests/1m=0", "write 1 to 1000g" },
		{ "requests/1m=-1", "write 1 to 1000g" },
		{ "requests/1m=1.5m", "write 1 to 1000g" },
		{ "requests/1m=1001g", "write 1 to 1000g" },
		{ "requests/1m=99999999999999999999", "write 1 to 1000g" },
		{ "requests/1m=9223372036854775807g", "write 1 to 1000g" },
		{ "requests/1m=k", "write 1 to 1000g" },
		{ ":requests/1m=1", "model before \":\" takes 1 to 256" },
		{ MODEL_256 "m:concurrent=1", "takes 1 to 256 bytes" },
		{ "gpt-4:=1", "use requests, tokens" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct slc_err err = { 0 };
		struct spec_limit l;

		CU_ASSERT_EQUAL(
		    spec_limit(cases[i].text, &l, &err), SLC_EINPUT);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].says));
		if (strstr(err.text, cases[i].says) == NULL)
			printf("# %s: %s\n", cases[i].text, err.text);
	}
}

static void
windows_need_a_unit_and_a_range(void)
{
	static const struct {
		const char *text;
		int64_t s; /* 0: refused */
		const char *says;
	} cases[] = {
		{ "90s", 90, NULL },
		{ "15m", 900, NULL },
		{ "24h", 86400, NULL },
		{ "7D", 7 * 86400, NULL },
		{ "60s", 60, NULL },
		{ "30d", 30 * 86400, NULL },
		{ "59s", 0, "not within 1m to 30d" },
		{ "31d", 0, "not within 1m to 30d" },
		{ "720h1m", 0, "write 90s, 15m, 24h or 7d" },
		{ "24", 0, "write 90s" },
		{ "h", 0, "write 90s" },
		{ "", 0, "write 90s" },
		{ "-1h", 0, "write 90s" },
		{ "1 h", 0, "write 90s" },
		{ "9223372036854775807d", 0, "write 90s" },
		{ "106751991167301d", 0, "write 90s" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct slc_err err = { 0 };
		int64_t s = 0;
		enum slc_rc rc = spec_window(
		    slice_str(cases[i].text), 60, 30 * 86400, &s, &err);

		CU_ASSERT_EQUAL(rc, cases[i].s > 0 ? SLC_OK : SLC_EINPUT);
		if (cases[i].s > 0)
			CU_ASSERT_EQUAL(s, cases[i].s)
		else
			CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].says));
	}
}

static void
windows_are_written_in_the_longest_unit(void)
{
	static const struct {
		int64_t s;
		const char *text;
	} cases[] = {
		{ 0, "0s" },
		{ 1, "1s" },
		{ 90, "90s" },
		{ 60, "1m" },
		{ 3600, "1h" },
		{ 5400, "90m" },
		{ 86400, "1d" },
		{ 90000, "25h" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		char text[32];

		spec_window_text(cases[i].s, text);
		CU_ASSERT_STRING_EQUAL(text, cases[i].text);
	}
}

static void
sizes_are_powers_of_1024(void)
{
	static const struct {
		const char *text;
		int64_t bytes; /* 0: refused */
	} cases[] = {
		{ "1", 1 },
		{ "64k", 64 << 10 },
		{ "200M", 200 << 20 },
		{ "1g", 1 << 30 },
		{ "1073741824", 1 << 30 },
		{ "1073741825", 0 },
		{ "2g", 0 },
		{ "0", 0 },
		{ "", 0 },
		{ "k", 0 },
		{ "1kb", 0 },
		{ "1.5m", 0 },
		{ "9223372036854775807g", 0 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct slc_err err = { 0 };
		int64_t bytes = 0;
		enum slc_rc rc =
		    spec_bytes(slice_str(cases[i].text), 1 << 30, &bytes, &err);

		CU_ASSERT_EQUAL(rc, cases[i].bytes > 0 ? SLC_OK : SLC_EINPUT);
		if (cases[i].bytes > 0)
			CU_ASSERT_EQUAL(bytes, cases[i].bytes)
		else
			CU_ASSERT(strstr(err.text, "write 200m") != NULL ||
			    strstr(err.text, "within 1 to 1073741824") != NULL);
	}
}

static void
words_are_known_or_listed(void)
{
	struct slc_err err = { 0 };

	CU_ASSERT_EQUAL(spec_word("actual", NULL, spec_charges, NULL), SLC_OK);
	CU_ASSERT_EQUAL(
	    spec_word("auto", "auto", spec_stream_costs, NULL), SLC_OK);
	CU_ASSERT_EQUAL(
	    spec_word("auto", NULL, spec_stream_costs, &err), SLC_EINPUT);
	CU_ASSERT_STRING_EQUAL(err.text, "\"auto\" is not one of once, chunk");
	spec_word("Actual", "auto", spec_charges, &err);
	CU_ASSERT_STRING_EQUAL(err.text,
	    "\"Actual\" is not one of auto, declared, declared-refunded, "
	    "actual, input-only");
}

UNIT_MAIN("spec", UNIT(limits_are_read), UNIT(wrong_limits_say_what_is_right),
    UNIT(windows_need_a_unit_and_a_range),
    UNIT(windows_are_written_in_the_longest_unit),
    UNIT(sizes_are_powers_of_1024), UNIT(words_are_known_or_listed))
