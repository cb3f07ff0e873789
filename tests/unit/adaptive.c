/* Limits that move with use. */
#include "unit.h"

#include <string.h>

#include "../../scheduler/adaptive.h"
#include "../../scheduler/dispatch.h"

#define S    INT64_C(1000000)
#define HOUR (3600 * S)
#define DAY  (24 * HOUR)

enum { CALLS_MAX = 200000 };

static const char *const all[] = { "*" };

static void
what_is_told_is_the_limit_and_what_is_configured_the_ceiling(void)
{
	struct adaptive a = { 0 };

	CU_ASSERT_EQUAL(adaptive_units(&a, 600, 5 * S), 600);
	a.told = 200;
	CU_ASSERT_EQUAL(adaptive_units(&a, 600, 5 * S), 200);
	a.told = 900;
	CU_ASSERT_EQUAL(adaptive_units(&a, 600, 5 * S), 600);
}

static void
after_idle_it_has_shrunk_and_doubles_in_an_hour(void)
{
	static const struct {
		const char *why;
		int64_t idle_us, first, hour, hours;
	} cases[] = {
		{ "a moment", 10 * S, 900, 900, 900 },
		{ "a quarter of an hour", HOUR / 4, 600, 900, 900 },
		{ "half an hour", HOUR / 2, 400, 800, 900 },
		{ "a day", DAY, 112, 225, 900 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct adaptive a = { .told = 900, .used_us = DAY };
		int64_t at = DAY + cases[i].idle_us, hour, hours;

		CHECK(adaptive_units(&a, 2000, at) == cases[i].first,
		    cases[i].why);
		for (int64_t t = 0; t < HOUR; t += 10 * S)
			adaptive_used(&a, 2000, at + t);
		hour = adaptive_units(&a, 2000, at + HOUR);
		CHECK(hour == cases[i].hour, cases[i].why);
		for (int64_t t = HOUR; t < 3 * HOUR; t += 10 * S)
			adaptive_used(&a, 2000, at + t);
		hours = adaptive_units(&a, 2000, at + 3 * HOUR);
		CHECK(hours == cases[i].hours, cases[i].why);
	}
}

/* Limits of a minute, that moves, and of a day. */
static void
world_start(struct dispatch *d, int64_t day, const struct adaptive *a)
{
	struct dispatch_conf_path path = {
		.id = 1, .pool = 1, .models = all, .nmodels = 1
	};
	struct dispatch_conf_limit limits[] = {
		{ .id = 1,
		    .pool = 1,
		    .model = "*",
		    .dimension = PACE_REQUESTS,
		    .window_us = 60 * S,
		    .amount = 600,
		    .headroom = 0.1,
		    .next_us = 1,
		    .adaptive = *a },
		{ .id = 2,
		    .pool = 1,
		    .model = "*",
		    .dimension = PACE_REQUESTS,
		    .window_us = DAY,
		    .amount = day,
		    .next_us = 1 },
	};

	dispatch_init(d);
	dispatch_configure(d, &path, 1, limits, 2);
	dispatch_lanes_begin(d);
	dispatch_lane_put(d, 7, "m", 2, 1000 * DAY, 1, CALLS_MAX);
	dispatch_lanes_end(d);
}

/* Lines granted in a time; each answer says the limit. */
static int64_t
play(struct dispatch *d, int64_t *now, int64_t for_us, int64_t told)
{
	static int32_t next;
	struct dispatch_lane *lane = dispatch_lane(d, 7);
	int64_t n = 0, end = *now + for_us;

	if (lane->read_line == 1)
		next = 1;
	for (; *now < end; *now += S / 4) {
		struct dispatch_plan plan = { 0 };
		struct dispatch_reading reading = { .said = {
							.dim = DIALECT_REQUESTS,
							.window_s = 60,
							.limit = told,
							.remaining = -1,
							.reset_ms = -1,
							.dynamic = true } };
		struct dispatch_seen seen = { .path = 1,
			.model = "m",
			.readings = &reading,
			.nreadings = 1 };

		while (dispatch_lane_wants(lane)) {
			struct dispatch_line line = {
				.chunk = 1 + (next - 1) / 256,
				.first_line = 1 + (next - 1) / 256 * 256,
				.index = (int16_t)(1 + (next - 1) % 256),
				.bytes = 300,
				.cap = -1,
			};

			dispatch_lane_fresh(lane, &line);
			next++;
		}
		dispatch_world_begin(d);
		dispatch_worker(d, 1000);
		dispatch_plan(d, *now, &plan);
		if (plan.lines > 0)
			dispatch_seen(d, *now, &seen);
		n += plan.lines;
		dispatch_plan_fini(&plan);
	}
	return n;
}

static void
a_budget_beside_it_keeps_it_warm(void)
{
	struct dispatch d;
	struct adaptive cold = { 0 };
	int64_t now = 1000 * DAY, n;

	/* Evenly it would be 69 a minute: half of 300 and it shrinks. */
	world_start(&d, 100000, &cold);
	play(&d, &now, 60 * S, 300);
	n = play(&d, &now, 600 * S, 300);
	/* A tenth is headroom. */
	CU_ASSERT(n >= 0.8 * 0.9 * 300 * 10);
	CU_ASSERT(n <= 0.9 * 300 * 10);
	/* The budget itself is never overrun. */
	dispatch_fini(&d);
	world_start(&d, 1000, &cold);
	n = play(&d, &now, HOUR, 300);
	CU_ASSERT_EQUAL(n, 1000);
	dispatch_fini(&d);
}

static void
a_restart_knows_what_was_told(void)
{
	struct dispatch d;
	struct adaptive a = { .told = 100, .used_us = 1000 * DAY - S };
	int64_t now = 1000 * DAY;

	world_start(&d, 10000000, &a);
	CU_ASSERT(play(&d, &now, 60 * S, 100) <= 101);
	dispatch_fini(&d);
}

UNIT_MAIN("adaptive",
    UNIT(what_is_told_is_the_limit_and_what_is_configured_the_ceiling),
    UNIT(after_idle_it_has_shrunk_and_doubles_in_an_hour),
    UNIT(a_budget_beside_it_keeps_it_warm), UNIT(a_restart_knows_what_was_told))
