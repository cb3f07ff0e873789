#include "foreign_own.h"

#include <math.h>
#include <stdlib.h>

enum {
	CLOCK_US = 1500000,
	FIXED_CLOCKS = 4, /* in a shorter window every instant would stay */
	STRAYS_MAX = 3,   /* readings in a row, before the window is known */
	EARLIER_PART = 9, /* of the readings are not earlier than the instant */
	STEP_MAX_US = 100000, /* of the search for it */
	/* What the way alone makes readings waver by, but for the longest. */
	WAY_US = PACE_JITTER_MAX_US / 4,
	FALLS_MAX = 3,
	TOOK_MAX = 50,
};
#define WOBBLE_SHARE 0.1
#define STEADIER     0.7

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
	int64_t us = window_us / FOREIGN_FIXED_PART;

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

/* From b to a as if both were of one window, [-window / 2, window / 2). */
static int64_t
within(int64_t a, int64_t b, int64_t window_us)
{
	int64_t us = (a - b) % window_us;

	if (us < 0)
		us += window_us;
	return us < window_us / 2 ? us : us - window_us;
}

/* How far an instant is from where the count fell: in (from_us, to_us]. */
static int64_t
off_fall_us(int64_t end_us, int64_t from_us, int64_t to_us, int64_t window_us)
{
	int64_t after_us = within(end_us, to_us, window_us);

	if (after_us >= 0)
		return after_us;
	return after_us < from_us - to_us ? from_us - to_us - after_us : 0;
}

void
foreign_learn_fall(
    struct foreign *f, const struct pace *p, int64_t used, int64_t sent_us)
{
	int64_t window_us = p->window_us, sent, answered;

	if (f->heard_used > 1 && used * 2 <= f->heard_used &&
	    sent_us - f->heard_us < window_us) {
		sent = off_fall_us(
		    f->sent.end_us, f->heard_us, sent_us, window_us);
		answered = off_fall_us(
		    f->answered.end_us, f->heard_us, sent_us, window_us);
		if (sent + WAY_US < answered && f->falls < FALLS_MAX)
			f->falls++;
		if (sent > answered + WAY_US && f->falls > -FALLS_MAX)
			f->falls--;
	}
	f->heard_used = used;
	f->heard_us = sent_us;
}

/* How long answers take, and by how much that wavers. */
static void
learn_way(struct foreign *f, int64_t took_us)
{
	double share = 1.0 / (f->took < TOOK_MAX ? ++f->took : TOOK_MAX);
	double off = (double)took_us - f->took_us;

	f->took_us += off * share;
	if (f->took > 1)
		f->took_wobble_us += (fabs(off) - f->took_wobble_us) * share;
}

/*
 * Is it counted from the call or from its answer?  The one that wavers less is
 * right.  Where all answers take as long to come, that cannot be told from it,
 * but from where the count falls; and when that is at the instant counted from
 * the call, the count may be that of the answer all the same, and both of them
 * later.
 */
static const struct foreign_instant *
choose_instant(struct foreign *f)
{
	double sent = f->sent.wobble_us, answered = f->answered.wobble_us;

	f->later_us = 0;
	if (f->took >= FOREIGN_SAMPLES && f->took_wobble_us < WAY_US) {
		f->by_sending = f->falls > 0;
		if (f->by_sending)
			f->later_us = (int64_t)f->took_us;
	} else if (f->by_sending) {
		f->by_sending = answered >= STEADIER * sent;
	} else {
		f->by_sending = sent < STEADIER * answered;
	}
	return f->by_sending ? &f->sent : &f->answered;
}

bool
foreign_learn_reset(struct foreign *f, const struct pace *p,
    const struct dialect_reading *said, int64_t used, int64_t sent_us,
    int64_t answered_us)
{
	const struct foreign_instant *best;
	bool was_fixed = f->reset == FOREIGN_FIXED;

	f->full = is_full_time(p, said) ? f->full + 1 : 0;
	if (f->full == 1)
		f->full_us = answered_us;
	learn_instant(&f->sent, p->window_us, used, sent_us,
	    sent_us + said->reset_ms * 1000);
	learn_instant(&f->answered, p->window_us, used, answered_us,
	    answered_us + said->reset_ms * 1000);
	learn_way(f, answered_us - sent_us);
	best = choose_instant(f);
	if (f->full >= FOREIGN_SAMPLES &&
	    answered_us - f->full_us >= p->window_us / FOREIGN_SPAN_PART) {
		f->reset = FOREIGN_TO_FULL;
	} else if (p->window_us >= FIXED_CLOCKS * CLOCK_US &&
	    best->stays >= FOREIGN_SAMPLES && best->rolled) {
		f->reset = FOREIGN_FIXED;
		f->end_us = best->end_us;
	} else if (f->reset == FOREIGN_FIXED && !best->rolled) {
		f->reset = FOREIGN_UNKNOWN;
	} else if (f->sent.moves >= FOREIGN_MOVES &&
	    f->answered.moves >= FOREIGN_MOVES) {
		f->reset = FOREIGN_SLIDING;
	}
	return !was_fixed && f->reset == FOREIGN_FIXED;
}

const char *
foreign_reset_name(enum foreign_reset r)
{
	static const char *const names[] = { NULL, "to full", "fixed window",
		"sliding" };

	return names[r];
}
