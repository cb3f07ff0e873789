/*
 * What a patient batch costs by a cheap and a direct path, in virtual time,
 * against one who knows all that will be.  With SPEND set the money over time
 * is printed, for bench/spend.
 */
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../scheduler/dispatch.h"

#define S INT64_C(1000000)

enum {
	WINDOW_S = 5400,
	LINES = 5000,
	TICK_US = 200000,
	DIRECT_MINUTE = 300, /* requests */
	DIRECT_MS = 2000,
	CHEAP_SEATS = 10,
	DIRECT_PRICE = 2,
	CHEAP_PRICE = 1,
	OPEN_MAX = 4096,
	TOKENS = 100,
};

/* How long a call takes on the cheap path, so long after the start; 0: it is
 * down. */
static int64_t
steady_ms(int64_t at_s)
{
	(void)at_s;
	return 15000;
}

static int64_t
dies_ms(int64_t at_s)
{
	return at_s < WINDOW_S / 3 ? 15000 : 0;
}

static int64_t
late_ms(int64_t at_s)
{
	return at_s < WINDOW_S * 2 / 3 ? 60000 : 4000;
}

static int64_t
fast_ms(int64_t at_s)
{
	(void)at_s;
	return 2000;
}

static int64_t
comes_and_goes_ms(int64_t at_s)
{
	return at_s / 600 % 2 == 0 ? 12000 : 0;
}

struct call {
	int path;                                   /* 1 direct, 2 cheap */
	int64_t slot_us, keep_us, start_us, end_us; /* 0: waits for a seat */
	struct dispatch_line line;
};

static struct {
	struct dispatch d;
	int64_t now_us, start_us;
	int64_t (*cheap_ms)(int64_t at_s);
	struct call open[OPEN_MAX];
	size_t nopen;
	int next_line, done[3];
	bool out[LINES + 1]; /* under way somewhere */
} w;

static struct route_price *
price_of(int64_t money)
{
	struct route_price *p = xcalloc(1, sizeof(*p));

	p->model = xstrdup("*");
	p->input = p->output = money * 1000000;
	return p;
}

static void
world_start(int64_t (*cheap_ms)(int64_t at_s))
{
	static const char *const all[] = { "*" };
	struct dispatch_conf_path paths[] = {
		{ .id = 1,
		    .pool = 1,
		    .models = all,
		    .nmodels = 1,
		    .kind = DISPATCH_DIRECT,
		    .prices = price_of(DIRECT_PRICE),
		    .nprices = 1 },
		{ .id = 2,
		    .pool = 1,
		    .models = all,
		    .nmodels = 1,
		    .kind = DISPATCH_SUFFIX,
		    .prices = price_of(CHEAP_PRICE),
		    .nprices = 1 },
	};
	const struct dispatch_conf_limit limits[] = {
		{ .id = 1,
		    .pool = 1,
		    .path = 1,
		    .model = "*",
		    .dimension = PACE_REQUESTS,
		    .window_us = 60 * S,
		    .amount = DIRECT_MINUTE },
		{ .id = 2,
		    .pool = 1,
		    .path = 2,
		    .model = "*",
		    .dimension = PACE_CONCURRENT,
		    .amount = CHEAP_SEATS },
	};

	memset(&w, 0, sizeof(w));
	w.now_us = w.start_us = 1000 * S;
	w.cheap_ms = cheap_ms;
	w.next_line = 1;
	dispatch_init(&w.d);
	dispatch_configure(&w.d, paths, NITEMS(paths), limits, NITEMS(limits));
	dispatch_lanes_begin(&w.d);
	dispatch_lane_put(&w.d, 7, "m", SLC_PRIORITY_NORMAL,
	    w.start_us + WINDOW_S * S, 1, LINES);
	dispatch_lanes_end(&w.d);
}

static void
feed(struct dispatch_lane *lane)
{
	for (; w.next_line <= LINES && dispatch_lane_wants(lane);
	     w.next_line++) {
		struct dispatch_line line = {
			.chunk = 1 + (w.next_line - 1) / 256,
			.first_line = 1 + (w.next_line - 1) / 256 * 256,
			.index = (int16_t)(1 + (w.next_line - 1) % 256),
			.bytes = 300,
			.cap = -1,
		};

		dispatch_lane_fresh(lane, &line);
	}
}

static int64_t
latency_us(int path)
{
	return path == 1 ? DIRECT_MS * INT64_C(1000)
			 : w.cheap_ms((w.now_us - w.start_us) / S) * 1000;
}

static void
end_call(const struct call *c, bool down)
{
	struct dispatch_seen seen = { .path = c->path, .model = "m" };
	struct dispatch_entry e = { .slot_us = c->slot_us,
		.keep_us = c->keep_us,
		.sent_us = c->start_us,
		.est_input = TOKENS,
		.input = TOKENS };
	double ms = (double)(c->end_us - c->start_us) / 1000;

	w.out[c->line.first_line + c->line.index - 1] = false;
	dispatch_settle(&w.d, c->path, "m", &e);
	if (down) {
		seen.down = true;
		seen.why = "gone";
		dispatch_lane_again(dispatch_lane(&w.d, 7), &c->line);
	} else {
		seen.ok = 1;
		seen.sample = (struct estimate_sample){ .n = 1,
			.bytes = 300,
			.input = TOKENS,
			.ms = ms,
			.ms2 = ms * ms };
		w.done[c->path]++;
	}
	dispatch_seen(&w.d, w.now_us, &seen);
}

/* Calls end, and those that wait for a seat find one. */
static void
calls(void)
{
	size_t kept = 0;
	int busy[3] = { 0 };

	for (size_t i = 0; i < w.nopen; i++) {
		struct call *c = &w.open[i];
		bool down = latency_us(c->path) == 0;

		if (down || (c->end_us > 0 && c->end_us <= w.now_us))
			end_call(c, down);
		else
			w.open[kept++] = *c;
	}
	w.nopen = kept;
	for (size_t i = 0; i < w.nopen; i++)
		busy[w.open[i].path] += w.open[i].end_us > 0;
	for (size_t i = 0; i < w.nopen; i++) {
		struct call *c = &w.open[i];

		if (c->end_us > 0 || c->slot_us > w.now_us ||
		    (c->path == 2 && busy[2] >= CHEAP_SEATS))
			continue;
		busy[c->path]++;
		c->start_us = w.now_us;
		c->end_us = w.now_us + latency_us(c->path);
	}
}

static void
take(const struct dispatch_run *run)
{
	for (size_t k = 0; k < run->n; k++) {
		int32_t number = run->first_line + run->lines[k].index - 1;

		CU_ASSERT_FATAL(w.nopen < OPEN_MAX);
		/* Never out on two paths. */
		CU_ASSERT_FALSE(w.out[number]);
		w.out[number] = true;
		w.open[w.nopen++] = (struct call){ .path = run->path,
			.slot_us = run->send_us + run->lines[k].slot_us,
			.keep_us = run->keep_us,
			.line = { .chunk = run->chunk,
			    .first_line = run->first_line,
			    .index = run->lines[k].index,
			    .bytes = 300,
			    .cap = -1 } };
	}
}

static double
spent(void)
{
	return (double)(w.done[1] * DIRECT_PRICE + w.done[2] * CHEAP_PRICE) /
	    (LINES * DIRECT_PRICE);
}

static void
tick(void)
{
	struct dispatch_plan plan = { 0 };
	int out[3] = { 0 };

	calls();
	for (size_t i = 0; i < w.nopen; i++)
		out[w.open[i].path]++;
	dispatch_world_begin(&w.d);
	dispatch_worker(&w.d, 1000);
	dispatch_granted(&w.d, 2, CHEAP_SEATS, true);
	dispatch_out(&w.d, 1, "m", out[1]);
	dispatch_out(&w.d, 2, "m", out[2]);
	feed(dispatch_lane(&w.d, 7));
	dispatch_plan(&w.d, w.now_us, &plan);
	for (size_t i = 0; i < plan.nruns; i++)
		take(plan.runs[i]);
	dispatch_plan_fini(&plan);
}

/* The share of the direct price paid by one who knows the cheap path's whole
 * future: of all numbers of cheap lines that end in time, the best. */
static double
clairvoyant(void)
{
	double cheap = 0, direct = 0, best = INFINITY;

	for (int64_t s = 0; s < WINDOW_S; s++) {
		int64_t ms = w.cheap_ms(s);

		cheap += ms > 0 ? CHEAP_SEATS * 1000.0 / (double)ms : 0;
		direct += DIRECT_MINUTE / 60.0;
	}
	for (int k = 0; k <= LINES; k++)
		if (k <= cheap && LINES - k <= direct)
			best = fmin(best,
			    (double)(k * CHEAP_PRICE +
				(LINES - k) * DIRECT_PRICE) /
				(LINES * DIRECT_PRICE));
	return best;
}

static void
no_deadline_is_missed_and_little_is_paid(void)
{
	static const struct {
		const char *why;
		int64_t (*cheap_ms)(int64_t at_s);
	} cases[] = {
		{ "steady", steady_ms },
		{ "dies at a third", dies_ms },
		{ "slow, then fast", late_ms },
		{ "fast", fast_ms },
		{ "comes and goes", comes_and_goes_ms },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		double best;

		world_start(cases[i].cheap_ms);
		best = clairvoyant();
		for (; w.now_us < w.start_us + WINDOW_S * S;
		     w.now_us += TICK_US) {
			tick();
			if (getenv("SPEND") != NULL &&
			    (w.now_us - w.start_us) % (60 * S) == 0)
				printf("# spend,%s,%lld,%.4f,%d,%d\n",
				    cases[i].why,
				    (long long)((w.now_us - w.start_us) / S /
					60),
				    spent(), w.done[2], w.done[1]);
		}
		calls();
		printf("# %s: %d cheap, %d direct, paid %.4f of direct, "
		       "clairvoyant %.4f\n",
		    cases[i].why, w.done[2], w.done[1], spent(), best);
		CHECK(w.done[1] + w.done[2] == LINES, cases[i].why);
		CHECK(spent() <= 1.03 * best, cases[i].why);
		dispatch_fini(&w.d);
	}
}

static void
put_lines(struct dispatch *d, int64_t lane, int n)
{
	for (int i = 0; i < n; i++) {
		struct dispatch_line line = { .chunk = lane,
			.first_line = 1,
			.index = (int16_t)(i + 1),
			.bytes = 300,
			.cap = -1 };

		dispatch_lane_fresh(dispatch_lane(d, lane), &line);
	}
}

/* Lines that a plan sends by each path. */
static void
plan_paths(struct dispatch *d, int64_t now_us, int64_t out[3])
{
	struct dispatch_plan plan = { 0 };

	dispatch_world_begin(d);
	dispatch_worker(d, 1000);
	dispatch_plan(d, now_us, &plan);
	memset(out, 0, 3 * sizeof(out[0]));
	for (size_t i = 0; i < plan.nruns; i++)
		out[plan.runs[i]->path] += (int64_t)plan.runs[i]->n;
	dispatch_plan_fini(&plan);
}

/* Paths 1 and 2 of one pool, which has a limit for both. */
static void
start_pool(struct dispatch *d, enum dispatch_kind second, int priority)
{
	static const char *const models[][1] = { { "a" }, { "b" } };
	struct dispatch_conf_path paths[] = {
		{ .id = 1, .pool = 1, .models = models[0], .nmodels = 1 },
		{ .id = 2,
		    .pool = 1,
		    .models = models[1],
		    .nmodels = 1,
		    .kind = second },
	};
	const struct dispatch_conf_limit limits[] = {
		{ .id = 1,
		    .pool = 1,
		    .model = "*",
		    .dimension = PACE_REQUESTS,
		    .window_us = 10 * S,
		    .amount = 100 },
	};

	dispatch_init(d);
	dispatch_configure(d, paths, 2, limits, 1);
	dispatch_lanes_begin(d);
	dispatch_lane_put(d, 1, "a", priority, 90000 * S, 1, 250);
	dispatch_lane_put(d, 2, "b", SLC_PRIORITY_LOW, 90000 * S, 1, 250);
	dispatch_lanes_end(d);
	put_lines(d, 1, 250);
	put_lines(d, 2, 250);
}

static void
a_refusal_of_a_cheap_path_leaves_the_direct_one_alone(void)
{
	struct dispatch_refusal refusal = { .kind = DIALECT_RATE,
		.dim = DIALECT_REQUESTS,
		.n = 1,
		.wait_us = 60 * S };
	struct dispatch_seen seen = {
		.path = 2, .model = "b", .refusals = &refusal, .nrefusals = 1
	};
	struct dispatch d;
	int64_t n[3];

	start_pool(&d, DISPATCH_SUFFIX, SLC_PRIORITY_LOW);
	plan_paths(&d, 1000 * S, n);
	dispatch_seen(&d, 1000 * S, &seen);
	plan_paths(&d, 1001 * S, n);
	CU_ASSERT(n[1] > 0);
	CU_ASSERT_EQUAL(n[2], 0);
	dispatch_fini(&d);
	/* Of two direct ones the pool's limit is meant. */
	start_pool(&d, DISPATCH_DIRECT, SLC_PRIORITY_LOW);
	plan_paths(&d, 1000 * S, n);
	dispatch_seen(&d, 1000 * S, &seen);
	plan_paths(&d, 1001 * S, n);
	CU_ASSERT_EQUAL(n[1] + n[2], 0);
	dispatch_fini(&d);
}

static void
secrets_of_one_account_share_its_budget(void)
{
	struct dispatch d;
	int64_t n[3], sum[3] = { 0 };

	start_pool(&d, DISPATCH_DIRECT, SLC_PRIORITY_LOW);
	for (int64_t t = 0; t < 10 * S; t += 100000) {
		if (t == 5 * S)
			dispatch_lane(&d, 1)->priority = SLC_PRIORITY_CRITICAL;
		plan_paths(&d, 1000 * S + t, n);
		for (int i = 1; i < 3; i++)
			sum[i] += n[i];
	}
	CU_ASSERT(sum[1] > 0);
	CU_ASSERT(sum[1] + sum[2] <= 100);
	CU_ASSERT(sum[1] + sum[2] >= 90);
	dispatch_fini(&d);
}

/* Two lanes of one batch, whose purse holds so much. */
static void
fill_purse(struct dispatch *d, int64_t left, bool out)
{
	dispatch_lanes_begin(d);
	for (int64_t id = 1; id <= 2; id++) {
		struct dispatch_lane *lane = dispatch_lane_put(
		    d, id, id == 1 ? "a" : "b", 2, 90000 * S, 1, 250);

		lane->batch = 9;
		dispatch_lane_cap(d, lane, left, out);
	}
	dispatch_lanes_end(d);
}

static void
no_line_goes_that_the_purse_does_not_hold(void)
{
	static const char *const all[] = { "*" };
	struct dispatch_conf_path path = { .id = 1,
		.pool = 1,
		.models = all,
		.nmodels = 1,
		.prices = price_of(1),
		.nprices = 1 };
	const struct dispatch_conf_limit seats = { .id = 1,
		.pool = 1,
		.model = "*",
		.dimension = PACE_CONCURRENT,
		.amount = 200 };
	struct dispatch_plan plan = { 0 };
	struct dispatch d;
	double money = 0;

	dispatch_init(&d);
	dispatch_configure(&d, &path, 1, &seats, 1);
	/* 101 tokens in, 512 out as long as nothing is known. */
	fill_purse(&d, 10000, false);
	put_lines(&d, 1, 250);
	put_lines(&d, 2, 250);
	dispatch_world_begin(&d);
	dispatch_worker(&d, 1000);
	dispatch_granted(&d, 1, 200, true);
	dispatch_plan(&d, 1000 * S, &plan);
	for (size_t i = 0; i < plan.nruns; i++)
		money += plan.runs[i]->money;
	CU_ASSERT_EQUAL(plan.lines, 10000 / 613);
	CU_ASSERT_DOUBLE_EQUAL(money, 613.0 * (double)plan.lines, 1e-6);
	/* What is out may cost less, and pay for the rest. */
	CU_ASSERT_EQUAL(plan.nfailed, 0);
	dispatch_plan_fini(&plan);
	fill_purse(&d, 612, true);
	dispatch_plan(&d, 1001 * S, &plan);
	CU_ASSERT_EQUAL(plan.lines + (int64_t)plan.nfailed, 0);
	CU_ASSERT_DOUBLE_EQUAL(d.purses[0].want, 613, 1e-6);
	dispatch_plan_fini(&plan);
	/* Nothing is out: they will never go. */
	fill_purse(&d, 612, false);
	dispatch_plan(&d, 1002 * S, &plan);
	CU_ASSERT_EQUAL(plan.lines, 0);
	CU_ASSERT_EQUAL(plan.nfailed, DISPATCH_FAILED_MAX);
	CU_ASSERT_STRING_EQUAL(plan.failed[0].code, "spending_limit_reached");
	dispatch_plan_fini(&plan);
	/* No cap: all may go. */
	dispatch_lanes_begin(&d);
	dispatch_lane_put(&d, 1, "a", 2, 90000 * S, 1, 250);
	dispatch_lane_put(&d, 2, "b", 2, 90000 * S, 1, 250);
	dispatch_lanes_end(&d);
	dispatch_plan(&d, 1003 * S, &plan);
	CU_ASSERT(plan.lines > 0);
	dispatch_plan_fini(&plan);
	dispatch_fini(&d);
}

UNIT_MAIN("routes", UNIT(no_deadline_is_missed_and_little_is_paid),
    UNIT(a_refusal_of_a_cheap_path_leaves_the_direct_one_alone),
    UNIT(secrets_of_one_account_share_its_budget),
    UNIT(no_line_goes_that_the_purse_does_not_hold))
