/*
 * unit - a CUnit suite from a table of tests; prints TAP.
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <CUnit/CUnit.h>
#include <stdio.h>

#include <sluice/slc.h>

struct unit_test {
	const char *name;
	void (*run)(void);
};

static int
unit_main(const char *suite_name, const struct unit_test *tests, size_t n)
{
	CU_pSuite suite;
	unsigned failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (CU_initialize_registry() != CUE_SUCCESS ||
	    (suite = CU_add_suite(suite_name, NULL, NULL)) == NULL)
		return 2;
	printf("1..%zu\n", n);
	for (size_t i = 0; i < n; i++) {
		CU_pTest test = CU_add_test(suite, tests[i].name, tests[i].run);

		if (test == NULL)
			return 2;
		CU_run_test(suite, test);
		for (CU_pFailureRecord f = CU_get_failure_list(); f != NULL;
		     f = f->pNext)
			printf("# %s:%u: %s\n", f->strFileName, f->uiLineNumber,
			    f->strCondition);
		if (CU_get_number_of_failures() > 0)
			failed++;
		printf("%s %zu - %s: %s\n",
		    CU_get_number_of_failures() > 0 ? "not ok" : "ok", i + 1,
		    suite_name, tests[i].name);
	}
	CU_cleanup_registry();
	return failed > 0;
}

/* An assertion that fails with the row of a table that says why it is there. */
#define CHECK(good, why) \
	CU_assertImplementation(good, __LINE__, why, __FILE__, "", CU_FALSE)

#define UNIT(f)       \
	{             \
#f, f \
	}
#define UNIT_MAIN(suite, ...)                                            \
	int main(void)                                                   \
	{                                                                \
		static const struct unit_test tests[] = { __VA_ARGS__ }; \
		return unit_main(suite, tests, NITEMS(tests));           \
	}

#endif
