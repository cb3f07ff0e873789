#include "pace.h"

#include <assert.h>

enum { REFUSED_MIN_US = 1000000, REFUSED_MAX_US = 30000000 };

int64_t
pace_cost(const struct pace *p, int64_t input, int64_t output)
{
	int64_t units = 1;

	switch (p->dimension) {
	case PACE_REQUESTS:
	case PACE_CONCURRENT:
		return 1;
	case PACE_TOKENS:
		units = input + output;
		break;
	case PACE_INPUT_TOKENS:
		units = input;
		break;
	case PACE_OUTPUT_TOKENS:
		units = output;
		break;
	}
	return units < 1 ? 1 : units;
}

int64_t
pace_amount(int64_t amount, double headroom, double reserve)
{
	double left = (double)amount * (1 - headroom) * (1 - reserve);
	/* 0.83 * 300 is 248.99999...: the product of shares is meant exactly.
	 */
	int64_t units = (int64_t)(left + 1e-6 * left);

	return units < 1 ? 1 : units;
}

void
pace_init(struct pace *p, enum pace_dimension dimension, int64_t amount,
    int64_t window_us)
{
	assert(amount >= 1 && window_us > 0);
	*p = (struct pace){
		.dimension = dimension, .amount = amount, .window_us = window_us
	};
	/* A grant is recorded when it leaves at the latest: lateness is in. */
	ledger_init(&p->ledger, window_us,
	    window_us + pace_slack_us(window_us) - PACE_LATE_US);
}

void
pace_fini(struct pace *p)
{
	ledger_fini(&p->ledger);
}

int64_t
pace_slack_us(int64_t window_us)
{
	return PACE_LATE_US + PACE_JITTER_US + ledger_width_us(window_us);
}

double
pace_interval_us(const struct pace *p)
{
	return (double)(p->window_us + pace_slack_us(p->window_us)) /
	    (double)p->amount;
}

int64_t
pace_earliest(const struct pace *p, int64_t units, int64_t from_us)
{
	if (units > p->amount)
		units = p->amount;
	if (from_us < p->next_us)
		from_us = p->next_us;
	if (from_us < p->paused_us)
		from_us = p->paused_us;
	return ledger_earliest(&p->ledger, p->amount, units, from_us);
}

void
pace_grant(struct pace *p, int64_t units, int64_t slot_us, int64_t keep_us,
    double hurry)
{
	double step_us = pace_interval_us(p) * (double)units;

	assert(hurry >= 1);
	if (p->window_us >= PACE_BUDGET_US)
		step_us /= hurry;
	/* Whole microseconds, upwards: a rounding must not add up to a unit. */
	p->next_us = slot_us + (int64_t)step_us + 1;
	ledger_add(&p->ledger, slot_us + keep_us, units);
}

void
pace_settle(struct pace *p, int64_t units, int64_t slot_us, int64_t keep_us,
    int64_t used, int64_t sent_us)
{
	int64_t recorded_us = slot_us + keep_us;
	/* Within the lateness of every slot there is nothing to gain. */
	bool move = sent_us > 0 && keep_us > PACE_LATE_US;

	if (!move && used == units)
		return;
	ledger_add(&p->ledger, recorded_us, -units);
	ledger_add(&p->ledger, move ? sent_us : recorded_us, used);
	/* The grid was moved on by the estimate: what was not used is due
	 * again. */
	if (p->dimension != PACE_REQUESTS)
		p->next_us -=
		    (int64_t)(pace_interval_us(p) * (double)(units - used));
	p->refusals = 0;
}

void
pace_refused(struct pace *p, int64_t now_us, int64_t wait_us)
{
	if (wait_us <= 0) {
		wait_us = REFUSED_MIN_US << (p->refusals < 5 ? p->refusals : 5);
		if (wait_us > REFUSED_MAX_US)
			wait_us = REFUSED_MAX_US;
		if (p->paused_us <= now_us)
			p->refusals++;
	}
	if (p->paused_us < now_us + wait_us)
		p->paused_us = now_us + wait_us;
}
