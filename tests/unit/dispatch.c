/*
 * The planner in virtual time: limits hold and are used, seats are full, what
 * is refused or down waits.
 */
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "world/world.h"

enum { BYTES = 300, TOKENS = 100 };

static int32_t seats; /* at the upstream; 0: no limit */
static int64_t busy;  /* seat time used */

/* When is a seat free for a call that may leave at from? */
static int64_t
seat_free(int64_t from)
{
	int64_t at = from;

	for (;;) {
		int64_t open = 0, soonest = INT64_MAX;

		for (size_t i = w.n > 3000 ? w.n - 3000 : 0; i < w.n; i++)
			if (w.calls[i].sent_us <= at &&
			    w.calls[i].end_us > at) {
				open++;
				if (w.calls[i].end_us < soonest)
					soonest = w.calls[i].end_us;
			}
		if (seats == 0 || open < seats)
			return at;
		at = soonest;
	}
}

static void
read_as_long(struct world_batch *b, int32_t number, struct dispatch_line *line)
{
	(void)b;
	(void)number;
	line->bytes = BYTES;
}

static bool
leave(struct world_call *c)
{
	c->sent_us = seat_free(c->slot_us + (int64_t)(world_chance() * 20000));
	c->end_us = c->sent_us + w.latency_us;
	c->input = TOKENS;
	c->output = 0;
	c->bytes = BYTES;
	if (c->sent_us > c->slot_us + c->keep_us)
		return false;
	busy += w.latency_us;
	return true;
}

/* One batch without end, on a path whose concurrency is not known. */
static void
start(const struct dispatch_conf_limit *limits, size_t n, int64_t latency_us)
{
	world_start(limits, n);
	w.d.paths[0]->aimd.limit = 0;
	w.latency_us = latency_us;
	w.line = read_as_long;
	w.leave = leave;
	seats = 0;
	busy = 0;
	world_add((struct world_batch){ .priority = 2, .tokens = TOKENS });
}

static struct dispatch_conf_limit
requests(int64_t amount, int64_t window_s)
{
	return (struct dispatch_conf_limit){ .id = 1,
		.pool = 1,
		.model = "*",
		.dimension = PACE_REQUESTS,
		.window_us = window_s * S,
		.amount = amount };
}

static struct dispatch_conf_limit
at_once(int64_t amount)
{
	return (struct dispatch_conf_limit){ .id = 2,
		.pool = 1,
		.model = "*",
		.dimension = PACE_CONCURRENT,
		.amount = amount };
}

/* Share of the limit that was used, the first minute aside. */
static double
used(int64_t amount, int64_t window_s, bool tokens)
{
	return world_used(amount, window_s * S, tokens, 60);
}

static void
request_limits_hold_and_are_used(void)
{
	static const struct {
		const char *why;
		int64_t amount, window_s, seconds;
	} cases[] = {
		{ "ten a minute", 10, 60, 1200 },
		{ "ten a second", 600, 60, 400 },
		{ "fifty a second", 3000, 60, 400 },
		{ "an hour's budget and nothing else", 3600, 3600, 1500 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct dispatch_conf_limit l =
		    requests(cases[i].amount, cases[i].window_s);

		start(&l, 1, S / 2);
		world_run_for_s(cases[i].seconds);
		CHECK(world_worst(cases[i].window_s * S, false) <=
			cases[i].amount,
		    cases[i].why);
		CHECK(used(cases[i].amount, cases[i].window_s, false) > 0.99,
		    cases[i].why);
		CU_ASSERT_EQUAL(w.lapsed, 0);
		world_stop();
	}
}

static void
token_limits_hold_and_learn_what_lines_cost(void)
{
	struct dispatch_conf_limit l = requests(60000, 60);

	l.dimension = PACE_TOKENS;
	start(&l, 1, S / 2);
	world_run_for_s(400);
	CU_ASSERT(world_worst(60 * S, true) <= 60000);
	CU_ASSERT(used(60000, 60, true) > 0.98);
	world_stop();
}

static void
the_tightest_of_several_limits_binds(void)
{
	struct dispatch_conf_limit l[] = { requests(600, 60),
		requests(3600, 3600), requests(1, 60), requests(1, 60) };

	l[1].id = 2, l[1].path = 1;
	l[2].id = 3, l[2].model = "other";
	l[3].id = 4, l[3].pool = 2;
	start(l, NITEMS(l), S / 2);
	world_run_for_s(600);
	CU_ASSERT(world_worst(3600 * S, false) <= 3600);
	CU_ASSERT(used(3600, 3600, false) > 0.99);
	world_stop();
}

/* Ten seats, eight seconds a call, 600 a minute allowed. */
static void
seats_that_bind_are_full_and_no_slot_lapses(void)
{
	static const int64_t latencies[] = { 8000000, 800000, 3000000 };

	for (size_t i = 0; i < NITEMS(latencies); i++) {
		struct dispatch_conf_limit l[] = { requests(600, 60),
			at_once(10) };
		int64_t fill = 2 * latencies[i];

		start(l, 2, latencies[i]);
		seats = 10;
		world_run_for_s(300);
		CU_ASSERT_EQUAL(w.lapsed, 0);
		CU_ASSERT(world_worst(60 * S, false) <= 600);
		if (latencies[i] > 1500000)
			CU_ASSERT(
			    (double)busy / (10.0 * (double)(300 * S - fill)) >
			    0.97);
		world_stop();
	}
}

/* A request is charged when it arrives: calls that outlive the window by far do
 * not fill it, and the seats are. */
static void
calls_longer_than_the_window_fill_the_seats(void)
{
	static const struct {
		const char *why;
		int64_t seats, latency_s;
		double busy; /* on average, of what rate and seats allow */
	} cases[] = {
		{ "seats bind", 200, 300, 0.97 },
		{ "seats bind by far", 20, 300, 0.97 },
		{ "rate and seats nearly alike", 310, 300, 0.8 },
		{ "the rate binds", 400, 300, 0.97 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct dispatch_conf_limit l[] = { requests(60, 60),
			at_once(cases[i].seats) };
		double most = fmin((double)cases[i].seats,
		    (double)cases[i].latency_s * 60 / 60.45);
		int64_t then, lapsed;

		start(l, 2, cases[i].latency_s * S);
		seats = (int32_t)cases[i].seats;
		world_run_for_s(900);
		/* How long a call takes is known by now. */
		then = busy;
		lapsed = w.lapsed;
		world_run_for_s(1800);
		CHECK(world_worst(60 * S, false) <= 60, cases[i].why);
		CHECK((double)(busy - then) >=
			cases[i].busy * most * 1800.0 * (double)S,
		    cases[i].why);
		/* Where all calls end in the same part of their time, a few
		 * lines come back from the other part. */
		CHECK((w.lapsed - lapsed) * 20 <= (int64_t)w.n, cases[i].why);
		world_stop();
	}
}

static void
without_limits_a_stock_is_kept_ahead(void)
{
	struct dispatch_plan plan = { 0 };

	start(NULL, 0, 20000);
	w.d.paths[0]->aimd.limit = AIMD_UNBOUND;
	world_look();
	dispatch_plan(&w.d, w.now, &plan);
	CU_ASSERT(plan.lines >= 1000);
	CU_ASSERT(plan.lines <= DISPATCH_PLAN_LINES);
	for (size_t i = 0; i < plan.nruns; i++)
		CU_ASSERT_FALSE(plan.runs[i]->metered);
	dispatch_plan_fini(&plan);
	world_stop();
}

static void
nothing_is_granted_while_nobody_can_work(void)
{
	struct dispatch_plan plan = { 0 };

	start(NULL, 0, S);
	world_look();
	dispatch_world_begin(&w.d);
	dispatch_plan(&w.d, w.now, &plan);
	CU_ASSERT_EQUAL(plan.lines, 0);
	dispatch_plan_fini(&plan);
	world_stop();
}

static void
urgent_lanes_go_first_and_retries_before_fresh_lines(void)
{
	struct dispatch_conf_limit l = requests(3000, 60);
	struct dispatch_plan plan = { 0 };
	struct dispatch_line line = { .chunk = 9,
		.first_line = 1,
		.index = 5,
		.bytes = 10,
		.cap = 1,
		.tries = 2,
		.sends = 3 };

	start(&l, 1, S);
	w.d.paths[0]->aimd.limit = AIMD_UNBOUND;
	world_add((struct world_batch){
	    .priority = 4, .tokens = TOKENS, .lines = 11, .next = 8 });
	world_look();
	dispatch_lane_again(dispatch_lane(&w.d, 2), &line);
	dispatch_lane_again(dispatch_lane(&w.d, 2), &line); /* read twice */
	dispatch_plan(&w.d, w.now, &plan);
	CU_ASSERT_FATAL(plan.nruns >= 3);
	CU_ASSERT_EQUAL(plan.runs[0]->lane, 2);
	CU_ASSERT_TRUE(plan.runs[0]->again);
	CU_ASSERT_EQUAL(plan.runs[0]->n, 1);
	CU_ASSERT_EQUAL(plan.runs[0]->lines[0].sends, 3);
	CU_ASSERT_EQUAL(plan.runs[1]->lane, 2);
	CU_ASSERT_EQUAL(plan.runs[1]->n, 3);
	CU_ASSERT_EQUAL(plan.runs[2]->lane, 1);
	CU_ASSERT_EQUAL(plan.moves[0].lane, 2);
	CU_ASSERT_EQUAL(plan.moves[0].from, 9);
	CU_ASSERT_EQUAL(plan.moves[0].next, 12);
	CU_ASSERT_EQUAL(plan.moves[0].lines, 3);
	dispatch_plan_fini(&plan);
	world_stop();
}

static void
a_changed_limit_keeps_its_ledger(void)
{
	struct dispatch_conf_limit l = requests(600, 60);
	static const char *const all[] = { "*" };
	struct dispatch_conf_path path = {
		.id = 1, .pool = 1, .models = all, .nmodels = 1
	};

	start(&l, 1, S / 10);
	world_run_for_s(30);
	CU_ASSERT(w.n > 280);
	l.amount = 100; /* less than is used in this window already */
	dispatch_configure(&w.d, &path, 1, &l, 1);
	size_t before = w.n;

	world_run_for_s(20);
	CU_ASSERT_EQUAL(w.n, before);
	world_stop();
}

static void
a_refusal_stops_its_flow_until_it_has_passed(void)
{
	struct dispatch_conf_limit l = requests(600, 60);
	struct dispatch_refusal refusal = { .kind = DIALECT_RATE,
		.dim = DIALECT_REQUESTS,
		.n = 1,
		.wait_us = 20 * S };
	struct dispatch_seen seen = {
		.path = 1, .model = "m", .refusals = &refusal, .nrefusals = 1
	};

	start(&l, 1, S / 10);
	world_run_for_s(10);
	dispatch_seen(&w.d, w.now, &seen);
	size_t before = w.n;
	int64_t until = w.now + 20 * S;

	world_run_for_s(30);
	CU_ASSERT(w.n > before);
	CU_ASSERT(w.calls[before].sent_us >= until);
	world_stop();
}

static void
a_path_that_is_down_gets_one_line_to_probe_it(void)
{
	struct dispatch_seen down = { .path = 1,
		.model = "m",
		.down = true,
		.why = "connection refused" };
	struct dispatch_plan plan = { 0 };

	start(NULL, 0, S / 10);
	world_look();
	dispatch_seen(&w.d, w.now, &down);
	dispatch_plan(&w.d, w.now, &plan);
	CU_ASSERT_EQUAL(plan.lines, 0);
	w.now += 2 * S;
	dispatch_plan(&w.d, w.now, &plan);
	CU_ASSERT_EQUAL(plan.lines, 1);
	dispatch_plan_fini(&plan);
	dispatch_plan(&w.d, w.now, &plan);
	CU_ASSERT_EQUAL(plan.lines, 0);
	dispatch_plan_fini(&plan);
	world_stop();
}

static void
a_line_that_is_read_twice_is_handed_out_once(void)
{
	struct dispatch_line line = { .chunk = 1, .first_line = 1, .index = 1 };
	struct dispatch_lane *lane;

	start(NULL, 0, S);
	dispatch_lanes_begin(&w.d);
	lane = dispatch_lane_put(&w.d, 1, "m", 2, 100000 * S, 1, 10);
	dispatch_lanes_end(&w.d);
	dispatch_lane_fresh(lane, &line);
	dispatch_lane_fresh(lane, &line);
	CU_ASSERT_EQUAL(lane->fresh.n, 1);
	CU_ASSERT_EQUAL(lane->read_line, 2);
	world_stop();
}

UNIT_MAIN("dispatch", UNIT(request_limits_hold_and_are_used),
    UNIT(token_limits_hold_and_learn_what_lines_cost),
    UNIT(the_tightest_of_several_limits_binds),
    UNIT(seats_that_bind_are_full_and_no_slot_lapses),
    UNIT(calls_longer_than_the_window_fill_the_seats),
    UNIT(without_limits_a_stock_is_kept_ahead),
    UNIT(nothing_is_granted_while_nobody_can_work),
    UNIT(urgent_lanes_go_first_and_retries_before_fresh_lines),
    UNIT(a_changed_limit_keeps_its_ledger),
    UNIT(a_refusal_stops_its_flow_until_it_has_passed),
    UNIT(a_path_that_is_down_gets_one_line_to_probe_it),
    UNIT(a_line_that_is_read_twice_is_handed_out_once))
