#include "pace_own.h"

#include <assert.h>
#include <math.h>

const char *const pace_dimension_names[PACE_DIMENSIONS] = { "requests",
	"tokens", "input_tokens", "output_tokens", "concurrent",
	"enqueued_requests", "enqueued_tokens" };

/* Setting up ------------------------------------------------------------- */
int64_t
pace_cost(const struct pace *p, enum pace_charge charge, int64_t input,
    int64_t output)
{
	int64_t units = 1;

	switch (p->dimension) {
	case PACE_REQUESTS:
	case PACE_CONCURRENT:
	case PACE_ENQUEUED_REQUESTS:
	case PACE_ENQUEUED_TOKENS:
	case PACE_DIMENSIONS:
		return 1;
	case PACE_TOKENS:
		units = charge == PACE_CHARGE_INPUT ? input : input + output;
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
	*p = (struct pace){ .dimension = dimension,
		.amount = amount,
		.window_us = window_us,
		.others_floor = PACE_FLOOR,
		.late_us = PACE_LATE_US,
		.jitter_us = PACE_JITTER_US };
	/* A grant is recorded when it leaves at the latest: lateness is in. */
	ledger_init(
	    &p->ledger, window_us, window_us + pace_slack_us(p) - p->late_us);
	ledger_init(&p->live, window_us, p->ledger.span_us);
}

void
pace_fini(struct pace *p)
{
	ledger_fini(&p->ledger);
	ledger_fini(&p->live);
}

int64_t
pace_slack_us(const struct pace *p)
{
	return p->late_us + p->jitter_us + ledger_width_us(p->window_us) +
	    (p->ladder.step >= 2 ? 1000000 : 0);
}

/* How much there is ------------------------------------------------------- */

/* What batch work may use in a window when nobody else uses the account. */
static int64_t
base_amount(const struct pace *p)
{
	int64_t units = p->amount;

	if (p->moving > 0 && p->moving < units)
		units = p->moving;
	if (p->ladder.step >= 1)
		units--;
	units -= p->uncertain;
	return units < 1 ? 1 : units;
}

/* Others may take what is reserved for live requests: they are such. */
static int64_t
beyond_reserve(const struct pace *p, int64_t others)
{
	return others > p->reserve ? others - p->reserve : 0;
}

static int64_t
least_one(int64_t units)
{
	return units < 1 ? 1 : units;
}

/* What live calls take beyond the reserve, or what others leave of it. */
static int64_t
live_beyond(const struct pace *p, int64_t others)
{
	int64_t live = p->live_used + p->live_lead;
	int64_t reserve = others < p->reserve ? p->reserve - others : 0;

	return live > reserve ? live - reserve : 0;
}

/* Ours all the same: headers may lie, and slow us down, but not to a stop. */
static int64_t
floor_units(const struct pace *p)
{
	return base_amount(p) * p->others_floor / 100;
}

/* Units for batches in a window that holds at_us; live calls may leave none. */
static int64_t
room(const struct pace *p, int64_t at_us)
{
	const struct pace_others *o = &p->others;
	int64_t others =
	    o->end_us > 0 && at_us >= o->end_us ? o->next_units : o->units;
	int64_t left = base_amount(p) - beyond_reserve(p, others);

	if (left < floor_units(p))
		left = floor_units(p);
	return least_one(left) - live_beyond(p, others);
}

int64_t
pace_allowed(const struct pace *p, int64_t at_us)
{
	return least_one(room(p, at_us));
}

int64_t
pace_live_left(const struct pace *p, int64_t now_us)
{
	int64_t left = p->amount + p->reserve - (p->ladder.step >= 1) -
	    ledger_used(&p->ledger, now_us) - ledger_used(&p->live, now_us);

	return left > 0 ? left : 0;
}

void
pace_begin(struct pace *p, int64_t now_us)
{
	p->ledger.span_us = p->live.span_us =
	    p->window_us + pace_slack_us(p) - p->late_us;
	ledger_expire(&p->ledger, now_us - PACE_MEMORY_US);
	ledger_expire(&p->live, now_us - PACE_MEMORY_US);
	p->live_used = ledger_used(&p->live, now_us);
	p->moving = adaptive_units(&p->adaptive, p->amount, now_us);
	/* Little by little, or the small ones would leave room unused. */
	if (now_us >= p->burst_us + p->window_us / PACE_BURST_PART) {
		p->burst_us = now_us;
		p->burst -= (p->burst + PACE_FADE_PART - 1) / PACE_FADE_PART;
	}
	pace_recover(p, now_us);
	/* Others who take nearly all would refuse us now and then. */
	if (p->floor_us == 0 ||
	    pace_allowed(p, now_us) > least_one(floor_units(p))) {
		p->floor_us = now_us;
	} else if (now_us >= p->floor_us + 2 * p->window_us) {
		p->floor_us = now_us;
		if (p->others_floor < PACE_FLOOR_MAX)
			p->others_floor *= 2;
	}
}

/* Units that are left of the upstream's own window, when that is known. */
static int64_t
window_left(const struct pace *p, int64_t at_us, int64_t *end_us)
{
	int64_t begin_us = p->others.begin_us, used;

	*end_us = p->others.end_us;
	for (; at_us >= *end_us; *end_us += p->window_us)
		begin_us += p->window_us;
	/* A send may arrive after its record, or before: count it twice. */
	used = ledger_between(
	    &p->ledger, begin_us - p->jitter_us, *end_us + p->late_us);
	return pace_allowed(p, at_us) - used;
}

bool
pace_is_large(const struct pace *p, int64_t units)
{
	return p->dimension != PACE_REQUESTS &&
	    units * PACE_LARGE_PART > p->amount;
}

/* What the grid spreads over a window. */
static int64_t
even_amount(const struct pace *p, int64_t at_us)
{
	int64_t allowed = pace_allowed(p, at_us), even;
	int64_t least = allowed < floor_units(p) ? allowed : floor_units(p);

	if (p->others.even_units <= 0)
		return allowed;
	/* Ours are the denser the fewer others came lately, so that all calls
	 * together are even: nothing piles up a window later.  The ledger sees
	 * to it that there is room. */
	even = base_amount(p) - beyond_reserve(p, p->others.even_units) -
	    live_beyond(p, p->others.even_units);
	if (least < allowed / 4)
		least = allowed / 4;
	return even > least ? even : least_one(least);
}

double
pace_interval_us(const struct pace *p, int64_t at_us)
{
	/* Doubt about calls under way is the ledger's: it is settled by the
	 * time they are, and to slow down for it would lose it for good. */
	double amount = (double)(even_amount(p, at_us) + p->uncertain);

	if (p->ladder.step >= 3 && p->dimension == PACE_REQUESTS)
		return (double)p->window_us / amount +
		    (double)(p->late_us + p->jitter_us);
	return (double)(p->window_us + pace_slack_us(p)) / amount;
}

/* Granting ----------------------------------------------------------------- */

/* How far the grid may be ahead: who lets the largest in has as much room. */
static int64_t
burst_us(const struct pace *p, int64_t units, int64_t at_us)
{
	int64_t burst = p->burst;

	if (burst < units && pace_is_large(p, units))
		burst = units;
	return (int64_t)(pace_interval_us(p, at_us) * (double)burst);
}

/* What is claimed must be free when it is due, and is used from then on. */
static int64_t
beside_claim(
    const struct pace *p, int64_t allowed, int64_t units, int64_t at_us)
{
	int64_t claim = p->claim < allowed ? p->claim : allowed;

	if (at_us <= p->claim_us) {
		if (ledger_used(&p->ledger, p->claim_us) + units + claim <=
		    allowed)
			return at_us;
		at_us = p->claim_us + 1;
	}
	if (units > allowed - claim)
		return at_us + p->window_us;
	return ledger_earliest(&p->ledger, allowed - claim, units, at_us);
}

void
pace_claim(struct pace *p, int64_t units, bool crowded, int64_t from_us)
{
	struct ledger_want want = { .amount = pace_allowed(p, from_us),
		.units = units,
		.spare = p->small,
		.from_us = from_us,
		.until_us = from_us + p->ledger.span_us +
		    p->window_us / PACE_CREDIT_PART };

	/* A window of the upstream's that is known has room when it begins. */
	if (p->others.end_us > 0) {
		p->claim = 0;
		return;
	}
	if (units > want.amount)
		want.units = want.amount;
	want.idle = crowded
	    ? INFINITY
	    : (double)want.units * (double)p->window_us / PACE_IDLE_PART;
	if (p->waits_us == 0)
		p->waits_us = from_us;
	want.again = !crowded && from_us < p->waits_us + p->ledger.span_us;
	/* Once it is known when, that is never put off. */
	if (p->claim == want.units && p->claim_us > from_us) {
		want.until_us = p->claim_us;
		want.again = false;
	}
	p->claim_us = ledger_gap(&p->ledger, &want);
	if (want.again && p->claim_us == want.until_us) {
		p->claim = 0;
		return;
	}
	p->claim = want.units;
	if (p->claim_us == PACE_NEVER)
		p->claim_us = ledger_earliest(
		    &p->ledger, want.amount, want.units, from_us);
}

int64_t
pace_earliest(const struct pace *p, int64_t units, int64_t from_us)
{
	bool large = pace_is_large(p, units);
	int64_t grid_us = p->next_us - burst_us(p, units, from_us);
	int64_t at_us = from_us, was_us;

	if (!large && grid_us < p->fast_us)
		grid_us = p->fast_us;
	if (at_us < grid_us)
		at_us = grid_us;
	if (at_us < p->paused_us)
		at_us = p->paused_us;
	if (p->probing && p->probe_us > 0 && at_us < p->probe_until)
		at_us = p->probe_until;
	if (room(p, at_us) < 1)
		return from_us + p->window_us;
	do {
		int64_t allowed = pace_allowed(p, at_us), left, end_us;
		int64_t cost = units;

		was_us = at_us;
		if (p->others.end_us > 0) {
			/* The window is known: the ledger has only to see that
			 * nothing of our own is too much. */
			left = window_left(p, at_us, &end_us);
			if (left < (cost < allowed ? cost : allowed))
				at_us = end_us + p->jitter_us;
			allowed = least_one(base_amount(p) - live_beyond(p, 0));
		}
		if (cost > allowed)
			cost = allowed;
		at_us = ledger_earliest(&p->ledger, allowed, cost, at_us);
		if (!large && p->claim > 0)
			at_us = beside_claim(p, allowed, cost, at_us);
	} while (at_us > was_us && at_us < from_us + p->window_us);
	return at_us;
}

/* From this grant to the next one. */
static int64_t
step_us(const struct pace *p, int64_t units, int64_t slot_us, double hurry)
{
	double us = pace_interval_us(p, slot_us) * (double)units;

	if (p->others.end_us > 0) {
		int64_t end_us, left = window_left(p, slot_us, &end_us) - units;
		double even = (double)(end_us - slot_us) /
		    (double)(left > 0 ? left : 1) * (double)units;
		double full = (double)p->window_us / (double)base_amount(p) *
		    (double)units;

		us = even > full ? even : full;
	}
	/* Live calls come and go by chance: what they leave for a while is used
	 * before they take it again. */
	if (live_beyond(p, p->others.units) > 0) {
		double spare = (double)(pace_allowed(p, slot_us) - units -
		    ledger_used(&p->ledger, slot_us));
		double soon_us = (double)p->window_us / PACE_SPARE_PART;

		if (spare > 0)
			us = 1 / (1 / us + spare / soon_us / (double)units);
	}
	/* A bucket that refused us holds less than the budget: it gives no more
	 * than flows into it. */
	if (p->window_us >= PACE_BUDGET_US && p->ladder.step == 0)
		us /= hurry;
	us /= pace_ramp(p, slot_us);
	/* Whole microseconds, upwards: a rounding must not add up to a unit. */
	return (int64_t)us + 1;
}

void
pace_grant(struct pace *p, int64_t units, int64_t slot_us, int64_t keep_us,
    double hurry)
{
	int64_t least_us = slot_us, most_us;
	int64_t ahead_us = slot_us + burst_us(p, units, slot_us);
	int64_t next_us = step_us(p, units, slot_us, hurry);

	assert(hurry >= 1);
	if (pace_is_large(p, units)) {
		if (p->burst < units)
			p->burst = units;
		p->burst_us = p->large_us = slot_us;
		p->claim = 0;
	} else {
		p->fast_us = slot_us + next_us / PACE_FAST;
		p->small = units;
	}
	/* Refunds put the grid back, also behind the present: that is not lost
	 * at once, or only surcharges would count. */
	if (p->dimension != PACE_REQUESTS)
		least_us -= p->window_us / PACE_CREDIT_PART;
	if (p->next_us > least_us)
		least_us = p->next_us < ahead_us ? p->next_us : ahead_us;
	next_us += least_us;
	/* One line holds up the others for a window at most, whatever it was
	 * thought to cost: the ledger does the rest. */
	most_us = slot_us + keep_us + p->ledger.span_us;
	if (p->others.end_us > slot_us &&
	    most_us > p->others.end_us + p->jitter_us)
		most_us = p->others.end_us + p->jitter_us;
	p->next_us = next_us < most_us ? next_us : most_us;
	p->keep_us = keep_us;
	ledger_add(&p->ledger, slot_us + keep_us, units);
	pace_probe(p, slot_us);
	adaptive_used(&p->adaptive, p->amount, slot_us);
}

void
pace_settle(struct pace *p, int64_t units, int64_t slot_us, int64_t keep_us,
    int64_t used, int64_t sent_us)
{
	int64_t recorded_us = slot_us + keep_us;
	double back_us;
	/* Within the lateness of every slot there is nothing to gain. */
	bool move = sent_us > 0 && keep_us > PACE_LATE_US;

	if (!move && used == units)
		return;
	ledger_add(&p->ledger, recorded_us, -units);
	ledger_add(&p->ledger, move ? sent_us : recorded_us, used);
	/* The grid was moved on by the estimate: what was not used is due
	 * again. */
	if (p->dimension == PACE_REQUESTS)
		return;
	back_us = pace_interval_us(p, slot_us) * (double)(units - used);
	if (back_us < -(double)p->ledger.span_us)
		back_us = -(double)p->ledger.span_us;
	p->next_us -= (int64_t)back_us;
}

void
pace_charge_lost(struct pace *p, int64_t now_us, int64_t lost_us)
{
	if (lost_us > p->window_us)
		lost_us = p->window_us;
	ledger_add(&p->ledger, now_us,
	    (int64_t)((double)p->amount * (double)lost_us /
		(double)p->window_us) +
		1);
	if (p->next_us < now_us)
		p->next_us = now_us;
}
