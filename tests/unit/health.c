#include "../../worker/health.h"

#include <string.h>

#include "unit.h"

/* A letter: that line fails; a point: one is answered. */
static void
different_lines_in_a_row_mean_the_path(void)
{
	static const struct {
		const char *why, *events,
		    *bulk; /* + where the path is blamed */
	} cases[] = {
		{ "one line", "a", "-" },
		{ "one line for ever", "aaaaaaaa", "--------" },
		{ "three lines in turn", "abcabcabc", "---------" },
		{ "the fourth line", "abcd", "---+" },
		{ "the fourth after repeats", "aabbccaad", "--------+" },
		{ "a line seen before", "abcda", "---++" },
		{ "a fifth line", "abcde", "---++" },
		{ "the fifth again", "abcdee", "---+++" },
		{ "an answer between", "abc.def", "---.---" },
		{ "an answer forgets the lines", "abc.abc", "---.---" },
		{ "an answer ends it", "abcd.a", "---+.-" },
		{ "then it takes four again", "abcd.abcd", "---+.---+" },
		{ "an answer first", ".abcd", ".---+" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct health h = { 0 };
		char bulk[16] = "";

		for (size_t k = 0; cases[i].events[k] != '\0'; k++) {
			uint64_t line = (uint64_t)cases[i].events[k];

			bulk[k] = '.';
			if (cases[i].events[k] == '.')
				health_ok(&h);
			else
				bulk[k] = health_failed(&h, line) ? '+' : '-';
		}
		CHECK(strcmp(bulk, cases[i].bulk) == 0, cases[i].why);
	}
}

static void
lines_differ_in_all_64_bits(void)
{
	struct health h = { 0 };

	CU_ASSERT_FALSE(health_failed(&h, 0));
	CU_ASSERT_FALSE(health_failed(&h, 0));
	CU_ASSERT_FALSE(health_failed(&h, UINT64_C(1) << 63));
	CU_ASSERT_FALSE(health_failed(&h, UINT64_C(1) << 32));
	CU_ASSERT(health_failed(&h, 1));
}

UNIT_MAIN("health", UNIT(different_lines_in_a_row_mean_the_path),
    UNIT(lines_differ_in_all_64_bits))
