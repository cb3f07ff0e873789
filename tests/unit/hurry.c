/* Budgets of hours and days, spent for deadlines in virtual time. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "../../scheduler/dispatch.h"

#define S    INT64_C(1000000)
#define HOUR (3600 * S)
#define DAY  (24 * HOUR)

enum { LANES = 2, STEP_US = 500000 };

static const char *const all[] = { "*" };

static struct {
	struct dispatch d;
	int64_t now, start;
	int64_t granted;
	int32_t next[LANES], lines[LANES];
	int64_t deadline[LANES];
	size_t nlanes;
	double burst, level; /* a bucket's, when it holds less than all */
	int64_t refused;
} w;

static void
world_start_of(enum pace_dimension dimension, int64_t amount, int64_t window_us)
{
	struct dispatch_conf_path path = {
		.id = 1, .pool = 1, .models = all, .nmodels = 1
	};
	struct dispatch_conf_limit limit = { .id = 1,
		.pool = 1,
		.model = "*",
		.dimension = dimension,
		.window_us = window_us,
		.amount = amount,
		.next_us = 1 };

	memset(&w, 0, sizeof(w));
	w.now = w.start = 1000 * DAY;
	dispatch_init(&w.d);
	dispatch_configure(&w.d, &path, 1, &limit, 1);
}

static void
world_start(int64_t amount, int64_t window_us)
{
	world_start_of(PACE_REQUESTS, amount, window_us);
}

static void
lane(int32_t lines, int64_t for_us)
{
	w.lines[w.nlanes] = lines;
	w.next[w.nlanes] = 1;
	w.deadline[w.nlanes++] = w.now + for_us;
}

static void
feed(void)
{
	dispatch_lanes_begin(&w.d);
	for (size_t i = 0; i < w.nlanes; i++) {
		struct dispatch_lane *l = dispatch_lane(&w.d, (int64_t)i + 1);
		int32_t left = l == NULL ? w.lines[i] : l->lines_left;

		if (left > 0 && w.now < w.deadline[i])
			dispatch_lane_put(&w.d, (int64_t)i + 1, "m", 2,
			    w.deadline[i], 1, left);
	}
	dispatch_lanes_end(&w.d);
	for (size_t i = 0; i < w.nlanes; i++) {
		struct dispatch_lane *l = dispatch_lane(&w.d, (int64_t)i + 1);

		while (l != NULL && w.next[i] <= w.lines[i] &&
		    dispatch_lane_wants(l)) {
			struct dispatch_line line = {
				.chunk = 1 + (w.next[i] - 1) / 256,
				.first_line = 1 + (w.next[i] - 1) / 256 * 256,
				.index = (int16_t)(1 + (w.next[i] - 1) % 256),
				.bytes = 300,
				.cap = -1,
			};

			dispatch_lane_fresh(l, &line);
			w.next[i]++;
		}
	}
}

/* The bucket sees a call at its slot; one that is refused is a day's cap to
 * nobody, and tells no wait. */
static void
arrive(int64_t slot_us)
{
	struct dispatch_refusal refusal = { .kind = DIALECT_RATE,
		.dim = DIALECT_REQUESTS,
		.n = 1,
		.sent_us = slot_us };
	struct dispatch_seen seen = {
		.path = 1, .model = "m", .sample = { .n = 1 }
	};

	w.granted++;
	if (w.burst == 0)
		return;
	if (w.level + 1 > w.burst) {
		w.refused++;
		seen.refusals = &refusal;
		seen.nrefusals = 1;
	} else {
		w.level++;
	}
	dispatch_seen(&w.d, w.now, &seen);
}

static void
run_for_us(int64_t us)
{
	const struct pace *p = &w.d.rates[0]->pace;
	int64_t end = w.now + us;

	for (; w.now < end; w.now += STEP_US) {
		struct dispatch_plan plan = { 0 };

		w.level -=
		    (double)STEP_US * (double)p->amount / (double)p->window_us;
		if (w.level < 0)
			w.level = 0;
		dispatch_world_begin(&w.d);
		dispatch_worker(&w.d, 1000);
		feed();
		dispatch_plan(&w.d, w.now, &plan);
		for (size_t i = 0; i < plan.nruns; i++)
			for (size_t k = 0; k < plan.runs[i]->n; k++)
				arrive(plan.runs[i]->send_us +
				    plan.runs[i]->lines[k].slot_us);
		dispatch_plan_fini(&plan);
	}
}

static void
a_deadline_that_can_be_kept_is(void)
{
	static const struct {
		const char *why;
		int64_t amount, window_us;
		int32_t lines[LANES];
		int64_t for_us[LANES];
	} cases[] = {
		{ "three quarters of a day's in a quarter of it", 2000, DAY,
		    { 1500 }, { 6 * HOUR } },
		{ "two, the first one small and soon", 2000, DAY, { 100, 1400 },
		    { HOUR / 2, 7 * HOUR } },
		{ "the later one is due first", 2000, DAY, { 600, 900 },
		    { 20 * HOUR, 11 * HOUR } },
		{ "three hours' and a half in a bit more than three", 400, HOUR,
		    { 1400 }, { 192 * HOUR / 60 } },
		{ "a tenth of a day's in five minutes", 10000, DAY, { 1000 },
		    { 300 * S } },
		{ "in a minute", 10000, DAY, { 700 }, { 60 * S } },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		int64_t most_us = 0, lines = 0;

		world_start(cases[i].amount, cases[i].window_us);
		for (size_t k = 0; k < LANES && cases[i].lines[k] > 0; k++) {
			lane(cases[i].lines[k], cases[i].for_us[k]);
			lines += cases[i].lines[k];
			if (most_us < cases[i].for_us[k])
				most_us = cases[i].for_us[k];
		}
		run_for_us(most_us);
		CHECK(w.granted == lines, cases[i].why);
		dispatch_fini(&w.d);
	}
}

static void
lines_that_go_again_are_hurried_too(void)
{
	enum { LINES = 100 };
	int64_t granted = 0;

	world_start(10000, DAY);
	for (int64_t end = w.now + 100 * S; w.now < end; w.now += STEP_US) {
		struct dispatch_plan plan = { 0 };

		dispatch_world_begin(&w.d);
		dispatch_worker(&w.d, 1000);
		dispatch_lanes_begin(&w.d);
		dispatch_lane_put(&w.d, 1, "m", 2, end, LINES + 1, 0);
		dispatch_lanes_end(&w.d);
		for (int16_t i = 1; w.now == w.start && i <= LINES; i++) {
			struct dispatch_line line = { .chunk = 1,
				.first_line = 1,
				.index = i,
				.bytes = 300,
				.cap = -1,
				.tries = 1 };

			dispatch_lane_again(dispatch_lane(&w.d, 1), &line);
		}
		dispatch_plan(&w.d, w.now, &plan);
		for (size_t i = 0; i < plan.nruns; i++)
			granted += (int64_t)plan.runs[i]->n;
		dispatch_plan_fini(&plan);
	}
	CU_ASSERT_EQUAL(granted, LINES);
	dispatch_fini(&w.d);
}

/* A tenth of a day's: nothing to hurry for, unless each is taken for 612. */
static void
tokens_are_what_was_learned(void)
{
	world_start_of(PACE_TOKENS, 1000000, DAY);
	lane(5000, 12 * HOUR);
	run_for_us(STEP_US);
	CU_ASSERT_EQUAL_FATAL(w.d.nflows, 1);
	w.d.flows[0]->estimate = (struct estimate){ .n = 1000,
		.ratio = 10.0 / 300,
		.output = 10,
		.output2 = 100,
		.ms = 100,
		.ms2 = 10000 };
	run_for_us(HOUR);
	CU_ASSERT(w.granted > 2000); /* 2081 an hour, and some at once */
	CU_ASSERT(w.granted < 3000);
	dispatch_fini(&w.d);
}

static void
what_cannot_be_done_hurries_nobody(void)
{
	static const struct {
		const char *why;
		int64_t amount, window_us;
		int32_t lines;
		int64_t least, most; /* in six hours */
	} cases[] = {
		{ "more than a day's in a day", 2000, DAY, 2800, 499, 502 },
		{ "far more than can be", 400, HOUR, 20000, 2395, 2440 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		world_start(cases[i].amount, cases[i].window_us);
		lane(cases[i].lines, DAY);
		run_for_us(6 * HOUR);
		CHECK(w.granted >= cases[i].least && w.granted <= cases[i].most,
		    cases[i].why);
		dispatch_fini(&w.d);
	}
}

static void
a_bucket_that_holds_less_refuses_once(void)
{
	world_start(2000, DAY);
	w.burst = 200;
	lane(1500, 10 * HOUR);
	lane(4000, 3 * DAY);
	run_for_us(2 * DAY);
	CU_ASSERT_EQUAL(w.refused, 1);
	/* All of two days but for what the refusal cost. */
	CU_ASSERT(w.granted > 3980);
	dispatch_fini(&w.d);
}

static void
a_budget_waits_for_what_flows_in(void)
{
	struct pace p;
	int64_t now = 1000 * DAY, first, most;

	pace_init(&p, PACE_REQUESTS, 2000, DAY);
	pace_refused(&p, now, 0, now, PACE_BLAME_US);
	first = p.paused_us - now;
	CU_ASSERT(first >= DAY / 2000);
	CU_ASSERT(first < 2 * DAY / 2000);
	for (int i = 0; i < 10; i++) {
		now = p.paused_us;
		pace_refused(&p, now, 0, now, PACE_BLAME_US);
		most = p.paused_us - now;
	}
	CU_ASSERT_EQUAL(most, DAY / 96);
	/* What the upstream says is right. */
	now = p.paused_us;
	pace_refused(&p, now, 5 * S, now, PACE_BLAME_US);
	CU_ASSERT_EQUAL(p.paused_us, now + 5 * S);
	/* Its reason lasts longer than an hour. */
	CU_ASSERT(p.ladder.hold_us >= DAY);
	pace_fini(&p);
}

UNIT_MAIN("hurry", UNIT(a_deadline_that_can_be_kept_is),
    UNIT(lines_that_go_again_are_hurried_too),
    UNIT(tokens_are_what_was_learned), UNIT(what_cannot_be_done_hurries_nobody),
    UNIT(a_bucket_that_holds_less_refuses_once),
    UNIT(a_budget_waits_for_what_flows_in))
