#include "foreign.h"

#include <math.h>
#include <stdlib.h>

enum { STALE_WINDOWS = 2, CLOCK_US = 1500000 };

/* Our own units in the upstream's count when the call left. */
static int64_t
own_units(const struct pace *p, int64_t from_us, int64_t sent_us)
{
	return ledger_between(&p->ledger, from_us, sent_us + p->late_us + 1);
}

static bool
is_full_time(const struct pace *p, const struct dialect_reading *said)
{
	double missing = (double)(said->limit - said->remaining) /
	    (double)said->limit * (double)p->window_us;

	return fabs(missing - (double)said->reset_ms * 1000) <
	    0.02 * (double)p->window_us;
}

/* What does "reset" mean, and where does the window end? */
static void
learn_reset(struct foreign *f, const struct pace *p,
    const struct dialect_reading *said, int64_t used, int64_t answered_us)
{
	int64_t end_us = answered_us + said->reset_ms * 1000;
	int64_t moved_us = end_us - f->end_us;
	int64_t windows = (moved_us + p->window_us / 2) / p->window_us;
	int64_t span_us = p->window_us / FOREIGN_SPAN_PART;

	if (f->peak < used)
		f->peak = used;
	f->full = is_full_time(p, said) ? f->full + 1 : 0;
	if (f->full == 1)
		f->full_us = answered_us;
	if (f->fixed > 0 && windows >= 0 &&
	    llabs(moved_us - windows * p->window_us) <= CLOCK_US) {
		f->fixed++;
		if (windows > 0) {
			f->rolled = used * 2 <= f->peak;
			f->peak = used;
		}
		/* Whole seconds are rounded up: the earliest is the truth. */
		f->end_us += windows * p->window_us;
		if (end_us < f->end_us)
			f->end_us = end_us;
		if (f->rolled)
			f->sliding = 0;
	} else {
		if (f->fixed > 0)
			f->sliding++;
		f->rolled = false;
		f->fixed = 1;
		f->end_us = end_us;
	}
	if (f->reset == FOREIGN_FIXED && !f->rolled)
		f->reset = FOREIGN_UNKNOWN;
	if (f->full >= FOREIGN_SAMPLES && answered_us - f->full_us >= span_us)
		f->reset = FOREIGN_TO_FULL;
	else if (f->fixed >= FOREIGN_SAMPLES && f->rolled)
		f->reset = FOREIGN_FIXED;
	else if (f->sliding >= FOREIGN_MOVES)
		f->reset = FOREIGN_SLIDING;
}

static void
learn_rate(struct foreign *f, const struct pace *p, double units, double us)
{
	double memory = (double)p->window_us / 2, share;

	if (us <= 0)
		return;
	if (units < 0)
		units = 0;
	share = us / (f->weight + us);
	f->rate += (units / us - f->rate) * share;
	f->weight = fmin(f->weight + us, memory);
}

void
foreign_seen(struct foreign *f, const struct pace *p,
    const struct dialect_reading *said, int64_t sent_us, int64_t answered_us)
{
	int64_t used = said->limit - said->remaining, begin_us, units, was_us;
	bool same;

	/* Of calls that overtook each other the one sent last counts. */
	if (sent_us <= f->sent_us || used < 0)
		return;
	if (said->reset_ms >= 0)
		learn_reset(f, p, said, used, answered_us);
	/* Records are later than arrivals by what a line may be late. */
	begin_us = sent_us - p->window_us + p->late_us;
	if (f->reset == FOREIGN_FIXED) {
		begin_us = f->end_us - p->window_us;
		while (begin_us > sent_us)
			begin_us -= p->window_us;
	}
	units = used - own_units(p, begin_us, sent_us);
	was_us = f->sent_us;
	/* In one fixed window, or in a bucket that never was full, the
	 * difference of two readings is what came between them. */
	same =
	    was_us > 0 && was_us >= begin_us && sent_us - was_us < p->window_us;
	if (f->reset == FOREIGN_TO_FULL) {
		double flow = (double)p->amount * (double)(sent_us - was_us) /
		    (double)p->window_us;

		units = 0;
		if (same && used > 2 && f->used > 2) {
			learn_rate(f, p,
			    (double)(used - f->used) + flow -
				(double)own_units(
				    p, was_us + p->late_us + 1, sent_us),
			    (double)(sent_us - was_us));
			units = (int64_t)(f->rate * (double)p->window_us);
		}
	} else if (f->reset == FOREIGN_FIXED) {
		if (same)
			learn_rate(f, p, (double)(units - f->units),
			    (double)(sent_us - was_us));
	} else {
		double us = was_us == 0 ? (double)p->window_us / 4
					: (double)(sent_us - was_us);

		learn_rate(f, p, (double)units * us / (double)p->window_us, us);
	}
	f->sent_us = sent_us;
	f->used = used;
	f->units = units > 0 ? units : 0;
	/* A call or two that are counted a moment earlier or later, and
	 * rounding, are nobody's use. */
	if ((double)units > 2 + 0.01 * (double)p->amount +
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
	double mean = f->rate * (us > 0 ? us : 0);

	return mean + FOREIGN_SIGMA_FIXED * sqrt(mean);
}

void
foreign_room(const struct foreign *f, const struct pace *p, int64_t now_us,
    struct pace_others *out)
{
	double window = (double)p->window_us, units;
	int64_t end_us = f->end_us;

	*out = (struct pace_others){ 0 };
	if (!foreign_active(f, now_us) ||
	    now_us - f->sent_us > STALE_WINDOWS * p->window_us + 60000000)
		return;
	if (f->reset == FOREIGN_FIXED) {
		bool in_it;

		while (end_us <= now_us)
			end_us += p->window_us;
		while (end_us - p->window_us > now_us)
			end_us -= p->window_us;
		in_it = f->sent_us >= end_us - p->window_us;
		units = in_it ? (double)f->units +
			to_come(f, (double)(end_us - f->sent_us))
			      : to_come(f, window);
		out->begin_us = end_us - p->window_us;
		out->end_us = end_us;
		out->next_units = (int64_t)ceil(to_come(f, window));
	} else {
		/* What leaves the window makes up for what comes, but for the
		 * deviation of both. */
		double age = (double)(now_us - f->sent_us);

		units = fmax((double)f->units, 0) +
		    FOREIGN_SIGMA * sqrt(2 * f->rate * age);
		if (age > window)
			units = to_come(f, window);
	}
	out->units = (int64_t)ceil(units);
}

const char *
foreign_reset_name(enum foreign_reset r)
{
	static const char *const names[] = { NULL, "to full", "fixed window",
		"sliding" };

	return names[r];
}
