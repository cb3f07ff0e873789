/*
 * The planner against a small world of its own: virtual time, a worker that
 * sends at slots or when a seat frees, an upstream that recounts every window.
 */
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/glob.h>

#include "../../scheduler/dispatch.h"
#include "../../scheduler/dispatch_json.h"

#define S INT64_C(1000000)

enum { SENDS_MAX = 60000, LINES = 200000 };

struct call {
	int64_t slot, keep, send, end;
	int32_t tokens;
	bool settled;
};

static struct {
	struct dispatch d;
	int64_t now;
	struct call calls[SENDS_MAX];
	size_t n;
	int64_t latency, lapsed;
	int32_t seats;  /* at the upstream; 0: no limit */
	int64_t busy;   /* seat time used */
	int32_t tokens; /* each line really costs */
	int next_line;
	bool shrink; /* lines really cost less than was reserved */
} w;

static const char *const all[] = { "*" };

static void
world_start(const struct dispatch_conf_limit *limits, size_t n)
{
	struct dispatch_conf_path path = {
		.id = 1, .pool = 1, .models = all, .nmodels = 1
	};

	memset(&w, 0, sizeof(w));
	w.now = 1000 * S;
	w.tokens = 100;
	dispatch_init(&w.d);
	dispatch_configure(&w.d, &path, 1, limits, n);
	dispatch_lanes_begin(&w.d);
	dispatch_lane_put(&w.d, 7, "m", 2, INT64_C(100000) * S, 1, LINES);
	dispatch_lanes_end(&w.d);
	w.next_line = 1;
}

static void
feed(void)
{
	struct dispatch_lane *lane = dispatch_lane(&w.d, 7);

	while (dispatch_lane_wants(lane)) {
		struct dispatch_line line = {
			.chunk = 1 + (w.next_line - 1) / 256,
			.first_line = 1 + (w.next_line - 1) / 256 * 256,
			.index = (int16_t)(1 + (w.next_line - 1) % 256),
			.bytes = 300,
			.cap = -1,
		};

		dispatch_lane_fresh(lane, &line);
		w.next_line++;
	}
}

/* When is a seat free for a call that may leave at from? */
static int64_t
seat_free(int64_t from)
{
	int64_t at = from;

	for (;;) {
		int64_t open = 0, soonest = INT64_MAX;

		for (size_t i = w.n > 3000 ? w.n - 3000 : 0; i < w.n; i++)
			if (w.calls[i].send <= at && w.calls[i].end > at) {
				open++;
				if (w.calls[i].end < soonest)
					soonest = w.calls[i].end;
			}
		if (w.seats == 0 || open < w.seats)
			return at;
		at = soonest;
	}
}

static void
take(const struct dispatch_run *run)
{
	for (size_t k = 0; k < run->n; k++) {
		struct call *c = &w.calls[w.n];
		int64_t slot = run->send_us + run->lines[k].slot_us;
		int64_t at = seat_free(slot + rand() % 20000);

		CU_ASSERT_FATAL(w.n < SENDS_MAX);
		CU_ASSERT_FALSE(
		    run->metered && slot < w.now + DISPATCH_LEAD_US);
		if (at > slot + run->keep_us) {
			w.lapsed++;
			continue;
		}
		*c = (struct call){ .slot = slot,
			.keep = run->keep_us,
			.send = at,
			.end = at + w.latency,
			.tokens = run->lines[k].input + run->lines[k].output };
		w.busy += w.latency;
		w.n++;
	}
}

static void
settle(void)
{
	int64_t out = 0;

	for (size_t i = w.n > 3000 ? w.n - 3000 : 0; i < w.n; i++) {
		struct call *c = &w.calls[i];

		if (c->end > w.now)
			out++;
		if (c->end > w.now || c->settled)
			continue;
		struct dispatch_entry e = { .slot_us = c->slot,
			.keep_us = c->keep,
			.sent_us = c->send,
			.est_input = c->tokens,
			.input = w.tokens };
		struct dispatch_seen seen = { .path = 1,
			.model = "m",
			.ok = 1,
			.sample = { .n = 1,
			    .bytes = 300,
			    .input = w.tokens,
			    .ms = (double)w.latency / 1000,
			    .ms2 = (double)w.latency / 1000 *
				(double)w.latency / 1000 } };

		dispatch_settle(&w.d, 1, "m", &e);
		dispatch_seen(&w.d, w.now, &seen);
		c->settled = true;
	}
	dispatch_world_begin(&w.d);
	dispatch_worker(&w.d, 1000);
	for (size_t i = 1; i < w.d.nseats; i++)
		dispatch_granted(&w.d, w.d.seats[i]->id, w.d.seats[i]->amount);
	dispatch_out(&w.d, 1, "m", out);
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
}

static int
by_send(const void *a, const void *b)
{
	const struct call *x = a, *y = b;

	return x->send < y->send ? -1 : x->send > y->send;
}

/* The most of units in any closed window. */
static int64_t
worst(int64_t window, bool tokens)
{
	int64_t sum = 0, most = 0;
	size_t first = 0;

	qsort(w.calls, w.n, sizeof(w.calls[0]), by_send);
	for (size_t i = 0; i < w.n; i++) {
		sum += tokens ? w.tokens : 1;
		while (w.calls[first].send < w.calls[i].send - window)
			first++, sum -= tokens ? w.tokens : 1;
		if (sum > most)
			most = sum;
	}
	return most;
}

/* Share of the limit that was used, the first minute aside. */
static double
used(int64_t amount, int64_t window, bool tokens)
{
	int64_t from = w.calls[0].send + 60 * S, n = 0;

	for (size_t i = 0; i < w.n; i++)
		n += w.calls[i].send >= from;
	return (double)(n * (tokens ? w.tokens : 1)) /
	    ((double)amount * (double)(w.calls[w.n - 1].send - from) /
		(double)window);
}

static void
request_limits_hold_and_are_used(void)
{
	static const struct {
		const char *why;
		int64_t amount, window, seconds;
	} cases[] = {
		{ "ten a minute", 10, 60 * S, 1200 },
		{ "ten a second", 600, 60 * S, 400 },
		{ "fifty a second", 3000, 60 * S, 400 },
		{ "an hour's budget and nothing else", 3600, 3600 * S, 1500 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct dispatch_conf_limit l = { .id = 1,
			.pool = 1,
			.model = "*",
			.dimension = PACE_REQUESTS,
			.window_us = cases[i].window,
			.amount = cases[i].amount };

		world_start(&l, 1);
		w.latency = 500000;
		run_for_s(cases[i].seconds);
		CU_ASSERT(worst(cases[i].window, false) <= cases[i].amount);
		CU_ASSERT(used(cases[i].amount, cases[i].window, false) > 0.99);
		CU_ASSERT_EQUAL(w.lapsed, 0);
		dispatch_fini(&w.d);
	}
}

static void
token_limits_hold_and_learn_what_lines_cost(void)
{
	struct dispatch_conf_limit l = { .id = 1,
		.pool = 1,
		.model = "*",
		.dimension = PACE_TOKENS,
		.window_us = 60 * S,
		.amount = 60000 };

	world_start(&l, 1);
	w.latency = 500000;
	run_for_s(400);
	CU_ASSERT(worst(60 * S, true) <= 60000);
	CU_ASSERT(used(60000, 60 * S, true) > 0.98);
	dispatch_fini(&w.d);
}

static void
the_tightest_of_several_limits_binds(void)
{
	struct dispatch_conf_limit l[] = {
		{ .id = 1,
		    .pool = 1,
		    .model = "*",
		    .dimension = PACE_REQUESTS,
		    .window_us = 60 * S,
		    .amount = 600 },
		{ .id = 2,
		    .pool = 1,
		    .path = 1,
		    .model = "*",
		    .dimension = PACE_REQUESTS,
		    .window_us = 3600 * S,
		    .amount = 3600 },
		{ .id = 3,
		    .pool = 1,
		    .model = "other",
		    .window_us = 60 * S,
		    .dimension = PACE_REQUESTS,
		    .amount = 1 },
		{ .id = 4,
		    .pool = 2,
		    .model = "*",
		    .window_us = 60 * S,
		    .dimension = PACE_REQUESTS,
		    .amount = 1 },
	};

	world_start(l, NITEMS(l));
	w.latency = 500000;
	run_for_s(600);
	CU_ASSERT(worst(3600 * S, false) <= 3600);
	CU_ASSERT(used(3600, 3600 * S, false) > 0.99);
	dispatch_fini(&w.d);
}

/* Ten seats, eight seconds a call, 600 a minute allowed. */
static void
seats_that_bind_are_full_and_no_slot_lapses(void)
{
	static const int64_t latencies[] = { 8000000, 800000, 3000000 };

	for (size_t i = 0; i < NITEMS(latencies); i++) {
		struct dispatch_conf_limit l[] = {
			{ .id = 1,
			    .pool = 1,
			    .model = "*",
			    .dimension = PACE_REQUESTS,
			    .window_us = 60 * S,
			    .amount = 600 },
			{ .id = 2,
			    .pool = 1,
			    .model = "*",
			    .dimension = PACE_CONCURRENT,
			    .amount = 10 },
		};
		int64_t fill = 2 * latencies[i];

		world_start(l, 2);
		w.seats = 10;
		w.latency = latencies[i];
		run_for_s(300);
		CU_ASSERT_EQUAL(w.lapsed, 0);
		CU_ASSERT(worst(60 * S, false) <= 600);
		if (latencies[i] > 1500000)
			CU_ASSERT(
			    (double)w.busy / (10.0 * (double)(300 * S - fill)) >
			    0.97);
		dispatch_fini(&w.d);
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
		struct dispatch_conf_limit l[] = {
			{ .id = 1,
			    .pool = 1,
			    .model = "*",
			    .dimension = PACE_REQUESTS,
			    .window_us = 60 * S,
			    .amount = 60 },
			{ .id = 2,
			    .pool = 1,
			    .model = "*",
			    .dimension = PACE_CONCURRENT,
			    .amount = cases[i].seats },
		};
		double most = fmin((double)cases[i].seats,
		    (double)cases[i].latency_s * 60 / 60.45);
		int64_t busy, lapsed;

		world_start(l, 2);
		w.seats = (int32_t)cases[i].seats;
		w.latency = cases[i].latency_s * S;
		run_for_s(900);
		/* How long a call takes is known by now. */
		busy = w.busy;
		lapsed = w.lapsed;
		run_for_s(1800);
		CHECK(worst(60 * S, false) <= 60, cases[i].why);
		CHECK((double)(w.busy - busy) >=
			cases[i].busy * most * 1800.0 * (double)S,
		    cases[i].why);
		/* Where all calls end in the same part of their time, a few
		 * lines come back from the other part. */
		CHECK((w.lapsed - lapsed) * 20 <= (int64_t)w.n, cases[i].why);
		dispatch_fini(&w.d);
	}
}

static void
without_limits_a_stock_is_kept_ahead(void)
{
	world_start(NULL, 0);
	w.d.paths[0]->aimd.limit = AIMD_UNBOUND;
	w.latency = 20000;
	settle();
	feed();
	struct dispatch_plan plan = { 0 };

	dispatch_plan(&w.d, w.now, &plan);
	CU_ASSERT(plan.lines >= 1000);
	CU_ASSERT(plan.lines <= DISPATCH_PLAN_LINES);
	for (size_t i = 0; i < plan.nruns; i++)
		CU_ASSERT_FALSE(plan.runs[i]->metered);
	dispatch_plan_fini(&plan);
	dispatch_fini(&w.d);
}

static void
nothing_is_granted_while_nobody_can_work(void)
{
	struct dispatch_plan plan = { 0 };

	world_start(NULL, 0);
	feed();
	dispatch_world_begin(&w.d);
	dispatch_plan(&w.d, w.now, &plan);
	CU_ASSERT_EQUAL(plan.lines, 0);
	dispatch_plan_fini(&plan);
	dispatch_fini(&w.d);
}

static void
urgent_lanes_go_first_and_retries_before_fresh_lines(void)
{
	struct dispatch_conf_limit l = { .id = 1,
		.pool = 1,
		.model = "*",
		.dimension = PACE_REQUESTS,
		.window_us = 60 * S,
		.amount = 3000 };
	struct dispatch_plan plan = { 0 };
	struct dispatch_line line = { .chunk = 9,
		.first_line = 1,
		.index = 5,
		.bytes = 10,
		.cap = 1,
		.tries = 2,
		.sends = 3 };

	world_start(&l, 1);
	w.d.paths[0]->aimd.limit = AIMD_UNBOUND;
	dispatch_lanes_begin(&w.d);
	dispatch_lane_put(&w.d, 7, "m", 2, INT64_C(100000) * S, 1, LINES);
	dispatch_lane_put(&w.d, 8, "m", 4, INT64_C(100000) * S, 9, 3);
	dispatch_lanes_end(&w.d);
	for (int i = 9; i < 12; i++) {
		struct dispatch_line f = { .chunk = 9,
			.first_line = 1,
			.index = (int16_t)i,
			.bytes = 10,
			.cap = 1 };

		dispatch_lane_fresh(dispatch_lane(&w.d, 8), &f);
	}
	dispatch_lane_again(dispatch_lane(&w.d, 8), &line);
	dispatch_lane_again(dispatch_lane(&w.d, 8), &line); /* read twice */
	settle();
	feed();
	dispatch_plan(&w.d, w.now, &plan);
	CU_ASSERT_FATAL(plan.nruns >= 3);
	CU_ASSERT_EQUAL(plan.runs[0]->lane, 8);
	CU_ASSERT_TRUE(plan.runs[0]->again);
	CU_ASSERT_EQUAL(plan.runs[0]->n, 1);
	CU_ASSERT_EQUAL(plan.runs[0]->lines[0].sends, 3);
	CU_ASSERT_EQUAL(plan.runs[1]->lane, 8);
	CU_ASSERT_EQUAL(plan.runs[1]->n, 3);
	CU_ASSERT_EQUAL(plan.runs[2]->lane, 7);
	CU_ASSERT_EQUAL(plan.moves[0].lane, 8);
	CU_ASSERT_EQUAL(plan.moves[0].from, 9);
	CU_ASSERT_EQUAL(plan.moves[0].next, 12);
	CU_ASSERT_EQUAL(plan.moves[0].lines, 3);
	dispatch_plan_fini(&plan);
	dispatch_fini(&w.d);
}

static void
a_changed_limit_keeps_its_ledger(void)
{
	struct dispatch_conf_limit l = { .id = 1,
		.pool = 1,
		.model = "*",
		.dimension = PACE_REQUESTS,
		.window_us = 60 * S,
		.amount = 600 };
	struct dispatch_conf_path path = {
		.id = 1, .pool = 1, .models = all, .nmodels = 1
	};

	world_start(&l, 1);
	w.latency = 100000;
	run_for_s(30);
	CU_ASSERT(w.n > 280);
	l.amount = 100; /* less than is used in this window already */
	dispatch_configure(&w.d, &path, 1, &l, 1);
	size_t before = w.n;

	run_for_s(20);
	CU_ASSERT_EQUAL(w.n, before);
	dispatch_fini(&w.d);
}

static void
a_refusal_stops_its_flow_until_it_has_passed(void)
{
	struct dispatch_conf_limit l = { .id = 1,
		.pool = 1,
		.model = "*",
		.dimension = PACE_REQUESTS,
		.window_us = 60 * S,
		.amount = 600 };
	struct dispatch_refusal refusal = { .kind = DIALECT_RATE,
		.dim = DIALECT_REQUESTS,
		.n = 1,
		.wait_us = 20 * S };
	struct dispatch_seen seen = {
		.path = 1, .model = "m", .refusals = &refusal, .nrefusals = 1
	};

	world_start(&l, 1);
	w.latency = 100000;
	run_for_s(10);
	dispatch_seen(&w.d, w.now, &seen);
	size_t before = w.n;
	int64_t until = w.now + 20 * S;

	run_for_s(30);
	CU_ASSERT(w.n > before);
	CU_ASSERT(w.calls[before].send >= until);
	dispatch_fini(&w.d);
}

static void
a_path_that_is_down_gets_one_line_to_probe_it(void)
{
	struct dispatch_seen down = { .path = 1,
		.model = "m",
		.down = true,
		.why = "connection refused" };
	struct dispatch_plan plan = { 0 };

	world_start(NULL, 0);
	w.latency = 100000;
	settle();
	feed();
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
	dispatch_fini(&w.d);
}

static void
a_line_that_is_read_twice_is_handed_out_once(void)
{
	struct dispatch_line line = { .chunk = 1, .first_line = 1, .index = 1 };
	struct dispatch_lane *lane;

	world_start(NULL, 0);
	lane = dispatch_lane(&w.d, 7);
	dispatch_lane_fresh(lane, &line);
	dispatch_lane_fresh(lane, &line);
	CU_ASSERT_EQUAL(lane->fresh.n, 1);
	CU_ASSERT_EQUAL(lane->read_line, 2);
	dispatch_fini(&w.d);
}

static void
documents_are_read_and_written(void)
{
	static const char config[] =
	    "{\"revision\":3,\"paths\":[{\"id\":1,\"pool\":1,\"name\":\"a\","
	    "\"models\":[\"m*\"],\"whole_ms\":1000,\"health\":\"up\","
	    "\"until_us\":null,\"failures\":0}],\"limits\":[{\"id\":4,\"pool\":"
	    "1,"
	    "\"path\":null,\"model\":\"*\",\"dimension\":\"requests\","
	    "\"window_s\":60,\"amount\":600,\"headroom\":0.5,\"reserve\":0,"
	    "\"next_us\":null,\"paused_us\":null},{\"id\":5,\"pool\":1,"
	    "\"path\":1,\"model\":\"*\",\"dimension\":\"concurrent\","
	    "\"window_s\":0,\"amount\":10,\"headroom\":0,\"reserve\":0}],"
	    "\"estimates\":[{\"path\":1,\"model\":\"m1\",\"learned\":"
	    "{\"n\":5,\"ratio\":0.25,\"output\":3,\"output2\":9,\"ms\":100,"
	    "\"ms2\":10000}}]}";
	static const char look[] =
	    "{\"now_us\":1000000000,\"revision\":3,\"admitted\":1,"
	    "\"ending\":false,\"unplaced\":true,\"out\":[{\"path\":1,"
	    "\"model\":\"m1\",\"lines\":2}],\"seen\":[{\"id\":77,\"path\":1,"
	    "\"seen\":{\"path\":1,\"model\":\"m1\",\"ok\":1,\"n\":1,"
	    "\"bytes\":100,\"input\":25,\"output\":3,\"output2\":9,\"ms\":100,"
	    "\"ms2\":10000,\"entries\":[]}}],\"due\":[7],\"workers\":["
	    "{\"id\":3,\"most\":100,\"live\":true}],\"seats\":["
	    "{\"limit\":5,\"worker\":3,\"granted\":4,\"target\":10}]}";
	struct dispatch d;
	struct world world = { 0 };
	struct slc_err err = { 0 };
	struct dispatch_plan plan = { 0 };
	struct dispatch_line line = {
		.chunk = 2, .first_line = 1, .index = 1, .bytes = 100, .cap = 5
	};
	struct buf out = { 0 };

	dispatch_init(&d);
	CU_ASSERT_EQUAL_FATAL(
	    dispatch_read_config(
		&d, (struct slice){ config, sizeof(config) - 1 }, &err),
	    SLC_OK);
	CU_ASSERT_EQUAL(d.revision, 3);
	CU_ASSERT_EQUAL(d.rates[0]->pace.amount, 300);
	CU_ASSERT_EQUAL_FATAL(
	    dispatch_read_world(
		&d, (struct slice){ look, sizeof(look) - 1 }, &world, &err),
	    SLC_OK);
	CU_ASSERT_EQUAL(d.seats[1]->granted, 4);
	CU_ASSERT_EQUAL(d.seats[1]->out, 2);
	CU_ASSERT_EQUAL(world.due[0], 7);
	dispatch_lanes_begin(&d);
	dispatch_lane_put(&d, 7, "m1", 2, 90000 * S, 1, 1);
	dispatch_lanes_end(&d);
	dispatch_lane_fresh(dispatch_lane(&d, 7), &line);
	dispatch_plan(&d, world.now_us, &plan);
	dispatch_write_plan(&d, &plan, &world, true, false, &out);
	CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out),
	    "\"runs\":[{\"lane\":7,"
	    "\"path\":1,\"chunk\":2,\"first_line\":1,\"send_us\":1000150000,"
	    "\"keep_us\":200000,\"line\":[1],\"slot_us\":[0],"
	    "\"est_input\":[28],\"est_output\":[5]}]"));
	CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out),
	    "\"lanes\":[{\"id\":7,"
	    "\"from\":1,\"next\":2,\"lines\":1}]"));
	CU_ASSERT_PTR_NOT_NULL(
	    strstr(buf_cstr(&out), "\"cells\":[{\"limit\":4,"));
	CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out), "\"seen\":[77]"));
	CU_ASSERT_PTR_NULL(strstr(buf_cstr(&out), "\"seats\""));
	dispatch_plan_fini(&plan);
	/* written once: a second look with nothing new writes nothing */
	buf_clear(&out);
	free(world.seen);
	world.seen = NULL;
	world.nseen = 0;
	dispatch_write_plan(&d, &plan, &world, true, false, &out);
	CU_ASSERT_TRUE(dispatch_plan_empty(&out));
	buf_fini(&out);
	world_fini(&world);
	dispatch_fini(&d);
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
    UNIT(a_line_that_is_read_twice_is_handed_out_once),
    UNIT(documents_are_read_and_written))
