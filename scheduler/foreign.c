#include "foreign.h"

#include <math.h>
#include <stdlib.h>

enum {
	STALE_WINDOWS = 2,
	CLOCK_US = 1500000,
	END_US = 1000000,
	COMPARED_MIN = 30,
	FIXED_CLOCKS = 4, /* in a shorter window every instant would stay */
	FIXED_PART = 10,  /* of the window */
	STRAYS_MAX = 3,   /* readings in a row, before the window is known */
	EARLIER_PART = 9, /* of the readings are not earlier than the instant */
	STEP_MAX_US = 100000, /* of the search for it */
};
#define WOBBLE_SHARE 0.1
#define STEADIER     0.7
/* Sums that waver so much less are the right ones; so much to go back. */
#define LATE_ENTER 0.6
#define LATE_LEAVE 0.9
/* Used so far, a limit counts as full. */
#define FULL_PART 0.85

/* Our own units in the upstream's count when the call left. */
static int64_t
own_units(const struct pace *p, int64_t from_us, int64_t sent_us)
{
	int64_t keep_us = p->keep_us > p->late_us ? p->keep_us : p->late_us;

	/* What waits for a seat is recorded when it leaves at the latest. */
	return ledger_between(&p->ledger, from_us, sent_us + keep_us + 1) +
	    ledger_between(&p->live, from_us, sent_us + PACE_LIVE_KEEP_US + 1);
}

static bool
is_full_time(const struct pace *p, const struct dialect_reading *said)
{
	double missing = (double)(said->limit - said->remaining) /
	    (double)said->limit * (double)p->window_us;

	return fabs(missing - (double)said->reset_ms * 1000) <
	    0.02 * (double)p->window_us;
}

/* An instant that moves with each call does not agree for so long. */
static int64_t
long_us(int64_t window_us)
{
	int64_t us = window_us / FIXED_PART;

	return us > 2 * CLOCK_US ? us : 2 * CLOCK_US;
}

/* A reading from elsewhere; true: they have been too many to be strays. */
static bool
strays(struct foreign_instant *i, int64_t window_us, int64_t at_us)
{
	if (i->strays++ == 0)
		i->stray_us = at_us;
	return i->strays >= (i->rolled ? FOREIGN_SAMPLES : STRAYS_MAX) &&
	    (!i->rolled || at_us - i->stray_us >= long_us(window_us));
}

static void
learn_instant(struct foreign_instant *i, int64_t window_us, int64_t used,
    int64_t at_us, int64_t end_us)
{
	int64_t moved_us = end_us - i->end_us;
	int64_t windows =
	    (int64_t)floor((double)moved_us / (double)window_us + 0.5);
	int64_t off_us = moved_us - windows * window_us;
	double step_us;

	if (i->stays > 0)
		i->wobble_us +=
		    (fabs((double)off_us) - i->wobble_us) * WOBBLE_SHARE;
	if (i->stays > 0 && (windows < 0 || llabs(off_us) > CLOCK_US)) {
		if (!strays(i, window_us, at_us))
			return;
		i->moves++;
		i->stays = 0;
		i->rolled = false;
	}
	i->strays = 0;
	if (i->stays == 0) {
		i->since_us = at_us;
		i->end_us = end_us;
		i->peak = used;
	} else {
		if (windows > 0) {
			i->rolled = used * 2 <= i->peak;
			i->peak = used;
		}
		/* Whole seconds are rounded up, ways are long now and then: few
		 * are earlier than the truth. */
		step_us = fmin(i->wobble_us / 4, STEP_MAX_US);
		i->end_us += windows * window_us +
		    (int64_t)(off_us < 0 ? -step_us
			    : off_us > 0 ? step_us / EARLIER_PART
					 : 0);
	}
	if (i->peak < used)
		i->peak = used;
	i->stays++;
	if (at_us - i->since_us >= long_us(window_us))
		i->moves = 0;
}

static int64_t
others_most(const struct foreign *f)
{
	return f->most.others > f->most_was.others ? f->most.others
						   : f->most_was.others;
}

/* The sums so far were of a window that slides: low but for the ends. */
static void
start_rate(struct foreign *f, const struct pace *p)
{
	f->rate = fmax(f->rate, (double)others_most(f) / (double)p->window_us);
	f->weight = fmin(f->weight, (double)p->window_us / FIXED_PART);
}

/* What does "reset" mean, and where does the window end? */
static void
learn_reset(struct foreign *f, const struct pace *p,
    const struct dialect_reading *said, int64_t used, int64_t sent_us,
    int64_t answered_us)
{
	const struct foreign_instant *best;

	f->full = is_full_time(p, said) ? f->full + 1 : 0;
	if (f->full == 1)
		f->full_us = answered_us;
	learn_instant(&f->sent, p->window_us, used, sent_us,
	    sent_us + said->reset_ms * 1000);
	learn_instant(&f->answered, p->window_us, used, answered_us,
	    answered_us + said->reset_ms * 1000);
	if (f->by_sending)
		f->by_sending =
		    f->answered.wobble_us >= STEADIER * f->sent.wobble_us;
	else
		f->by_sending =
		    f->sent.wobble_us < STEADIER * f->answered.wobble_us;
	best = f->by_sending ? &f->sent : &f->answered;
	if (f->full >= FOREIGN_SAMPLES &&
	    answered_us - f->full_us >= p->window_us / FOREIGN_SPAN_PART) {
		f->reset = FOREIGN_TO_FULL;
	} else if (p->window_us >= FIXED_CLOCKS * CLOCK_US &&
	    best->stays >= FOREIGN_SAMPLES && best->rolled) {
		if (f->reset != FOREIGN_FIXED)
			start_rate(f, p);
		f->reset = FOREIGN_FIXED;
		f->end_us = best->end_us;
	} else if (f->reset == FOREIGN_FIXED && !best->rolled) {
		f->reset = FOREIGN_UNKNOWN;
	} else if (f->sent.moves >= FOREIGN_MOVES &&
	    f->answered.moves >= FOREIGN_MOVES) {
		f->reset = FOREIGN_SLIDING;
	}
}

static void
learn_rate(struct foreign *f, const struct pace *p, double units, double us)
{
	double memory = (double)p->window_us / 2, share;

	if (us <= 0)
		return;
	share = us / (f->weight + us);
	f->rate += (units / us - f->rate) * share;
	f->weight = fmin(f->weight + us, memory);
}

/* The most of late, of everybody together and of others. */
static void
learn_most(struct foreign *f, const struct pace *p, int64_t sent_us)
{
	if (sent_us - f->most_us >= p->window_us) {
		f->most_known = f->most_us > 0;
		f->most_was = f->most;
		f->most = (struct foreign_most){ 0 };
		f->most_us = sent_us;
	}
	if (f->most.used < f->used) {
		f->most.used = f->used;
		f->most.own = own_units(p, sent_us - p->window_us, sent_us);
	}
	if (f->most.others < f->units)
		f->most.others = f->units;
}

/* The end of the fixed window that holds at_us. */
static int64_t
end_after(const struct foreign *f, const struct pace *p, int64_t at_us)
{
	int64_t past_us = (at_us - f->end_us) % p->window_us;

	return at_us - past_us + (past_us >= 0 ? p->window_us : 0);
}

/* Others' units, if the count was taken at at_us. */
static int64_t
units_at(
    const struct foreign *f, const struct pace *p, int64_t used, int64_t at_us)
{
	/* Records are later than arrivals by what a line may be late. */
	int64_t begin_us = at_us - p->window_us + p->late_us;

	if (f->reset == FOREIGN_FIXED)
		begin_us = end_after(f, p, at_us) - p->window_us;
	return used - own_units(p, begin_us, at_us);
}

/* So near a window's end that it may stand in either, or, by its own word, in
 * another than the call's. */
static bool
at_an_end(const struct foreign *f, const struct pace *p,
    const struct dialect_reading *said, int64_t sent_us, int64_t answered_us)
{
	int64_t at_us = f->by_sending ? sent_us : answered_us;
	int64_t near_us = p->window_us / 20;
	int64_t end_us = end_after(f, p, at_us), left_us;

	if (said->reset_ms >= 0 &&
	    llabs(at_us + said->reset_ms * 1000 - end_us) > p->window_us / 2)
		return true;
	left_us = end_after(f, p, sent_us) - sent_us;
	if (near_us > END_US)
		near_us = END_US;
	return left_us < near_us || left_us > p->window_us - near_us;
}

static void
compare(struct foreign *f, int64_t units, int64_t late_units)
{
	double share =
	    1.0 / (f->compared < COMPARED_MIN ? f->compared + 1 : COMPARED_MIN);

	if (f->sent_us > 0) {
		f->wavers +=
		    (fabs((double)(units - f->sent_units)) - f->wavers) * share;
		f->late_wavers += (fabs((double)(late_units - f->late_units)) -
				      f->late_wavers) *
		    share;
		f->compared++;
	}
	f->sent_units = units;
	f->late_units = late_units;
	if (f->compared >= COMPARED_MIN)
		f->late = f->late_wavers <
		    (f->late ? LATE_LEAVE : LATE_ENTER) * f->wavers;
}

static void
learn_others(struct foreign *f, const struct pace *p, int64_t used,
    int64_t units, int64_t sent_us)
{
	int64_t was_us = f->sent_us;
	double us = (double)(sent_us - was_us);
	bool same = was_us > 0 && sent_us - was_us < p->window_us;

	switch (f->reset) {
	case FOREIGN_TO_FULL:
		/* In a bucket that never was full, the difference of two
		 * readings is what came between them. */
		if (same && used > 2 && f->used > 2)
			learn_rate(f, p,
			    (double)(used - f->used) +
				(double)p->amount * us / (double)p->window_us -
				(double)own_units(
				    p, was_us + p->late_us + 1, sent_us),
			    us);
		break;
	case FOREIGN_FIXED:
		if (same && was_us >= f->end_us - p->window_us)
			learn_rate(f, p, (double)(units - f->raw_units), us);
		break;
	case FOREIGN_UNKNOWN:
	case FOREIGN_SLIDING:
		if (was_us == 0)
			us = (double)p->window_us / 4;
		learn_rate(f, p, (double)units * us / (double)p->window_us, us);
		break;
	}
}

void
foreign_seen(struct foreign *f, const struct pace *p,
    const struct dialect_reading *said, int64_t sent_us, int64_t answered_us)
{
	int64_t used = said->limit - said->remaining, units, late_units;

	/* Of calls that overtook each other the one sent last counts. */
	if (sent_us <= f->newest_us || used < 0)
		return;
	f->newest_us = sent_us;
	if (said->reset_ms >= 0)
		learn_reset(f, p, said, used, sent_us, answered_us);
	if (f->reset == FOREIGN_FIXED &&
	    at_an_end(f, p, said, sent_us, answered_us))
		return;
	units = units_at(f, p, used, sent_us);
	late_units = units_at(f, p, used, answered_us);
	compare(f, units, late_units);
	if (f->late)
		units = late_units;
	if (f->raw_of_late == f->late)
		learn_others(f, p, used, units, sent_us);
	f->raw_of_late = f->late;
	f->raw_units = units;
	foreign_log_count(&f->log, p->window_us, sent_us, (double)units);
	f->sent_us = sent_us;
	f->used = used;
	f->units = units > 0 ? units : 0;
	if (f->reset == FOREIGN_TO_FULL)
		f->units = (int64_t)(fmax(f->rate, 0) * (double)p->window_us);
	if (f->units > used)
		f->units = used;
	learn_most(f, p, sent_us);
	/* A call or two that are counted a moment earlier or later, and
	 * rounding, are nobody's use. */
	if ((double)f->units > 2 + 0.01 * (double)p->amount +
		0.2e6 * (double)p->amount / (double)p->window_us)
		f->seen_us = sent_us;
}

bool
foreign_active(const struct foreign *f, int64_t now_us)
{
	return f->seen_us > 0 && now_us - f->seen_us < INT64_C(600000000);
}

/* What comes in us microseconds, with what it may be more. */
static double
to_come(const struct foreign *f, double us)
{
	double mean = f->rate > 0 && us > 0 ? f->rate * us : 0;

	return mean + FOREIGN_SIGMA_FIXED * sqrt(mean);
}

/*
 * Where the count itself said for two windows that a good part of the limit was
 * left, others are no more than what everybody used beyond our own: whatever
 * the sums above made of it.
 */
static int64_t
bounded(
    const struct foreign *f, const struct pace *p, int64_t now_us, double units)
{
	const struct foreign_most *most =
	    f->most.used > f->most_was.used ? &f->most : &f->most_was;
	double limit = (double)(p->amount + p->reserve);
	int64_t own =
	    ledger_used(&p->ledger, now_us) + ledger_used(&p->live, now_us);
	double rest;

	/* What we use more than then was not in the count. */
	if (own > most->own)
		own = most->own;
	rest = (double)(most->used - own) + limit / FOREIGN_SPARE_PART;
	if (f->most_known && (double)most->used < FULL_PART * limit &&
	    units > rest)
		units = rest;
	return units > 0 ? (int64_t)ceil(units) : 0;
}

/*
 * Others' units in a window that slides, when what is planned now leaves: what
 * the count showed, less what has left since, which is known, and with what
 * has come since, which is not.
 */
static double
sliding(const struct foreign *f, const struct pace *p, int64_t now_us,
    int64_t *even_units)
{
	const struct foreign_log *l = &f->log;
	double window = (double)p->window_us, us, come, deviation;
	int64_t to_us = now_us + FOREIGN_AHEAD_US;

	if (to_us > l->at_us + p->window_us)
		to_us = l->at_us + p->window_us;
	us = (double)(to_us - l->at_us);
	come = foreign_log_coming(l, to_us);
	/* Chance, that of the rate, and what is not known of the leaving. */
	deviation =
	    sqrt(come * (1 + us / window) + foreign_log_doubt(l, to_us));
	*even_units = (int64_t)ceil(foreign_log_lately(l) * window + deviation);
	return l->units + come - foreign_log_leaving(l, to_us) +
	    FOREIGN_SIGMA * deviation;
}

/*
 * An instant that stays may be the end of a fixed window, though none was seen
 * yet.  In it, what we had in the last window is gone while the sum of a
 * sliding one still has it: only at an end that sum is right.
 */
static double
at_ends(const struct foreign *f)
{
	if (f->reset != FOREIGN_UNKNOWN ||
	    (f->sent.stays < FOREIGN_SAMPLES &&
		f->answered.stays < FOREIGN_SAMPLES))
		return 0;
	return (double)others_most(f);
}

void
foreign_room(const struct foreign *f, const struct pace *p, int64_t now_us,
    struct pace_others *out)
{
	double window = (double)p->window_us, units;
	int64_t end_us;

	*out = (struct pace_others){ 0 };
	if (!foreign_active(f, now_us) ||
	    now_us - f->sent_us > STALE_WINDOWS * p->window_us + 60000000)
		return;
	if (f->reset == FOREIGN_FIXED) {
		bool in_it;

		end_us = end_after(f, p, now_us);
		in_it = f->sent_us >= end_us - p->window_us;
		units = in_it ? (double)f->units +
			to_come(f, (double)(end_us - f->sent_us))
			      : to_come(f, window);
		out->begin_us = end_us - p->window_us;
		out->end_us = end_us;
		out->next_units = bounded(f, p, now_us, to_come(f, window));
	} else if (f->reset == FOREIGN_TO_FULL) {
		/* What flows back makes up for what comes, but for the
		 * deviation of both. */
		double age = (double)(now_us - f->sent_us);

		units = (double)f->units +
		    FOREIGN_SIGMA_FULL * sqrt(2 * fmax(f->rate, 0) * age);
		if (age > window)
			units = to_come(f, window);
	} else {
		units = sliding(f, p, now_us, &out->even_units);
		units = fmax(units, at_ends(f));
	}
	out->units = bounded(f, p, now_us, units);
}

const char *
foreign_reset_name(enum foreign_reset r)
{
	static const char *const names[] = { NULL, "to full", "fixed window",
		"sliding" };

	return names[r];
}
