/* An upstream whose limits nobody has declared: what stops calls, and what lets
 * them go on. */
#include "unit.h"

#include "world/world.h"

/* Work without end, and so many calls at once, which do not grow. */
static void
begin(int64_t at_once, int64_t latency_us)
{
	world_start(NULL, 0);
	w.latency_us = latency_us;
	w.d.paths[0]->aimd = (struct aimd){ .limit = at_once,
		.found = true,
		.moved_us = w.now,
		.rest_us = AIMD_REST_US };
	world_add((struct world_batch){ .priority = 2, .tokens = 100 });
}

/* Nothing is declared: refused calls make fewer, and then one shows whether it
 * is over. */
static void
refusals_of_what_is_not_declared_are_learned_from(void)
{
	struct dispatch_refusal refusal = { .kind = DIALECT_RATE, .n = 60 };
	struct dispatch_seen seen = {
		.path = 1, .model = "m", .refusals = &refusal, .nrefusals = 1
	};
	size_t before;

	begin(64, 4 * S);
	world_run_for_s(10);
	refusal.sent_us = w.now;
	dispatch_seen(&w.d, w.now, &seen);
	CU_ASSERT_EQUAL(aimd_limit(&w.d.paths[0]->aimd), 32);
	before = w.n;
	world_run_for_s(4); /* what was out has ended, and a probe is out */
	CU_ASSERT_EQUAL(w.n, before + 1);
	/* A probe that is refused, too, makes no fewer yet. */
	refusal.n = 1;
	refusal.sent_us = w.now;
	dispatch_seen(&w.d, w.now, &seen);
	CU_ASSERT_EQUAL(aimd_limit(&w.d.paths[0]->aimd), 32);
	before = w.n;
	world_run_for_s(10);
	CU_ASSERT(w.n > before + 30); /* the next one was served */
	world_stop();
}

static void
what_answers_say_is_left_of_what_is_not_declared_is_kept_to(void)
{
	struct dispatch_reading reading = { .said = { .dim = DIALECT_REQUESTS,
						.limit = 300,
						.remaining = 20,
						.reset_ms = 12000 } };
	struct dispatch_seen seen = {
		.path = 1, .model = "m", .readings = &reading, .nreadings = 1
	};
	size_t before;
	int64_t until;

	begin(16, 2 * S);
	world_run_for_s(10);
	reading.sent_us = w.now;
	dispatch_seen(&w.d, w.now, &seen); /* more than are out */
	before = w.n;
	world_run_for_s(3);
	CU_ASSERT(w.n > before);
	reading.sent_us = w.now;
	reading.said.remaining = 3;
	dispatch_seen(&w.d, w.now, &seen);
	before = w.n;
	until = w.now + 12 * S;
	world_run_for_s(11);
	CU_ASSERT_EQUAL(w.n, before);
	world_run_for_s(3);
	CU_ASSERT(w.n > before);
	CU_ASSERT(w.calls[before].sent_us >= until);
	world_stop();
}

/* A count that never changes, though calls are served, is none. */
static void
what_is_always_left_stops_nothing_twice(void)
{
	struct dispatch_reading reading = { .said = { .dim = DIALECT_REQUESTS,
						.limit = 300,
						.remaining = 0,
						.reset_ms = 5000 } };
	struct dispatch_seen seen = { .path = 1,
		.model = "m",
		.readings = &reading,
		.nreadings = 1 };
	size_t before;

	begin(16, 2 * S);
	world_run_for_s(10);
	reading.sent_us = w.now;
	dispatch_seen(&w.d, w.now, &seen);
	before = w.n;
	world_run_for_s(4);
	CU_ASSERT_EQUAL(w.n, before);
	world_run_for_s(4);
	reading.sent_us = w.now;
	dispatch_seen(&w.d, w.now, &seen);
	before = w.n;
	world_run_for_s(4);
	CU_ASSERT(w.n > before + 16);
	/* Another number, and it counts. */
	reading.sent_us = w.now;
	reading.said.remaining = 1;
	dispatch_seen(&w.d, w.now, &seen);
	before = w.n;
	world_run_for_s(4);
	CU_ASSERT_EQUAL(w.n, before);
	world_stop();
}

/* 5xx in bulk may be too many calls; a key that is refused is not. */
static void
a_path_that_fails_under_work_gets_less_of_it(void)
{
	static const struct {
		const char *why;
		int64_t at_once;
	} cases[] = { { "HTTP 503", 32 }, { "HTTP 401", 64 },
		{ "connection refused", 64 } };

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct dispatch_seen down = {
			.path = 1, .model = "m", .down = true, .why = cases[i].why
		};

		begin(64, 2 * S);
		world_run_for_s(10);
		dispatch_seen(&w.d, w.now, &down);
		/* Down already: it is the same trouble. */
		dispatch_seen(&w.d, w.now + 3 * S, &down);
		CHECK(aimd_limit(&w.d.paths[0]->aimd) == cases[i].at_once,
		    cases[i].why);
		world_stop();
	}
}

UNIT_MAIN("undeclared",
    UNIT(refusals_of_what_is_not_declared_are_learned_from),
    UNIT(what_answers_say_is_left_of_what_is_not_declared_is_kept_to),
    UNIT(what_is_always_left_stops_nothing_twice),
    UNIT(a_path_that_fails_under_work_gets_less_of_it))
