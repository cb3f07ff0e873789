#include <sluice/jscan.h>

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define S(literal)                             \
	{                                      \
		(literal), sizeof(literal) - 1 \
	}

/* A copy of exactly that size shows every read past its end. */
static struct slice
copy_of(struct slice s)
{
	char *p = malloc(s.n);

	memcpy(p, s.p, s.n);
	return (struct slice){ p, s.n };
}

static void
drop(struct slice s)
{
	free((char *)(uintptr_t)s.p);
}

static enum jscan_kind
scan(struct slice text, int depth, struct jscan_fault *fault)
{
	struct slice copy = copy_of(text);
	enum jscan_kind kind;

	*fault = (struct jscan_fault){ 0 };
	kind = jscan(copy, depth, NULL, 0, NULL, fault);
	drop(copy);
	return kind;
}

static void
sound_documents_have_a_kind(void)
{
	static const struct {
		const char *why;
		struct slice text;
		enum jscan_kind kind;
	} cases[] = {
		{ "empty object", S("{}"), JSCAN_OBJECT },
		{ "empty array", S("[ ]"), JSCAN_ARRAY },
		{ "true", S("true"), JSCAN_TRUE },
		{ "false", S("false"), JSCAN_FALSE },
		{ "null", S("null"), JSCAN_NULL },
		{ "zero", S("0"), JSCAN_NUMBER },
		{ "minus zero", S("-0"), JSCAN_NUMBER },
		{ "over 64 bits", S("12345678901234567890"), JSCAN_NUMBER },
		{ "over a double", S("1e400"), JSCAN_NUMBER },
		{ "zeros at the end", S("0.1000"), JSCAN_NUMBER },
		{ "signed exponents", S("[-1E+2,1e-07,0e0]"), JSCAN_ARRAY },
		{ "empty string", S("\"\""), JSCAN_STRING },
		{ "every escape", S("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\uaF09\""),
		    JSCAN_STRING },
		{ "half a pair is for unquote to refuse", S("\"\\ud83d\""),
		    JSCAN_STRING },
		{ "so is NUL", S("\"\\u0000\""), JSCAN_STRING },
		{ "DEL is no control character here", S("\"\x7f\""),
		    JSCAN_STRING },
		{ "the first of two, three and four bytes",
		    S("\"\xc2\x80\xe0\xa0\x80\xf0\x90\x80\x80\""),
		    JSCAN_STRING },
		{ "the last of them, and around surrogates",
		    S("\"\xdf\xbf\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"
		      "\xf4\x8f\xbf\xbf\""),
		    JSCAN_STRING },
		{ "all white space", S(" \t\r\n[ \t\r\n1 , 2\n] \t\r\n"),
		    JSCAN_ARRAY },
		{ "white space around a colon", S("{ \"a\"\n:\t1\r}"),
		    JSCAN_OBJECT },
		{ "an empty key", S("{\"\":1}"), JSCAN_OBJECT },
		{ "a key twice that nobody wants", S("{\"a\":1,\"a\":2}"),
		    JSCAN_OBJECT },
		{ "containers in each other", S("[{\"a\":[[],{}]},[{}]]"),
		    JSCAN_ARRAY },
	};
	struct jscan_fault fault;

	for (size_t i = 0; i < NITEMS(cases); i++)
		CHECK(scan(cases[i].text, 64, &fault) == cases[i].kind,
		    cases[i].why);
}

static void
unsound_documents_say_where(void)
{
	static const struct {
		const char *why;
		struct slice text;
		size_t at;
		const char *says;
	} cases[] = {
		{ "nothing", S(""), 0, "ends too early" },
		{ "only space", S(" "), 1, "ends too early" },
		{ "byte order mark", S("\xef\xbb\xbf{}"), 0, "not a JSON" },
		{ "plus", S("+1"), 0, "not a JSON value" },
		{ "no digit before the point", S(".5"), 0, "not a JSON value" },
		{ "minus alone", S("-"), 0, "not a JSON value" },
		{ "minus and a point", S("-.5"), 0, "not a JSON value" },
		{ "leading zero", S("01"), 1, "more after" },
		{ "minus and a leading zero", S("[-012]"), 3, "no comma" },
		{ "no digit after the point", S("1."), 0, "after its point" },
		{ "exponent after the point", S("1.e1"), 0, "its point" },
		{ "no exponent", S("[1e]"), 1, "in its exponent" },
		{ "a sign for an exponent", S("1E+"), 0, "in its exponent" },
		{ "a point in the exponent", S("1e1.5"), 3, "more after" },
		{ "hexadecimal", S("0x1"), 1, "more after" },
		{ "NaN", S("NaN"), 0, "not a JSON value" },
		{ "Infinity", S("-Infinity"), 0, "not a JSON value" },
		{ "capitals", S("True"), 0, "not a JSON value" },
		{ "half a word", S("nul"), 0, "not a JSON value" },
		{ "a longer word", S("nulll"), 4, "more after" },
		{ "single quotes", S("'a'"), 0, "not a JSON value" },
		{ "a bare key", S("{a:1}"), 1, "must be a string" },
		{ "a number as key", S("{1:1}"), 1, "must be a string" },
		{ "no colon", S("{\"a\" 1}"), 5, "no colon" },
		{ "no colon at the end", S("{\"a\"}"), 4, "no colon" },
		{ "no value", S("{\"a\":}"), 5, "not a JSON value" },
		{ "comma first", S("{,}"), 1, "must be a string" },
		{ "comma last", S("{\"a\":1,}"), 7, "must be a string" },
		{ "comma last in an array", S("[1,]"), 3, "not a JSON value" },
		{ "comma first in an array", S("[,1]"), 1, "not a JSON value" },
		{ "no comma", S("[1 2]"), 3, "no comma" },
		{ "a colon in an array", S("[1:2]"), 2, "no comma" },
		{ "an array that ends as an object", S("[1}"), 2, "no comma" },
		{ "so while it is empty", S("[}"), 1, "not a JSON value" },
		{ "an object that ends as an array", S("{\"a\":1]"), 6,
		    "no comma" },
		{ "so while it is empty", S("{]"), 1, "must be a string" },
		{ "an end alone", S("]"), 0, "not a JSON value" },
		{ "an end too many", S("[]]"), 2, "more after" },
		{ "two values", S("{} {}"), 3, "more after" },
		{ "a comment", S("/**/1"), 0, "not a JSON value" },
		{ "vertical tab", S("1\v"), 1, "more after" },
		{ "no-break space", S("\xc2\xa0 1"), 0, "not a JSON value" },
		{ "NUL at the end", S("1\0"), 1, "more after" },
		{ "NUL inside", S("[\0]"), 1, "not a JSON value" },
		{ "NUL after a value", S("[1\0]"), 2, "no comma" },
		{ "no closing quote", S("[\"a]"), 1, "without an end" },
		{ "an escape at the end", S("\"\\"), 1, "without an end" },
		{ "an escaped closing quote", S("\"\\\""), 0, "without an" },
		{ "line feed in a string", S("\"a\n\""), 2, "control" },
		{ "the last control character", S("\"\x1f\""), 1, "control" },
		{ "NUL in a string", S("\"\0\""), 1, "control" },
		{ "\\x", S("\"\\x41\""), 1, "unknown escape" },
		{ "backslash and NUL", S("\"\\\0\""), 1, "unknown escape" },
		{ "\\u with three digits", S("\"\\u123\""), 1, "four hex" },
		{ "\\u with a g", S("\"\\u123g\""), 1, "four hex" },
		{ "\\u with a G", S("\"\\u00G0\""), 1, "four hex" },
		{ "\\u with the byte before 0", S("\"\\u/000\""), 1, "four" },
		{ "\\u with the byte after 9", S("\"\\u0:00\""), 1, "four" },
		{ "\\u with the byte before A", S("\"\\u000@\""), 1, "four" },
		{ "\\u with the byte before a", S("\"\\u000`\""), 1, "four" },
		{ "\\u cut", S("\"\\u12"), 1, "four hex" },
		{ "overlong NUL", S("\"\xc0\x80\""), 1, "not UTF-8" },
		{ "overlong, two bytes", S("\"\xc1\xbf\""), 1, "not UTF-8" },
		{ "overlong, three bytes", S("\"\xe0\x9f\xbf\""), 1, "UTF-8" },
		{ "overlong, four", S("\"\xf0\x8f\xbf\xbf\""), 1, "UTF-8" },
		{ "first surrogate", S("\"a\xed\xa0\x80\""), 2, "UTF-8" },
		{ "last surrogate", S("\"\xed\xbf\xbf\""), 1, "UTF-8" },
		{ "over U+10FFFF", S("\"\xf4\x90\x80\x80\""), 1, "UTF-8" },
		{ "continuation alone", S("\"\x80\""), 1, "UTF-8" },
		{ "Latin 1", S("\"\xfc\""), 1, "UTF-8" },
		{ "cut by the quote", S("\"\xe2\x82\""), 1, "UTF-8" },
		{ "cut by the end", S("\"\xf0\x9f\x98"), 1, "UTF-8" },
		{ "bad UTF-8 in a key", S("{\"\xff\":1}"), 2, "UTF-8" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct jscan_fault fault;

		CHECK(scan(cases[i].text, 64, &fault) == JSCAN_ABSENT &&
			fault.at == cases[i].at &&
			strstr(fault.text, cases[i].says) != NULL,
		    cases[i].why);
	}
}

/* Texts from here on have ' where JSON has ", to be read more easily. */
static struct slice
json_of(const char *text)
{
	struct slice copy = copy_of(slice_str(text));

	for (size_t i = 0; i < copy.n; i++)
		if (copy.p[i] == '\'')
			((char *)(uintptr_t)copy.p)[i] = '"';
	return copy;
}

static void
nesting_ends_at_the_limit(void)
{
	static const char *const opens[] = { "[", "{'a':" };
	static const char closes[] = "]}";

	for (int limit = 0; limit <= 64; limit++)
		for (size_t i = 0; i < NITEMS(opens); i++) {
			struct buf b = { 0 };
			struct jscan_fault fault;
			struct slice text;

			for (int k = 0; k < limit; k++)
				buf_adds(&b, opens[i]);
			buf_addc(&b, '1');
			for (int k = 0; k < limit; k++)
				buf_addc(&b, closes[i]);
			text = json_of(buf_cstr(&b));
			CU_ASSERT_NOT_EQUAL(
			    scan(text, limit, &fault), JSCAN_ABSENT);
			if (limit > 0) {
				CU_ASSERT_EQUAL(scan(text, limit - 1, &fault),
				    JSCAN_ABSENT);
				CU_ASSERT_EQUAL(fault.at,
				    (size_t)(limit - 1) * strlen(opens[i]));
				CU_ASSERT_STRING_EQUAL(
				    fault.text, "nested too deep");
			}
			drop(text);
			buf_fini(&b);
		}
}

static void
values_side_by_side_are_not_deeper(void)
{
	struct slice text = json_of("[[],[],{},{'a':{}},{'a':[]}]");
	struct jscan_fault fault;

	CU_ASSERT_EQUAL(scan(text, 3, &fault), JSCAN_ARRAY);
	drop(text);
}

static void
every_prefix_is_refused(void)
{
	static const char *const texts[] = {
		("{'id':'\\ud83d\\ude00 \xf0\x9f\x98\x80','body':{'model':[1,"
		 "-2.5e+3,true],'n':false,'usage':{'tokens':null}}}"),
		"[ {'a' : [ ] } , { } , 0.5 , '\xe2\x82\xac' ]",
		"'\\u00e4\xc3\xa4'",
		"false",
	};
	struct buf cut = { 0 };

	for (size_t i = 0; i < NITEMS(texts); i++)
		for (size_t n = 0; n <= strlen(texts[i]); n++) {
			struct jscan_fault fault;
			bool whole = n == strlen(texts[i]);
			struct slice json;

			buf_clear(&cut);
			buf_add(&cut, texts[i], n);
			json = json_of(buf_cstr(&cut));
			CU_ASSERT_EQUAL(
			    scan(json, 64, &fault) == JSCAN_ABSENT, !whole);
			CU_ASSERT(fault.at <= n);
			drop(json);
			CU_ASSERT_EQUAL(fault.text[0] == '\0', whole);
		}
	buf_fini(&cut);
}

static void
strings_are_unquoted_or_refused(void)
{
	static const struct {
		const char *why, *text, *plain; /* NULL: refused */
	} cases[] = {
		{ "empty", "''", "" },
		{ "nothing to do", "'a \xc3\xa4'", "a \xc3\xa4" },
		{ "short escapes", "'\\\\\\/\\b\\f\\n\\r\\t'",
		    "\\/\b\f\n\r\t" },
		{ "a quote", "'a\\\"b'", "a\"b" },
		{ "between others", "'a\\u0062c\\nd'", "abc\nd" },
		{ "one, two and three bytes", "'\\u0001\\u007F\\u00e4\\u20AC'",
		    "\x01\x7f\xc3\xa4\xe2\x82\xac" },
		{ "around surrogates", "'\\ud7ff\\ue000\\uffff'",
		    "\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf" },
		{ "the first pair", "'\\ud800\\udc00'", "\xf0\x90\x80\x80" },
		{ "the last pair", "'\\uDBFF\\uDFFF'", "\xf4\x8f\xbf\xbf" },
		{ "a pair", "'x\\ud83d\\ude00y'", "x\xf0\x9f\x98\x80y" },
		{ "NUL", "'a\\u0000b'", NULL },
		{ "a high half at the end", "'a\\ud83d'", NULL },
		{ "a high half and a letter", "'\\ud83dxxxxxx'", NULL },
		{ "a high half and what is no escape", "'\\ud83dxude00'",
		    NULL },
		{ "a high half and another escape", "'\\ud83d\\n00000'", NULL },
		{ "a high half and no half", "'\\ud83d\\ue000'", NULL },
		{ "two high halves", "'\\ud83d\\ud83d\\ude00'", NULL },
		{ "a low half", "'\\ude00'", NULL },
		{ "the first low half", "'\\udc00'", NULL },
		{ "the last low half", "'\\udfff'", NULL },
		{ "halves the wrong way round", "'\\ude00\\ud83d'", NULL },
	};
	struct buf out = { 0 };

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct slice json = json_of(cases[i].text);
		struct jscan_fault fault;
		bool ok;

		CHECK(scan(json, 0, &fault) == JSCAN_STRING, cases[i].why);
		buf_clear(&out);
		buf_adds(&out, "kept ");
		ok = jscan_unquote(json, &out);
		CHECK(ok == (cases[i].plain != NULL), cases[i].why);
		if (ok)
			CHECK(strncmp(buf_cstr(&out), "kept ", 5) == 0 &&
				strcmp(out.p + 5, cases[i].plain) == 0,
			    cases[i].why);
		drop(json);
	}
	buf_fini(&out);
}

static void
integers_are_exact_or_none(void)
{
	static const struct {
		const char *text;
		int64_t max, value; /* -1: none */
	} cases[] = {
		{ "0", 0, 0 },
		{ "7", 7, 7 },
		{ "8", 7, -1 },
		{ "9223372036854775807", INT64_MAX, INT64_MAX },
		{ "9223372036854775808", INT64_MAX, -1 },
		{ "12345678901234567890", INT64_MAX, -1 },
		{ "-1", 9, -1 },
		{ "-0", 9, -1 },
		{ "1.0", 9, -1 },
		{ "1e0", 9, -1 },
		{ "\"1\"", 9, -1 },
		{ "true", 9, -1 },
		{ "[1]", 9, -1 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		static const struct jscan_want want = { "n", -1 };
		struct jscan_found found;
		struct jscan_fault fault;
		struct buf b = { 0 };
		int64_t v = -1;

		buf_addf(&b, "{\"n\":%s}", cases[i].text);
		CU_ASSERT_EQUAL(
		    jscan(buf_slice(&b), 2, &want, 1, &found, &fault),
		    JSCAN_OBJECT);
		CHECK(jscan_int(&found, cases[i].max, &v) ==
			    (cases[i].value >= 0) &&
			v == cases[i].value,
		    cases[i].text);
		buf_fini(&b);
	}
}

UNIT_MAIN("jscan", UNIT(sound_documents_have_a_kind),
    UNIT(unsound_documents_say_where), UNIT(nesting_ends_at_the_limit),
    UNIT(values_side_by_side_are_not_deeper), UNIT(every_prefix_is_refused),
    UNIT(strings_are_unquoted_or_refused), UNIT(integers_are_exact_or_none))
