/*
 * Live calls and batches under one limit: the planner in virtual time beside a
 * door that lets live calls in as sql/006g_room.sql does.
 */
#include "unit.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../../scheduler/dispatch.h"
#include "../../scheduler/dispatch_json.h"

#define S INT64_C(1000000)

enum { AMOUNT = 300, MINUTES = 20, SENDS_MAX = AMOUNT * (MINUTES + 2) };

static const char *const all[] = { "*" };

static struct {
	struct dispatch d;
	int64_t now;
	int64_t sent[SENDS_MAX]; /* when, batch and live */
	size_t n;
	int64_t total;            /* live calls let in */
	int64_t first;            /* of them that still counts */
	int64_t cells[SENDS_MAX]; /* where they stand */
	int32_t refused;
	int next_line;
} w;

static void
world_start(double reserve)
{
	struct dispatch_conf_path path = {
		.id = 1, .pool = 1, .models = all, .nmodels = 1
	};
	struct dispatch_conf_limit limit = { .id = 9,
		.pool = 1,
		.path = 1,
		.model = "*",
		.dimension = PACE_REQUESTS,
		.window_us = 60 * S,
		.amount = AMOUNT,
		.reserve = reserve };

	memset(&w, 0, sizeof(w));
	w.now = 1000 * S;
	w.next_line = 1;
	dispatch_init(&w.d);
	dispatch_configure(&w.d, &path, 1, &limit, 1);
	dispatch_lanes_begin(&w.d);
	dispatch_lane_put(&w.d, 7, "m", 2, INT64_C(100000) * S, 1, 100000);
	dispatch_lanes_end(&w.d);
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

/* What the database has: the batches' ledger and the live cells. */
static void
live_call(void)
{
	const struct pace *p = &w.d.rates[0]->pace;
	int64_t width = ledger_width_us(p->window_us);
	int64_t span = 60 * S + 350000 + width, live;

	while (w.first < w.total && w.cells[w.first] <= (w.now - span) / width)
		w.first++;
	live = w.total - w.first;
	if (ledger_used(&p->ledger, w.now) + live + 1 > AMOUNT) {
		w.refused++;
		return;
	}
	CU_ASSERT_FATAL(w.n < SENDS_MAX);
	w.cells[w.total++] = (w.now + PACE_LIVE_KEEP_US) / width;
	w.sent[w.n++] = w.now + rand() % PACE_LIVE_KEEP_US;
}

static void
look(void)
{
	struct dispatch_plan plan = { 0 };
	int64_t units = 0;

	for (int64_t i = w.first; i < w.total; i++) {
		units =
		    i > w.first && w.cells[i] == w.cells[i - 1] ? units + 1 : 1;
		if (i + 1 == w.total || w.cells[i + 1] != w.cells[i])
			dispatch_live_cell(&w.d, 9, w.cells[i], units);
	}
	dispatch_live_limit(&w.d, 9, w.total, w.refused > 0, w.now);
	dispatch_world_begin(&w.d);
	dispatch_worker(&w.d, 1000);
	feed();
	dispatch_plan(&w.d, w.now, &plan);
	for (size_t i = 0; i < plan.nruns; i++)
		for (size_t k = 0; k < plan.runs[i]->n; k++) {
			CU_ASSERT_FATAL(w.n < SENDS_MAX);
			w.sent[w.n++] = plan.runs[i]->send_us +
			    plan.runs[i]->lines[k].slot_us +
			    rand() % (plan.runs[i]->keep_us + 1);
		}
	dispatch_plan_fini(&plan);
}

static int
by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* The most that any closed minute holds; sorts. */
static size_t
most_in_a_minute(void)
{
	size_t most = 0, from = 0;

	qsort(w.sent, w.n, sizeof(*w.sent), by_time);
	for (size_t i = 0; i < w.n; i++) {
		while (w.sent[i] - w.sent[from] > 60 * S)
			from++;
		if (i - from + 1 > most)
			most = i - from + 1;
	}
	return most;
}

/* live: calls a minute, at random. */
static double
run(double reserve, int live)
{
	size_t used = 0;
	int64_t end;

	srand(1);
	world_start(reserve);
	end = w.now + MINUTES * 60 * S;
	for (; w.now < end; w.now += S / 100) {
		if (rand() % 6000 < live)
			live_call();
		if (w.now / (S / 100) % 10 == 0)
			look();
	}
	CU_ASSERT(most_in_a_minute() <= AMOUNT);
	for (size_t i = 0; i < w.n; i++)
		used += w.sent[i] >= end - 60 * S * (MINUTES - 2) &&
		    w.sent[i] < end;
	dispatch_fini(&w.d);
	return (double)used / (AMOUNT * (MINUTES - 2));
}

static void
live_calls_within_the_reserve_are_never_refused(void)
{
	double used = run(0.2, 30);

	CU_ASSERT_EQUAL(w.refused, 0);
	CU_ASSERT(w.total > 500);
	/* The reserve's rest stays free. */
	CU_ASSERT(used > 0.885 && used < 0.9);
}

static void
batches_step_aside_beyond_the_reserve(void)
{
	double used = run(0.1, 120);

	/* Those that find no room wait a moment, and few do. */
	CU_ASSERT(w.total > 120 * MINUTES * 9 / 10);
	CU_ASSERT(w.refused < w.total / 12);
	CU_ASSERT(used > 0.955);
}

static void
without_live_calls_the_reserve_alone_is_free(void)
{
	double used = run(0.1, 0);

	CU_ASSERT(used > 0.89 && used < 0.905);
}

static void
live_calls_that_take_all_stop_batches(void)
{
	double used = run(0, 600);

	CU_ASSERT(used > 0.9);
	CU_ASSERT(w.total > AMOUNT * MINUTES / 2);
}

static void
seats_are_left_to_live_calls(void)
{
	struct dispatch_seats s = { .amount = 8, .reserve = 2 };

	CU_ASSERT_EQUAL(dispatch_seats_amount(&s), 8);
	s.live = 2;
	CU_ASSERT_EQUAL(dispatch_seats_amount(&s), 8);
	s.live_waited = true;
	CU_ASSERT_EQUAL(dispatch_seats_amount(&s), 7);
	s.live = 12;
	CU_ASSERT_EQUAL(dispatch_seats_amount(&s), 0);
}

static void
seats_that_no_line_wants_are_free_for_live_calls(void)
{
	struct dispatch_seats s = { .amount = 8 };

	CU_ASSERT_EQUAL(dispatch_seats_wanted(&s, 100 * S), 8);
	s.live_us = 100 * S;
	s.live = 3;
	CU_ASSERT_EQUAL(dispatch_seats_wanted(&s, 101 * S), 0);
	s.wanted_us = 100 * S;
	CU_ASSERT_EQUAL(dispatch_seats_wanted(&s, 101 * S), 5);
	CU_ASSERT_EQUAL(dispatch_seats_wanted(&s, 103 * S), 0);
	s.out = 1;
	CU_ASSERT_EQUAL(dispatch_seats_wanted(&s, 103 * S), 5);
	s.out = s.live = 0;
	CU_ASSERT_EQUAL(dispatch_seats_wanted(&s, 159 * S), 0);
	CU_ASSERT_EQUAL(dispatch_seats_wanted(&s, 161 * S), 8);
}

static void
a_line_that_asks_for_a_seat_is_heard(void)
{
	static const struct dispatch_conf_limit seats = { .id = 3,
		.pool = 1,
		.path = 1,
		.model = "*",
		.dimension = PACE_CONCURRENT,
		.amount = 8 };
	struct dispatch_conf_path path = {
		.id = 1, .pool = 1, .models = all, .nmodels = 1
	};
	const struct dispatch_seats *s;

	world_start(0);
	dispatch_configure(&w.d, &path, 1, &seats, 1);
	s = w.d.seats[1];
	dispatch_live_cell(&w.d, 3, 0, 1);
	dispatch_live_limit(&w.d, 3, 1, false, w.now);
	CU_ASSERT_EQUAL(dispatch_seats_wanted(s, w.now), 0);
	look();
	CU_ASSERT_EQUAL(dispatch_seats_wanted(s, w.now), 7);
	dispatch_fini(&w.d);
}

static int64_t
sum_of(const json_t *list)
{
	int64_t sum = 0;
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v) sum += json_integer_value(v);
	return sum;
}

/* What people see of the path, as JSON; the caller's. */
static json_t *
shown(void)
{
	struct buf out = { 0 };
	json_t *doc;

	dispatch_explain(&w.d, w.d.paths[0], w.now, &out);
	doc = json_loadb(out.p, out.n, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
	buf_fini(&out);
	return doc;
}

static void
people_see_live_calls(void)
{
	json_t *now, *limit;

	world_start(0.1);
	CU_ASSERT_FALSE(dispatch_live_lately(&w.d, w.now));
	live_call();
	live_call();
	dispatch_live_open_begin(&w.d);
	dispatch_live_open(&w.d, 1, w.now - 3 * S, 2, w.now);
	dispatch_live_open(&w.d, 1, 0, 1, w.now);
	dispatch_live_over(&w.d, 1, w.now - 3 * S);
	dispatch_live_over(&w.d, 1, w.now - 70 * S);
	look();
	now = shown();
	CU_ASSERT_EQUAL(
	    json_integer_value(json_object_get(now, "live_out")), 3);
	CU_ASSERT_EQUAL(sum_of(json_object_get(now, "live_sends")), 3);
	limit = json_array_get(json_object_get(now, "limits"), 0);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(limit, "live")), 2);
	CU_ASSERT(json_integer_value(json_object_get(limit, "used")) > 2);
	CU_ASSERT_EQUAL(
	    json_integer_value(json_object_get(limit, "amount")), AMOUNT);
	json_decref(now);
	w.now += 58 * S;
	dispatch_live_open_begin(&w.d);
	now = shown();
	CU_ASSERT_EQUAL(sum_of(json_object_get(now, "live_sends")), 0);
	json_decref(now);
	w.now += 3 * S;
	CU_ASSERT_FALSE(dispatch_live_lately(&w.d, w.now));
	now = shown();
	CU_ASSERT_PTR_NULL(json_object_get(now, "live_sends"));
	json_decref(now);
	dispatch_fini(&w.d);
}

UNIT_MAIN("live_room", UNIT(live_calls_within_the_reserve_are_never_refused),
    UNIT(batches_step_aside_beyond_the_reserve),
    UNIT(without_live_calls_the_reserve_alone_is_free),
    UNIT(live_calls_that_take_all_stop_batches),
    UNIT(seats_are_left_to_live_calls),
    UNIT(seats_that_no_line_wants_are_free_for_live_calls),
    UNIT(a_line_that_asks_for_a_seat_is_heard), UNIT(people_see_live_calls))
