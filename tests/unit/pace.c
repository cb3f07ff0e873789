/* Grid and ledger of one limit; estimates; seats. */
#include "unit.h"

#include "../../scheduler/estimate.h"
#include "../../scheduler/pace.h"
#include "../../scheduler/seats.h"

#define S INT64_C(1000000)

static void
the_grid_spreads_requests_evenly(void)
{
	static const struct {
		const char *why;
		int64_t amount, window_s;
	} cases[] = {
		{ "ten a minute", 10, 60 },
		{ "fifty a second", 3000, 60 },
		{ "an hour's budget", 3600, 3600 },
		{ "once a day", 1, 86400 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		int64_t w = cases[i].window_s * S, at = 5 * S, first = 0,
			last = 0;
		int64_t n = cases[i].amount * 2 + 2, least = INT64_MAX,
			most = 0;
		struct pace p;

		pace_init(&p, PACE_REQUESTS, cases[i].amount, w);
		for (int64_t k = 0; k < n; k++) {
			int64_t slot = pace_earliest(&p, 1, at);

			if (k > 0) {
				least =
				    slot - last < least ? slot - last : least;
				most = slot - last > most ? slot - last : most;
			} else {
				first = slot;
			}
			last = slot;
			pace_grant(&p, 1, slot, PACE_LATE_US, 1);
		}
		CU_ASSERT(most - least <= 2);
		/* amount + 1 requests never stand in window + late + jitter */
		CU_ASSERT(least * cases[i].amount >=
		    w + PACE_LATE_US + PACE_JITTER_US);
		/* and window / (window + slack) of the limit is used */
		CU_ASSERT(last - first <=
		    (n - 1) * ((w + pace_slack_us(&p)) / cases[i].amount + 2));
		pace_fini(&p);
	}
}

static void
a_stall_is_not_made_up_for_with_a_flood(void)
{
	struct pace p;
	int64_t a, b;

	pace_init(&p, PACE_REQUESTS, 60, 60 * S);
	pace_grant(&p, 1, 10 * S, PACE_LATE_US, 1);
	a = pace_earliest(&p, 1, 100 * S);
	CU_ASSERT_EQUAL(a, 100 * S);
	pace_grant(&p, 1, a, PACE_LATE_US, 1);
	b = pace_earliest(&p, 1, 100 * S);
	CU_ASSERT(b >= 101 * S);
	pace_fini(&p);
}

static void
a_budget_is_spent_faster_only_in_a_hurry(void)
{
	struct pace hour, minute;

	pace_init(&hour, PACE_REQUESTS, 3600, 3600 * S);
	pace_init(&minute, PACE_REQUESTS, 60, 60 * S);
	pace_grant(&hour, 1, 10 * S, PACE_LATE_US, 10);
	pace_grant(&minute, 1, 10 * S, PACE_LATE_US, 10);
	CU_ASSERT(pace_earliest(&hour, 1, 10 * S) < 10 * S + 110000);
	CU_ASSERT(pace_earliest(&minute, 1, 10 * S) > 11 * S);
	/* the ledger holds all the same */
	for (int i = 1; i < 3600; i++)
		pace_grant(&hour, 1, pace_earliest(&hour, 1, 10 * S),
		    PACE_LATE_US, 10);
	CU_ASSERT(pace_earliest(&hour, 1, 10 * S) > 3610 * S);
	pace_fini(&hour);
	pace_fini(&minute);
}

static void
costs_follow_the_dimension(void)
{
	struct pace p = { .dimension = PACE_REQUESTS };

	CU_ASSERT_EQUAL(pace_cost(&p, PACE_CHARGE_ACTUAL, 100, 50), 1);
	p.dimension = PACE_TOKENS;
	CU_ASSERT_EQUAL(pace_cost(&p, PACE_CHARGE_ACTUAL, 100, 50), 150);
	p.dimension = PACE_INPUT_TOKENS;
	CU_ASSERT_EQUAL(pace_cost(&p, PACE_CHARGE_ACTUAL, 100, 50), 100);
	p.dimension = PACE_OUTPUT_TOKENS;
	CU_ASSERT_EQUAL(pace_cost(&p, PACE_CHARGE_ACTUAL, 100, 50), 50);
	CU_ASSERT_EQUAL(pace_cost(&p, PACE_CHARGE_ACTUAL, 100, 0), 1);
}

static void
headroom_and_reserve_are_taken_off(void)
{
	CU_ASSERT_EQUAL(pace_amount(300, 0, 0), 300);
	CU_ASSERT_EQUAL(pace_amount(300, 0.17, 0), 249);
	CU_ASSERT_EQUAL(pace_amount(1000, 0.1, 0.1), 810);
	CU_ASSERT_EQUAL(pace_amount(1, 0.9, 0), 1);
}

static void
what_a_line_really_cost_replaces_the_estimate(void)
{
	struct pace p;

	pace_init(&p, PACE_TOKENS, 1000, 60 * S);
	pace_grant(&p, 400, 100 * S, PACE_LATE_US, 1);
	CU_ASSERT_EQUAL(ledger_used(&p.ledger, 101 * S), 400);
	pace_settle(&p, 400, 100 * S, PACE_LATE_US, 150, 100 * S + 10);
	CU_ASSERT_EQUAL(ledger_used(&p.ledger, 101 * S), 150);
	/* a loose slot counts from when it left, not from when it could have */
	pace_grant(&p, 100, 101 * S, 30 * S, 1);
	CU_ASSERT_EQUAL(ledger_used(&p.ledger, 170 * S), 100);
	pace_settle(&p, 100, 101 * S, 30 * S, 100, 102 * S);
	CU_ASSERT_EQUAL(ledger_used(&p.ledger, 170 * S), 0);
	/* not known to have left: stays charged */
	pace_grant(&p, 100, 200 * S, 30 * S, 1);
	pace_settle(&p, 100, 200 * S, 30 * S, 100, 0);
	CU_ASSERT_EQUAL(ledger_used(&p.ledger, 285 * S), 100);
	pace_fini(&p);
}

static void
a_line_larger_than_the_limit_goes_alone(void)
{
	struct pace p;
	int64_t at;

	pace_init(&p, PACE_TOKENS, 1000, 60 * S);
	at = pace_earliest(&p, 5000, 10 * S);
	CU_ASSERT_EQUAL(at, 10 * S);
	pace_grant(&p, 1000, at, PACE_LATE_US, 1);
	CU_ASSERT(pace_earliest(&p, 5000, 10 * S) >= 70 * S);
	pace_fini(&p);
}

static void
a_refusal_pauses_as_long_as_it_says_or_longer_each_time(void)
{
	struct pace p;

	pace_init(&p, PACE_REQUESTS, 60, 60 * S);
	pace_refused(&p, 100 * S, 7 * S, 100 * S, PACE_BLAME_OTHERS);
	CU_ASSERT_EQUAL(pace_earliest(&p, 1, 100 * S), 107 * S);
	pace_refused(&p, 101 * S, 2 * S, 101 * S,
	    false); /* a shorter word shortens nothing */
	CU_ASSERT_EQUAL(pace_earliest(&p, 1, 100 * S), 107 * S);
	pace_refused(&p, 200 * S, 0, 200 * S, PACE_BLAME_OTHERS);
	CU_ASSERT_EQUAL(pace_earliest(&p, 1, 200 * S), 201 * S);
	pace_refused(&p, 300 * S, 0, 300 * S, PACE_BLAME_OTHERS);
	CU_ASSERT_EQUAL(pace_earliest(&p, 1, 300 * S), 302 * S);
	for (int i = 4; i < 20; i++)
		pace_refused(
		    &p, i * 100 * S, 0, i * 100 * S, PACE_BLAME_OTHERS);
	CU_ASSERT_EQUAL(pace_earliest(&p, 1, 1900 * S), 1930 * S);
	pace_fini(&p);
}

static void
estimates_begin_cautious_and_learn(void)
{
	struct estimate e = { 0 };
	struct estimate_sample s = { .n = 100,
		.bytes = 40000,
		.input = 10000,
		.output = 2000,
		.output2 = 100 * 20 * 20,
		.ms = 50000,
		.ms2 = 100 * 500.0 * 500 };

	CU_ASSERT(estimate_input(&e, 300) >= 100);
	CU_ASSERT_EQUAL(estimate_output(&e, -1), ESTIMATE_OUTPUT);
	CU_ASSERT_EQUAL(estimate_output(&e, 16), 16);
	CU_ASSERT_EQUAL(estimate_latency_ms(&e), 0);
	estimate_learn(&e, &s);
	CU_ASSERT(
	    estimate_input(&e, 400) >= 100 && estimate_input(&e, 400) <= 110);
	CU_ASSERT_EQUAL(estimate_output(&e, -1), 20);
	CU_ASSERT_DOUBLE_EQUAL(estimate_latency_ms(&e), 500, 1);
	/* spread counts, and what is old fades */
	s.ms2 = 100 * (500.0 * 500 + 200 * 200);
	for (int i = 0; i < 50; i++)
		estimate_learn(&e, &s);
	CU_ASSERT_DOUBLE_EQUAL(estimate_latency_ms(&e), 700, 5);
	s = (struct estimate_sample){ 0 };
	estimate_learn(&e, &s);
	CU_ASSERT_DOUBLE_EQUAL(estimate_latency_ms(&e), 700, 5);
}

static void
seats_are_shared_equally_and_never_twice(void)
{
	struct seats_worker w[3] = {
		{ .id = 1, .live = true, .most = 100 },
		{ .id = 2, .live = true, .most = 100 },
		{ .id = 3, .live = true, .most = 2 },
	};

	CU_ASSERT_TRUE(seats_share(10, w, 3));
	CU_ASSERT_EQUAL(w[0].target, 4);
	CU_ASSERT_EQUAL(w[1].target, 4);
	CU_ASSERT_EQUAL(w[2].target, 2);
	for (int i = 0; i < 3; i++)
		w[i].granted = w[i].target;
	CU_ASSERT_FALSE(seats_share(10, w, 3));
	/* the limit shrinks: nobody grows before the others have given up */
	CU_ASSERT_TRUE(seats_share(5, w, 3));
	CU_ASSERT_EQUAL(w[0].target + w[1].target + w[2].target, 5);
	/* a dead worker's seats are not given away */
	w[0].granted = w[0].target = 10;
	w[0].live = false;
	w[1].granted = w[1].target = w[2].granted = w[2].target = 0;
	seats_share(10, w, 3);
	CU_ASSERT_EQUAL(w[1].target, 0);
	CU_ASSERT_EQUAL(w[2].target, 0);
	w[0].granted = 0;
	seats_share(10, w, 3);
	CU_ASSERT_EQUAL(w[1].target, 8);
	CU_ASSERT_EQUAL(w[2].target, 2);
}

static void
a_new_worker_gets_seats_as_others_give_them_up(void)
{
	struct seats_worker w[2] = {
		{ .id = 1,
		    .live = true,
		    .most = 100,
		    .granted = 10,
		    .target = 10 },
		{ .id = 2, .live = true, .most = 100 },
	};

	seats_share(10, w, 2);
	CU_ASSERT_EQUAL(w[0].target, 5);
	CU_ASSERT_EQUAL(w[1].target, 0);
	w[0].granted = 7; /* three calls have ended */
	seats_share(10, w, 2);
	CU_ASSERT_EQUAL(w[1].target, 3);
	w[0].granted = 5;
	w[1].granted = 3;
	seats_share(10, w, 2);
	CU_ASSERT_EQUAL(w[1].target, 5);
}

static void
others_slow_us_down_and_do_not_stop_us(void)
{
	struct pace p;

	pace_init(&p, PACE_REQUESTS, 1000, 60 * S);
	p.others.units = 300;
	CU_ASSERT_EQUAL(pace_allowed(&p, 0), 700);
	p.reserve = 100; /* theirs anyhow */
	CU_ASSERT_EQUAL(pace_allowed(&p, 0), 800);
	p.others.units = 100000;
	CU_ASSERT_EQUAL(pace_allowed(&p, 0), 20);
	p.others.end_us = 50 * S;
	p.others.next_units = 200;
	CU_ASSERT_EQUAL(pace_allowed(&p, 50 * S), 900);
	pace_fini(&p);
}

static void
a_refusal_is_followed_by_a_probe_and_a_ramp(void)
{
	struct pace p;
	int64_t a, b, n = 0;

	pace_init(&p, PACE_REQUESTS, 600, 60 * S);
	pace_refused(&p, 100 * S, 7 * S, 100 * S - 1, PACE_BLAME_OTHERS);
	a = pace_earliest(&p, 1, 100 * S);
	CU_ASSERT_EQUAL(a, 107 * S);
	pace_grant(&p, 1, a, PACE_LATE_US, 1);
	/* The second waits for what becomes of the first. */
	b = pace_earliest(&p, 1, a);
	CU_ASSERT(b >= a + PACE_PROBE_US);
	pace_served(&p, a + S / 2, a);
	pace_begin(&p, a + S / 2);
	b = pace_earliest(&p, 1, a + S / 2);
	CU_ASSERT(b < a + S);
	/* A tenth of the speed at first, all of it after six seconds. */
	for (int64_t at = b; at < b + S; n++) {
		pace_grant(&p, 1, at, PACE_LATE_US, 1);
		at = pace_earliest(&p, 1, at);
	}
	CU_ASSERT(n <= 4);
	pace_begin(&p, b + 7 * S);
	a = pace_earliest(&p, 1, b + 7 * S);
	pace_grant(&p, 1, a, PACE_LATE_US, 1);
	CU_ASSERT(pace_earliest(&p, 1, a) - a < 102000);
	pace_fini(&p);
}

static void
a_large_cost_gets_its_room_and_others_the_rest(void)
{
	struct pace p;
	int64_t at, large, due, last = 0;

	pace_init(&p, PACE_TOKENS, 1000, 60 * S);
	CU_ASSERT(pace_is_large(&p, 51));
	CU_ASSERT_FALSE(pace_is_large(&p, 50));
	/* Even small ones, then one so large, then small ones again. */
	for (at = 100 * S; at < 140 * S; at = pace_earliest(&p, 10, at))
		pace_grant(&p, 10, at, PACE_LATE_US, 1);
	pace_grant(&p, 300, at, PACE_LATE_US, 1);
	large = at;
	for (; at < 162 * S; at = pace_earliest(&p, 10, at))
		pace_grant(&p, 10, at, PACE_LATE_US, 1);
	/* The next takes the place of that one. */
	pace_claim(&p, 300, false, at);
	due = p.claim_us;
	CU_ASSERT(due > large + 60 * S && due < large + 61 * S);
	/* Small ones go on until then. */
	for (;;) {
		at = pace_earliest(&p, 10, at);
		if (at >= due)
			break;
		pace_grant(&p, 10, at, PACE_LATE_US, 1);
		last = at;
		pace_claim(&p, 300, false, at);
		CU_ASSERT_EQUAL(p.claim_us, due);
	}
	CU_ASSERT(due - last < 2 * S);
	at = pace_earliest(&p, 300, last);
	CU_ASSERT_EQUAL(at, due);
	pace_grant(&p, 300, at, PACE_LATE_US, 1);
	CU_ASSERT_EQUAL(p.claim, 0);
	pace_fini(&p);
}

static void
what_a_large_one_leaves_goes_to_the_next_or_at_once_to_others(void)
{
	struct pace p;
	int64_t first, at;

	pace_init(&p, PACE_TOKENS, 1000, 60 * S);
	first = pace_earliest(&p, 400, 100 * S);
	pace_grant(&p, 400, first, PACE_LATE_US, 1);
	/* It holds up nobody: the grid may be ahead by as much. */
	CU_ASSERT(pace_earliest(&p, 10, first) <= first + S);
	for (at = first; at < first + 59 * S; at = pace_earliest(&p, 10, at))
		pace_grant(&p, 10, at, PACE_LATE_US, 1);
	CU_ASSERT_EQUAL(ledger_used(&p.ledger, at - 1), 1000);
	/* A large one that waits takes the place without idle room. */
	at = first + 50 * S;
	pace_claim(&p, 400, false, at);
	CU_ASSERT_EQUAL(p.claim_us, pace_earliest(&p, 400, at));
	CU_ASSERT(p.claim_us <= first + 61 * S);
	CU_ASSERT(pace_earliest(&p, 30, p.claim_us - 1) > p.claim_us);
	/* And when none does, forty small ones take it within some seconds. */
	at = p.claim_us;
	p.claim = 0;
	for (int i = 0; i < 40; i++) {
		at = pace_earliest(&p, 10, at);
		pace_grant(&p, 10, at, PACE_LATE_US, 1);
	}
	CU_ASSERT(at <= p.claim_us + 2 * S);
	CU_ASSERT(at >= p.claim_us + S);
	pace_fini(&p);
}

static void
room_that_can_be_used_first_is_not_kept(void)
{
	struct pace p;
	int64_t at = 100 * S;

	/* Nothing is in the window but a little: to keep the rest empty until
	 * that is gone would waste nearly a window. */
	pace_init(&p, PACE_TOKENS, 1000, 60 * S);
	pace_grant(&p, 50, at, PACE_LATE_US, 1);
	pace_claim(&p, 1000, false, at + S);
	CU_ASSERT_EQUAL(p.claim, 0);
	/* But not for ever, and not when many wait. */
	pace_claim(&p, 1000, true, at + S);
	CU_ASSERT_EQUAL(p.claim, 1000);
	p.claim = 0;
	pace_grant(&p, 50, at + 62 * S, PACE_LATE_US, 1);
	pace_claim(&p, 1000, false, at + 63 * S);
	CU_ASSERT_EQUAL(p.claim, 1000);
	pace_fini(&p);
}

UNIT_MAIN("pace", UNIT(others_slow_us_down_and_do_not_stop_us),
    UNIT(a_refusal_is_followed_by_a_probe_and_a_ramp),
    UNIT(a_large_cost_gets_its_room_and_others_the_rest),
    UNIT(what_a_large_one_leaves_goes_to_the_next_or_at_once_to_others),
    UNIT(room_that_can_be_used_first_is_not_kept),
    UNIT(the_grid_spreads_requests_evenly),
    UNIT(a_stall_is_not_made_up_for_with_a_flood),
    UNIT(a_budget_is_spent_faster_only_in_a_hurry),
    UNIT(costs_follow_the_dimension), UNIT(headroom_and_reserve_are_taken_off),
    UNIT(what_a_line_really_cost_replaces_the_estimate),
    UNIT(a_line_larger_than_the_limit_goes_alone),
    UNIT(a_refusal_pauses_as_long_as_it_says_or_longer_each_time),
    UNIT(estimates_begin_cautious_and_learn),
    UNIT(seats_are_shared_equally_and_never_twice),
    UNIT(a_new_worker_gets_seats_as_others_give_them_up))
