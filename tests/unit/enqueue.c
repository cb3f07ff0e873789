/*
 * Lines for an upstream's own batches: what may be enqueued, and what a refusal
 * teaches.
 */
#include "unit.h"

#include <string.h>

#include "../../scheduler/dispatch_enqueue.h"
#include "../../scheduler/dispatch_json.h"

#define S INT64_C(1000000)

enum { BYTES = 297, TOKENS = 100 }; /* before anything is learned */

static const char *const all[] = { "*" };

static struct {
	struct dispatch d;
	int64_t now;
	int next;
} w;

static void
start(int64_t tokens, int64_t requests)
{
	struct dispatch_conf_path path = { .id = 1,
		.pool = 1,
		.kind = DISPATCH_BATCHES,
		.models = all,
		.nmodels = 1 };
	struct dispatch_conf_limit limits[] = {
		{ .id = 1,
		    .pool = 1,
		    .model = "*",
		    .dimension = PACE_ENQUEUED_TOKENS,
		    .amount = tokens },
		{ .id = 2,
		    .pool = 1,
		    .model = "*",
		    .dimension = PACE_ENQUEUED_REQUESTS,
		    .amount = requests },
		/* of the calls of other paths: no business of these lines */
		{ .id = 3,
		    .pool = 1,
		    .model = "*",
		    .dimension = PACE_REQUESTS,
		    .window_us = 60 * S,
		    .amount = 1 },
		{ .id = 4,
		    .pool = 1,
		    .model = "*",
		    .dimension = PACE_CONCURRENT,
		    .amount = 1 },
	};

	memset(&w, 0, sizeof(w));
	w.now = 1000 * S;
	w.next = 1;
	dispatch_init(&w.d);
	dispatch_configure(&w.d, &path, 1, limits, NITEMS(limits));
	dispatch_lanes_begin(&w.d);
	dispatch_lane_put(&w.d, 7, "m", 2, 90000 * S, 1, 100000);
	dispatch_lanes_end(&w.d);
}

/* Lines that go when so many are out. */
static int64_t
plan(int64_t out, int16_t tries, struct buf *doc)
{
	struct dispatch_lane *lane = dispatch_lane(&w.d, 7);
	struct dispatch_plan p = { 0 };
	struct seats_worker nobody = { 0 };
	struct world world = { .workers = &nobody };
	int64_t n;

	while (dispatch_lane_wants(lane)) {
		struct dispatch_line line = { .chunk = 1 + w.next / 256,
			.first_line = 1 + w.next / 256 * 256,
			.index = (int16_t)(1 + w.next % 256),
			.tries = tries,
			.bytes = BYTES,
			.cap = -1 };

		dispatch_lane_fresh(lane, &line);
		w.next++;
	}
	dispatch_world_begin(&w.d);
	dispatch_queued_out(&w.d, 1, "m", out, out * TOKENS, 0);
	world.now_us = w.now;
	dispatch_plan(&w.d, w.now, &p);
	n = p.lines;
	if (doc != NULL)
		dispatch_write_plan(&w.d, &p, &world, false, true, doc);
	dispatch_plan_fini(&p);
	return n;
}

static void
lines_go_until_the_queue_is_full(void)
{
	static const struct {
		const char *why;
		int64_t tokens, requests, out, goes;
	} cases[] = {
		{ "tokens bind", 100000, 5000, 0, 1000 },
		{ "with what is out", 100000, 5000, 990, 10 },
		{ "requests bind", 100000, 60, 0, 60 },
		{ "full", 100000, 5000, 1000, 0 },
		{ "over it", 100000, 5000, 2000, 0 },
		{ "a queue that is empty takes any line", 99, 10, 0, 1 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		start(cases[i].tokens, cases[i].requests);
		CHECK(
		    plan(cases[i].out, 0, NULL) == cases[i].goes, cases[i].why);
		dispatch_fini(&w.d);
	}
}

static void
runs_say_what_they_take(void)
{
	struct buf doc = { 0 };

	start(256 * TOKENS, 5000);
	CU_ASSERT_EQUAL(plan(0, 0, &doc), 256);
	CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&doc), "\"tokens\":25500,"));
	CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&doc), "\"bytes\":75735"));
	CU_ASSERT_PTR_NULL(strstr(buf_cstr(&doc), "\"slot_us\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&doc),
	    "\"binds\":{\"limit\":\"enqueued_tokens\",\"of\":\"pool\","
	    "\"model\":\"*\",\"used\":25600,\"amount\":25600,\"until\":null"));
	buf_fini(&doc);
	dispatch_fini(&w.d);
}

static void
a_refusal_pauses_and_is_remembered(void)
{
	struct buf doc = { 0 };

	start(100000, 5000);
	/* 800 lines were out, 200 of them in the batch that was refused. */
	plan(800, 0, NULL);
	dispatch_world_begin(&w.d);
	dispatch_queued_out(&w.d, 1, "m", 800, 80000, 0);
	dispatch_queued_refused(&w.d, 1, "m", 200, 20000, 60 * S, w.now);
	CU_ASSERT_EQUAL(plan(0, 0, &doc), 0);
	CU_ASSERT_PTR_NOT_NULL(
	    strstr(buf_cstr(&doc), "\"learned\":{\"most\":60000,"));
	w.now += 61 * S;
	/* What was accepted, and a little more each minute. */
	CU_ASSERT_EQUAL(plan(600, 0, NULL), 33);
	CU_ASSERT_EQUAL(
	    dispatch_queued_allowed(w.d.queued[0], w.now + 1800 * S), 100000);
	buf_fini(&doc);
	dispatch_fini(&w.d);
}

static void
a_batch_that_is_too_large_by_itself_is_halved(void)
{
	start(100000, 5000);
	dispatch_world_begin(&w.d);
	dispatch_queued_out(&w.d, 1, "m", 1000, 100000, 0);
	dispatch_queued_refused(&w.d, 1, "m", 1000, 100000, 60 * S, w.now);
	CU_ASSERT_EQUAL(dispatch_queued_allowed(w.d.queued[0], w.now), 50001);
	dispatch_fini(&w.d);
}

static void
pauses_double_until_one_is_taken(void)
{
	start(100000, 5000);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT(plan(0, 0, NULL) > 0);
		dispatch_world_begin(&w.d);
		dispatch_queued_refused(&w.d, 1, "m", 1, TOKENS, 10 * S, w.now);
		CU_ASSERT_EQUAL(
		    w.d.queued[0]->paused_us - w.now, (INT64_C(10) << i) * S);
		w.now = w.d.queued[0]->paused_us + 1;
	}
	dispatch_queued_taken(&w.d, 1, "m");
	dispatch_queued_refused(&w.d, 1, "m", 1, TOKENS, 10 * S, w.now);
	CU_ASSERT_EQUAL(w.d.queued[0]->paused_us - w.now, 10 * S);
	dispatch_fini(&w.d);
}

static void
lines_of_unequal_tries_are_not_in_one_run(void)
{
	struct dispatch_plan p = { 0 };
	struct dispatch_lane *lane;

	start(100000, 5000);
	lane = dispatch_lane(&w.d, 7);
	for (int i = 1; i <= 4; i++) {
		struct dispatch_line line = { .chunk = 1,
			.first_line = 1,
			.index = (int16_t)i,
			.tries = i > 2,
			.bytes = BYTES,
			.cap = -1 };

		dispatch_lane_again(lane, &line);
	}
	dispatch_world_begin(&w.d);
	dispatch_plan(&w.d, w.now, &p);
	CU_ASSERT_EQUAL(p.nruns, 2);
	CU_ASSERT_EQUAL(p.lines, 4);
	dispatch_plan_fini(&p);
	dispatch_fini(&w.d);
}

static void
a_path_that_is_down_is_tried_with_one_line(void)
{
	start(100000, 5000);
	breaker_seen(&w.d.paths[0]->breaker, w.now, 0, true, "HTTP 401");
	CU_ASSERT_EQUAL(plan(0, 0, NULL), 0);
	w.now += 2 * S;
	CU_ASSERT_EQUAL(plan(500, 0, NULL), 1);
	breaker_seen(&w.d.paths[0]->breaker, w.now, 1, false, NULL);
	CU_ASSERT(plan(0, 0, NULL) > 1);
	dispatch_fini(&w.d);
}

UNIT_MAIN("enqueue", UNIT(lines_go_until_the_queue_is_full),
    UNIT(runs_say_what_they_take), UNIT(a_refusal_pauses_and_is_remembered),
    UNIT(a_batch_that_is_too_large_by_itself_is_halved),
    UNIT(pauses_double_until_one_is_taken),
    UNIT(lines_of_unequal_tries_are_not_in_one_run),
    UNIT(a_path_that_is_down_is_tried_with_one_line))
