/* Whoever refuses lists is not asked for ever. */
#include "unit.h"

#include <stdio.h>

#include "../../worker/lists.h"

#define NOW INT64_C(5000000)

static void
lists_rest_that_only_lines_alone_get_through(void)
{
	/* t: taken, r: refused, a: alone, n: nothing */
	static const struct {
		const char *why, *ends;
		bool rest;
	} cases[] = {
		{ "nothing was seen", "", false },
		{ "all is well", "tttttttttta", false },
		{ "one bad line", "rrrrrrra", false },
		{ "no list went through, a line did", "rrrrrrrra", true },
		{ "nor did a line", "rrrrrrrrrrrr", false },
		{ "lines did before, too", "arararararararara", true },
		{ "a part of a list went through", "rrrrtrrrra", false },
		{ "what says nothing changes nothing", "rrrrnrrrrna", true },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct lists l = { 0 };

		for (const char *p = cases[i].ends; *p != '\0'; p++)
			lists_saw(&l, "m",
			    *p == 't'       ? LISTS_TAKEN
				: *p == 'r' ? LISTS_REFUSED
				: *p == 'a' ? LISTS_ALONE
					    : LISTS_NOTHING,
			    NOW);
		CHECK(lists_rest(&l, "m", NOW) == cases[i].rest, cases[i].why);
		CHECK(lists_rest(&l, "m", NOW + LISTS_REST_US - 1) ==
			cases[i].rest,
		    cases[i].why);
		CHECK(!lists_rest(&l, "m", NOW + LISTS_REST_US), cases[i].why);
		CHECK(!lists_rest(&l, "other", NOW), cases[i].why);
		lists_fini(&l);
	}
}

static void
refuse(struct lists *l, const char *model)
{
	for (int i = 0; i < LISTS_REFUSED_MAX; i++)
		lists_saw(l, model, LISTS_REFUSED, NOW);
	lists_saw(l, model, LISTS_ALONE, NOW);
}

static void
after_the_rest_it_is_tried_anew(void)
{
	struct lists l = { 0 };
	int64_t later = NOW + LISTS_REST_US;

	refuse(&l, "m");
	lists_saw(&l, "m", LISTS_REFUSED, later);
	lists_saw(&l, "m", LISTS_ALONE, later);
	CU_ASSERT_FALSE(lists_rest(&l, "m", later));
	lists_fini(&l);
}

static void
the_last_models_are_remembered(void)
{
	struct lists l = { 0 };
	char name[16];

	for (int i = 0; i <= LISTS_MODELS; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		refuse(&l, name);
	}
	CU_ASSERT_FALSE(lists_rest(&l, "m0", NOW));
	CU_ASSERT_TRUE(lists_rest(&l, "m1", NOW));
	CU_ASSERT_TRUE(lists_rest(&l, name, NOW));
	lists_fini(&l);
}

UNIT_MAIN("lists", UNIT(lists_rest_that_only_lines_alone_get_through),
    UNIT(after_the_rest_it_is_tried_anew), UNIT(the_last_models_are_remembered))
