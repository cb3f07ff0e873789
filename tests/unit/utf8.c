#include <sluice/utf8.h>

#include <stdlib.h>
#include <string.h>

#include "unit.h"

/* By arithmetic instead of a table: what the bits say, in its shortest form. */
static size_t
length_by_value(const unsigned char *p, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = 0;
	uint32_t cp;

	if (p[0] < 0x80)
		return 1;
	while (len < 8 && (p[0] << len & 0x80) != 0)
		len++;
	if (len < 2 || len > 4 || len > n)
		return 0;
	cp = p[0] & (0x7f >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (p[i] & 0x3f);
	}
	if (cp < least[len] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	return len;
}

static void
sequences_at_every_border_are_judged_right(void)
{
	static const unsigned char bytes[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90,
		0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
		0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff };
	enum { N = sizeof(bytes) };
	int wrong = 0;

	for (int i = 0; i < N * N * N * N; i++) {
		unsigned char p[4] = { bytes[i % N], bytes[i / N % N],
			bytes[i / N / N % N], bytes[i / N / N / N] };

		for (size_t n = 1; n <= 4; n++)
			wrong +=
			    utf8_length((char *)p, n) != length_by_value(p, n);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
every_code_point_comes_back(void)
{
	for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
		char out[4] = { 0 };
		size_t n = utf8_put(out, cp);
		bool surrogate = cp >= 0xd800 && cp <= 0xdfff;
		uint32_t back = n == 1 ? (unsigned char)out[0]
				       : (unsigned char)out[0] & (0x7f >> n);

		for (size_t i = 1; i < n; i++)
			back = back << 6 | (out[i] & 0x3f);
		if (back != cp || utf8_length(out, 4) != (surrogate ? 0 : n)) {
			CU_FAIL("code point");
			printf("# U+%04X\n", cp);
		}
	}
}

static void
bytes_behind_the_end_are_not_read(void)
{
	static const char whole[] = "\xf0\x9f\x98\x80";

	CU_ASSERT_EQUAL(utf8_length("a", 0), 0);
	for (size_t n = 1; n <= 4; n++) {
		char *p = malloc(n);

		memcpy(p, whole, n);
		CU_ASSERT_EQUAL(utf8_length(p, n), n == 4 ? 4 : 0);
		CU_ASSERT_EQUAL(utf8_count(p, n), n == 4 ? 1 : n);
		free(p);
	}
}

static void
characters_are_counted(void)
{
	static const struct {
		const char *why, *text;
		size_t count;
	} cases[] = {
		{ "none", "", 0 },
		{ "ASCII", "abc", 3 },
		{ "one to four bytes", "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
		    4 },
		{ "a letter and its accent are two", "a\xcc\x88", 2 },
		{ "each malformed byte is one", "\xff\x80\xc0\xaf", 4 },
		{ "a cut one, then a whole one", "\xe2\x82\xc3\xa4", 3 },
		{ "a surrogate", "\xed\xa0\x80", 3 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++)
		CHECK(utf8_count(cases[i].text, strlen(cases[i].text)) ==
			cases[i].count,
		    cases[i].why);
	CU_ASSERT_EQUAL(utf8_count("a\0b", 3), 3);
}

UNIT_MAIN("utf8", UNIT(sequences_at_every_border_are_judged_right),
    UNIT(every_code_point_comes_back), UNIT(bytes_behind_the_end_are_not_read),
    UNIT(characters_are_counted))
