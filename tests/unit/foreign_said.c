/* What answers say of a limit, and what is made of it: where its window ends,
 * whose the rest of the count is, and whether it is news at all. */
#include "unit.h"

#include <stdlib.h>

#include "../../scheduler/foreign.h"

#define S  INT64_C(1000000)
#define MS INT64_C(1000)

enum { LIMIT = 600, STEP_MS = 50, CALLS_MAX = 100, WINDOWS = 20 };
enum { JEALOUS_LEARNT = 5 };

/* Whose count and whose reset an answer has. */
enum manner {
	AT_THE_CALL,   /* a span from then */
	AT_THE_ANSWER, /* the same */
	AN_INSTANT,    /* the call's count, and when its window ends */
	A_MINUTE,      /* the call's count, and nothing of windows */
};

/* An upstream of minutes, and us at full speed. */
struct world {
	enum manner manner;
	int64_t took_us; /* every answer */
	double others;   /* a second, evenly, */
	bool late;       /* or three times as many in the last third */
	/* told instead of the count, if > 0, from this window on */
	int64_t stuck, stuck_from;
	bool jealous; /* others take what we leave: more of ours is refused */
	struct pace pace;
	struct foreign foreign;
	int64_t now, window, used, mine[WINDOWS], all[WINDOWS];
	int64_t refused; /* from JEALOUS_LEARNT on */
	struct {
		int64_t sent_us, used;
	} calls[CALLS_MAX]; /* under way, a ring */
	size_t first, next;
};

static int64_t
ends_us(int64_t at_us)
{
	return (at_us / (60 * S) + 1) * 60 * S;
}

static void
hear(struct world *w, int64_t sent_us, int64_t used)
{
	struct dialect_reading said = { .dim = DIALECT_REQUESTS,
		.limit = LIMIT };
	int64_t reset_us = ends_us(sent_us) - sent_us;

	if (w->manner == AT_THE_ANSWER) {
		used = w->used;
		reset_us = ends_us(w->now) - w->now;
	} else if (w->manner == AN_INSTANT) {
		reset_us -= w->took_us;
	} else if (w->manner == A_MINUTE) {
		reset_us = 60 * S;
	}
	if (w->stuck > 0 && w->window >= w->stuck_from)
		used = w->stuck;
	said.remaining = LIMIT - used;
	said.reset_ms = reset_us > 0 ? reset_us / MS : -1;
	foreign_seen(&w->foreign, &w->pace, &said, sent_us, w->now);
}

static void
call(struct world *w, int64_t sent_us)
{
	pace_grant(&w->pace, 1, sent_us, PACE_LATE_US, 1);
	if (w->jealous && w->mine[w->window] >= LIMIT / 2) {
		w->refused += w->window >= JEALOUS_LEARNT;
		foreign_refused(&w->foreign, &w->pace, w->now);
		pace_refused(&w->pace, w->now, S, w->now, PACE_BLAME_OTHERS);
		return;
	}
	w->used++;
	w->mine[w->window]++;
	w->calls[w->next].sent_us = sent_us;
	w->calls[w->next].used = w->used;
	w->next = (w->next + 1) % CALLS_MAX;
}

static void
play(struct world *w)
{
	int64_t begin = 60000 * S, end = begin + WINDOWS * 60 * S, slot_us;
	double due = 0;

	pace_init(&w->pace, PACE_REQUESTS, LIMIT, 60 * S);
	for (w->now = begin; w->now < end; w->now += STEP_MS * MS) {
		if ((w->now - begin) % (60 * S) == 0)
			w->used = 0;
		w->window = (w->now - begin) / (60 * S);
		if (!w->late)
			due += w->others * STEP_MS / 1000;
		else if ((w->now - begin) % (60 * S) >= 40 * S)
			due += w->others * 3 * STEP_MS / 1000;
		for (; due >= 1; due--)
			w->used++;
		while (w->first != w->next &&
		    w->calls[w->first].sent_us + w->took_us <= w->now) {
			hear(w, w->calls[w->first].sent_us,
			    w->calls[w->first].used);
			w->first = (w->first + 1) % CALLS_MAX;
		}
		foreign_room(&w->foreign, &w->pace, w->now, &w->pace.others);
		pace_begin(&w->pace, w->now);
		slot_us = pace_earliest(&w->pace, 1, w->now);
		if (slot_us < w->now + STEP_MS * MS)
			call(w, slot_us);
		w->all[w->window] = w->used;
	}
	pace_fini(&w->pace);
}

/* Where all answers take as long, nothing tells the call's instant from the
 * answer's but where the count falls: no calls of ours count as others'. */
static void
calls_that_all_take_as_long_are_not_others(void)
{
	static const int took_ms[] = { 10, 1000, 4000 };

	for (int i = 0; i < 9; i++) {
		struct world w = { .manner = i % 3,
			.took_us = took_ms[i / 3] * MS };

		play(&w);
		CU_ASSERT_EQUAL(w.foreign.reset, FOREIGN_FIXED);
		CU_ASSERT_EQUAL(w.pace.others.units, 0);
		CU_ASSERT(w.mine[WINDOWS - 1] > LIMIT * 99 / 100 - 2);
	}
}

static void
and_others_beside_them_are(void)
{
	static const int took_ms[] = { 10, 1000, 4000 };

	for (int i = 0; i < 9; i++) {
		struct world w = { .manner = i % 3,
			.took_us = took_ms[i / 3] * MS,
			.others = 3 };

		play(&w);
		CU_ASSERT_EQUAL(w.foreign.reset, FOREIGN_FIXED);
		CU_ASSERT_DOUBLE_EQUAL(w.foreign.rate * 60e6, 180, 18);
		for (int k = 3; k < WINDOWS; k++)
			CU_ASSERT(w.all[k] <= LIMIT);
		CU_ASSERT(w.all[WINDOWS - 1] > LIMIT * 88 / 100);
	}
}

/* The window may be over only when the answer says so: what comes before that
 * is of the old one. */
static void
a_window_ends_when_it_may_at_the_latest(void)
{
	struct world w = { .manner = AT_THE_ANSWER,
		.took_us = 4 * S,
		.others = 3,
		.late = true };

	play(&w);
	for (int k = 3; k < WINDOWS; k++)
		CU_ASSERT(w.all[k] <= LIMIT);
	CU_ASSERT(w.all[WINDOWS - 1] > LIMIT * 9 / 10);
}

/* Counts that were true once, or never: no reason to leave the limit unused. */
static void
an_old_count_is_no_news(void)
{
	static const int stuck[] = { 599, 560, 300, 20 };

	for (size_t i = 0; i < 2 * NITEMS(stuck); i++) {
		struct world old,
		    w = { .took_us = 2 * S, .stuck = stuck[i / 2] };

		w.manner = i % 2 == 0 ? AT_THE_CALL : A_MINUTE;
		old = w;
		old.stuck_from = 6;
		play(&w);
		CU_ASSERT(w.mine[WINDOWS - 1] > LIMIT * 98 / 100);
		play(&old);
		for (int k = 10; k < WINDOWS; k++)
			CU_ASSERT(old.mine[k] > LIMIT * 98 / 100);
	}
}

/* Of a full limit others may take whatever we leave: who is refused for not
 * believing it believes it then. */
static void
a_full_limit_that_refuses_is_believed(void)
{
	struct world w = { .manner = A_MINUTE,
		.took_us = 2 * S,
		.stuck = LIMIT,
		.stuck_from = 3,
		.jealous = true };

	play(&w);
	CU_ASSERT_EQUAL(w.refused, 0);
	CU_ASSERT(w.foreign.trusted_us > w.now);
	CU_ASSERT_FALSE(w.foreign.stuck);
	CU_ASSERT(foreign_active(&w.foreign, w.now));
}

/* A bucket into which much flows says all the time that nearly all is left: who
 * is refused all the same has nobody else to blame. */
static void
a_count_that_leaves_room_is_no_reason(void)
{
	struct world w = { .manner = A_MINUTE, .took_us = 2 * S, .stuck = 1 };

	play(&w);
	CU_ASSERT(w.foreign.stuck);
	foreign_refused(&w.foreign, &w.pace, w.now);
	CU_ASSERT_FALSE(foreign_active(&w.foreign, w.now));
}

/* An instant that stays, no end of it seen: the sliding sum, which was 40 and
 * is 0 now for what we had a minute ago, is not believed. */
static void
an_end_not_seen_yet_is_allowed_for(void)
{
	struct pace p;
	struct foreign f = { 0 };
	struct pace_others room;
	struct dialect_reading said = { .dim = DIALECT_REQUESTS, .limit = 100 };
	int64_t t = 1000 * S;

	pace_init(&p, PACE_REQUESTS, 100, 60 * S);
	for (int i = 0; i < 80; i++) {
		said.remaining = i < 40 ? 60 : 100;
		said.reset_ms = 50000 - i * 500;
		foreign_seen(&f, &p, &said, t + i * S / 2, t + i * S / 2 + S);
	}
	CU_ASSERT_EQUAL(f.reset, FOREIGN_UNKNOWN);
	foreign_room(&f, &p, t + 41 * S, &room);
	CU_ASSERT(room.units >= 40);
	/* The first end: others are as many again until more is known. */
	for (int i = 0; i < 10; i++) {
		said.remaining = 99;
		said.reset_ms = 58000 - i * 10;
		foreign_seen(&f, &p, &said, t + 52 * S + i * 10 * MS,
		    t + 53 * S + i * 10 * MS);
	}
	CU_ASSERT_EQUAL(f.reset, FOREIGN_FIXED);
	foreign_room(&f, &p, t + 53 * S, &room);
	CU_ASSERT(room.units >= 40);
	pace_fini(&p);
}

/* Three calls of a hundred are told or arrive seconds late: the window's end
 * stays what it is; where it really moved, that is found out. */
static void
strays_do_not_move_a_windows_end(void)
{
	struct pace p;
	struct foreign f = { 0 };
	int64_t t = 6000 * S, i, stray_us;

	pace_init(&p, PACE_REQUESTS, 1000, 60 * S);
	for (i = 0; i < 3000; i++, t += S / 10) {
		int64_t moved = i < 2400 ? 0 : 20 * S;
		int64_t end = ((t + moved) / (60 * S) + 1) * 60 * S - moved;
		int64_t used = 900 - (end - t) / S * 15;
		struct dialect_reading said = { .dim = DIALECT_REQUESTS,
			.limit = 1000,
			.remaining = 1000 - used,
			.reset_ms = (end - t) / MS };

		stray_us = i % 100 < 3 ? (i % 2 == 0 ? 3 : -3) * S : 0;
		foreign_seen(&f, &p, &said, t + stray_us,
		    t + stray_us + S + i * 7919 % 4000 * MS);
		if (i >= 700 && i < 2400) {
			CU_ASSERT_EQUAL(f.reset, FOREIGN_FIXED);
			CU_ASSERT_DOUBLE_EQUAL(
			    (double)((f.end_us + 30 * S) % (60 * S) - 30 * S),
			    0, 0.25e6);
		}
	}
	CU_ASSERT(f.reset != FOREIGN_FIXED ||
	    llabs(f.end_us % (60 * S) - 40 * S) < S / 4);
	pace_fini(&p);
}

/* A stray reset keeps the window from being known at once, when its count has
 * begun anew: what the sum of a sliding one was before is no rate. */
static void
a_window_that_is_known_late_tells_no_false_rate(void)
{
	struct pace p;
	struct foreign f = { 0 };
	struct pace_others others = { 0 };
	int64_t begin = 1000000 * S, most = 0;

	pace_init(&p, PACE_REQUESTS, 300, 60 * S);
	for (int i = 0; i < 220; i++) {
		int64_t at_ms = i * 333 + 50, in_ms = at_ms % 60000;
		int64_t at_us = begin + at_ms * MS;
		struct dialect_reading said = { .dim = DIALECT_REQUESTS,
			.window_s = 60,
			.limit = 300,
			/* 3 of ours a second, and 2 of others' */
			.remaining = 300 - (in_ms / 200 + 1),
			.reset_ms = (60000 - in_ms + 999) / 1000 * 1000 };

		pace_grant(&p, 1, at_us - 200 * MS, 200 * MS, 1);
		if (at_ms > 60000 && at_ms < 60333)
			said.reset_ms += 2000;
		foreign_seen(&f, &p, &said, at_us, at_us + S);
		foreign_room(&f, &p, at_us + S, &others);
		if (at_ms > 60000 && others.units > most)
			most = others.units;
	}
	CU_ASSERT_EQUAL(f.reset, FOREIGN_FIXED);
	CU_ASSERT(most < 200);
	pace_fini(&p);
}

UNIT_MAIN("foreign_said", UNIT(calls_that_all_take_as_long_are_not_others),
    UNIT(and_others_beside_them_are),
    UNIT(a_window_ends_when_it_may_at_the_latest),
    UNIT(an_old_count_is_no_news), UNIT(a_full_limit_that_refuses_is_believed),
    UNIT(a_count_that_leaves_room_is_no_reason),
    UNIT(an_end_not_seen_yet_is_allowed_for),
    UNIT(strays_do_not_move_a_windows_end),
    UNIT(a_window_that_is_known_late_tells_no_false_rate))
