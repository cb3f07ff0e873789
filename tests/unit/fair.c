/*
 * Who goes first: the planner with many callers in virtual time, an upstream
 * that takes what lines really cost, and workers that tell it.
 */
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../scheduler/dispatch.h"
#include "../../scheduler/dispatch_json.h"

#define S INT64_C(1000000)

enum { CALLS_MAX = 400000, BATCHES_MAX = 64, MANY = 1000000 };

/* One batch of an account. */
struct batch {
	int64_t account, from_us, deadline_us; /* after the start; 0: far off */
	int priority, weight;
	int32_t tokens; /* each line takes, one in five of them as input */
	int32_t lines;
	const char *model;
	int32_t shape; /* a limit of its caller; 0: none */
	/* as it runs */
	int32_t next, done;
	int64_t first_us, last_us; /* slots */
};

struct call {
	int64_t slot_us, end_us;
	int32_t est_input, est_output;
	size_t batch;
};

static struct {
	struct dispatch d;
	int64_t start, now, latency_us;
	struct batch batches[BATCHES_MAX];
	size_t nbatches;
	struct call calls[CALLS_MAX];
	size_t n, settled;
	uint64_t chance;
} w;

static double
chance(void)
{
	w.chance ^= w.chance << 13;
	w.chance ^= w.chance >> 7;
	w.chance ^= w.chance << 17;
	return (double)(w.chance >> 11) / 9007199254740992.0;
}

static void
configure(struct dispatch *d, const struct dispatch_conf_limit *limits,
    size_t n)
{
	static const char *const all[] = { "*" };
	struct dispatch_conf_path path = {
		.id = 1, .pool = 1, .models = all, .nmodels = 1
	};

	dispatch_init(d);
	dispatch_configure(d, &path, 1, limits, n);
	d->paths[0]->aimd.limit = AIMD_UNBOUND;
}

static void
world_start(const struct dispatch_conf_limit *limits, size_t n)
{
	memset(&w, 0, sizeof(w));
	w.start = w.now = 1000 * S;
	w.latency_us = 3 * S;
	w.chance = 88172645463325252;
	configure(&w.d, limits, n);
}

static size_t
add(struct batch b)
{
	if (b.model == NULL)
		b.model = "m";
	if (b.lines == 0)
		b.lines = MANY;
	if (b.deadline_us == 0)
		b.deadline_us = 30 * 86400 * S;
	w.batches[w.nbatches] = b;
	return w.nbatches++;
}

static const char *
model_of(const struct call *c)
{
	return w.batches[c->batch].model;
}

static void
lanes(void)
{
	dispatch_lanes_begin(&w.d);
	for (size_t i = 0; i < w.nbatches; i++) {
		struct batch *b = &w.batches[i];
		struct dispatch_lane *lane;

		if (w.now < w.start + b->from_us || b->next >= b->lines)
			continue;
		lane = dispatch_lane_put(&w.d, (int64_t)i + 1, b->model,
		    b->priority, w.start + b->deadline_us, b->next + 1,
		    b->lines - b->next);
		lane->account = b->account;
		lane->weight = b->weight > 0 ? b->weight : 1;
		lane->nshape_ids = b->shape > 0;
		lane->shape_ids[0] = b->shape;
	}
	dispatch_lanes_end(&w.d);
	for (size_t i = 0; i < w.nbatches; i++) {
		struct dispatch_lane *lane =
		    dispatch_lane(&w.d, (int64_t)i + 1);

		while (lane != NULL && dispatch_lane_wants(lane)) {
			int32_t n = lane->read_line - 1;
			struct dispatch_line line = {
				.chunk = 1 + n / 256,
				.first_line = 1 + n / 256 * 256,
				.index = (int16_t)(1 + n % 256),
				.bytes = w.batches[i].tokens / 5 * 4,
				.cap = -1,
			};

			dispatch_lane_fresh(lane, &line);
		}
	}
}

static void
settle(void)
{
	dispatch_world_begin(&w.d);
	dispatch_worker(&w.d, 10000);
	for (size_t i = 1; i < w.d.nseats; i++)
		dispatch_granted(&w.d, w.d.seats[i]->id, w.d.seats[i]->amount);
	while (w.settled < w.n && w.calls[w.settled].end_us <= w.now) {
		const struct call *c = &w.calls[w.settled++];
		const struct batch *b = &w.batches[c->batch];
		double output = b->tokens - b->tokens / 5;
		struct dispatch_entry e = { .slot_us = c->slot_us,
			.keep_us = PACE_LATE_US,
			.sent_us = c->slot_us + 1000,
			.est_input = c->est_input,
			.est_output = c->est_output,
			.input = b->tokens / 5,
			.output = (int64_t)output,
			.ms = w.latency_us / 1000,
			.lane = (int64_t)c->batch + 1 };
		struct dispatch_seen seen = { .path = 1,
			.model = model_of(c),
			.ok = 1,
			.sample = { .n = 1,
			    .bytes = b->tokens / 5 * 4,
			    .input = b->tokens / 5,
			    .output = output,
			    .output2 = output * output,
			    .ms = (double)w.latency_us / 1000,
			    .ms2 = (double)w.latency_us / 1000 *
				(double)w.latency_us / 1000 } };

		dispatch_settle(&w.d, 1, model_of(c), &e);
		dispatch_seen(&w.d, w.now, &seen);
	}
	for (size_t i = w.settled; i < w.n; i++)
		dispatch_out(&w.d, 1, model_of(&w.calls[i]), 1);
}

static void
take(const struct dispatch_run *run)
{
	struct batch *b = &w.batches[run->lane - 1];

	for (size_t k = 0; k < run->n; k++) {
		struct call *c = &w.calls[w.n++];

		CU_ASSERT_FATAL(w.n < CALLS_MAX);
		*c = (struct call){ .slot_us =
					run->send_us + run->lines[k].slot_us,
			.est_input = run->lines[k].input,
			.est_output = run->lines[k].output,
			.batch = (size_t)run->lane - 1 };
		c->end_us = c->slot_us + w.latency_us;
		if (b->next++ == 0)
			b->first_us = c->slot_us;
		b->last_us = c->slot_us;
	}
}

static void
run_for_s(int64_t seconds)
{
	int64_t end = w.now + seconds * S;

	for (; w.now < end; w.now += 100000) {
		struct dispatch_plan plan = { 0 };

		settle();
		lanes();
		dispatch_plan(&w.d, w.now, &plan);
		for (size_t i = 0; i < plan.nruns; i++)
			take(plan.runs[i]);
		dispatch_plan_fini(&plan);
	}
}

/* Tokens of an account (0: all), a class (0: all), in [from, to) s. */
static double
tokens(int64_t account, int class, int64_t from_s, int64_t to_s)
{
	double sum = 0;

	for (size_t i = 0; i < w.n; i++) {
		const struct batch *b = &w.batches[w.calls[i].batch];

		if ((account == 0 || b->account == account) &&
		    (class == 0 || b->priority == class) &&
		    w.calls[i].slot_us >= w.start + from_s * S &&
		    w.calls[i].slot_us < w.start + to_s * S)
			sum += b->tokens;
	}
	return sum;
}

/* Of tokens over weights, of the accounts 1 .. n. */
static double
jain(int64_t n, const int *weights, int64_t from_s, int64_t to_s)
{
	double sum = 0, squares = 0;

	for (int64_t i = 1; i <= n; i++) {
		double x = tokens(i, 0, from_s, to_s) / weights[i - 1];

		sum += x;
		squares += x * x;
	}
	return sum * sum / ((double)n * squares);
}

static const struct dispatch_conf_limit token_limit = { .id = 5,
	.pool = 1,
	.model = "*",
	.dimension = PACE_TOKENS,
	.window_us = 60 * S,
	.amount = 1200000 };
static const struct dispatch_conf_limit request_limit = { .id = 5,
	.pool = 1,
	.model = "*",
	.dimension = PACE_REQUESTS,
	.window_us = 60 * S,
	.amount = 600 };
static const struct dispatch_conf_limit seats_limit = { .id = 5,
	.pool = 1,
	.model = "*",
	.dimension = PACE_CONCURRENT,
	.amount = 40 };

static void
sizes_do_not_matter_weights_do(void)
{
	static const int weights[] = { 1, 1, 2, 4 };
	static const int32_t sizes[] = { 200, 1000, 4000, 8000 };
	const struct {
		const char *why;
		struct dispatch_conf_limit limit;
	} cases[] = {
		{ "tokens bind", token_limit },
		{ "requests bind", request_limit },
		{ "seats bind", seats_limit },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		world_start(&cases[i].limit, 1);
		for (int k = 0; k < 4; k++)
			add((struct batch){ .account = k + 1,
			    .priority = 2,
			    .weight = weights[k],
			    .tokens = sizes[k],
			    /* the last but one joins late */
			    .from_us = k == 2 ? 900 * S : 0 });
		run_for_s(2400);
		for (int64_t at = 900; at + 600 <= 2400; at += 300) {
			double fair = jain(4, weights, at, at + 600);

			CHECK(fair >= 0.99, cases[i].why);
			printf("# %s, %d..%d s: Jain %.5f\n", cases[i].why,
			    (int)at, (int)at + 600, fair);
		}
		dispatch_fini(&w.d);
	}
}

static void
classes_have_their_shares(void)
{
	world_start(&token_limit, 1);
	for (int k = 1; k <= 4; k++)
		add((struct batch){
		    .account = k, .priority = k, .tokens = 500 * k });
	run_for_s(1800);
	for (int64_t at = 60; at + 600 <= 1800; at += 60) {
		double all = tokens(0, 0, at, at + 600);

		CU_ASSERT(tokens(0, 1, at, at + 600) >= all / 14 * 0.99);
		CU_ASSERT(tokens(0, 4, at, at + 600) <= all / 2 * 1.01);
		CU_ASSERT(tokens(0, 4, at, at + 600) >= all / 2 * 0.98);
		CU_ASSERT(tokens(0, 2, at, at + 600) >= all / 7 * 0.98);
		CU_ASSERT(tokens(0, 3, at, at + 600) >= all * 2 / 7 * 0.98);
	}
	dispatch_fini(&w.d);
}

static void
critical_alone_has_all(void)
{
	world_start(&request_limit, 1);
	add((struct batch){ .account = 1, .priority = 4, .tokens = 500 });
	run_for_s(300);
	CU_ASSERT(w.n > 2900);
	dispatch_fini(&w.d);
}

static void
a_critical_line_leaves_within_the_horizon_and_two_slots(void)
{
	static const int64_t amounts[] = { 60, 600, 3000 };

	for (size_t i = 0; i < NITEMS(amounts); i++) {
		struct dispatch_conf_limit l = request_limit;
		int64_t slot_us;

		l.amount = amounts[i];
		slot_us = (60 * S + 450000) / l.amount;
		world_start(&l, 1);
		for (int k = 1; k <= 20; k++)
			add((struct batch){ .account = k,
			    .priority = 1 + k % 3,
			    .tokens = 500 });
		for (int k = 0; k < 30; k++)
			add((struct batch){ .account = 90 + k % 3,
			    .priority = 4,
			    .tokens = 500,
			    .lines = 1,
			    .from_us = (100 + 10 * k) * S +
				(int64_t)(chance() * (double)S) });
		run_for_s(420);
		for (size_t k = 20; k < w.nbatches; k++) {
			int64_t waited = w.batches[k].first_us - w.start -
			    w.batches[k].from_us;

			CU_ASSERT_EQUAL(w.batches[k].next, 1);
			/* A plan comes every 0.1 s. */
			CU_ASSERT(waited <=
			    DISPATCH_HORIZON_US + 100000 + 2 * slot_us);
		}
		dispatch_fini(&w.d);
	}
}

static void
what_does_not_contend_is_not_held_up(void)
{
	struct dispatch_conf_limit l[] = { request_limit, request_limit,
		request_limit };

	l[0].id = 4, l[0].model = "a*", l[0].amount = 60;
	l[1].id = 5, l[1].model = "b*", l[1].amount = 600;
	l[2].id = 6, l[2].amount = 3000;
	world_start(l, 3);
	add((struct batch){ .account = 1,
	    .priority = 3,
	    .tokens = 500,
	    .model = "a1" });
	add((struct batch){ .account = 2,
	    .priority = 1,
	    .tokens = 500,
	    .model = "b1" });
	/* Alone on b until the other comes; then they share it alike. */
	add((struct batch){ .account = 1,
	    .priority = 1,
	    .tokens = 500,
	    .model = "b1",
	    .from_us = 600 * S });
	run_for_s(1200);
	CU_ASSERT(w.batches[0].next >= 1190);
	/* Slots of one pool are granted in order: a's now and then move b's. */
	CU_ASSERT(tokens(2, 0, 0, 600) / 500 >= 5800);
	CU_ASSERT(tokens(2, 0, 600, 1200) / 500 >= 2880);
	CU_ASSERT(tokens(2, 0, 600, 1200) / 500 <= 3050);
	dispatch_fini(&w.d);
}

static void
models_under_one_limit_share_it(void)
{
	static const int weights[] = { 1, 1 };

	world_start(&request_limit, 1);
	for (int k = 0; k < 9; k++) {
		static char names[9][4];

		snprintf(names[k], sizeof(names[k]), "m%d", k);
		add((struct batch){ .account = k == 0 ? 1 : 2,
		    .priority = 2,
		    .tokens = 500,
		    .model = names[k] });
	}
	run_for_s(600);
	CU_ASSERT(jain(2, weights, 10, 600) >= 0.999);
	dispatch_fini(&w.d);
}

static void
nobody_saves_up(void)
{
	static const int weights[] = { 1, 1 };

	world_start(&request_limit, 1);
	add((struct batch){ .account = 1, .priority = 2, .tokens = 500 });
	add((struct batch){
	    .account = 2, .priority = 2, .tokens = 500, .lines = 50 });
	add((struct batch){ .account = 2,
	    .priority = 2,
	    .tokens = 500,
	    .from_us = 600 * S });
	run_for_s(700);
	CU_ASSERT(jain(2, weights, 601, 700) >= 0.999);
	dispatch_fini(&w.d);
}

static void
the_batch_that_can_least_wait_goes_first(void)
{
	world_start(&request_limit, 1);
	/* The older, the one that is due sooner, the one with more to do. */
	add((struct batch){ .account = 1,
	    .priority = 2,
	    .tokens = 500,
	    .lines = 600,
	    .deadline_us = 90000 * S });
	add((struct batch){ .account = 1,
	    .priority = 2,
	    .tokens = 500,
	    .lines = 600,
	    .deadline_us = 9000 * S });
	add((struct batch){ .account = 1,
	    .priority = 2,
	    .tokens = 500,
	    .lines = 30000,
	    .deadline_us = 9000 * S });
	run_for_s(4000);
	CU_ASSERT(w.batches[2].first_us < w.batches[1].first_us);
	CU_ASSERT(w.batches[1].last_us < w.batches[0].first_us);
	for (size_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(w.batches[i].next, w.batches[i].lines);
		CU_ASSERT(
		    w.batches[i].last_us < w.start + w.batches[i].deadline_us);
	}
	dispatch_fini(&w.d);
}

static void
batches_alike_go_one_after_the_other(void)
{
	world_start(&request_limit, 1);
	for (int i = 0; i < 3; i++)
		add((struct batch){ .account = 1,
		    .priority = 2,
		    .tokens = 500,
		    .lines = 500,
		    .deadline_us = (86400 + i) * S });
	run_for_s(200);
	CU_ASSERT(w.batches[0].last_us < w.batches[1].first_us);
	CU_ASSERT(w.batches[1].last_us < w.batches[2].first_us);
	dispatch_fini(&w.d);
}

/* Class 1 of an account is late for its deadline by its own share, not by all
 * that its account may have; another's share stays what it is. */
static void
danger_lifts_a_batch_within_the_share_of_its_account(void)
{
	size_t low, late;

	world_start(&request_limit, 1);
	add((struct batch){ .account = 1, .priority = 3, .tokens = 500 });
	add((struct batch){ .account = 2, .priority = 3, .tokens = 500 });
	low = add((struct batch){ .account = 1,
	    .priority = 1,
	    .tokens = 500,
	    .lines = 2500,
	    .deadline_us = 660 * S });
	late = add((struct batch){ .account = 1,
	    .priority = 1,
	    .tokens = 500,
	    .lines = 20000,
	    .deadline_us = 600 * S });
	run_for_s(660);
	CU_ASSERT_EQUAL(w.batches[low].next, 2500);
	CU_ASSERT(w.batches[low].last_us < w.start + 660 * S);
	/* Account 1 has class 1 for itself, and half of class 3. */
	CU_ASSERT(tokens(2, 3, 60, 600) >= tokens(0, 0, 60, 600) * 0.39);
	/* Who cannot be helped has what others can do without. */
	CU_ASSERT(w.batches[late].next > 100);
	dispatch_fini(&w.d);
}

/* The most that an account takes in any window. */
static double
worst(int64_t account, int64_t window_us, bool requests)
{
	double most = 0;

	for (size_t i = 0; i < w.n; i++) {
		double sum = 0;

		for (size_t k = i; k < w.n &&
		     w.calls[k].slot_us <= w.calls[i].slot_us + window_us;
		     k++) {
			const struct batch *b = &w.batches[w.calls[k].batch];

			if (b->account == account)
				sum += requests ? 1 : b->tokens;
		}
		most = fmax(most, sum);
	}
	return most;
}

static int
by_slot(const void *a, const void *b)
{
	const struct call *x = a, *y = b;

	return x->slot_us < y->slot_us ? -1 : x->slot_us > y->slot_us;
}

static void
a_callers_limit_spreads_its_batches_and_no_others(void)
{
	const struct {
		const char *why;
		enum pace_dimension dimension;
		int64_t amount, unit;
		double least; /* share of it that is used */
	} cases[] = {
		{ "requests", PACE_REQUESTS, 60, 1, 0.97 },
		{ "tokens", PACE_TOKENS, 60000, 1000, 0.9 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct dispatch_conf_limit l[] = { request_limit,
			{ .id = 9,
			    .pool = DISPATCH_NO_POOL,
			    .model = "*",
			    .dimension = cases[i].dimension,
			    .window_us = 60 * S,
			    .amount = cases[i].amount } };
		double mine, others;

		world_start(l, 2);
		for (int k = 0; k < 2; k++)
			add((struct batch){ .account = 1,
			    .priority = 3,
			    .tokens = 1000,
			    .model = k == 0 ? "m" : "n",
			    .shape = 9 });
		add((struct batch){
		    .account = 2, .priority = 1, .tokens = 1000 });
		run_for_s(900);
		mine = tokens(1, 0, 300, 900) / 1000;
		others = tokens(2, 0, 300, 900) / 1000;
		CHECK(mine >= cases[i].least * 600, cases[i].why);
		CHECK(mine + others >= 0.97 * 6000, cases[i].why);
		qsort(w.calls, w.n, sizeof(w.calls[0]), by_slot);
		/* Tokens are known when the first answers are in. */
		CHECK(worst(1, 60 * S, true) <=
			(double)cases[i].amount / (double)cases[i].unit + i,
		    cases[i].why);
		/* Evenly: no ten seconds have much more than their part. */
		CHECK(worst(1, 10 * S, true) <= 14, cases[i].why);
		/* Live calls take a third: batches have the rest. */
		dispatch_live_cell(&w.d, 9,
		    (w.now + 30 * S) /
			ledger_width_us(w.d.rates[1]->pace.window_us),
		    cases[i].amount / 3);
		run_for_s(60);
		CHECK(tokens(1, 0, 901, 960) / 1000 <= 42, cases[i].why);
		CHECK(tokens(1, 0, 901, 960) / 1000 >= 30, cases[i].why);
		dispatch_fini(&w.d);
	}
}

static void
turns_outlive_a_dispatcher(void)
{
	struct dispatch_conf_limit l = request_limit;
	static const int weights[] = { 1, 3 };
	double before;

	l.amount = 60;
	world_start(&l, 1);
	add((struct batch){ .account = 1, .priority = 2, .tokens = 8000 });
	add((struct batch){
	    .account = 2, .priority = 2, .weight = 3, .tokens = 200 });
	add((struct batch){ .account = 3, .priority = 1, .tokens = 200 });
	run_for_s(300);
	/* Every few seconds another one: it knows what this one knew. */
	for (int i = 0; i < 100; i++) {
		struct buf doc = { 0 };
		struct dispatch next;
		json_t *list;

		dispatch_books_write(&w.d, &doc);
		configure(&next, &l, 1);
		next.rates[0]->pace.next_us = w.d.rates[0]->pace.next_us;
		list = json_loadb(doc.p, doc.n, 0, NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(list);
		dispatch_books_read(&next, list, w.now);
		json_decref(list);
		buf_fini(&doc);
		dispatch_fini(&w.d);
		w.d = next;
		lanes();
		run_for_s(6);
	}
	before = jain(2, weights, 300, 900);
	printf("# Jain over 100 dispatchers: %.4f\n", before);
	CU_ASSERT(before >= 0.95);
	CU_ASSERT(tokens(0, 1, 300, 900) / 200 >= 600 / 3.1);
	dispatch_fini(&w.d);
}

UNIT_MAIN("fair", UNIT(sizes_do_not_matter_weights_do),
    UNIT(classes_have_their_shares), UNIT(critical_alone_has_all),
    UNIT(a_critical_line_leaves_within_the_horizon_and_two_slots),
    UNIT(what_does_not_contend_is_not_held_up),
    UNIT(models_under_one_limit_share_it), UNIT(nobody_saves_up),
    UNIT(the_batch_that_can_least_wait_goes_first),
    UNIT(batches_alike_go_one_after_the_other),
    UNIT(danger_lifts_a_batch_within_the_share_of_its_account),
    UNIT(a_callers_limit_spreads_its_batches_and_no_others),
    UNIT(turns_outlive_a_dispatcher))
