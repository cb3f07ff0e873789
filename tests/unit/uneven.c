/*
 * Token costs of very different sizes under one limit, in virtual time: how
 * much of it is used, that no window holds more, and that nothing starves.
 *
 * uneven MINUTES SEEDS prints a table of all mixes instead.
 */
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "world/world.h"

enum { AMOUNT = 200000, WINDOW_S = 60, CALLS_MAX = 60000, INPUT = 12 };

/* What the lines of a batch declare; the rest are small. */
struct mix {
	const char *what;
	double large; /* share of the lines */
	int32_t large_cap, large_most, small_cap, small_most;
	int32_t first; /* so many small ones before all others */
	int lines;     /* of the batch; 0: no end */
};

static const struct mix *mix;
static int32_t caps[CALLS_MAX]; /* by line */

static int32_t
between(int32_t least, int32_t most)
{
	return least + (int32_t)(world_chance() * (most - least));
}

static void
declare(struct world_batch *b, int32_t number, struct dispatch_line *line)
{
	bool large = number > mix->first && world_chance() < mix->large;

	(void)b;
	line->bytes = 100;
	line->cap = large ? between(mix->large_cap, mix->large_most)
			  : between(mix->small_cap, mix->small_most);
	caps[number] = line->cap;
}

/* What is declared is charged, however short the answer. */
static bool
leave(struct world_call *c)
{
	c->sent_us = c->slot_us + (int64_t)(world_chance() * 30000);
	c->end_us = c->sent_us + 300000 + (int64_t)(world_chance() * 500000);
	c->late_us = c->sent_us - c->slot_us;
	c->input = c->output = INPUT;
	c->bytes = 100;
	c->units = caps[c->line] + INPUT;
	return true;
}

static void
run(const struct mix *of, uint64_t seed, int64_t seconds)
{
	struct dispatch_conf_limit l = { .id = 1,
		.pool = 1,
		.model = "*",
		.dimension = PACE_TOKENS,
		.window_us = WINDOW_S * S,
		.amount = AMOUNT };

	mix = of;
	world_start(&l, 1);
	w.d.paths[0]->charge = PACE_CHARGE_DECLARED;
	w.chance = seed * 0x9e3779b97f4a7c15 + 1;
	for (int i = 0; i < 10; i++)
		world_chance();
	w.line = declare;
	w.leave = leave;
	world_add((struct world_batch){ .priority = 2,
	    .tokens = INPUT,
	    .lines = of->lines > 0 ? of->lines : CALLS_MAX - 1 });
	world_run_for_s(seconds);
	world_sort();
}

static double
used(void)
{
	return world_used(AMOUNT, WINDOW_S * S, true, 2);
}

static int64_t
worst(void)
{
	return world_worst(WINDOW_S * S, true);
}

/* The most lines behind it in the file that went before a line. */
static int
passed(void)
{
	int most = 0, last = 0;

	for (size_t i = 0; i < w.n; i++) {
		if (w.calls[i].line > last)
			last = w.calls[i].line;
		if (last - w.calls[i].line > most)
			most = last - w.calls[i].line;
	}
	return most;
}

/* The longest without a small line, or without a large one, seconds. */
static double
longest_gap_s(bool large)
{
	int64_t last = w.calls[0].sent_us, most = 0;

	for (size_t i = 0; i < w.n; i++) {
		if ((w.calls[i].units > AMOUNT / PACE_LARGE_PART) != large)
			continue;
		if (w.calls[i].sent_us - last > most)
			most = w.calls[i].sent_us - last;
		last = w.calls[i].sent_us;
	}
	return (double)most / 1e6;
}

/* Least: what is used in five minutes with the worst seed, and on average;
 * and in half an hour, start and all. */
static const struct row {
	struct mix mix;
	double least, mean, long_mean;
} rows[] = {
	{ { "1 in 20 takes a quarter, 700 lines", 0.05, 49950, 49950, 1000,
	      1000, 0, 700 },
	    0.98, 0.99, 0 },
	{ { "1 in 20 takes a quarter", 0.05, 49950, 49950, 1000, 1000, 0, 0 },
	    0.98, 0.99, 0.985 },
	{ { "the same after 300 small ones", 0.05, 49950, 49950, 1000, 1000,
	      300, 0 },
	    0.93, 0.98, 0.98 },
	{ { "1 in 100 takes a quarter", 0.01, 49950, 49950, 1000, 1000, 0, 0 },
	    0.97, 0.99, 0.985 },
	{ { "1 in 500 takes a quarter", 0.002, 49950, 49950, 1000, 1000, 0, 0 },
	    0.97, 0.98, 0.98 },
	{ { "1 in 5 takes a quarter", 0.2, 49950, 49950, 1000, 1000, 0, 0 },
	    0.98, 0.98, 0.975 },
	{ { "1 in 50 takes all", 0.02, 199900, 199900, 1000, 1000, 0, 0 }, 0, 0,
	    0.8 },
	{ { "1 in 20 takes 0.3", 0.05, 60000, 60000, 1000, 1000, 0, 0 }, 0.98,
	    0.99, 0.98 },
	{ { "1 in 20 takes 0.06 to 0.4", 0.05, 12000, 80000, 500, 3000, 0, 0 },
	    0.94, 0.99, 0.96 },
	{ { "1 in 2 takes 0.06 to 0.1", 0.5, 12000, 20000, 500, 3000, 0, 0 },
	    0.96, 0.97, 0.965 },
	{ { "all are small", 0, 0, 0, 500, 3000, 0, 0 }, 0.98, 0.985, 0.98 },
};

enum { SEEDS = 7, LONG_SEEDS = 2 };

static void
the_limit_is_full_in_five_minutes_and_never_exceeded(void)
{
	for (size_t i = 0; i < NITEMS(rows); i++) {
		const struct row *r = &rows[i];
		double least = INFINITY, sum = 0;

		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			run(&r->mix, seed, 300);
			least = fmin(least, used());
			sum += used();
			CHECK(worst() <= AMOUNT, r->mix.what);
			world_stop();
		}
		CHECK(least >= r->least, r->mix.what);
		CHECK(sum / SEEDS >= r->mean, r->mix.what);
	}
}

static void
it_stays_full_for_half_an_hour(void)
{
	for (size_t i = 0; i < NITEMS(rows); i++) {
		const struct row *r = &rows[i];
		double sum = 0;

		for (uint64_t seed = 1; seed <= LONG_SEEDS; seed++) {
			run(&r->mix, seed, 1800);
			sum += used();
			CHECK(worst() <= AMOUNT, r->mix.what);
			world_stop();
		}
		CHECK(sum / LONG_SEEDS >= r->long_mean, r->mix.what);
	}
}

static void
neither_large_nor_small_lines_starve(void)
{
	static const struct {
		size_t row;
		double small_s, large_s;
		int passed;
	} cases[] = { { 1, 60, 75, 500 }, { 4, 45, 900, 300 },
		{ 5, 60, 75, 1500 }, { 7, 75, 75, 1500 }, { 8, 75, 120, 400 } };

	for (size_t i = 0; i < NITEMS(cases); i++) {
		const struct mix *of = &rows[cases[i].row].mix;

		for (uint64_t seed = 1; seed <= LONG_SEEDS; seed++) {
			run(of, seed, 1800);
			CHECK(
			    longest_gap_s(false) <= cases[i].small_s, of->what);
			CHECK(
			    longest_gap_s(true) <= cases[i].large_s, of->what);
			CHECK(passed() <= cases[i].passed, of->what);
			world_stop();
		}
	}
}

static void
table(int64_t minutes, uint64_t seeds)
{
	printf("%-36s %8s %8s %8s %8s\n", "mix", "least", "mean", "most",
	    "passed");
	for (size_t i = 0; i < NITEMS(rows); i++) {
		double least = INFINITY, sum = 0;
		int64_t most = 0;
		int by = 0;

		for (uint64_t seed = 1; seed <= seeds; seed++) {
			run(&rows[i].mix, seed, 60 * minutes);
			least = fmin(least, used());
			sum += used();
			most = worst() > most ? worst() : most;
			by = passed() > by ? passed() : by;
			world_stop();
		}
		printf("%-36s %8.4f %8.4f %8lld %8d\n", rows[i].mix.what, least,
		    sum / (double)seeds, (long long)most, by);
	}
}

int
main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		UNIT(the_limit_is_full_in_five_minutes_and_never_exceeded),
		UNIT(it_stays_full_for_half_an_hour),
		UNIT(neither_large_nor_small_lines_starve),
	};

	if (argc == 3) {
		table(atoi(argv[1]), (uint64_t)atoi(argv[2]));
		return 0;
	}
	return unit_main("uneven", tests, NITEMS(tests));
}
