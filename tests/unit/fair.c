/*
 * Who goes first: the planner with many callers in virtual time, an upstream
 * that takes what lines really cost, and workers that tell it.
 */
#include "unit.h"

#include <math.h>

#include "../../scheduler/dispatch_json.h"
#include "world/world.h"

/* Tokens of an account (0: all), a class (0: all), in [from, to) s. */
static double
tokens(int64_t account, int class, int64_t from_s, int64_t to_s)
{
	double sum = 0;

	for (size_t i = 0; i < w.n; i++) {
		const struct world_batch *b = &w.batches[w.calls[i].batch];

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
			world_add((struct world_batch){ .account = k + 1,
			    .priority = 2,
			    .weight = weights[k],
			    .tokens = sizes[k],
			    /* the last but one joins late */
			    .from_us = k == 2 ? 900 * S : 0 });
		world_run_for_s(2400);
		for (int64_t at = 900; at + 600 <= 2400; at += 300) {
			double fair = jain(4, weights, at, at + 600);

			CHECK(fair >= 0.99, cases[i].why);
			printf("# %s, %d..%d s: Jain %.5f\n", cases[i].why,
			    (int)at, (int)at + 600, fair);
		}
		world_stop();
	}
}

static void
classes_have_their_shares(void)
{
	world_start(&token_limit, 1);
	for (int k = 1; k <= 4; k++)
		world_add((struct world_batch){
		    .account = k, .priority = k, .tokens = 500 * k });
	world_run_for_s(1800);
	for (int64_t at = 60; at + 600 <= 1800; at += 60) {
		double all = tokens(0, 0, at, at + 600);

		CU_ASSERT(tokens(0, 1, at, at + 600) >= all / 14 * 0.99);
		CU_ASSERT(tokens(0, 4, at, at + 600) <= all / 2 * 1.01);
		CU_ASSERT(tokens(0, 4, at, at + 600) >= all / 2 * 0.98);
		CU_ASSERT(tokens(0, 2, at, at + 600) >= all / 7 * 0.98);
		CU_ASSERT(tokens(0, 3, at, at + 600) >= all * 2 / 7 * 0.98);
	}
	world_stop();
}

static void
critical_alone_has_all(void)
{
	world_start(&request_limit, 1);
	world_add(
	    (struct world_batch){ .account = 1, .priority = 4, .tokens = 500 });
	world_run_for_s(300);
	CU_ASSERT(w.n > 2900);
	world_stop();
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
			world_add((struct world_batch){ .account = k,
			    .priority = 1 + k % 3,
			    .tokens = 500 });
		for (int k = 0; k < 30; k++)
			world_add((struct world_batch){ .account = 90 + k % 3,
			    .priority = 4,
			    .tokens = 500,
			    .lines = 1,
			    .from_us = (100 + 10 * k) * S +
				(int64_t)(world_chance() * (double)S) });
		world_run_for_s(420);
		for (size_t k = 20; k < w.nbatches; k++) {
			int64_t waited = w.batches[k].first_us - w.start -
			    w.batches[k].from_us;

			CU_ASSERT_EQUAL(w.batches[k].next, 1);
			/* A plan comes every 0.1 s. */
			CU_ASSERT(waited <=
			    DISPATCH_HORIZON_US + 100000 + 2 * slot_us);
		}
		world_stop();
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
	world_add((struct world_batch){
	    .account = 1, .priority = 3, .tokens = 500, .model = "a1" });
	world_add((struct world_batch){
	    .account = 2, .priority = 1, .tokens = 500, .model = "b1" });
	/* Alone on b until the other comes; then they share it alike. */
	world_add((struct world_batch){ .account = 1,
	    .priority = 1,
	    .tokens = 500,
	    .model = "b1",
	    .from_us = 600 * S });
	world_run_for_s(1200);
	CU_ASSERT(w.batches[0].next >= 1190);
	/* Slots of one pool are granted in order: a's now and then move b's. */
	CU_ASSERT(tokens(2, 0, 0, 600) / 500 >= 5800);
	CU_ASSERT(tokens(2, 0, 600, 1200) / 500 >= 2880);
	CU_ASSERT(tokens(2, 0, 600, 1200) / 500 <= 3050);
	world_stop();
}

static void
models_under_one_limit_share_it(void)
{
	static const int weights[] = { 1, 1 };

	world_start(&request_limit, 1);
	for (int k = 0; k < 9; k++) {
		static char names[9][4];

		snprintf(names[k], sizeof(names[k]), "m%d", k);
		world_add((struct world_batch){ .account = k == 0 ? 1 : 2,
		    .priority = 2,
		    .tokens = 500,
		    .model = names[k] });
	}
	world_run_for_s(600);
	CU_ASSERT(jain(2, weights, 10, 600) >= 0.999);
	world_stop();
}

static void
nobody_saves_up(void)
{
	static const int weights[] = { 1, 1 };

	world_start(&request_limit, 1);
	world_add(
	    (struct world_batch){ .account = 1, .priority = 2, .tokens = 500 });
	world_add((struct world_batch){
	    .account = 2, .priority = 2, .tokens = 500, .lines = 50 });
	world_add((struct world_batch){
	    .account = 2, .priority = 2, .tokens = 500, .from_us = 600 * S });
	world_run_for_s(700);
	CU_ASSERT(jain(2, weights, 601, 700) >= 0.999);
	world_stop();
}

static void
the_batch_that_can_least_wait_goes_first(void)
{
	world_start(&request_limit, 1);
	/* The older, the one that is due sooner, the one with more to do. */
	world_add((struct world_batch){ .account = 1,
	    .priority = 2,
	    .tokens = 500,
	    .lines = 600,
	    .deadline_us = 90000 * S });
	world_add((struct world_batch){ .account = 1,
	    .priority = 2,
	    .tokens = 500,
	    .lines = 600,
	    .deadline_us = 9000 * S });
	world_add((struct world_batch){ .account = 1,
	    .priority = 2,
	    .tokens = 500,
	    .lines = 30000,
	    .deadline_us = 9000 * S });
	world_run_for_s(4000);
	CU_ASSERT(w.batches[2].first_us < w.batches[1].first_us);
	CU_ASSERT(w.batches[1].last_us < w.batches[0].first_us);
	for (size_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(w.batches[i].next, w.batches[i].lines);
		CU_ASSERT(
		    w.batches[i].last_us < w.start + w.batches[i].deadline_us);
	}
	world_stop();
}

static void
batches_alike_go_one_after_the_other(void)
{
	world_start(&request_limit, 1);
	for (int i = 0; i < 3; i++)
		world_add((struct world_batch){ .account = 1,
		    .priority = 2,
		    .tokens = 500,
		    .lines = 500,
		    .deadline_us = (86400 + i) * S });
	world_run_for_s(200);
	CU_ASSERT(w.batches[0].last_us < w.batches[1].first_us);
	CU_ASSERT(w.batches[1].last_us < w.batches[2].first_us);
	world_stop();
}

/* Class 1 of an account is late for its deadline by its own share, not by all
 * that its account may have; another's share stays what it is. */
static void
danger_lifts_a_batch_within_the_share_of_its_account(void)
{
	size_t low, late;

	world_start(&request_limit, 1);
	world_add(
	    (struct world_batch){ .account = 1, .priority = 3, .tokens = 500 });
	world_add(
	    (struct world_batch){ .account = 2, .priority = 3, .tokens = 500 });
	low = world_add((struct world_batch){ .account = 1,
	    .priority = 1,
	    .tokens = 500,
	    .lines = 2500,
	    .deadline_us = 660 * S });
	late = world_add((struct world_batch){ .account = 1,
	    .priority = 1,
	    .tokens = 500,
	    .lines = 20000,
	    .deadline_us = 600 * S });
	world_run_for_s(660);
	CU_ASSERT_EQUAL(w.batches[low].next, 2500);
	CU_ASSERT(w.batches[low].last_us < w.start + 660 * S);
	/* Account 1 has class 1 for itself, and half of class 3. */
	CU_ASSERT(tokens(2, 3, 60, 600) >= tokens(0, 0, 60, 600) * 0.39);
	/* Who cannot be helped has what others can do without. */
	CU_ASSERT(w.batches[late].next > 100);
	world_stop();
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
			const struct world_batch *b =
			    &w.batches[w.calls[k].batch];

			if (b->account == account)
				sum += requests ? 1 : b->tokens;
		}
		most = fmax(most, sum);
	}
	return most;
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
			world_add((struct world_batch){ .account = 1,
			    .priority = 3,
			    .tokens = 1000,
			    .model = k == 0 ? "m" : "n",
			    .shape = 9 });
		world_add((struct world_batch){
		    .account = 2, .priority = 1, .tokens = 1000 });
		world_run_for_s(900);
		mine = tokens(1, 0, 300, 900) / 1000;
		others = tokens(2, 0, 300, 900) / 1000;
		CHECK(mine >= cases[i].least * 600, cases[i].why);
		CHECK(mine + others >= 0.97 * 6000, cases[i].why);
		world_sort();
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
		world_run_for_s(60);
		CHECK(tokens(1, 0, 901, 960) / 1000 <= 42, cases[i].why);
		CHECK(tokens(1, 0, 901, 960) / 1000 >= 30, cases[i].why);
		world_stop();
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
	world_add((struct world_batch){
	    .account = 1, .priority = 2, .tokens = 8000 });
	world_add((struct world_batch){
	    .account = 2, .priority = 2, .weight = 3, .tokens = 200 });
	world_add(
	    (struct world_batch){ .account = 3, .priority = 1, .tokens = 200 });
	world_run_for_s(300);
	/* Every few seconds another one: it knows what this one knew. */
	for (int i = 0; i < 100; i++) {
		struct buf doc = { 0 };
		struct dispatch next;
		json_t *list;

		dispatch_books_write(&w.d, &doc);
		world_configure(&next, &l, 1);
		next.rates[0]->pace.next_us = w.d.rates[0]->pace.next_us;
		list = json_loadb(doc.p, doc.n, 0, NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(list);
		dispatch_books_read(&next, list, w.now);
		json_decref(list);
		buf_fini(&doc);
		dispatch_fini(&w.d);
		w.d = next;
		world_look();
		world_run_for_s(6);
	}
	before = jain(2, weights, 300, 900);
	printf("# Jain over 100 dispatchers: %.4f\n", before);
	CU_ASSERT(before >= 0.95);
	CU_ASSERT(tokens(0, 1, 300, 900) / 200 >= 600 / 3.1);
	world_stop();
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
