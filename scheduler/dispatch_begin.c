#include "dispatch_offer.h"

#include <math.h>
#include <string.h>

static bool
flow_has(const struct dispatch_flow *f, const struct dispatch_rate *r)
{
	for (size_t i = 0; i < f->nrates; i++)
		if (f->rates[i] == r)
			return true;
	return false;
}

/* The calls of a flow that are under way: how much more they may take. */
static void
flow_pending(struct dispatch_flow *f, int64_t now_us)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->npending; i++) {
		struct dispatch_pending p = f->pending[i];
		int64_t age_ms = (now_us - p.slot_us) / 1000;
		double mean, variance;

		/* What left so long ago is out of every window; and what came
		 * back unsent may have been told to another. */
		if (age_ms > DISPATCH_PENDING_MS)
			continue;
		f->pending[kept++] = p;
		estimate_pending(&f->estimate, age_ms > 0 ? age_ms : 0,
		    p.cap > 0 ? p.cap / p.lines : p.cap, &mean, &variance);
		mean *= p.lines;
		variance *= p.lines;
		for (size_t k = 0; k < f->nrates; k++) {
			struct dispatch_rate *r = f->rates[k];

			if (!dispatch_guessed(f, r) ||
			    now_us - p.slot_us > r->pace.ledger.span_us)
				continue;
			r->pending_more += mean - p.mean;
			r->pending_variance += variance;
		}
	}
	f->npending = kept;
}

/* Large lines that wait for the rate, as of the last plan. */
static size_t
rate_waiting(const struct dispatch *d, const struct dispatch_rate *r)
{
	size_t n = 0;

	for (size_t i = 0; i < d->nflows; i++) {
		const struct dispatch_flow *f = d->flows[i];

		if (!flow_has(f, r))
			continue;
		for (size_t l = 0; l < d->nlanes; l++)
			if (strcmp(d->lanes[l]->model, f->model) == 0)
				n += d->lanes[l]->naside;
	}
	return n;
}

/* What the last plan left waiting. */
static void
rate_crowd(const struct dispatch *d, struct dispatch_rate *r, int64_t now_us)
{
	size_t waiting = r->large_waited ? rate_waiting(d, r) : 0;

	if (!r->large_waited)
		r->pace.claim = r->pace.waits_us = 0;
	r->crowded = waiting > DISPATCH_ASIDE_MAX * 3 / 4 ||
	    (int64_t)waiting * r->large_units / DISPATCH_CROWD_WINDOWS >
		pace_allowed(&r->pace, now_us);
}

/* The longest mean latency of its models; far off while none is known. */
static int64_t
path_latency_us(const struct dispatch *d, const struct dispatch_path *path)
{
	double ms = -1;

	for (size_t i = 0; i < d->nflows; i++)
		if (d->flows[i]->path == path && d->flows[i]->estimate.n > 0)
			ms = fmax(ms, d->flows[i]->estimate.ms);
	return ms >= 0 ? (int64_t)(ms * 1000) : INT64_C(1000000000000);
}

void
dispatch_begin(struct dispatch *d, int64_t now_us)
{
	for (size_t i = 0; i < d->nrates; i++) {
		struct dispatch_rate *r = d->rates[i];

		if (r->since_us == 0)
			r->since_us = now_us;
		r->pending_more = r->pending_variance = 0;
		r->pace.late_us = PACE_LATE_MIN_US;
		r->pace.jitter_us = PACE_JITTER_MIN_US;
	}
	for (size_t i = 0; i < d->nflows; i++) {
		struct dispatch_flow *f = d->flows[i];
		int64_t late_us = dispatch_late_us(f->path),
			jitter_us = dispatch_jitter_us(f->path);

		f->blocked = f->large_blocked = false;
		f->waits = DISPATCH_WAITS_NOT;
		flow_pending(f, now_us);
		for (size_t k = 0; k < f->nrates; k++) {
			struct pace *p = &f->rates[k]->pace;

			if (p->late_us < late_us)
				p->late_us = late_us;
			if (p->jitter_us < jitter_us)
				p->jitter_us = jitter_us;
		}
	}
	for (size_t i = 0; i < d->npaths; i++) {
		struct dispatch_path *p = d->paths[i];

		if (p->live.waited) /* it wants more, as a line would */
			aimd_allows(&p->aimd, dispatch_path_open(p));
		aimd_grow(&p->aimd, now_us, path_latency_us(d, p));
	}
	for (size_t i = 0; i < d->nrates; i++) {
		struct dispatch_rate *r = d->rates[i];

		r->waited = false;
		foreign_room(&r->foreign, &r->pace, now_us, &r->pace.others);
		dispatch_uncertain(d, r);
		if (ladder_rest(&r->pace.ladder, now_us))
			r->changed = true;
		pace_begin(&r->pace, now_us);
		rate_crowd(d, r, now_us);
		r->large_waited = false;
	}
	dispatch_hurry(d, now_us);
	dispatch_route(d, now_us);
}
