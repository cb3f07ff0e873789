/* What refusals and headers teach: ladder, concurrency, others' use. */
#include "unit.h"

#include <stdlib.h>

#include "../../scheduler/aimd.h"
#include "../../scheduler/clock.h"
#include "../../scheduler/estimate.h"
#include "../../scheduler/foreign.h"
#include "../../scheduler/pace.h"

#define S INT64_C(1000000)

static void
the_ladder_takes_one_step_a_window_and_rests_after_an_hour(void)
{
	struct ladder l = { 0 };

	CU_ASSERT(ladder_refused(&l, 1000 * S, 999 * S, 60 * S, 1));
	CU_ASSERT_EQUAL(l.step, 1);
	/* Calls that had left by then, or in the window after it. */
	CU_ASSERT_FALSE(ladder_refused(&l, 1001 * S, 998 * S, 60 * S, 1));
	CU_ASSERT_FALSE(ladder_refused(&l, 1050 * S, 1049 * S, 60 * S, 1));
	CU_ASSERT(ladder_refused(&l, 1070 * S, 1069 * S, 60 * S, 1));
	CU_ASSERT_EQUAL(l.step, 2);
	CU_ASSERT_FALSE(ladder_rest(&l, 1070 * S + LADDER_HOLD_US - 1));
	CU_ASSERT(ladder_rest(&l, 1070 * S + LADDER_HOLD_US));
	CU_ASSERT_EQUAL(l.step, 1);
}

static void
a_step_that_cannot_be_the_reason_is_left_out(void)
{
	struct pace p;
	int64_t now = 1000 * S;

	/* Far below the amount: no unit too many, and so a second of slack. */
	pace_init(&p, PACE_REQUESTS, 540, 60 * S);
	for (int i = 0; i < 100; i++)
		pace_grant(&p, 1, now + i * S / 9, 0, 1);
	pace_refused(&p, now + 12 * S, 0, now + 11 * S, PACE_BLAME_US);
	CU_ASSERT_EQUAL(p.ladder.step, 2);
	pace_fini(&p);
	/* As many as the limit has. */
	pace_init(&p, PACE_REQUESTS, 20, 60 * S);
	for (int i = 0; i < 20; i++)
		pace_grant(&p, 1, now + i * 3 * S, 0, 1);
	pace_refused(&p, now + 58 * S, 0, now + 58 * S, PACE_BLAME_US);
	CU_ASSERT_EQUAL(p.ladder.step, 1);
	pace_fini(&p);
}

/* Refused at 1000 s, served by the probe, at full speed: refused again. */
static void
the_next_step_waits_for_full_speed_and_no_longer(void)
{
	static const struct {
		const char *why;
		int64_t window_us, again_us;
		int step;
	} cases[] = {
		{ "within the ramp of 6 s", 60 * S, 1006 * S, 2 },
		{ "at full speed, in the same minute", 60 * S, 1011 * S, 3 },
		{ "a budget has its window", 3600 * S, 1100 * S, 2 },
		{ "the window is over", 3600 * S, 4601 * S, 3 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct pace p;
		int64_t again = cases[i].again_us;

		pace_init(&p, PACE_REQUESTS, 540, cases[i].window_us);
		pace_refused(&p, 1000 * S, S, 1000 * S, PACE_BLAME_US);
		CU_ASSERT_EQUAL(p.ladder.step, 2);
		CU_ASSERT_FALSE(pace_steady(&p, 1000 * S));
		pace_grant(&p, 1, 1002 * S, 0, 1);
		pace_served(&p, 1003 * S, 1002 * S);
		pace_begin(&p, again);
		pace_refused(&p, again, S, again, PACE_BLAME_US);
		CU_ASSERT_EQUAL(p.ladder.step, cases[i].step);
		if (p.ladder.step != cases[i].step)
			printf("# %s\n", cases[i].why);
		pace_fini(&p);
	}
}

static void
a_step_down_that_was_wrong_is_not_soon_repeated(void)
{
	struct ladder l = { 0 };
	int64_t now = 1000 * S;

	ladder_refused(&l, now, now, 60 * S, 1);
	now += LADDER_HOLD_US;
	CU_ASSERT(ladder_rest(&l, now));
	CU_ASSERT(ladder_refused(&l, now + 5 * S, now + 4 * S, 60 * S, 1));
	CU_ASSERT_EQUAL(l.step, 1);
	CU_ASSERT_FALSE(ladder_rest(&l, now + 5 * S + LADDER_HOLD_US));
	CU_ASSERT(ladder_rest(&l, now + 5 * S + 2 * LADDER_HOLD_US));
}

static void
a_burst_of_live_calls_shows_where_the_limit_is(void)
{
	/* The upstream takes 20; 60 left at once, heard of in any order. */
	static const int heard[] = { 57, 30, 44, 21, 25, 60 };
	struct aimd a = { 0 };
	int64_t now = 1000 * S, limit;

	CU_ASSERT_FALSE(aimd_binds(&a));
	for (size_t i = 0; i < NITEMS(heard); i++)
		aimd_refused_live(&a, now + 1, now, heard[i]);
	CU_ASSERT(aimd_binds(&a));
	CU_ASSERT_EQUAL(aimd_limit(&a), 20);
	limit = aimd_limit(&a);
	aimd_refused_live(&a, now + 9, now + 2, 20);
	CU_ASSERT(aimd_limit(&a) < limit);
	/* The first of all is refused: one is tried all the same. */
	a = (struct aimd){ 0 };
	aimd_refused_live(&a, now, now - 1, 1);
	CU_ASSERT_EQUAL(aimd_limit(&a), 1);
}

static void
grow(struct aimd *a, int64_t now, bool wanted)
{
	if (wanted)
		CU_ASSERT_FALSE(aimd_allows(a, aimd_limit(a)));
	aimd_grow(a, now, S);
}

static void
concurrency_is_doubled_until_a_refusal(void)
{
	struct aimd a = { 0 };
	int64_t now = 0, limit;

	CU_ASSERT_EQUAL(aimd_limit(&a), AIMD_START);
	CU_ASSERT(aimd_allows(&a, AIMD_START - 1));
	grow(&a, now, false); /* not needed: not raised */
	CU_ASSERT_EQUAL(aimd_limit(&a), AIMD_START);
	for (int i = 0; i < 3; i++) {
		now += S;
		grow(&a, now, true);
		grow(&a, now, true); /* once a latency */
	}
	CU_ASSERT_EQUAL(aimd_limit(&a), 8 * AIMD_START);
	aimd_refused(&a, now + 1, now, 26);
	CU_ASSERT_EQUAL(aimd_limit(&a), 25);
	aimd_refused(&a, now + 2, now, 27); /* they left before that */
	CU_ASSERT_EQUAL(aimd_limit(&a), 25);
	grow(&a, now + 10 * S, true);
	CU_ASSERT_EQUAL(aimd_limit(&a), 25);
	now += 2 + AIMD_REST_US;
	grow(&a, now, true);
	CU_ASSERT_EQUAL(aimd_limit(&a), 26);
	/* It was right: back, and a longer rest. */
	aimd_refused(&a, now + 2, now + 1, 26);
	limit = aimd_limit(&a);
	CU_ASSERT_EQUAL(limit, 25);
	now += 2 + AIMD_REST_US;
	grow(&a, now, true);
	CU_ASSERT_EQUAL(aimd_limit(&a), limit);
	now += AIMD_REST_US;
	grow(&a, now, true);
	CU_ASSERT_EQUAL(aimd_limit(&a), limit + 1);
	/* It stands: the doubling goes on. */
	grow(&a, now + 3 * S, true);
	grow(&a, now + 5 * S, true);
	CU_ASSERT_EQUAL(aimd_limit(&a), 2 * (limit + 1));
}

static void
concurrency_grows_one_by_one(void)
{
	struct aimd a = { 0 };
	int64_t now = 1000 * S, was, most = 0;

	/* How long calls take is not known yet: once, slowly. */
	for (int i = 0; i < 300; i++, now += S / 10) {
		CU_ASSERT_FALSE(aimd_allows(&a, aimd_limit(&a)));
		aimd_grow(&a, now, INT64_C(1000000000000));
		CU_ASSERT_EQUAL(aimd_limit(&a),
		    AIMD_START + (i < 100 ? i / 25 : AIMD_START));
	}
	for (int i = 0; i < 40; i++, now += S / 10) {
		was = aimd_limit(&a);
		CU_ASSERT_FALSE(aimd_allows(&a, was));
		aimd_grow(&a, now, 2 * S);
		if (aimd_limit(&a) - was > most)
			most = aimd_limit(&a) - was;
	}
	CU_ASSERT_EQUAL(aimd_limit(&a), 8 * AIMD_START);
	CU_ASSERT(most <= 1);
	/* Nobody wanted more for a while: that is not made up for. */
	aimd_grow(&a, now + 60 * S, 2 * S);
	CU_ASSERT_FALSE(aimd_allows(&a, aimd_limit(&a)));
	aimd_grow(&a, now + 60 * S + S / 20, 2 * S);
	CU_ASSERT_EQUAL(aimd_limit(&a), 8 * AIMD_START);
}

static void
a_refusal_without_a_reason_halves(void)
{
	struct aimd a = { .limit = 64 };

	aimd_unexplained(&a, 100 * S, 99 * S);
	CU_ASSERT_EQUAL(aimd_limit(&a), 32);
	/* Sent before that. */
	aimd_unexplained(&a, 101 * S, 99 * S);
	CU_ASSERT_EQUAL(aimd_limit(&a), 32);
	aimd_unexplained(&a, 105 * S, 104 * S);
	CU_ASSERT_EQUAL(aimd_limit(&a), 16);
	/* One more a minute, and only that one is taken back. */
	a.wanted = true;
	aimd_grow(&a, 164 * S, S);
	CU_ASSERT_EQUAL(aimd_limit(&a), 16);
	a.wanted = true;
	aimd_grow(&a, 166 * S, S);
	CU_ASSERT_EQUAL(aimd_limit(&a), 17);
	aimd_unexplained(&a, 167 * S, 166 * S + 1);
	CU_ASSERT_EQUAL(aimd_limit(&a), 16);
	/* What was learned from reasons is another thing. */
	CU_ASSERT_EQUAL(a.rest_us, 0);
	aimd_refused(&a, 170 * S, 169 * S, 16);
	CU_ASSERT_EQUAL(a.rest_us, AIMD_REST_US);
	CU_ASSERT_FALSE(a.brief);
	a = (struct aimd){ .limit = 1 };
	aimd_unexplained(&a, 100 * S, 99 * S);
	CU_ASSERT_EQUAL(aimd_limit(&a), 1);
}

static void
a_clock_that_is_set_moves_no_window(void)
{
	struct clock c = { 0 };
	int64_t jumped;

	CU_ASSERT_EQUAL(
	    clock_read(&c, 100 * S, 7 * S, 7 * S + 9, &jumped), 100 * S);
	/* A slow database is no jump. */
	CU_ASSERT_EQUAL(
	    clock_read(&c, 105 * S, 8 * S, 14 * S, &jumped), 105 * S);
	CU_ASSERT_EQUAL(jumped, 0);
	CU_ASSERT_EQUAL(
	    clock_read(&c, 111 * S, 18 * S, 18 * S + 9, &jumped), 111 * S);
	CU_ASSERT_EQUAL(jumped, 0);
	/* Set back by an hour, then forward by two. */
	CU_ASSERT_EQUAL(
	    clock_read(&c, 112 * S - 3600 * S, 19 * S, 19 * S, &jumped),
	    112 * S - 9);
	CU_ASSERT(jumped < -3599 * S);
	CU_ASSERT_EQUAL(
	    clock_read(&c, 113 * S + 3600 * S, 20 * S, 20 * S, &jumped),
	    113 * S - 9);
	CU_ASSERT_EQUAL(jumped, 7200 * S);
	CU_ASSERT(c.changed);
}

/* An hour of a fixed window of 1000 a minute: ours, and others' at a rate. */
static void
play_fixed(double others_per_s, int64_t lag_us, struct foreign *f,
    struct pace *p, int64_t *now)
{
	int64_t begin = *now, used = 0, others = 0, mine = 0, window = 0;
	double due = 0;

	for (int64_t t = 0; t < 600 * S; t += 100000) {
		struct dialect_reading said = { .dim = DIALECT_REQUESTS,
			.limit = 1000 };

		*now = begin + t;
		if (*now / (60 * S) != window) {
			window = *now / (60 * S);
			used = 0;
		}
		due += others_per_s / 10;
		for (; due >= 1; due--) {
			used++;
			others++;
		}
		pace_begin(p, *now);
		if (pace_earliest(p, 1, *now) <= *now) {
			pace_grant(p, 1, *now, PACE_LATE_US, 1);
			used++;
			mine++;
			said.remaining = 1000 - used;
			said.reset_ms =
			    ((window + 1) * 60 * S - *now - lag_us) / 1000;
			foreign_seen(f, p, &said, *now, *now + lag_us);
			foreign_room(f, p, *now, &p->others);
		}
	}
}

static void
others_are_seen_in_a_fixed_window(void)
{
	struct foreign f = { 0 };
	struct pace p;
	int64_t now = 60000 * S;

	pace_init(&p, PACE_REQUESTS, 1000, 60 * S);
	play_fixed(0, 2 * S, &f, &p, &now);
	CU_ASSERT_EQUAL(f.reset, FOREIGN_FIXED);
	CU_ASSERT_FALSE(foreign_active(&f, now));
	CU_ASSERT_EQUAL(p.others.units, 0);
	CU_ASSERT_EQUAL(pace_allowed(&p, now), 1000);
	play_fixed(5, 2 * S, &f, &p, &now); /* 300 a minute */
	CU_ASSERT(foreign_active(&f, now));
	CU_ASSERT(f.rate * 60e6 > 270 && f.rate * 60e6 < 330);
	CU_ASSERT(p.others.units > 280 && p.others.units < 400);
	pace_fini(&p);
}

/* Readings of ten seconds, ten a second, whose resets are as told. */
static enum foreign_reset
meaning(int64_t (*reset_ms)(int64_t now_us, int64_t used))
{
	struct foreign f = { 0 };
	struct pace p;
	int64_t used = 0;

	pace_init(&p, PACE_REQUESTS, 600, 60 * S);
	for (int64_t now = 60000 * S; now < 60130 * S; now += 100000) {
		struct dialect_reading said = { .dim = DIALECT_REQUESTS,
			.limit = 600 };

		pace_grant(&p, 1, now, PACE_LATE_US, 1);
		used = now % (60 * S) == 40 * S ? 1 : used + 1;
		said.remaining = 600 - used;
		said.reset_ms = reset_ms(now, used);
		foreign_seen(&f, &p, &said, now, now + 300000);
	}
	pace_fini(&p);
	return f.reset;
}

static int64_t
whole_seconds_of_a_minute(int64_t now_us, int64_t used)
{
	(void)used;
	/* Epoch seconds against a Date in whole seconds: up to one too many. */
	return (60220 * S - now_us) % (60 * S) / S * 1000 + 700;
}

static int64_t
a_minute_from_now(int64_t now_us, int64_t used)
{
	(void)used;
	return 60000 - now_us / 1000 % 1000;
}

static int64_t
time_to_full(int64_t now_us, int64_t used)
{
	(void)now_us;
	return used * 100 + 20;
}

static void
the_meaning_of_reset_is_learned(void)
{
	CU_ASSERT_EQUAL(meaning(whole_seconds_of_a_minute), FOREIGN_FIXED);
	CU_ASSERT_EQUAL(meaning(a_minute_from_now), FOREIGN_SLIDING);
	CU_ASSERT_EQUAL(meaning(time_to_full), FOREIGN_TO_FULL);
}

static void
an_absurd_reset_of_a_short_window_means_nothing(void)
{
	struct foreign f = { 0 };
	struct pace_others o;
	struct pace p;
	bool fixed = false;

	pace_init(&p, PACE_REQUESTS, 5, S);
	for (int64_t now = 60000 * S; now < 60010 * S; now += 250000) {
		struct dialect_reading said = { .dim = DIALECT_REQUESTS,
			.limit = 5,
			.remaining = now / S % 2 == 0 ? 0 : 4,
			.reset_ms = INT64_C(30) * 86400000 };

		foreign_seen(&f, &p, &said, now, now + 1000);
		fixed |= f.reset == FOREIGN_FIXED;
	}
	CU_ASSERT_FALSE(fixed);
	foreign_room(&f, &p, 60010 * S, &o);
	CU_ASSERT_EQUAL(o.end_us, 0);
	pace_fini(&p);
}

static void
what_is_still_out_is_the_long_ones(void)
{
	struct estimate e = { 0 };
	double young, old, variance;

	estimate_pending(&e, 0, -1, &young, &variance);
	CU_ASSERT_EQUAL((int)young, ESTIMATE_OUTPUT);
	CU_ASSERT(variance > 0);
	for (int i = 0; i < 1000; i++) {
		struct estimate_sample s = { .n = 1,
			.output = 100 + i,
			.output2 = (100.0 + i) * (100 + i),
			.ms = 1000 + 10 * i };

		estimate_learn(&e, &s);
		estimate_learn_age(&e, 1000 + 10 * i, 100 + i);
	}
	estimate_pending(&e, 0, -1, &young, &variance);
	CU_ASSERT(young > 550 && young < 650);
	estimate_pending(&e, 8000, -1, &old, &variance);
	CU_ASSERT(old > 850 && old < 1100);
	estimate_pending(&e, 8000, 300, &old, &variance);
	CU_ASSERT_EQUAL((int)old, 300);
	/* Older than everything: as the oldest. */
	estimate_pending(&e, 3600000, -1, &old, &variance);
	CU_ASSERT(old > 900);
}

UNIT_MAIN("learning",
    UNIT(the_ladder_takes_one_step_a_window_and_rests_after_an_hour),
    UNIT(a_step_that_cannot_be_the_reason_is_left_out),
    UNIT(the_next_step_waits_for_full_speed_and_no_longer),
    UNIT(a_step_down_that_was_wrong_is_not_soon_repeated),
    UNIT(concurrency_is_doubled_until_a_refusal),
    UNIT(concurrency_grows_one_by_one),
    UNIT(a_burst_of_live_calls_shows_where_the_limit_is),
    UNIT(a_refusal_without_a_reason_halves),
    UNIT(a_clock_that_is_set_moves_no_window),
    UNIT(the_meaning_of_reset_is_learned),
    UNIT(others_are_seen_in_a_fixed_window),
    UNIT(an_absurd_reset_of_a_short_window_means_nothing),
    UNIT(what_is_still_out_is_the_long_ones))
