#include "foreign_own.h"

#include <math.h>
#include <stdlib.h>

enum {
	STALE_WINDOWS = 2,
	END_US = 1000000,
	COMPARED_MIN = 30,
	ACTIVE_US = 600000000,
};
/* A refusal makes a count that stays believable for so long. */
#define TRUST_US INT64_C(3600000000)
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
	f->weight = fmin(f->weight, (double)p->window_us / FOREIGN_FIXED_PART);
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

/* The end of the fixed window that holds at_us, if one of them is at end_us. */
static int64_t
end_after(int64_t end_us, const struct pace *p, int64_t at_us)
{
	int64_t past_us = (at_us - end_us) % p->window_us;

	return at_us - past_us + (past_us >= 0 ? p->window_us : 0);
}

/* The most of late, of everybody together and of others: of each fixed window,
 * or of each time that is as long. */
static void
learn_most(struct foreign *f, const struct pace *p, int64_t sent_us)
{
	int64_t end_us = f->most_us + p->window_us;

	if (f->reset == FOREIGN_FIXED)
		end_us = end_after(f->end_us, p, f->most_us);
	if (sent_us >= end_us) {
		f->most_known = sent_us - end_us < p->window_us
		    ? f->most_known + 1
		    : 0; /* what was before a pause may be long past */
		f->most_older = f->most_was;
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

/* Others' units, if the count was taken at at_us; of a fixed window that then
 * ends at end_us. */
static int64_t
units_at(const struct foreign *f, const struct pace *p, int64_t used,
    int64_t at_us, int64_t end_us)
{
	/* Records are later than arrivals by what a line may be late. */
	int64_t begin_us = at_us - p->window_us + p->late_us;

	if (f->reset == FOREIGN_FIXED)
		begin_us = end_after(end_us, p, at_us) - p->window_us;
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
	int64_t end_us = end_after(f->end_us, p, at_us), left_us;

	if (said->reset_ms >= 0 &&
	    llabs(at_us + said->reset_ms * 1000 - end_us) > p->window_us / 2)
		return true;
	left_us = end_after(f->end_us, p, sent_us) - sent_us;
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
		if (same && f->raw_of_fixed &&
		    was_us >= f->end_us - p->window_us)
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

/*
 * The same count as before, though more or fewer of our own calls are in it:
 * others would have had to make up for each of them.  Where the limit is full
 * they may, and are felt: then it is believed.
 */
static bool
is_stuck(struct foreign *f, const struct pace *p, int64_t used, int64_t own,
    int64_t sent_us)
{
	int64_t least = p->amount / FOREIGN_STUCK_PART;

	if (least < FOREIGN_STUCK_MIN)
		least = FOREIGN_STUCK_MIN;
	f->stuck = f->sent_us > 0 && used == f->same_used &&
	    (f->stuck || llabs(own - f->same_own) > least) &&
	    sent_us >= f->trusted_us;
	if (f->stuck) {
		/* What it has taught since then is not so. */
		if (f->units > f->same_units)
			f->units = f->same_units;
		f->log = (struct foreign_log){ 0 };
		f->most = f->most_was = (struct foreign_most){ 0 };
		f->most_us = f->most_known = 0;
		f->rate = f->weight = 0;
	} else if (used != f->same_used || f->sent_us == 0) {
		f->same_used = used;
		f->same_own = own;
		f->same_units = -1;
	}
	return f->stuck;
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
	foreign_learn_fall(f, p, used, sent_us);
	if (said->reset_ms >= 0 &&
	    foreign_learn_reset(f, p, said, used, sent_us, answered_us))
		start_rate(f, p);
	if (f->reset == FOREIGN_FIXED &&
	    at_an_end(f, p, said, sent_us, answered_us))
		return;
	units = units_at(f, p, used, sent_us, f->end_us);
	if (is_stuck(f, p, used, used - units, sent_us))
		return;
	late_units = units_at(f, p, used, answered_us, f->end_us + f->later_us);
	compare(f, units, late_units);
	if (f->late)
		units = late_units;
	if (f->raw_of_late == f->late)
		learn_others(f, p, used, units, sent_us);
	f->raw_of_late = f->late;
	f->raw_of_fixed = f->reset == FOREIGN_FIXED;
	f->raw_units = units;
	foreign_log_count(&f->log, p->window_us, sent_us, (double)units);
	f->sent_us = sent_us;
	f->used = used;
	f->units = units > 0 ? units : 0;
	if (f->reset == FOREIGN_TO_FULL)
		f->units = (int64_t)(fmax(f->rate, 0) * (double)p->window_us);
	if (f->units > used)
		f->units = used;
	if (f->same_units < 0)
		f->same_units = f->units;
	learn_most(f, p, sent_us);
	/* A call or two that are counted a moment earlier or later, and
	 * rounding, are nobody's use. */
	if ((double)f->units > 2 + 0.01 * (double)p->amount +
		0.2e6 * (double)p->amount / (double)p->window_us)
		f->seen_us = sent_us;
}

void
foreign_refused(struct foreign *f, const struct pace *p, int64_t now_us)
{
	/* One that leaves room is no reason. */
	if (!f->stuck ||
	    (double)f->same_used < FULL_PART * (double)(p->amount + p->reserve))
		return;
	f->trusted_us = now_us + TRUST_US;
	f->seen_us = now_us;
}

bool
foreign_active(const struct foreign *f, int64_t now_us)
{
	return f->seen_us > 0 && now_us - f->seen_us < ACTIVE_US;
}

/* What comes in us microseconds, with what it may be more. */
static double
to_come(const struct foreign *f, double us)
{
	double mean = f->rate > 0 && us > 0 ? f->rate * us : 0;

	return mean + FOREIGN_SIGMA_FIXED * sqrt(mean);
}

static const struct foreign_most *
fuller(const struct foreign_most *a, const struct foreign_most *b)
{
	return a->used > b->used ? a : b;
}

/*
 * Where the count itself said for two windows that a good part of the limit was
 * left, others are no more than what everybody used beyond our own: whatever
 * the sums above made of it.  Half a fixed window tells nothing of its rest.
 */
static int64_t
bounded(
    const struct foreign *f, const struct pace *p, int64_t now_us, double units)
{
	bool fixed = f->reset == FOREIGN_FIXED;
	const struct foreign_most *most =
	    fuller(fixed ? &f->most_older : &f->most, &f->most_was);
	double limit = (double)(p->amount + p->reserve);
	int64_t own =
	    ledger_used(&p->ledger, now_us) + ledger_used(&p->live, now_us);
	double rest;

	/* What we use more than then was not in the count. */
	if (own > most->own)
		own = most->own;
	rest = (double)(most->used - own) + limit / FOREIGN_SPARE_PART;
	if (f->most_known > fixed && (double)most->used < FULL_PART * limit &&
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

/* Others' units in a fixed window up to its end, which is told. */
static double
in_fixed(const struct foreign *f, const struct pace *p, int64_t now_us,
    struct pace_others *out)
{
	double window = (double)p->window_us;
	int64_t later_us = 0;

	/* From the earlier of two beginnings to the later end; where all calls
	 * are ours, the ledger does. */
	if (f->units > 0 || f->rate * window >= 1)
		later_us = f->later_us;
	out->end_us = end_after(f->end_us + later_us, p, now_us);
	out->begin_us = out->end_us - p->window_us - later_us;
	out->next_units = bounded(f, p, now_us, to_come(f, window));
	if (f->sent_us < out->begin_us)
		return to_come(f, window);
	return (double)f->units +
	    to_come(f, (double)(out->end_us - f->sent_us));
}

void
foreign_room(const struct foreign *f, const struct pace *p, int64_t now_us,
    struct pace_others *out)
{
	double units;

	*out = (struct pace_others){ 0 };
	if (!foreign_active(f, now_us) ||
	    now_us - f->sent_us > STALE_WINDOWS * p->window_us + 60000000)
		return;
	if (f->reset == FOREIGN_FIXED) {
		units = in_fixed(f, p, now_us, out);
	} else if (f->reset == FOREIGN_TO_FULL) {
		/* What flows back makes up for what comes, but for the
		 * deviation of both. */
		double age = (double)(now_us - f->sent_us);

		units = (double)f->units +
		    FOREIGN_SIGMA_FULL * sqrt(2 * fmax(f->rate, 0) * age);
		if (age > (double)p->window_us)
			units = to_come(f, (double)p->window_us);
	} else {
		units = sliding(f, p, now_us, &out->even_units);
		units = fmax(units, at_ends(f));
	}
	out->units = bounded(f, p, now_us, units);
}
