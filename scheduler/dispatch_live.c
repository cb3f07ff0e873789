/* Live calls in the plan: batches leave them room and go round what they took.
 */
#include "dispatch.h"

#include <math.h>

enum {
	LIVE_AHEAD_MS = 400,    /* from one plan to the next, and some more */
	LIVE_RATE_US = 5000000, /* their rate is smoothed over it */
	LIVE_WAITED_PART = 50,  /* of the limit, for one that found no room */
	LIVE_LATELY_US = 60000000,
	WANTED_LATELY_US = 2000000,
};

static struct dispatch_seats *
seats_of(struct dispatch *d, int32_t limit)
{
	for (size_t i = 1; i < d->nseats; i++)
		if (d->seats[i]->id == limit)
			return d->seats[i];
	return NULL;
}

void
dispatch_live_cell(
    struct dispatch *d, int32_t limit, int64_t cell, int64_t units)
{
	struct dispatch_rate *r = dispatch_rate(d, limit);
	struct dispatch_seats *s = seats_of(d, limit);

	if (r != NULL)
		ledger_load(&r->pace.live, cell, units);
	if (s != NULL)
		s->live = units;
}

void
dispatch_live_limit(struct dispatch *d, int32_t limit, int64_t total,
    bool waited, int64_t now_us)
{
	struct dispatch_rate *r = dispatch_rate(d, limit);
	struct dispatch_seats *s = seats_of(d, limit);
	int64_t us, least;
	double ahead;

	if (s != NULL)
		s->live_waited = waited;
	if (s != NULL && (waited || s->live > 0))
		s->live_us = now_us;
	if (r == NULL)
		return;
	us = now_us - r->live_us;
	if (r->live_us == 0 || us <= 0)
		us = LIVE_RATE_US;
	if (r->live_us > 0)
		r->live_rate += ((double)(total - r->live_total) / (double)us -
				    r->live_rate) *
		    fmin(1, (double)us / LIVE_RATE_US);
	r->live_us = now_us;
	r->live_total = total;
	ahead = r->live_rate > 0 ? r->live_rate * LIVE_AHEAD_MS * 1000 : 0;
	r->pace.live_lead = (int64_t)ceil(ahead + 2 * sqrt(ahead) - 1e-3);
	least = r->pace.amount / LIVE_WAITED_PART;
	if (waited && r->pace.live_lead < (least < 1 ? 1 : least))
		r->pace.live_lead = least < 1 ? 1 : least;
}

int64_t
dispatch_seats_amount(const struct dispatch_seats *s)
{
	int64_t left = s->amount + s->reserve - s->live - s->live_waited;

	if (left < 0)
		left = 0;
	return left < s->amount ? left : s->amount;
}

int64_t
dispatch_seats_wanted(const struct dispatch_seats *s, int64_t now_us)
{
	bool live = s->live_us > 0 && now_us - s->live_us < LIVE_LATELY_US;
	bool lines = s->out > 0 || now_us - s->wanted_us < WANTED_LATELY_US;

	return live && !lines ? 0 : dispatch_seats_amount(s);
}
