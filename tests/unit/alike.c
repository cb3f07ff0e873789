/*
 * Lines that share a call: one request of every limit, the sum of their tokens.
 * Virtual time, and an upstream that recounts every window.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "../../scheduler/dispatch.h"
#include "../../scheduler/dispatch_json.h"

#define S INT64_C(1000000)

enum { CALLS_MAX = 20000, LINE_TOKENS = 100 };

struct call {
	int64_t slot, keep, send, end, est;
	int32_t lines;
	bool settled;
};

static struct {
	struct dispatch d;
	int64_t now;
	struct call calls[CALLS_MAX];
	size_t n;
	int64_t lines;
	int next_line;
	struct dispatch_line like; /* each line is like this */
} w;

static const char *const all[] = { "*" };

static void
start(int32_t combine, const struct dispatch_conf_limit *limits, size_t n)
{
	struct dispatch_conf_path path = { .id = 1,
		.pool = 1,
		.models = all,
		.nmodels = 1,
		.combine = combine };

	memset(&w, 0, sizeof(w));
	w.now = 1000 * S;
	w.next_line = 1;
	w.like = (struct dispatch_line){ .bytes = 300, .combine = 77 };
	dispatch_init(&w.d);
	dispatch_configure(&w.d, &path, 1, limits, n);
	dispatch_lanes_begin(&w.d);
	dispatch_lane_put(&w.d, 7, "m", 2, INT64_C(100000) * S, 1, 1000000);
	dispatch_lanes_end(&w.d);
}

static struct dispatch_lane *
lane(void)
{
	return dispatch_lane(&w.d, 7);
}

/* Chunks of 200 lines. */
static void
feed(int lines)
{
	for (int i = 0; i < lines; i++) {
		struct dispatch_line line = w.like;

		line.chunk = 1 + (w.next_line - 1) / 200;
		line.first_line = 1 + (w.next_line - 1) / 200 * 200;
		line.index = (int16_t)(1 + (w.next_line - 1) % 200);
		dispatch_lane_fresh(lane(), &line);
		w.next_line++;
	}
}

static void
take(const struct dispatch_run *run)
{
	for (size_t k = 0; k < run->n; k++) {
		struct call *c;

		w.lines++;
		if (run->lines[k].joins) {
			CU_ASSERT_FATAL(k > 0);
			c = &w.calls[w.n - 1];
			CU_ASSERT_EQUAL(
			    run->lines[k].slot_us, run->lines[k - 1].slot_us);
			c->lines++;
			c->est += run->lines[k].input + run->lines[k].output;
			continue;
		}
		CU_ASSERT_FATAL(w.n < CALLS_MAX);
		w.calls[w.n++] = (struct call){
			.slot = run->send_us + run->lines[k].slot_us,
			.keep = run->keep_us,
			.send = run->send_us + run->lines[k].slot_us +
			    rand() % 20000,
			.lines = 1,
			.est = run->lines[k].input + run->lines[k].output,
		};
		w.calls[w.n - 1].end = w.calls[w.n - 1].send + S / 2;
	}
}

static void
settle(void)
{
	int64_t out = 0;

	for (size_t i = 0; i < w.n; i++) {
		struct call *c = &w.calls[i];
		struct dispatch_entry e = { .slot_us = c->slot,
			.keep_us = c->keep,
			.sent_us = c->send,
			.est_input = c->est,
			.input = c->lines * LINE_TOKENS,
			.ms = 500,
			.lane = 7,
			.lines = c->lines };
		struct dispatch_seen seen = { .path = 1,
			.model = "m",
			.ok = c->lines,
			.sample = { .n = c->lines,
			    .bytes = 300.0 * c->lines,
			    .input = (double)LINE_TOKENS * c->lines,
			    .ms = 500.0 * c->lines,
			    .ms2 = 500.0 * 500 * c->lines } };

		out += c->end > w.now;
		if (c->end > w.now || c->settled)
			continue;
		c->settled = true;
		dispatch_settle(&w.d, 1, "m", &e);
		dispatch_seen(&w.d, w.now, &seen);
	}
	dispatch_world_begin(&w.d);
	dispatch_worker(&w.d, 1000);
	for (size_t i = 1; i < w.d.nseats; i++)
		dispatch_granted(
		    &w.d, w.d.seats[i]->id, w.d.seats[i]->amount, true);
	dispatch_out(&w.d, 1, "m", out);
}

static void
plan(struct dispatch_plan *p)
{
	settle();
	*p = (struct dispatch_plan){ 0 };
	dispatch_plan(&w.d, w.now, p);
	for (size_t i = 0; i < p->nruns; i++)
		take(p->runs[i]);
}

static void
run_for_s(int64_t seconds, bool fed)
{
	int64_t end = w.now + seconds * S;
	struct dispatch_plan p;

	for (; w.now < end; w.now += S / 10) {
		while (fed && dispatch_lane_wants(lane()))
			feed(200);
		plan(&p);
		dispatch_plan_fini(&p);
	}
}

/* The most of requests or tokens in any closed window; calls go in order. */
static int64_t
worst(int64_t window, bool tokens)
{
	int64_t most = 0;

	for (size_t i = 0; i < w.n; i++) {
		int64_t sum = 0;

		for (size_t k = i; k < w.n; k++)
			if (w.calls[k].send >= w.calls[i].send &&
			    w.calls[k].send <= w.calls[i].send + window)
				sum +=
				    tokens ? w.calls[k].lines * LINE_TOKENS : 1;
		if (sum > most)
			most = sum;
	}
	return most;
}

static struct dispatch_conf_limit
limit(int32_t id, enum pace_dimension dimension, int64_t amount)
{
	return (struct dispatch_conf_limit){ .id = id,
		.pool = 1,
		.model = "*",
		.dimension = dimension,
		.window_us = dimension == PACE_CONCURRENT ? 0 : 60 * S,
		.amount = amount };
}

static void
a_call_is_one_request_whatever_it_holds(void)
{
	struct dispatch_conf_limit l[] = { limit(1, PACE_REQUESTS, 10),
		limit(2, PACE_CONCURRENT, 5) };

	start(50, l, NITEMS(l));
	feed(200);
	run_for_s(60, false);
	CU_ASSERT_EQUAL(w.lines, 200);
	CU_ASSERT_EQUAL(w.n, 4);
	for (size_t i = 0; i < w.n; i++)
		CU_ASSERT_EQUAL(w.calls[i].lines, 50);
	CU_ASSERT_EQUAL(ledger_used(&w.d.rates[0]->pace.ledger, w.now), 4);
	dispatch_fini(&w.d);
}

static void
no_window_has_more_than_the_limit_and_it_is_used(void)
{
	struct dispatch_conf_limit l[] = { limit(1, PACE_REQUESTS, 60),
		limit(2, PACE_TOKENS, 300000) };

	start(100, l, 1);
	run_for_s(600, true);
	CU_ASSERT_TRUE(worst(60 * S, false) <= 60);
	/* 600 requests at 98% and 100 lines each. */
	CU_ASSERT_TRUE(w.lines > 600 * 98);
	dispatch_fini(&w.d);
	/* Tokens bind: 50 lines a second. */
	start(100, l, 2);
	run_for_s(600, true);
	CU_ASSERT_TRUE(worst(60 * S, false) <= 60);
	CU_ASSERT_TRUE(worst(60 * S, true) <= 300000);
	CU_ASSERT_TRUE(w.lines > 600 * 50 * 95 / 100);
	dispatch_fini(&w.d);
}

/* A large one would have to wait for room to come together. */
static void
no_call_is_large(void)
{
	struct dispatch_conf_limit l[] = { limit(1, PACE_TOKENS, 60000) };

	start(200, l, 1);
	run_for_s(120, true);
	CU_ASSERT_TRUE(w.n > 20);
	for (size_t i = 0; i < w.n; i++)
		CU_ASSERT_TRUE(w.calls[i].est <= 60000 / PACE_LARGE_PART);
	CU_ASSERT_TRUE(worst(60 * S, true) <= 60000);
	dispatch_fini(&w.d);
}

static void
lines_go_together_that_may(void)
{
	static const struct {
		const char *why;
		int32_t combine;
		int32_t kin[4];
		int16_t most[4];
		int32_t calls[5]; /* lines of each */
	} cases[] = {
		{ "all are alike", 10, { 5, 5, 5, 5 }, { 0 }, { 4 } },
		{ "the path does not", 1, { 5, 5, 5, 5 }, { 0 },
		    { 1, 1, 1, 1 } },
		{ "up to so many", 3, { 5, 5, 5, 5 }, { 0 }, { 3, 1 } },
		{ "none that is like no other", 10, { 0, 0, 5, 5 }, { 0 },
		    { 1, 1, 2 } },
		{ "side by side", 10, { 5, 6, 5, 5 }, { 0 }, { 1, 1, 2 } },
		{ "after a split", 10, { 5, 5, 5, 5 }, { 2, 2, 2, 2 },
		    { 2, 2 } },
		{ "the least is what all obey", 10, { 5, 5, 5, 5 },
		    { 0, 3, 2, 0 }, { 2, 2 } },
		{ "one that must stand alone", 10, { 5, 5, 5, 5 },
		    { 0, 0, 1, 0 }, { 2, 1, 1 } },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		for (int again = 0; again < 2; again++) {
			struct dispatch_plan p;

			start(cases[i].combine, NULL, 0);
			for (int k = 0; k < 4; k++) {
				struct dispatch_line line = { .chunk = 1,
					.first_line = 1,
					.index = (int16_t)(k + 1),
					.bytes = 100,
					.combine = cases[i].kin[k],
					.most = cases[i].most[k] };

				if (again)
					dispatch_lane_again(lane(), &line);
				else
					dispatch_lane_fresh(lane(), &line);
			}
			plan(&p);
			CHECK(p.lines == 4, cases[i].why);
			CHECK(lane()->again.n == 0, cases[i].why);
			CHECK(again || lane()->next_line == 5, cases[i].why);
			for (size_t k = 0; k < 5; k++)
				CHECK(cases[i].calls[k] ==
					(k < w.n ? w.calls[k].lines : 0),
				    cases[i].why);
			dispatch_plan_fini(&p);
			dispatch_fini(&w.d);
		}
	}
}

static void
a_call_has_lines_of_one_chunk(void)
{
	static const int32_t lines[] = { 150, 50, 150, 50 };
	struct dispatch_plan p;

	start(150, NULL, 0);
	feed(400);
	plan(&p);
	CU_ASSERT_EQUAL_FATAL(w.n, NITEMS(lines));
	for (size_t i = 0; i < w.n; i++)
		CU_ASSERT_EQUAL(w.calls[i].lines, lines[i]);
	for (size_t i = 0; i < p.nruns; i++)
		CU_ASSERT_TRUE(p.runs[i]->n <= SLC_CHUNK_LINES_MAX);
	dispatch_plan_fini(&p);
	dispatch_fini(&w.d);
}

/* Seats are for calls: of two, two calls are out and a few follow. */
static void
a_seat_is_for_a_call(void)
{
	struct dispatch_conf_limit l[] = { limit(1, PACE_CONCURRENT, 2) };

	start(20, l, 1);
	run_for_s(2, true);
	CU_ASSERT_TRUE(w.lines >= 2 * 20);
	CU_ASSERT_EQUAL(w.lines, (int64_t)w.n * 20);
	dispatch_fini(&w.d);
}

static void
the_document_says_which_lines_lead(void)
{
	struct dispatch_plan p;
	struct world world = { 0 };
	struct buf out = { 0 };

	start(3, NULL, 0);
	feed(4);
	plan(&p);
	dispatch_write_plan(&w.d, &p, &world, false, false, &out);
	CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out), ",\"leads\":\"1001\"}"));
	CU_ASSERT_PTR_NULL(strstr(buf_cstr(&out), "most"));
	dispatch_plan_fini(&p);
	buf_clear(&out);
	w.like.most = 2;
	feed(2);
	plan(&p);
	dispatch_write_plan(&w.d, &p, &world, false, false, &out);
	CU_ASSERT_PTR_NOT_NULL(
	    strstr(buf_cstr(&out), ",\"most\":[2,2],\"leads\":\"10\"}"));
	dispatch_plan_fini(&p);
	buf_fini(&out);
	dispatch_fini(&w.d);
}

/* To its caller each line is a request. */
static void
a_callers_limit_counts_lines(void)
{
	struct dispatch_conf_limit shape = limit(9, PACE_REQUESTS, 1000);

	shape.pool = DISPATCH_NO_POOL;
	start(100, &shape, 1);
	lane()->shape_ids[0] = 9;
	lane()->nshape_ids = 1;
	run_for_s(300, true);
	CU_ASSERT_TRUE(w.lines <= 5 * 1000);
	CU_ASSERT_TRUE(w.lines >= 5 * 1000 * 9 / 10);
	/* As many as do not wait for long. */
	for (size_t i = 0; i < w.n; i++)
		CU_ASSERT_TRUE(w.calls[i].lines <= 1000 / PACE_LARGE_PART);
	dispatch_fini(&w.d);
}

/* A batch that may spend so much buys as many lines. */
static void
a_purse_pays_for_each(void)
{
	struct route_price *price = calloc(1, sizeof(*price));
	struct dispatch_conf_path path = { .id = 1,
		.pool = 1,
		.models = all,
		.nmodels = 1,
		.combine = 100,
		.prices = price,
		.nprices = 1 };
	struct dispatch_plan p;

	start(100, NULL, 0);
	price->model = strdup("*");
	price->input = 1000000; /* 101 tokens of 300 bytes, at a unit each */
	dispatch_configure(&w.d, &path, 1, NULL, 0);
	dispatch_lanes_begin(&w.d);
	dispatch_lane_put(&w.d, 7, "m", 2, INT64_C(100000) * S, 1, 1000000);
	dispatch_lane_cap(&w.d, lane(), 101 * 7 + 50, false);
	dispatch_lanes_end(&w.d);
	feed(20);
	plan(&p);
	CU_ASSERT_EQUAL(w.n, 1);
	CU_ASSERT_EQUAL(w.calls[0].lines, 7);
	dispatch_plan_fini(&p);
	dispatch_fini(&w.d);
}

/* One bad line of many would keep the path down. */
static void
a_probe_is_of_one_line(void)
{
	struct dispatch_seen down = { .path = 1, .model = "m", .down = true };
	struct dispatch_seen ok = { .path = 1, .model = "m", .ok = 1 };
	struct dispatch_plan p;

	start(10, NULL, 0);
	feed(40);
	dispatch_seen(&w.d, w.now, &down);
	w.now += 2 * S;
	plan(&p);
	CU_ASSERT_EQUAL_FATAL(w.n, 1);
	CU_ASSERT_EQUAL(w.calls[0].lines, 1);
	dispatch_plan_fini(&p);
	dispatch_seen(&w.d, w.now, &ok);
	plan(&p);
	CU_ASSERT_TRUE_FATAL(w.n > 1);
	CU_ASSERT_EQUAL(w.calls[1].lines, 10);
	dispatch_plan_fini(&p);
	dispatch_fini(&w.d);
}

/* Until when the lane may wait for cheaper ways. */
static int64_t
spare_us(int32_t combine, int run, int32_t bytes)
{
	struct dispatch_conf_limit l = limit(1, PACE_REQUESTS, 600);
	struct dispatch_plan p;
	int64_t spare;

	start(combine, &l, 1);
	for (int i = 0; i < 40; i++) {
		struct dispatch_line line = { .chunk = 1,
			.first_line = 1,
			.index = (int16_t)(i + 1),
			.bytes = bytes,
			.combine = run > 0 ? 1 + i / run : 0 };

		dispatch_lane_fresh(lane(), &line);
	}
	plan(&p);
	dispatch_plan_fini(&p);
	spare = lane()->spare_us;
	dispatch_fini(&w.d);
	return spare;
}

/* A forecast that hopes for larger calls than there will be comes too late. */
static void
what_shares_calls_is_forecast_as_it_will_be(void)
{
	static const struct {
		const char *why;
		int32_t combine, run, bytes;
		int32_t least, most; /* as on such a path, all alike */
	} cases[] = {
		{ "as the path says", 100, 1000, 300, 100, 100 },
		{ "a chunk has no more lines", 2048, 1000, 300, 256, 256 },
		{ "nor bytes", 2048, 1000, 32 << 10, 4, 4 },
		{ "longer than a chunk", 2048, 1000, 256 << 10, 1, 1 },
		{ "none may", 2048, 0, 300, 1, 1 },
		{ "none is as the one before", 2048, 1, 300, 1, 1 },
		{ "four are", 2048, 4, 300, 4, 5 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		int64_t us =
		    spare_us(cases[i].combine, cases[i].run, cases[i].bytes);

		CHECK(us >= spare_us(cases[i].least, 1000, 300) &&
			us <= spare_us(cases[i].most, 1000, 300),
		    cases[i].why);
	}
	CU_ASSERT_TRUE(spare_us(1, 1000, 300) < spare_us(4, 1000, 300));
	CU_ASSERT_TRUE(spare_us(4, 1000, 300) < spare_us(5, 1000, 300));
	CU_ASSERT_TRUE(spare_us(5, 1000, 300) < spare_us(256, 1000, 300));
}

UNIT_MAIN("alike", UNIT(a_call_is_one_request_whatever_it_holds),
    UNIT(no_window_has_more_than_the_limit_and_it_is_used),
    UNIT(no_call_is_large), UNIT(lines_go_together_that_may),
    UNIT(a_call_has_lines_of_one_chunk), UNIT(a_seat_is_for_a_call),
    UNIT(the_document_says_which_lines_lead),
    UNIT(a_callers_limit_counts_lines), UNIT(a_purse_pays_for_each),
    UNIT(a_probe_is_of_one_line),
    UNIT(what_shares_calls_is_forecast_as_it_will_be))
