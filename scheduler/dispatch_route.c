#include "dispatch_offer.h"

#include <math.h>
#include <stdlib.h>

enum {
	ROUTE_EVERY_US = 500000,
	ROUTE_SAMPLE = 32,       /* lines of a lane that stand for all */
	ROUTE_BYTES = 2000,      /* of a line of which nothing is known */
	ROUTE_LATENCY_MS = 5000, /* of a path that has not answered yet */
	ROUTE_WORK_MAX_S = 1000000000,
};

/* What the lane's lines take each, on average. */
struct load {
	double input, output;
	int64_t lines;
	double share; /* a call, wherever paths let them */
};

/* The first lines of a lane's queues. */
struct sample {
	double bytes, cap;
	int n, ncaps;
	int pairs, unlike; /* of neighbours, those that share no call */
};

static void
queue_sample(const struct dispatch_queue *q, struct sample *s)
{
	for (size_t i = q->first; i < q->n && s->n < ROUTE_SAMPLE;
	     i++, s->n++) {
		const struct dispatch_line *line = &q->lines[i];

		s->bytes += line->bytes;
		if (line->cap >= 0) {
			s->cap += line->cap;
			s->ncaps++;
		}
		if (i == q->first)
			continue;
		s->pairs++;
		s->unlike +=
		    line->combine == 0 || line->combine != line[-1].combine;
	}
}

/* As far as a chunk holds them. */
static double
sample_share(const struct sample *s)
{
	double most = SLC_CHUNK_LINES_MAX;

	if (s->pairs == 0)
		return 1;
	if (s->bytes > 0)
		most =
		    fmin(most, SLC_CHUNK_BYTES_MAX * (double)s->n / s->bytes);
	if (s->unlike > 0)
		most = fmin(most, (double)s->pairs / s->unlike);
	return fmax(most, 1);
}

static struct load
lane_load(const struct dispatch_lane *lane)
{
	const struct estimate none = { 0 }, *e = &none;
	struct sample s = { 0 };
	double variance;
	struct load load;

	for (size_t i = 0; i < lane->nways; i++)
		if (lane->ways[i].flow->estimate.n > e->n)
			e = &lane->ways[i].flow->estimate;
	queue_sample(&lane->fresh, &s);
	queue_sample(&lane->again, &s);
	load.share = sample_share(&s);
	load.lines =
	    lane->lines_left + (int64_t)(lane->again.n - lane->again.first);
	load.input = (double)estimate_input(
	    e, s.n > 0 ? (int64_t)(s.bytes / s.n) : ROUTE_BYTES);
	estimate_pending(e, 0,
	    s.ncaps > 0                ? (int64_t)(s.cap / s.ncaps)
		: lane->max_tokens > 0 ? lane->max_tokens
				       : -1,
	    &load.output, &variance);
	return load;
}

/* What a line takes of a limit that counts tokens. */
static double
line_units(const struct dispatch_flow *f, const struct pace *p,
    const struct load *load)
{
	return (double)pace_cost(
	    p, f->path->charge, (int64_t)load->input, (int64_t)load->output);
}

/* Lines of one call: fewer where it would be large (dispatch_cost.c). */
static double
call_lines(const struct dispatch_flow *f, const struct load *load)
{
	double n = fmin(load->share, f->path->combine);

	for (size_t i = 0; n > 1 && i < f->nrates; i++) {
		const struct pace *p = &f->rates[i]->pace;

		if (p->dimension != PACE_REQUESTS)
			n = fmin(n,
			    (double)p->amount / PACE_LARGE_PART /
				line_units(f, p, load));
	}
	return fmax(n, 1);
}

/* Lines a second that a limit lets through until then. */
static double
rate_per_s(const struct dispatch_flow *f, const struct dispatch_rate *r,
    const struct load *load, int64_t now_us, int64_t until_us)
{
	const struct pace *p = &r->pace;
	double units = p->dimension == PACE_REQUESTS ? 1 / call_lines(f, load)
						     : line_units(f, p, load);
	double us = fmax((double)(until_us - now_us), 1), windows, left;

	if (p->window_us < PACE_BUDGET_US)
		return 1e6 / (pace_interval_us(p, now_us) * units);
	/* Of a budget what is left, and what comes with later windows. */
	windows = fmax(us / (double)p->ledger.span_us - 1, 0);
	left = fmax(
	    (double)(pace_allowed(p, now_us) - ledger_used(&p->ledger, now_us)),
	    0);
	return (left + windows * (double)p->amount) / units / us * 1e6;
}

/*
 * What a path carries for sure until then; *binds: the rate limit that says so,
 * or NULL.
 */
static double
flow_per_s(const struct dispatch_flow *f, const struct load *load,
    int64_t now_us, int64_t until_us, struct dispatch_rate **binds)
{
	double s =
	    (f->estimate.n > 0 ? f->estimate.ms : ROUTE_LATENCY_MS) / 1000;
	double per_s = INFINITY, n = call_lines(f, load);

	*binds = NULL;
	for (size_t i = 0; i < f->nrates; i++) {
		double rate =
		    rate_per_s(f, f->rates[i], load, now_us, until_us);

		if (rate < per_s) {
			per_s = rate;
			*binds = f->rates[i];
		}
	}
	for (size_t i = 0; i < f->nseats; i++)
		per_s = fmin(per_s,
		    n *
			(double)(i == 0 ? f->seats[i]->granted
					: f->seats[i]->amount) /
			fmax(s, 0.001));
	/* Until a refusal has shown how many calls there may be, they grow. */
	if (f->undeclared && f->path->aimd.found)
		per_s = fmin(per_s,
		    n * (double)aimd_limit(&f->path->aimd) / fmax(s, 0.001));
	return per_s;
}

static void
lane_ways(struct dispatch *d, struct dispatch_lane *lane)
{
	const struct dispatch_model *m = lane->of;

	dispatch_model_resolve(d, lane->of);
	lane->nways = m->nflows;
	lane->ways = xrealloc(lane->ways, m->nflows * sizeof(*lane->ways));
	for (size_t i = 0; i < m->nflows; i++)
		lane->ways[i] = (struct dispatch_way){ .flow = m->flows[i] };
}

double
dispatch_p99_ms(const struct dispatch_flow *f)
{
	if (f->estimate.n <= 0)
		return 2 * ROUTE_LATENCY_MS;
	return 2.5 * estimate_latency_ms(&f->estimate) - 1.5 * f->estimate.ms;
}

/* A lane and what it wants of direct paths. */
struct stand {
	struct dispatch_lane *lane;
	struct load load;
	struct dispatch_work *of; /* the limit that binds; NULL: no such path */
	double work_s;
	double p99_ms;
	int64_t back_us;
	bool direct; /* it goes there anyway */
};

static void
stand_measure(struct stand *s, int64_t now_us)
{
	const struct dispatch_lane *lane = s->lane;
	double per_s = 0, best = -1;

	s->direct = lane->choice == ROUTE_DIRECT ||
	    (lane->choice == ROUTE_AUTO && lane->priority >= SLC_PRIORITY_HIGH);
	for (size_t i = 0; i < lane->nways; i++) {
		struct dispatch_flow *f = lane->ways[i].flow;
		struct dispatch_rate *binds;
		struct dispatch_work *of;
		double rate;

		if (f->path->kind == DISPATCH_BATCHES && f->out > 0)
			s->back_us = ROUTE_BACK_US;
		if (f->path->kind != DISPATCH_DIRECT)
			continue;
		rate =
		    flow_per_s(f, &s->load, now_us, lane->deadline_us, &binds);
		of = binds != NULL ? &binds->work : &f->work;
		/* Two paths under one limit carry what one does. */
		if (of != s->of)
			per_s += rate;
		if (rate > best) {
			best = rate;
			s->of = of;
		}
		s->p99_ms = fmax(s->p99_ms, dispatch_p99_ms(f));
	}
	s->work_s = per_s > 0
	    ? fmin((double)s->load.lines / per_s, ROUTE_WORK_MAX_S)
	    : 0;
	if (s->direct && s->of != NULL)
		s->of->direct_s += s->work_s;
}

/*
 * Until when may the lane wait for cheap paths?  Direct ones must then carry it
 * and all that is due before it; those that go direct anyway, though they have
 * more time, may take half of what there is.
 */
static int64_t
stand_spare_us(struct stand *s, int64_t now_us)
{
	int64_t left_us = s->lane->deadline_us - now_us;
	double work_s = 0;

	if (s->of != NULL) {
		if (s->direct)
			s->of->direct_s -= s->work_s;
		s->of->due_s += s->work_s;
		work_s = s->of->due_s + fmin(s->of->direct_s, s->of->due_s);
	}
	return left_us - (int64_t)(work_s * 1e6) -
	    route_guard_us(left_us > 0 ? left_us : 0,
		(int64_t)(s->p99_ms * 1000), s->back_us);
}

static int
by_rank(const void *a, const void *b)
{
	const struct dispatch_way *x = a, *y = b;

	if ((x->rank < 0) != (y->rank < 0))
		return x->rank < 0 ? 1 : -1;
	if (x->rank != y->rank)
		return x->rank - y->rank;
	return x->flow->path_id < y->flow->path_id ? -1 : 1;
}

static void
lane_rank(struct dispatch *d, struct dispatch_lane *lane,
    const struct load *load, int64_t now_us)
{
	struct route_work work = { .choice = lane->choice,
		.no_escalate = lane->no_escalate,
		.urgent = lane->priority >= SLC_PRIORITY_HIGH,
		.left_us = lane->deadline_us - now_us,
		.spare_us = lane->spare_us };
	struct route_way *ways = xcalloc(lane->nways, sizeof(*ways));
	int64_t at_us = now_us - d->clock.offset_us;

	for (size_t i = 0; i < lane->nways; i++) {
		const struct dispatch_flow *f = lane->ways[i].flow;
		const struct dispatch_path *path = f->path;
		int64_t turn_us = (int64_t)(dispatch_p99_ms(f) * 1000);
		const struct route_price *price = route_price(
		    path->prices, path->nprices, lane->model, at_us);

		ways[i] = (struct route_way){
			.cheap = path->kind != DISPATCH_DIRECT,
			.packed = path->kind == DISPATCH_BATCHES,
			.turn_us = path->kind == DISPATCH_BATCHES &&
				turn_us < ROUTE_BACK_US
			    ? ROUTE_BACK_US
			    : turn_us,
			.priced = price != NULL,
			.down = path->breaker.health != BREAKER_UP,
			.cost = route_money(price, load->input, load->output),
			.least = route_money_least(path->prices, path->nprices,
			    lane->model, load->input, load->output, at_us,
			    at_us + (lane->spare_us > 0 ? lane->spare_us : 0)),
		};
	}
	route_rank(&work, ways, lane->nways);
	for (size_t i = 0; i < lane->nways; i++) {
		lane->ways[i].cost = ways[i].cost;
		lane->ways[i].price =
		    route_price(lane->ways[i].flow->path->prices,
			lane->ways[i].flow->path->nprices, lane->model, at_us);
		lane->ways[i].rank = ways[i].rank;
	}
	free(ways);
	if (lane->nways > 1)
		qsort(lane->ways, lane->nways, sizeof(*lane->ways), by_rank);
}

static int
by_deadline(const void *a, const void *b)
{
	const struct dispatch_lane *x = ((const struct stand *)a)->lane;
	const struct dispatch_lane *y = ((const struct stand *)b)->lane;

	if (x->deadline_us != y->deadline_us)
		return x->deadline_us < y->deadline_us ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

void
dispatch_route(struct dispatch *d, int64_t now_us)
{
	struct stand *stands;

	if (d->nlanes == 0 ||
	    (d->route_us > 0 && now_us >= d->route_us &&
		now_us < d->route_us + ROUTE_EVERY_US))
		return;
	d->route_us = now_us;
	stands = xcalloc(d->nlanes, sizeof(*stands));
	for (size_t i = 0; i < d->nlanes; i++) {
		lane_ways(d, d->lanes[i]);
		stands[i].lane = d->lanes[i];
	}
	for (size_t i = 0; i < d->nrates; i++)
		d->rates[i]->work = (struct dispatch_work){ 0 };
	for (size_t i = 0; i < d->nflows; i++)
		d->flows[i]->work = (struct dispatch_work){ 0 };
	for (size_t i = 0; i < d->nlanes; i++) {
		stands[i].load = lane_load(stands[i].lane);
		stand_measure(&stands[i], now_us);
	}
	qsort(stands, d->nlanes, sizeof(*stands), by_deadline);
	for (size_t i = 0; i < d->nlanes; i++) {
		struct dispatch_lane *lane = stands[i].lane;

		lane->spare_us = stand_spare_us(&stands[i], now_us);
		lane_rank(d, lane, &stands[i].load, now_us);
	}
	free(stands);
}
