/* By which of a model's paths a line may go. */
#include "unit.h"

#include <string.h>

#include "../../scheduler/route.h"

#define S INT64_C(1000000)

enum { WAYS = 4 };

/* Direct at 4, another provider at 5, a suffix at 2, batches at 1. */
static const struct route_way WAYS_ALL[WAYS] = {
	{ .priced = true, .cost = 4, .least = 4 },
	{ .priced = true, .cost = 5, .least = 5 },
	{ .priced = true,
	    .cost = 2,
	    .least = 2,
	    .cheap = true,
	    .turn_us = 60 * S },
	{ .priced = true,
	    .cost = 1,
	    .least = 1,
	    .cheap = true,
	    .packed = true,
	    .turn_us = 660 * S },
};

static void
ranks(const struct route_work *work, unsigned down, char out[WAYS + 1])
{
	struct route_way ways[WAYS];

	for (int i = 0; i < WAYS; i++) {
		ways[i] = WAYS_ALL[i];
		ways[i].down = down & 1u << i;
	}
	route_rank(work, ways, WAYS);
	for (int i = 0; i < WAYS; i++)
		out[i] = ways[i].rank < 0 ? '-' : (char)('0' + ways[i].rank);
	out[WAYS] = '\0';
}

static void
the_cheapest_path_that_makes_the_deadline(void)
{
	static const struct {
		const char *why;
		struct route_work work;
		unsigned down;
		const char *want; /* ranks: direct, other, suffix, batches */
	} cases[] = {
		{ "time enough", { .left_us = 7200 * S, .spare_us = 3600 * S },
		    0, "---0" },
		{ "batches would not be back in time",
		    { .left_us = 7200 * S, .spare_us = 600 * S }, 0, "--0-" },
		{ "too late for cheap ones alone: all, the cheapest first",
		    { .left_us = 3600 * S, .spare_us = -1 }, 0, "120-" },
		{ "a cheap call would not end in time",
		    { .left_us = 70 * S, .spare_us = -1 }, 0, "01--" },
		{ "urgent: direct",
		    { .urgent = true,
			.left_us = 7200 * S,
			.spare_us = 3600 * S },
		    0, "01--" },
		{ "urgent, and asked to be cheap",
		    { .urgent = true,
			.choice = ROUTE_CHEAP,
			.left_us = 7200 * S,
			.spare_us = 3600 * S },
		    0, "---0" },
		{ "urgent, nothing direct is up: better cheap than not",
		    { .urgent = true,
			.left_us = 7200 * S,
			.spare_us = 3600 * S },
		    3, "2310" },
		{ "direct, as asked for",
		    { .choice = ROUTE_DIRECT,
			.left_us = 7200 * S,
			.spare_us = 3600 * S },
		    3, "01--" },
		{ "cheap, as asked for, until it is too late",
		    { .choice = ROUTE_CHEAP,
			.left_us = 3600 * S,
			.spare_us = -1 },
		    0, "120-" },
		{ "never direct instead",
		    { .no_escalate = true, .left_us = 60 * S, .spare_us = -1 },
		    0, "--10" },
		{ "the cheap one is down: that passes",
		    { .left_us = 7200 * S, .spare_us = 3600 * S }, 8, "---0" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		char got[WAYS + 1];

		ranks(&cases[i].work, cases[i].down, got);
		CHECK(strcmp(got, cases[i].want) == 0, cases[i].why);
		if (strcmp(got, cases[i].want) != 0)
			printf("# %s: %s\n", cases[i].why, got);
	}
}

static void
a_provider_that_is_down_is_replaced_by_a_dearer_one(void)
{
	struct route_way ways[2] = { WAYS_ALL[0], WAYS_ALL[1] };
	struct route_work work = { .left_us = 7200 * S, .spare_us = 3600 * S };

	route_rank(&work, ways, 2);
	CU_ASSERT_EQUAL(ways[0].rank, 0);
	CU_ASSERT_EQUAL(ways[1].rank, -1);
	ways[0].down = true;
	route_rank(&work, ways, 2);
	CU_ASSERT_EQUAL(ways[0].rank, 0);
	CU_ASSERT_EQUAL(ways[1].rank, 1);
}

static void
equal_prices_are_equal_and_unknown_ones_guessed(void)
{
	struct route_way ways[3] = { { .cost = 0 }, { .cost = 0 },
		{ .cheap = true } };
	struct route_work work = { .left_us = 7200 * S, .spare_us = 3600 * S };

	route_rank(&work, ways, 2);
	CU_ASSERT_EQUAL(ways[0].rank, 0);
	CU_ASSERT_EQUAL(ways[1].rank, 0);
	/* A cheap kind is cheaper, whatever nobody says. */
	route_rank(&work, ways, 3);
	CU_ASSERT_EQUAL(ways[0].rank, -1);
	CU_ASSERT_EQUAL(ways[2].rank, 0);
	/* The operator's own machine is free. */
	ways[1] = WAYS_ALL[0];
	route_rank(&work, ways, 3);
	CU_ASSERT_EQUAL(ways[0].rank, 0);
	CU_ASSERT_EQUAL(ways[2].rank, -1);
	/* Both are priced the same. */
	ways[0] = ways[1];
	ways[2] = (struct route_way){
		.cheap = true, .priced = true, .cost = 4, .least = 4
	};
	route_rank(&work, ways, 3);
	CU_ASSERT_EQUAL(ways[0].rank, 0);
	CU_ASSERT_EQUAL(ways[2].rank, 0);
}

static void
the_guard_does_not_vanish(void)
{
	CU_ASSERT_EQUAL(route_guard_us(0, 0, 0), ROUTE_GUARD_MIN_US);
	CU_ASSERT_EQUAL(route_guard_us(3600 * S, 0, 0), 180 * S);
	CU_ASSERT_EQUAL(route_guard_us(60 * S, 30 * S, 0), 90 * S);
	CU_ASSERT_EQUAL(
	    route_guard_us(60 * S, 30 * S, ROUTE_BACK_US), ROUTE_BACK_US);
}

static void
prices_hold_at_their_times(void)
{
	struct route_span nights[] = { { 100, 200 }, { 300, 400 } };
	struct route_price prices[] = {
		{ .model = "*", .input = 8000000, .output = 16000000 },
		{ .model = "gpt*", .input = 4000000, .output = 4000000 },
		{ .model = "gpt-4", .input = 6000000, .output = 6000000 },
		{ .model = "g*",
		    .input = 1000000,
		    .output = 1000000,
		    .timed = true,
		    .spans = nights,
		    .nspans = 2 },
	};
	struct route_way ways[1];
	struct route_work work = { .left_us = 7200 * S, .spare_us = 3600 * S };

	CU_ASSERT_PTR_EQUAL(route_price(prices, 4, "glm", 50), &prices[0]);
	CU_ASSERT_PTR_EQUAL(route_price(prices, 4, "gpt-5", 50), &prices[1]);
	CU_ASSERT_PTR_EQUAL(route_price(prices, 4, "gpt-4", 50), &prices[2]);
	CU_ASSERT_PTR_EQUAL(route_price(prices, 4, "gpt-4", 100), &prices[3]);
	CU_ASSERT_PTR_EQUAL(route_price(prices, 4, "gpt-4", 200), &prices[2]);
	CU_ASSERT_PTR_NULL(route_price(prices + 3, 1, "gpt-4", 200));
	CU_ASSERT_DOUBLE_EQUAL(route_money(&prices[0], 10, 1), 96, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(route_money(NULL, 10, 1), 0, 0);
	CU_ASSERT_DOUBLE_EQUAL(
	    route_money_least(prices, 4, "gpt-4", 1, 0, 200, 299), 6, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(
	    route_money_least(prices, 4, "gpt-4", 1, 0, 200, 300), 1, 1e-9);
	/* It will be cheaper before it is too late: not now. */
	ways[0] = (struct route_way){ .priced = true, .cost = 6, .least = 1 };
	route_rank(&work, ways, 1);
	CU_ASSERT_EQUAL(ways[0].rank, -1);
	work.urgent = true;
	route_rank(&work, ways, 1);
	CU_ASSERT_EQUAL(ways[0].rank, 0);
	work = (struct route_work){ .left_us = 60 * S, .spare_us = -1 };
	route_rank(&work, ways, 1);
	CU_ASSERT_EQUAL(ways[0].rank, 0);
}

UNIT_MAIN("route", UNIT(the_cheapest_path_that_makes_the_deadline),
    UNIT(a_provider_that_is_down_is_replaced_by_a_dearer_one),
    UNIT(equal_prices_are_equal_and_unknown_ones_guessed),
    UNIT(the_guard_does_not_vanish), UNIT(prices_hold_at_their_times))
