#include <sluice/slc.h>

#include <string.h>

#include "unit.h"

static void
digits_are_a_number_up_to_the_maximum(void)
{
	static const struct {
		const char *why, *text;
		int64_t max, value; /* -1: refused */
	} cases[] = {
		{ "zero", "0", 0, 0 },
		{ "the maximum", "50000", 50000, 50000 },
		{ "one past it", "50001", 50000, -1 },
		{ "past it on the way", "100", 9, -1 },
		{ "zeros before it", "00000000000000000000042", 42, 42 },
		{ "the largest", "9223372036854775807", INT64_MAX, INT64_MAX },
		{ "overflow of the sum", "9223372036854775808", INT64_MAX, -1 },
		{ "overflow of the product", "92233720368547758070", INT64_MAX,
		    -1 },
		{ "more than 64 bits", "18446744073709551617", INT64_MAX, -1 },
		{ "none", "", 9, -1 },
		{ "plus", "+1", 9, -1 },
		{ "minus", "-1", 9, -1 },
		{ "a blank before", " 1", 9, -1 },
		{ "a blank after", "1 ", 9, -1 },
		{ "a point", "1.0", 99, -1 },
		{ "an exponent", "1e1", 99, -1 },
		{ "hexadecimal", "0x1", 99, -1 },
		{ "the byte before 0", "1/", 99, -1 },
		{ "the byte after 9", "1:", 99, -1 },
		{ "Arabic digits", "\xd9\xa1", 99, -1 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		int64_t v = -1;
		bool ok = slice_int(slice_str(cases[i].text), cases[i].max, &v);

		/* Refused, it leaves the value alone. */
		CHECK(ok == (cases[i].value >= 0) && v == cases[i].value,
		    cases[i].why);
	}
}

static void
a_number_ends_with_its_slice(void)
{
	int64_t v = 0;

	CU_ASSERT(slice_int((struct slice){ "123456", 3 }, 999, &v));
	CU_ASSERT_EQUAL(v, 123);
	CU_ASSERT_FALSE(slice_int((struct slice){ "1\0", 2 }, 999, &v));
}

static void
slices_equal_a_string_of_the_same_bytes(void)
{
	static const struct {
		const char *why;
		struct slice slice;
		const char *text;
		bool same, but_for_case;
	} cases[] = {
		{ "the same", { "abc", 3 }, "abc", true, true },
		{ "case", { "aBc", 3 }, "AbC", false, true },
		{ "bytes next to letters", { "[{", 2 }, "{[", false, false },
		{ "case of other letters", { "\xc3\xa4", 2 }, "\xc3\x84", false,
		    false },
		{ "shorter", { "abcd", 3 }, "abcd", false, false },
		{ "longer", { "abcd", 4 }, "abc", false, false },
		{ "NUL inside", { "ab\0d", 4 }, "ab", false, false },
		{ "NUL against a letter", { "ab\0d", 4 }, "abcd", false,
		    false },
		{ "both empty", { "abc", 0 }, "", true, true },
		{ "no bytes at all", { NULL, 0 }, "", true, true },
		{ "no bytes and one", { NULL, 0 }, "a", false, false },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		CHECK(slice_eq(cases[i].slice, cases[i].text) == cases[i].same,
		    cases[i].why);
		CHECK(slice_ieq(cases[i].slice, cases[i].text) ==
			cases[i].but_for_case,
		    cases[i].why);
	}
}

static void
slices_are_made_of_strings(void)
{
	CU_ASSERT_EQUAL(slice_str("abc").n, 3);
	CU_ASSERT_EQUAL(slice_str("").n, 0);
	CU_ASSERT(slice_str(NULL).p == NULL && slice_str(NULL).n == 0);
	CU_ASSERT_EQUAL(SLICE("a\0b").n, 3);
}

static void
failures_keep_their_code_and_a_text_that_fits(void)
{
	struct {
		struct slc_err err;
		char after;
	} s = { .after = 'x' };
	char longer[sizeof(s.err.text) + 1];

	CU_ASSERT_EQUAL(slc_fail(&s.err, SLC_EINPUT, "line %d", 7), SLC_EINPUT);
	CU_ASSERT_EQUAL(s.err.rc, SLC_EINPUT);
	CU_ASSERT_STRING_EQUAL(s.err.text, "line 7");
	memset(longer, 'y', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	CU_ASSERT_EQUAL(slc_fail(&s.err, SLC_EDB, "%s", longer), SLC_EDB);
	CU_ASSERT_EQUAL(strlen(s.err.text), sizeof(s.err.text) - 1);
	CU_ASSERT_EQUAL(s.after, 'x');
	CU_ASSERT_EQUAL(slc_fail(NULL, SLC_EIO, "nobody asks"), SLC_EIO);
}

static void
results_have_a_code_and_a_status(void)
{
	CU_ASSERT_EQUAL(SLC_OK, 0);
	CU_ASSERT_STRING_EQUAL(slc_code(SLC_EINPUT), "invalid_request");
	CU_ASSERT_EQUAL(slc_status(SLC_EINPUT), 400);
	CU_ASSERT_STRING_EQUAL(slc_code(SLC_ELOST), "lost");
	CU_ASSERT_EQUAL(slc_status(SLC_EDB), 503);
	for (int rc = 0; rc < SLC_RC_COUNT; rc++)
		CU_ASSERT(slc_code(rc)[0] != '\0' && slc_status(rc) >= 200);
}

UNIT_MAIN("slc", UNIT(digits_are_a_number_up_to_the_maximum),
    UNIT(a_number_ends_with_its_slice),
    UNIT(slices_equal_a_string_of_the_same_bytes),
    UNIT(slices_are_made_of_strings),
    UNIT(failures_keep_their_code_and_a_text_that_fits),
    UNIT(results_have_a_code_and_a_status))
