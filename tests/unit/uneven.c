/*
 * Token costs of very different sizes under one limit, in virtual time: how
 * much of it is used, that no window holds more, and that nothing starves.
 *
 * uneven MINUTES SEEDS prints a table of all mixes instead.
 */
#include "unit.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../scheduler/dispatch.h"

#define S INT64_C(1000000)

enum { AMOUNT = 200000, WINDOW_S = 60, CALLS_MAX = 60000 };

/* What the lines of a batch declare; the rest are small. */
struct mix {
	const char *what;
	double large; /* share of the lines */
	int32_t large_cap, large_most, small_cap, small_most;
	int32_t first; /* so many small ones before all others */
	int lines;     /* of the batch; 0: no end */
};

struct call {
	int64_t slot, keep, send, end; /* microseconds */
	int32_t est_input, est_output, units, line;
	bool settled;
};

static struct {
	struct dispatch d;
	const struct mix *mix;
	uint64_t chance;
	int64_t now;
	struct call calls[CALLS_MAX];
	size_t n, settled;
	int next_line;
	int32_t caps[CALLS_MAX]; /* by line */
} w;

static double
chance(void)
{
	w.chance ^= w.chance << 13;
	w.chance ^= w.chance >> 7;
	w.chance ^= w.chance << 17;
	return (double)(w.chance >> 11) / 9007199254740992.0;
}

static int32_t
between(int32_t least, int32_t most)
{
	return least + (int32_t)(chance() * (most - least));
}

static void
world_start(const struct mix *mix, uint64_t seed)
{
	static const char *const all[] = { "*" };
	struct dispatch_conf_path path = { .id = 1,
		.pool = 1,
		.models = all,
		.nmodels = 1,
		.charge = PACE_CHARGE_DECLARED };
	struct dispatch_conf_limit l = { .id = 1,
		.pool = 1,
		.model = "*",
		.dimension = PACE_TOKENS,
		.window_us = WINDOW_S * S,
		.amount = AMOUNT };

	memset(&w, 0, sizeof(w));
	w.mix = mix;
	w.chance = seed * 0x9e3779b97f4a7c15 + 1;
	for (int i = 0; i < 10; i++)
		chance();
	w.now = 1000 * S;
	w.next_line = 1;
	dispatch_init(&w.d);
	dispatch_configure(&w.d, &path, 1, &l, 1);
	w.d.paths[0]->aimd.limit = AIMD_UNBOUND;
	dispatch_lanes_begin(&w.d);
	dispatch_lane_put(&w.d, 7, "m", 2, INT64_C(100000) * S, 1,
	    mix->lines > 0 ? mix->lines : CALLS_MAX - 1);
	dispatch_lanes_end(&w.d);
}

static void
feed(void)
{
	struct dispatch_lane *lane = dispatch_lane(&w.d, 7);

	while (dispatch_lane_wants(lane) && w.next_line < CALLS_MAX &&
	    (w.mix->lines == 0 || w.next_line <= w.mix->lines)) {
		bool large =
		    w.next_line > w.mix->first && chance() < w.mix->large;
		struct dispatch_line line = {
			.chunk = 1 + (w.next_line - 1) / 256,
			.first_line = 1 + (w.next_line - 1) / 256 * 256,
			.index = (int16_t)(1 + (w.next_line - 1) % 256),
			.bytes = 100,
			.cap = large
			    ? between(w.mix->large_cap, w.mix->large_most)
			    : between(w.mix->small_cap, w.mix->small_most),
		};

		w.caps[w.next_line++] = line.cap;
		dispatch_lane_fresh(lane, &line);
	}
}

static void
take(const struct dispatch_run *run)
{
	for (size_t k = 0; k < run->n; k++) {
		struct call *c = &w.calls[w.n++];
		int64_t slot = run->send_us + run->lines[k].slot_us;
		int32_t line = run->first_line + run->lines[k].index - 1;

		assert(w.n < CALLS_MAX);
		assert(slot >= w.now + DISPATCH_LEAD_US);
		*c = (struct call){ .slot = slot,
			.keep = run->keep_us,
			.send = slot + (int64_t)(chance() * 30000),
			.est_input = run->lines[k].input,
			.est_output = run->lines[k].output,
			.units = w.caps[line] + 12,
			.line = line };
		c->end = c->send + 300000 + (int64_t)(chance() * 500000);
	}
}

static void
settle(void)
{
	int64_t out = 0;

	for (size_t i = w.settled; i < w.n; i++) {
		struct call *c = &w.calls[i];
		double ms = (double)(c->end - c->send) / 1000;
		struct dispatch_entry e = { .slot_us = c->slot,
			.keep_us = c->keep,
			.sent_us = c->send,
			.est_input = c->est_input,
			.est_output = c->est_output,
			.input = 12,
			.output = 12,
			.ms = (int64_t)ms };
		struct dispatch_seen seen = { .path = 1,
			.model = "m",
			.ok = 1,
			.late_us = c->send - c->slot,
			.sample = { .n = 1,
			    .bytes = 100,
			    .input = 12,
			    .output = 12,
			    .ms = ms,
			    .ms2 = ms * ms } };

		if (c->settled || c->end > w.now) {
			out += !c->settled;
			continue;
		}
		dispatch_settle(&w.d, 1, "m", &e);
		dispatch_seen(&w.d, w.now, &seen);
		c->settled = true;
	}
	while (w.settled < w.n && w.calls[w.settled].settled)
		w.settled++;
	dispatch_world_begin(&w.d);
	dispatch_worker(&w.d, 1000);
	dispatch_out(&w.d, 1, "m", out);
}

static int
by_send(const void *a, const void *b)
{
	const struct call *x = a, *y = b;

	return x->send < y->send ? -1 : x->send > y->send;
}

static void
run_for_s(int64_t seconds)
{
	int64_t end = w.now + seconds * S;

	for (; w.now < end; w.now += 100000) {
		struct dispatch_plan plan = { 0 };

		settle();
		feed();
		dispatch_plan(&w.d, w.now, &plan);
		for (size_t i = 0; i < plan.nruns; i++)
			take(plan.runs[i]);
		dispatch_plan_fini(&plan);
	}
	qsort(w.calls, w.n, sizeof(w.calls[0]), by_send);
}

/* The most of units in any closed window. */
static int64_t
worst(void)
{
	int64_t sum = 0, most = 0;
	size_t first = 0;

	for (size_t i = 0; i < w.n; i++) {
		sum += w.calls[i].units;
		while (w.calls[first].send < w.calls[i].send - WINDOW_S * S)
			sum -= w.calls[first++].units;
		most = sum > most ? sum : most;
	}
	return most;
}

/*
 * Share of the limit that was used from so long after the first send on, from
 * one send to another, the last one not counted: as bench/limits has it.
 */
static double
used(int64_t after_s)
{
	int64_t from = w.calls[0].send + after_s * S, units = 0;
	size_t i = 0, last = w.n - 1;

	while (i < last && w.calls[i].send < from)
		i++;
	from = w.calls[i].send;
	for (; i < last; i++)
		units += w.calls[i].units;
	return (double)units /
	    ((double)AMOUNT * (double)(w.calls[last].send - from) /
		(double)(WINDOW_S * S));
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
	int64_t last = w.calls[0].send, most = 0;

	for (size_t i = 0; i < w.n; i++) {
		if ((w.calls[i].units > AMOUNT / PACE_LARGE_PART) != large)
			continue;
		if (w.calls[i].send - last > most)
			most = w.calls[i].send - last;
		last = w.calls[i].send;
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
			world_start(&r->mix, seed);
			run_for_s(300);
			least = fmin(least, used(2));
			sum += used(2);
			CHECK(worst() <= AMOUNT, r->mix.what);
			dispatch_fini(&w.d);
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
			world_start(&r->mix, seed);
			run_for_s(1800);
			sum += used(2);
			CHECK(worst() <= AMOUNT, r->mix.what);
			dispatch_fini(&w.d);
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
		const struct mix *mix = &rows[cases[i].row].mix;

		for (uint64_t seed = 1; seed <= LONG_SEEDS; seed++) {
			world_start(mix, seed);
			run_for_s(1800);
			CHECK(longest_gap_s(false) <= cases[i].small_s,
			    mix->what);
			CHECK(
			    longest_gap_s(true) <= cases[i].large_s, mix->what);
			CHECK(passed() <= cases[i].passed, mix->what);
			dispatch_fini(&w.d);
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
			world_start(&rows[i].mix, seed);
			run_for_s(60 * minutes);
			least = fmin(least, used(2));
			sum += used(2);
			most = worst() > most ? worst() : most;
			by = passed() > by ? passed() : by;
			dispatch_fini(&w.d);
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
