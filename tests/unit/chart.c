#include <string.h>

#include "../../cli/chart.h"
#include "unit.h"

static void
bars_fill_by_eighths(void)
{
	static const struct {
		const char *why;
		double share;
		bool ascii;
		const char *bar;
	} cases[] = {
		{ "empty", 0, false, "····" },
		{ "full", 1, false, "████" },
		{ "half", 0.5, false, "██··" },
		{ "an eighth of a cell", 1.0 / 32, false, "▏···" },
		{ "next to nothing is seen", 0.0001, false, "▏···" },
		{ "next to all is not all", 0.999, false, "███▉" },
		{ "over", 7, false, "████" },
		{ "below", -1, false, "····" },
		{ "plain", 0.625, true, "###." },
		{ "plain, over", 2, true, "####" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf b = { 0 };

		chart_bar(cases[i].share, 4, cases[i].ascii, &b);
		CHECK(strcmp(buf_cstr(&b), cases[i].bar) == 0, cases[i].why);
		buf_fini(&b);
	}
}

static void
the_top_is_round_and_not_below(void)
{
	static const struct {
		double most, top;
	} cases[] = { { 0, 1 }, { 0.4, 1 }, { 1, 1 }, { 1.1, 1.2 }, { 7, 8 },
		{ 9, 10 }, { 10, 10 }, { 10.5, 12 }, { 12.1, 15 }, { 21, 25 },
		{ 61, 80 }, { 650, 800 } };

	for (size_t i = 0; i < NITEMS(cases); i++)
		CU_ASSERT_DOUBLE_EQUAL(
		    chart_top(cases[i].most), cases[i].top, 1e-9);
}

static void
columns_stand_on_each_other(void)
{
	static const double values[] = { 0, 0.01, 4, 5, 8, 99 };
	static const struct {
		const char *why;
		double mark;
		bool ascii;
		const char *rows[2];
	} cases[] = {
		{ "no mark", 0, false, { "   ▂██", " ▁████" } },
		{ "above what is there", 6, false, { "┄┄┄▂██", " ▁████" } },
		{ "on the edge of two rows", 4, false, { "   ▂██", "┄▁████" } },
		{ "at the top", 8, false, { "┄┄┄▂██", " ▁████" } },
		{ "over the top: none", 8.1, false, { "   ▂██", " ▁████" } },
		{ "plain", 6, true, { "---.##", " .####" } },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct chart c = { .values = values,
			.n = NITEMS(values),
			.rows = 2,
			.top = 8,
			.mark = cases[i].mark,
			.ascii = cases[i].ascii };

		for (int row = 0; row < 2; row++) {
			struct buf b = { 0 };

			chart_row(&c, row, &b);
			CHECK(strcmp(buf_cstr(&b), cases[i].rows[row]) == 0,
			    cases[i].why);
			buf_fini(&b);
		}
	}
}

UNIT_MAIN("chart", UNIT(bars_fill_by_eighths),
    UNIT(the_top_is_round_and_not_below), UNIT(columns_stand_on_each_other))
