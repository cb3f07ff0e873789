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
	struct dispatch_path *p = limit < 0 ? dispatch_path(d, -limit) : NULL;

	if (p != NULL)
		p->live.held = units;
	if (r != NULL)
		ledger_load(&r->pace.live, cell, units);
	if (s != NULL)
		s->live = units;
}

void
dispatch_live_path(struct dispatch *d, int32_t path, bool waited)
{
	struct dispatch_path *p = dispatch_path(d, path);

	if (p != NULL)
		p->live.waited = waited;
}

int64_t
dispatch_path_open(const struct dispatch_path *path)
{
	return path->out + path->live.held + path->live.waited;
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

/* For people --------------------------------------------------------------
 */

static size_t
second_of(struct dispatch_live *live, int64_t us)
{
	int64_t s = us / 1000000;
	size_t i = (size_t)s % NITEMS(live->sends);

	if (live->sends[i].s != s) {
		live->sends[i].s = s;
		live->sends[i].over = live->sends[i].open = 0;
	}
	return i;
}

void
dispatch_live_over(struct dispatch *d, int32_t path, int64_t us)
{
	struct dispatch_path *p = dispatch_path(d, path);
	struct dispatch_live *live;

	if (p == NULL || us <= 0)
		return;
	live = &p->live;
	/* A second that its place has left for a newer one is not shown. */
	if (live->sends[us / 1000000 % (int64_t)NITEMS(live->sends)].s <=
	    us / 1000000)
		live->sends[second_of(live, us)].over++;
	if (us > live->seen_us)
		live->seen_us = us;
}

void
dispatch_live_open_begin(struct dispatch *d)
{
	for (size_t i = 0; i < d->npaths; i++) {
		struct dispatch_live *live = &d->paths[i]->live;

		live->open = 0;
		for (size_t k = 0; k < NITEMS(live->sends); k++)
			live->sends[k].open = 0;
	}
}

void
dispatch_live_open(
    struct dispatch *d, int32_t path, int64_t us, int64_t n, int64_t now_us)
{
	struct dispatch_path *p = dispatch_path(d, path);

	if (p == NULL)
		return;
	p->live.open += n;
	p->live.seen_us = now_us;
	if (us > 0)
		p->live.sends[second_of(&p->live, us)].open += (int32_t)n;
}

int32_t
dispatch_live_sends(const struct dispatch_path *path, int64_t second)
{
	const struct dispatch_live *live = &path->live;
	size_t i = (size_t)second % NITEMS(live->sends);

	return live->sends[i].s == second
	    ? live->sends[i].over + live->sends[i].open
	    : 0;
}

bool
dispatch_live_lately(const struct dispatch *d, int64_t now_us)
{
	for (size_t i = 0; i < d->npaths; i++) {
		int64_t at_us = d->paths[i]->live.seen_us;

		if (at_us > 0 && now_us - at_us < LIVE_LATELY_US)
			return true;
	}
	return false;
}
