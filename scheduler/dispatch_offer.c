#include "dispatch_enqueue.h"

#include <math.h>
#include <stdio.h>

#include <sluice/glob.h>

/* A large line would pass small ones that came before it: one a window may, or
 * it would wait for as long as there are any. */
static bool
passes(const struct dispatch_rate *r, int64_t now_us)
{
	return r->waited && now_us < r->pace.large_us + r->pace.ledger.span_us;
}

/* The caller's own limits let it go within the horizon: the slot is moved on.
 * What they hold back is nobody else's business. */
static bool
shapes_let(struct dispatch_offer *o, int64_t now_us)
{
	for (size_t i = 0; i < o->lane->nshapes; i++) {
		struct dispatch_rate *r = o->lane->shapes[i];
		int64_t at_us = o->slot_us;

		if (at_us < now_us + DISPATCH_LEAD_US)
			at_us = now_us + DISPATCH_LEAD_US;
		at_us = pace_earliest(&r->pace,
		    dispatch_shape_units(r, (int64_t)o->n, o->input, o->output),
		    at_us);
		if (r->waited || at_us > now_us + DISPATCH_HORIZON_US) {
			r->waited = true;
			return false;
		}
		o->slot_us = at_us;
	}
	return true;
}

/* The best a flow can do for a line now; false when it can do nothing. */
/* From one probe to the next: what one takes, and a second at least. */
static int64_t
probe_gap_us(const struct dispatch_flow *f)
{
	return 1000000 + (int64_t)(1000 * estimate_latency_ms(&f->estimate));
}

static bool
flow_offer(struct dispatch *d, struct dispatch_flow *f,
    const struct dispatch_lane *lane, const struct dispatch_line *lines,
    size_t n, int64_t now_us, struct dispatch_offer *o)
{
	int64_t from_us = now_us + DISPATCH_LEAD_US;
	bool waits = false, large_waits = false;

	if (f->blocked)
		return false;
	f->blocked = true; /* until it is known better */
	if (f->path->kind == DISPATCH_BATCHES) {
		o->flow = f;
		dispatch_offer_cost(o, f, lane, lines, 1);
		return dispatch_queued_offer(f, now_us, o) &&
		    shapes_let(o, now_us);
	}
	f->waits = DISPATCH_WAITS_DOWN;
	if (breaker_allows(&f->path->breaker, now_us, f->path->out) == 0)
		return false;
	f->waits = DISPATCH_WAITS_PAUSE;
	if (f->paused_us > now_us ||
	    (f->probing && now_us < f->probed_us + probe_gap_us(f)))
		return false;
	f->waits = DISPATCH_WAITS_SEATS;
	o->flow = f;
	dispatch_offer_cost(o, f, lane, lines, n);
	if (o->large && f->large_blocked) {
		f->blocked = false;
		o->waits_large = true;
		return false;
	}
	o->keep_us = dispatch_keep_us(d, f, now_us, o);
	if (o->keep_us < 0)
		return false;
	o->slot_us = f->nrates == 0 ? now_us : from_us;
	if (!shapes_let(o, now_us)) {
		f->blocked = false;
		return false;
	}
	for (size_t i = 0; i < f->nrates; i++) {
		struct dispatch_rate *r = f->rates[i];
		int64_t units =
		    pace_cost(&r->pace, f->path->charge, o->input, o->output);
		bool large = pace_is_large(&r->pace, units);
		int64_t at_us;

		/* Who waits for a limit keeps its place before all who came
		 * later, whatever path or model they are for. */
		if (large ? !r->large_waited && !passes(r, now_us)
			  : !r->waited) {
			at_us = pace_earliest(&r->pace, units, o->slot_us);
			if (at_us <= now_us + DISPATCH_HORIZON_US) {
				o->slot_us = at_us;
				continue;
			}
		}
		r->contended_us = now_us;
		f->waits = DISPATCH_WAITS_RATE;
		f->waits_rate = r;
		f->waits_units = units;
		if (large) {
			large_waits = true;
			if (!r->large_waited && !passes(r, now_us)) {
				r->large_units = units;
				pace_claim(
				    &r->pace, units, r->crowded, from_us);
			}
			r->large_waited = true;
		} else {
			waits = r->waited = true;
		}
	}
	f->blocked = waits;
	if (!waits && large_waits)
		f->large_blocked = o->waits_large = true;
	if (!waits && !large_waits)
		f->waits = DISPATCH_WAITS_NOT;
	return !waits && !large_waits;
}

void
dispatch_uncertain(const struct dispatch *d, struct dispatch_rate *r)
{
	double more = r->pending_more > 0 ? r->pending_more : 0;

	r->pace.uncertain = (int64_t)(more +
	    d->margin * (1 + 0.25 * r->pace.ladder.step) *
		sqrt(r->pending_variance));
	/* A margin that takes all would never let anything go. */
	if (r->pace.uncertain > r->pace.amount / 2)
		r->pace.uncertain = r->pace.amount / 2;
}

bool
dispatch_guessed(const struct dispatch_flow *f, const struct dispatch_rate *r)
{
	return f->path->charge == PACE_CHARGE_ACTUAL &&
	    (r->pace.dimension == PACE_TOKENS ||
		r->pace.dimension == PACE_OUTPUT_TOKENS);
}

static bool
flow_guesses(const struct dispatch_flow *f)
{
	for (size_t i = 0; i < f->nrates; i++)
		if (dispatch_guessed(f, f->rates[i]))
			return true;
	return false;
}

static void
pending_add(struct dispatch_flow *f, const struct dispatch_offer *o)
{
	if (f->npending == f->pending_cap) {
		f->pending_cap = f->pending_cap == 0 ? 64 : 2 * f->pending_cap;
		f->pending =
		    xrealloc(f->pending, f->pending_cap * sizeof(*f->pending));
	}
	f->pending[f->npending].slot_us = o->slot_us;
	f->pending[f->npending].mean = (int32_t)o->output;
	f->pending[f->npending].lines = (int32_t)o->n;
	f->pending[f->npending++].cap = o->cap;
}

static void
path_count(struct dispatch_path *path, int64_t slot_us)
{
	int64_t s = slot_us / 1000000;
	size_t i = (size_t)s % NITEMS(path->granted);

	if (path->granted_s[i] != s) {
		path->granted_s[i] = s;
		path->granted[i] = 0;
	}
	path->granted[i]++;
}

void
dispatch_offer_take(const struct dispatch *d, const struct dispatch_offer *o)
{
	struct dispatch_flow *f = o->flow;

	for (size_t i = 0; i < o->lane->nshapes; i++) {
		struct dispatch_rate *r = o->lane->shapes[i];

		pace_grant(&r->pace,
		    dispatch_shape_units(r, (int64_t)o->n, o->input, o->output),
		    o->slot_us, o->keep_us, 1);
		r->changed = true;
	}

	if (o->purse != NULL) {
		o->purse->left -= o->money;
		o->purse->out = true;
	}
	if (f->path->kind == DISPATCH_BATCHES) {
		dispatch_queued_take(f, o);
		return;
	}
	for (size_t i = 0; i < f->nrates; i++) {
		struct dispatch_rate *r = f->rates[i];

		pace_grant(&r->pace,
		    pace_cost(&r->pace, f->path->charge, o->input, o->output),
		    o->slot_us, o->keep_us, r->hurry);
		if (dispatch_guessed(f, r)) {
			r->pending_variance += o->variance;
			dispatch_uncertain(d, r);
		}
		r->changed = true;
	}
	if (flow_guesses(f))
		pending_add(f, o);
	path_count(f->path, o->slot_us);
	f->probed_us = o->slot_us;
	f->out++;
	f->path->out++;
	for (size_t i = 0; i < f->nseats; i++)
		f->seats[i]->out++;
}

/* A path of the line's model, from *at on; NULL when there is no other. */
static struct dispatch_flow *
next_flow(struct dispatch *d, const struct dispatch_lane *lane, size_t *at)
{
	while (*at < d->npaths) {
		const struct dispatch_path *path = d->paths[(*at)++];

		for (size_t m = 0; m < path->nmodels; m++)
			if (glob_match(path->models[m], lane->model))
				return dispatch_flow(d, path->id, lane->model);
	}
	return NULL;
}

/* Does the lane's purse hold what the line may cost on the way? */
static bool
can_pay(struct dispatch *d, const struct dispatch_lane *lane,
    const struct dispatch_line *line, const struct dispatch_way *way,
    struct dispatch_offer *o)
{
	if (lane->purse == 0)
		return true;
	o->purse = &d->purses[lane->purse - 1];
	o->price = way->price;
	dispatch_line_cost(way->flow, lane, line, o);
	if (o->money > o->purse->left)
		o->purse->want = fmax(o->purse->want, o->money);
	return o->money <= o->purse->left;
}

bool
dispatch_offer_best(struct dispatch *d, const struct dispatch_lane *lane,
    const struct dispatch_line *lines, size_t n, int64_t now_us,
    struct dispatch_offer *best)
{
	bool found = false, waits_large = false, paid = false;
	int rank = -1;

	for (size_t i = 0; i < lane->nways && lane->ways[i].rank >= 0; i++) {
		struct dispatch_flow *f = lane->ways[i].flow;
		struct dispatch_offer o = { 0 };

		if (found && lane->ways[i].rank > rank)
			break;
		rank = lane->ways[i].rank;
		if (!can_pay(d, lane, lines, &lane->ways[i], &o))
			continue;
		paid = true;
		if (flow_offer(d, f, lane, lines, n, now_us, &o)) {
			if (!found || o.slot_us < best->slot_us)
				*best = o;
			found = true;
		}
		waits_large |= o.waits_large;
	}
	if (!found) {
		best->waits_large = waits_large;
		best->too_dear = !paid && lane->purse > 0 && rank >= 0;
	}
	return found;
}

bool
dispatch_too_large(struct dispatch *d, const struct dispatch_lane *lane,
    const struct dispatch_line *line, char *why, size_t size)
{
	enum { LINE_TOKEN_BYTES = 16 };
	struct dispatch_flow *f;
	bool all = false;
	size_t at = 0;

	while ((f = next_flow(d, lane, &at)) != NULL) {
		struct dispatch_offer o = { 0 };
		const struct dispatch_queued *q;
		int64_t output = 0;
		bool fits = true;

		dispatch_offer_cost(&o, f, lane, line, 1);
		if (f->path->charge == PACE_CHARGE_DECLARED ||
		    f->path->charge == PACE_CHARGE_REFUNDED)
			output = o.cap > 0 ? o.cap : 0;
		for (size_t i = 0; i < f->nrates && fits; i++) {
			const struct dispatch_rate *r = f->rates[i];
			int64_t units = pace_cost(&r->pace, f->path->charge,
			    line->bytes / LINE_TOKEN_BYTES, output);

			if (units <= r->configured)
				continue;
			fits = false;
			snprintf(why, size,
			    "The request takes %lld tokens at least "
			    "(max_tokens "
			    "included); %lld is all that may be used in %lld "
			    "s.",
			    (long long)units, (long long)r->configured,
			    (long long)(r->pace.window_us / 1000000));
		}
		q = dispatch_queued_bursts(
		    f, line->bytes / LINE_TOKEN_BYTES + output);
		if (q != NULL) {
			fits = false;
			snprintf(why, size,
			    "The request takes %lld tokens at least; %lld is "
			    "all that may be enqueued.",
			    (long long)(line->bytes / LINE_TOKEN_BYTES +
				output),
			    (long long)q->configured);
		}
		if (fits)
			return false;
		all = true;
	}
	return all;
}
