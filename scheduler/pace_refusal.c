#include "pace_own.h"

enum {
	REFUSED_MIN_US = 1000000,
	REFUSED_MAX_US = 30000000,
	REFUSED_PART = 96, /* of a budget's window: as rarely it is tried */
};

static int64_t
ramp_length_us(const struct pace *p)
{
	int64_t us = p->window_us / PACE_RAMP_PART;

	return us < PACE_RAMP_MAX_US ? us : PACE_RAMP_MAX_US;
}

static void
probe_served(struct pace *p, int64_t now_us)
{
	p->probing = false;
	p->probe_us = p->probe_until = 0;
	if (p->refusals > 0)
		p->refusals--;
	p->ramp_us = now_us;
}

void
pace_recover(struct pace *p, int64_t now_us)
{
	if (p->probing && p->probe_us > 0 && now_us >= p->probe_until)
		probe_served(p, p->probe_until);
	if (p->ramp_us > 0 && now_us >= p->ramp_us + ramp_length_us(p)) {
		p->full_us = p->ramp_us + ramp_length_us(p);
		p->ramp_us = 0;
	}
}

double
pace_ramp(const struct pace *p, int64_t slot_us)
{
	double part;

	if (p->ramp_us == 0)
		return 1;
	part = (double)(slot_us - p->ramp_us) / (double)ramp_length_us(p);
	return part >= 1 ? 1 : 0.1 + 0.9 * (part > 0 ? part : 0);
}

void
pace_probe(struct pace *p, int64_t slot_us)
{
	if (p->probing && p->probe_us == 0) {
		p->probe_us = slot_us;
		p->probe_until = slot_us + PACE_LATE_US + PACE_PROBE_US;
	}
}

void
pace_served(struct pace *p, int64_t now_us, int64_t sent_us)
{
	if (sent_us < p->paused_us)
		return;
	p->refusals = 0;
	if (p->probing)
		probe_served(p, now_us);
}

bool
pace_steady(const struct pace *p, int64_t sent_us)
{
	return p->full_us > 0 && sent_us >= p->full_us && !p->probing &&
	    p->ramp_us == 0;
}

/* The upstream counts otherwise than assumed. */
static void
climb(struct pace *p, int64_t now_us, int64_t sent_us)
{
	/* The ledger and the grid do at once what a step asks for, and the
	 * ramp is the end of what was sent before it; but budgets are refused
	 * for what stands in them for hours. */
	bool steady = pace_steady(p, sent_us) && p->window_us < PACE_BUDGET_US;
	int64_t at_us = sent_us + p->late_us, used;

	/* Its causes last for as long. */
	if (p->ladder.hold_us == 0 && p->window_us > LADDER_HOLD_US)
		p->ladder.hold_us = p->window_us;
	used = ledger_between(&p->ledger, at_us - p->window_us, at_us);
	ladder_refused(&p->ladder, now_us, sent_us, steady ? 0 : p->window_us,
	    used + LADDER_UNITS < p->amount ? 2 : 1);
}

/* A wait that nobody told: longer for a budget, into which little flows. */
static int64_t
untold_us(const struct pace *p, int64_t now_us)
{
	int64_t least_us = REFUSED_MIN_US, most_us = REFUSED_MAX_US, wait_us;

	if (p->window_us >= PACE_BUDGET_US) {
		int64_t unit_us = (int64_t)pace_interval_us(p, now_us);

		if (most_us < p->window_us / REFUSED_PART)
			most_us = p->window_us / REFUSED_PART;
		if (least_us < unit_us)
			least_us = unit_us;
	}
	wait_us = least_us << (p->refusals < 5 ? p->refusals : 5);
	return wait_us < most_us ? wait_us : most_us;
}

void
pace_refused(struct pace *p, int64_t now_us, int64_t wait_us, int64_t sent_us,
    enum pace_blame blame)
{
	/* A header may say what it likes; a probe costs one call. */
	int64_t most_us = p->window_us > PACE_WAIT_MAX_US
	    ? p->window_us
	    : (int64_t)PACE_WAIT_MAX_US;

	p->others_floor = PACE_FLOOR;
	p->floor_us = now_us;
	if (blame == PACE_BLAME_US)
		climb(p, now_us, sent_us);
	if (wait_us <= 0) {
		wait_us = untold_us(p, now_us);
		if (p->paused_us <= now_us)
			p->refusals++;
	}
	if (wait_us > most_us)
		wait_us = most_us;
	if (p->paused_us < now_us + wait_us)
		p->paused_us = now_us + wait_us;
	if (blame == PACE_BLAME_GUESS)
		return;
	/* What was on its way before the pause says nothing of the probe. */
	if (p->probe_us == 0 || sent_us >= p->probe_us) {
		p->probing = true;
		p->probe_us = p->probe_until = 0;
	}
}
