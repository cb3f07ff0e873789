#include <sluice/header.h>

#include <stdlib.h>
#include <string.h>

#include "unit.h"

static void
the_first_field_of_a_name_is_found(void)
{
	static const struct {
		const char *why, *headers, *value; /* NULL: not there */
	} cases[] = {
		{ "as sent", "HTTP/1.1 200 OK\r\nRetry-After: 7\r\n\r\n", "7" },
		{ "any case", "rETRY-aFTER: 7\r\n", "7" },
		{ "blanks around the value", "retry-after: \t7 8\t \r\n",
		    "7 8" },
		{ "no blank", "retry-after:7\r\n", "7" },
		{ "LF alone", "a: 1\nretry-after: 7\n", "7" },
		{ "no end of line", "retry-after: 7", "7" },
		{ "the value is empty", "retry-after:\r\na: 1\r\n", "" },
		{ "the value is blank", "retry-after: \t \r\n", "" },
		{ "it ends at the colon", "retry-after:", "" },
		{ "the first of two", "retry-after: 7\r\nretry-after: 8\r\n",
		    "7" },
		{ "the first, though empty", "retry-after:\r\nRetry-After: 8",
		    "" },
		{ "colons in the value", "retry-after: 1:2:3\r\n", "1:2:3" },
		{ "after a line without colon", "foo\r\nretry-after: 7\r\n",
		    "7" },
		{ "none", "", NULL },
		{ "another", "date: x\r\n", NULL },
		{ "a longer name", "retry-after-ms: 7\r\n", NULL },
		{ "the end of a name", "x-retry-after: 7\r\n", NULL },
		{ "the start of a name", "retry: 7\r\n", NULL },
		{ "in a value", "a: retry-after: 7\r\n", NULL },
		{ "without a colon", "retry-after\r\n: 7\r\n", NULL },
		{ "a blank before the colon", "retry-after : 7\r\n", NULL },
		{ "a folded line", "a: 1\r\n retry-after: 7\r\n", NULL },
		{ "no name", ": 7\r\n", NULL },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		size_t n = strlen(cases[i].headers);
		char *p = malloc(n); /* its size shows reads past it */
		struct slice v;

		memcpy(p, cases[i].headers, n);
		v = header_find((struct slice){ p, n }, "retry-after");
		if (cases[i].value == NULL)
			CHECK(v.p == NULL && v.n == 0, cases[i].why);
		else
			CHECK(v.p != NULL && slice_eq(v, cases[i].value),
			    cases[i].why);
		free(p);
	}
}

static void
no_headers_at_all_have_none(void)
{
	CU_ASSERT_PTR_NULL(header_find((struct slice){ 0 }, "date").p);
}

UNIT_MAIN("header", UNIT(the_first_field_of_a_name_is_found),
    UNIT(no_headers_at_all_have_none))
