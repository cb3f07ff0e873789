#include <sluice/buf.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static void
bytes_are_kept_through_all_growth(void)
{
	enum { BYTES = 5 << 20 };
	struct buf b = { 0 };
	size_t grown = 0, cap = 0;
	int wrong = 0;

	for (size_t i = 0; i < BYTES; i++) {
		buf_addc(&b, (char)(i * 7 + i / 256));
		grown += b.cap != cap;
		cap = b.cap;
	}
	CU_ASSERT_EQUAL(b.n, BYTES);
	for (size_t i = 0; i < BYTES; i++)
		wrong += b.p[i] != (char)(i * 7 + i / 256);
	CU_ASSERT_EQUAL(wrong, 0);
	/* In steps that grow with it, but never to twice a large size. */
	CU_ASSERT(grown < 20);
	CU_ASSERT(b.cap < BYTES / 2 * 3);
	buf_fini(&b);
	CU_ASSERT(b.p == NULL && b.n == 0 && b.cap == 0);
	buf_fini(&b);
}

static void
pieces_are_joined(void)
{
	struct buf b = { 0 };
	char longer[300];

	memset(longer, 'y', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	buf_add(&b, NULL, 0);
	CU_ASSERT_PTR_NULL(b.p);
	CU_ASSERT_EQUAL(buf_slice(&b).n, 0);
	CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "");
	buf_adds(&b, "");
	buf_adds(&b, "ab");
	buf_addc(&b, 'c');
	buf_add(&b, "d\0e", 3);
	buf_addf(&b, "%s", "");
	buf_addf(&b, "-%d%%", 7);
	CU_ASSERT_EQUAL_FATAL(b.n, 9);
	CU_ASSERT(memcmp(b.p, "abcd\0e-7%", 9) == 0);
	buf_clear(&b);
	CU_ASSERT(b.n == 0 && b.p != NULL);
	buf_addf(&b, "<%s>", longer);
	CU_ASSERT_EQUAL(b.n, sizeof(longer) + 1);
	CU_ASSERT_EQUAL(strlen(buf_cstr(&b)), b.n);
	CU_ASSERT(b.p[0] == '<' && b.p[b.n - 1] == '>');
	CU_ASSERT(buf_slice(&b).p == b.p && buf_slice(&b).n == b.n);
	buf_fini(&b);
}

static void
the_first_bytes_are_dropped(void)
{
	struct buf b = { 0 };

	buf_drop(&b, 0);
	buf_adds(&b, "abcdef");
	buf_drop(&b, 0);
	CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "abcdef");
	buf_drop(&b, 2);
	CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "cdef");
	buf_drop(&b, 4);
	CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "");
	/* All of its memory is used: none behind it may be read. */
	for (size_t n = b.cap; n > 0; n--)
		buf_addc(&b, (char)n);
	CU_ASSERT_EQUAL(b.n, b.cap);
	buf_drop(&b, 1);
	CU_ASSERT(b.n == b.cap - 1 && b.p[b.n - 1] == 1);
	buf_fini(&b);
}

static void
room_is_reserved_once(void)
{
	struct buf b = { 0 };
	char *p;

	buf_reserve(&b, 1000);
	CU_ASSERT(b.cap >= 1000 && b.n == 0);
	p = b.p;
	for (int i = 0; i < 1000; i++)
		buf_addc(&b, 'x');
	CU_ASSERT_PTR_EQUAL(b.p, p);
	buf_reserve(&b, b.cap - b.n);
	CU_ASSERT_PTR_EQUAL(b.p, p);
	buf_fini(&b);
}

static void
a_terminator_has_room_of_its_own(void)
{
	for (size_t n = 60; n <= 130; n++) {
		struct buf b = { 0 };

		for (size_t i = 0; i < n; i++)
			buf_addc(&b, 'x');
		CU_ASSERT_EQUAL(strlen(buf_cstr(&b)), n);
		CU_ASSERT_EQUAL(b.n, n);
		buf_clear(&b);
		buf_addf(&b, "%*d", (int)n, 7);
		CU_ASSERT_EQUAL(b.n, n);
		buf_fini(&b);
		/* From an empty one, whose memory is as long as its text. */
		buf_addf(&b, "%*d", (int)n, 7);
		CU_ASSERT_EQUAL(b.n, n);
		buf_fini(&b);
	}
}

static void
text_becomes_a_json_string(void)
{
	static const struct {
		const char *why;
		struct slice text;
		const char *json;
	} cases[] = {
		{ "empty", { "", 0 }, "\"\"" },
		{ "no bytes at all", { NULL, 0 }, "\"\"" },
		{ "plain", { "a/b", 3 }, "\"a/b\"" },
		{ "quote, backslash", { "\"\\", 2 }, "\"\\\"\\\\\"" },
		{ "line feed", { "a\nb", 3 }, "\"a\\nb\"" },
		{ "other control characters", { "\0\x01\r\t\x1f\x7f", 6 },
		    "\"\\u0000\\u0001\\u000d\\u0009\\u001f\\u007f\"" },
		{ "UTF-8 as it is",
		    { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9 },
		    "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"" },
		{ "each bad byte", { "a\xff\xc0\x80z", 5 },
		    "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"" },
		{ "a surrogate", { "\xed\xa0\x80", 3 },
		    "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "cut by the end", { "\xe2\x82\xac", 2 },
		    "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf b = { 0 };

		buf_addc(&b, ':');
		buf_add_json(&b, cases[i].text);
		CHECK(
		    strcmp(buf_cstr(&b) + 1, cases[i].json) == 0, cases[i].why);
		buf_fini(&b);
	}
}

static void
jansson_reads_any_two_bytes_back(void)
{
	for (int i = 0; i < 0x10000; i++) {
		char two[2] = { (char)(i >> 8), (char)i };
		struct buf b = { 0 };
		json_t *string;

		buf_add_json(&b, (struct slice){ two, 2 });
		string = json_loadb(
		    b.p, b.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		CU_ASSERT_PTR_NOT_NULL(string);
		/* Two of ASCII come back as they were. */
		if (((two[0] | two[1]) & 0x80) == 0)
			CU_ASSERT(json_string_length(string) == 2 &&
			    memcmp(json_string_value(string), two, 2) == 0);
		json_decref(string);
		buf_fini(&b);
	}
}

static void
memory_of_no_bytes_is_memory(void)
{
	void *p = xmalloc(0);
	char *s = xstrndup("abc", 2), *empty = xstrdup("");
	int *zeros = xcalloc(3, sizeof(*zeros));

	CU_ASSERT_PTR_NOT_NULL(p);
	p = xrealloc(p, 0);
	CU_ASSERT_PTR_NOT_NULL(p);
	CU_ASSERT_STRING_EQUAL(s, "ab");
	CU_ASSERT_STRING_EQUAL(empty, "");
	CU_ASSERT(zeros[0] == 0 && zeros[1] == 0 && zeros[2] == 0);
	free(p);
	free(s);
	free(empty);
	free(zeros);
	p = xcalloc(0, 8);
	CU_ASSERT_PTR_NOT_NULL(p);
	free(p);
}

UNIT_MAIN("buf", UNIT(bytes_are_kept_through_all_growth),
    UNIT(pieces_are_joined), UNIT(the_first_bytes_are_dropped),
    UNIT(room_is_reserved_once), UNIT(a_terminator_has_room_of_its_own),
    UNIT(text_becomes_a_json_string), UNIT(jansson_reads_any_two_bytes_back),
    UNIT(memory_of_no_bytes_is_memory))
