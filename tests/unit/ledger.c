/* The ledger: no window of span, wherever it lies, holds more than the amount.
 */
#include "unit.h"

#include <stdlib.h>

#include "../../scheduler/ledger.h"

#define S INT64_C(1000000)

static void
units_return_when_their_cell_is_a_span_old(void)
{
	struct ledger l;

	ledger_init(&l, 60 * S, 60 * S + 250000);
	ledger_add(&l, 100 * S, 10);
	CU_ASSERT_EQUAL(ledger_earliest(&l, 10, 1, 100 * S), 160 * S + 250000);
	CU_ASSERT_EQUAL(ledger_earliest(&l, 11, 1, 100 * S), 100 * S);
	CU_ASSERT_EQUAL(ledger_earliest(&l, 10, 1, 170 * S), 170 * S);
	CU_ASSERT_EQUAL(ledger_earliest(&l, 10, 11, 0), LEDGER_NEVER);
	ledger_fini(&l);
}

static void
a_large_cost_waits_for_as_many_cells_as_it_needs(void)
{
	struct ledger l;

	ledger_init(&l, 60 * S, 60 * S);
	for (int i = 0; i < 10; i++)
		ledger_add(&l, (100 + i) * S, 10);
	CU_ASSERT_EQUAL(ledger_earliest(&l, 100, 1, 110 * S), 160 * S);
	CU_ASSERT_EQUAL(ledger_earliest(&l, 100, 10, 110 * S), 160 * S);
	CU_ASSERT_EQUAL(ledger_earliest(&l, 100, 11, 110 * S), 161 * S);
	CU_ASSERT_EQUAL(ledger_earliest(&l, 100, 100, 110 * S), 169 * S);
	ledger_fini(&l);
}

static void
grants_in_the_future_count_too(void)
{
	struct ledger l;

	ledger_init(&l, 60 * S, 60 * S);
	ledger_add(&l, 130 * S, 10); /* a loose slot, recorded at its end */
	CU_ASSERT_EQUAL(ledger_earliest(&l, 10, 1, 100 * S), 190 * S);
	CU_ASSERT_EQUAL(ledger_used(&l, 100 * S), 10);
	CU_ASSERT_EQUAL(ledger_used(&l, 190 * S), 0);
	ledger_fini(&l);
}

static void
taking_back_never_goes_below_nothing(void)
{
	struct ledger l;

	ledger_init(&l, 60 * S, 60 * S);
	ledger_add(&l, 100 * S, 3);
	ledger_add(&l, 100 * S, -5);
	CU_ASSERT_EQUAL(l.total, 0);
	ledger_add(&l, 100 * S, 2);
	CU_ASSERT_EQUAL(ledger_used(&l, 100 * S), 2);
	ledger_fini(&l);
}

static void
what_was_flushed_and_loaded_is_the_same_ledger(void)
{
	struct ledger a, b;
	const struct ledger_cell *c;
	size_t i = 0, n = 0;

	ledger_init(&a, 60 * S, 61 * S);
	ledger_init(&b, 60 * S, 61 * S);
	for (int k = 0; k < 500; k++)
		ledger_add(&a, (k * 37 % 91) * S, 1 + k % 5);
	while ((c = ledger_flush(&a, &i)) != NULL) {
		ledger_load(&b, c->cell, c->units);
		n++;
	}
	CU_ASSERT(n > 80);
	i = 0;
	CU_ASSERT_PTR_NULL(ledger_flush(&a, &i));
	for (int64_t t = 0; t < 160; t++)
		CU_ASSERT_EQUAL(ledger_used(&a, t * S), ledger_used(&b, t * S));
	ledger_add(&a, 5 * S, 1);
	i = 0;
	c = ledger_flush(&a, &i);
	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_EQUAL(c->cell, 5 * S / a.width_us);
	ledger_fini(&a);
	ledger_fini(&b);
}

static void
expiry_changes_no_answer(void)
{
	struct ledger a, b;

	ledger_init(&a, 60 * S, 60 * S);
	ledger_init(&b, 60 * S, 60 * S);
	srand(7);
	for (int64_t t = 0; t < 3000; t++) {
		int64_t units = rand() % 4, at = t * 100000;

		ledger_add(&a, at, units);
		ledger_add(&b, at, units);
		ledger_expire(&b, at);
		for (int64_t more = 1; more < 200; more += 66)
			CU_ASSERT_EQUAL(ledger_earliest(&a, 800, more, at),
			    ledger_earliest(&b, 800, more, at));
	}
	CU_ASSERT(b.n - b.first < 700);
	ledger_fini(&a);
	ledger_fini(&b);
}

/* Random costs, each taken as early as allowed: recount every closed window. */
static void
no_window_holds_more_than_the_amount(void)
{
	enum { N = 4000 };
	static const struct {
		const char *why;
		int64_t window_us, amount, most;
	} cases[] = {
		{ "small costs", 60 * S, 1000, 30 },
		{ "costs of a quarter of it", 60 * S, 1000, 250 },
		{ "one second", 1 * S, 50, 9 },
		{ "an hour", 3600 * S, 5000, 400 },
	};
	static int64_t at[N], cost[N];

	srand(11);
	for (size_t c = 0; c < NITEMS(cases); c++) {
		int64_t jitter_us = 200000, now = 1000 * S, worst = 0;
		struct ledger l;

		ledger_init(&l, cases[c].window_us,
		    cases[c].window_us + jitter_us +
			ledger_width_us(cases[c].window_us));
		for (int i = 0; i < N; i++) {
			cost[i] = 1 + rand() % cases[c].most;
			ledger_expire(&l, now);
			now =
			    ledger_earliest(&l, cases[c].amount, cost[i], now);
			ledger_add(&l, now, cost[i]);
			at[i] = now + rand() % jitter_us; /* it arrives */
		}
		for (int i = 0; i < N; i++) {
			int64_t sum = 0;

			/* Arrivals may overtake each other by the jitter. */
			for (int k = i > 300 ? i - 300 : 0; k < N &&
			     at[k] <=
				 at[i] + cases[c].window_us + 2 * jitter_us;
			     k++)
				if (at[k] >= at[i] &&
				    at[k] <= at[i] + cases[c].window_us)
					sum += cost[k];
			if (sum > worst)
				worst = sum;
		}
		CU_ASSERT(worst <= cases[c].amount);
		CU_ASSERT(worst > cases[c].amount * 9 / 10 - cases[c].most);
		ledger_fini(&l);
	}
}

static void
room_is_made_where_it_comes_together(void)
{
	struct ledger_want want = { .amount = 100, .until_us = 300 * S };
	static const struct {
		const char *why;
		int64_t units, spare, idle, from_s, due_s;
		bool again;
	} cases[] = {
		{ "there is room", 10, 0, 0, 150, 150, false },
		{ "40 leave at once", 40, 0, 0, 150, 165, false },
		{ "and so do 10 and 40 nearly", 50, 0, 0, 150, 165, false },
		{ "10 wait for 5 s", 60, 0, 0, 150, 165, false },
		{ "as soon as can be", 20, 0, 1000 * S, 150, 160, false },
		{ "what is free is too little for others", 25, 11, 0, 150, 165,
		    false },
		{ "all of it", 100, 0, 0, 150, 189, false },
	};
	struct ledger l;

	ledger_init(&l, 60 * S, 60 * S);
	ledger_add(&l, 100 * S, 10);
	ledger_add(&l, 105 * S, 40);
	for (int i = 0; i < 4; i++)
		ledger_add(&l, (120 + 3 * i) * S, 10);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		want.units = cases[i].units;
		want.spare = cases[i].spare;
		want.idle = (double)cases[i].idle;
		want.from_us = cases[i].from_s * S;
		want.again = cases[i].again;
		CHECK(
		    ledger_gap(&l, &want) == cases[i].due_s * S, cases[i].why);
	}
	want.units = 101;
	CU_ASSERT_EQUAL(ledger_gap(&l, &want), LEDGER_NEVER);
	ledger_fini(&l);
}

UNIT_MAIN("ledger", UNIT(room_is_made_where_it_comes_together),
    UNIT(units_return_when_their_cell_is_a_span_old),
    UNIT(a_large_cost_waits_for_as_many_cells_as_it_needs),
    UNIT(grants_in_the_future_count_too),
    UNIT(taking_back_never_goes_below_nothing),
    UNIT(what_was_flushed_and_loaded_is_the_same_ledger),
    UNIT(expiry_changes_no_answer), UNIT(no_window_holds_more_than_the_amount))
