/* Is an upstream there at all? */
#include <string.h>

#include "../../scheduler/breaker.h"
#include "unit.h"

#define S 1000000LL

static void
a_path_that_is_down_is_probed_with_one_line(void)
{
	struct breaker b = { 0 };

	CU_ASSERT_EQUAL(breaker_allows(&b, 0, 100), INT64_MAX);
	breaker_seen(&b, 10 * S, 0, true, "refused");
	CU_ASSERT_EQUAL(breaker_allows(&b, 10 * S + 500000, 0), 0);
	CU_ASSERT_EQUAL(breaker_allows(&b, 11 * S, 0), 1);
	CU_ASSERT_EQUAL(breaker_allows(&b, 11 * S, 1), 0);
	breaker_seen(&b, 12 * S, 0, true, "refused"); /* the probe failed too */
	CU_ASSERT_EQUAL(breaker_allows(&b, 13 * S, 0), 0);
	CU_ASSERT_EQUAL(breaker_allows(&b, 14 * S, 0), 1);
	for (int i = 0; i < 20; i++) {
		breaker_seen(&b, b.until_us, 0, true, "refused");
		breaker_allows(&b, b.until_us, 0);
	}
	CU_ASSERT_EQUAL(b.health, BREAKER_PROBING);
	breaker_seen(&b, 1000 * S, 0, true, "refused");
	CU_ASSERT_EQUAL(b.until_us, 1060 * S);
	breaker_seen(&b, 1001 * S, 0, true, "one that was out before");
	CU_ASSERT_EQUAL(b.until_us, 1060 * S);
	breaker_allows(&b, 1060 * S, 0);
	breaker_seen(&b, 1061 * S, 1, false, "");
	CU_ASSERT_EQUAL(b.health, BREAKER_UP);
	CU_ASSERT_EQUAL(b.failures, 0);
}

static void
a_path_that_is_edited_is_tried_anew(void)
{
	struct breaker b = { 0 };

	breaker_edited(&b, 0, 7);
	CU_ASSERT_EQUAL(breaker_allows(&b, 0, 7), INT64_MAX);
	for (int i = 0; i < 9; i++) {
		breaker_seen(&b, b.until_us, 0, true, "HTTP 401");
		breaker_allows(&b, b.until_us, 0);
	}
	breaker_seen(&b, 1000 * S, 0, true, "HTTP 401");
	CU_ASSERT_EQUAL(b.until_us, 1060 * S);
	b.changed = false;
	breaker_edited(&b, 1001 * S, 2); /* two calls hang */
	CU_ASSERT(b.changed && strstr(b.why, "401") == NULL);
	CU_ASSERT_EQUAL(breaker_allows(&b, 1001 * S + 900000, 2), 0);
	CU_ASSERT_EQUAL(breaker_allows(&b, 1002 * S, 2), 1);
	CU_ASSERT_EQUAL(breaker_allows(&b, 1002 * S, 3), 0);
	CU_ASSERT_EQUAL(breaker_allows(&b, 1003 * S, 1), 1);
	CU_ASSERT_EQUAL(breaker_allows(&b, 1003 * S, 2), 0);
	breaker_seen(&b, 1004 * S, 0, true, "HTTP 403");
	CU_ASSERT_EQUAL(b.until_us, 1005 * S);
	CU_ASSERT_EQUAL(breaker_allows(&b, 1005 * S, 0), 1);
	breaker_edited(&b, 1006 * S, 1); /* while it is probed */
	CU_ASSERT_EQUAL(b.health, BREAKER_DOWN);
	breaker_allows(&b, 1007 * S, 1);
	breaker_seen(&b, 1008 * S, 1, false, "");
	CU_ASSERT_EQUAL(b.health, BREAKER_UP);
	CU_ASSERT_EQUAL(b.before, 0);
}

UNIT_MAIN("breaker", UNIT(a_path_that_is_down_is_probed_with_one_line),
    UNIT(a_path_that_is_edited_is_tried_anew))
