#include "dispatch.h"

#include <math.h>
#include <stdlib.h>

#include <sluice/glob.h>

/* What a line would get on a flow. */
struct offer {
	struct dispatch_flow *flow;
	int64_t slot_us, keep_us;
	int64_t input, output; /* tokens reserved */
};

void
dispatch_plan_fini(struct dispatch_plan *plan)
{
	for (size_t i = 0; i < plan->nruns; i++)
		free(plan->runs[i]);
	free(plan->runs);
	free(plan->moves);
	*plan = (struct dispatch_plan){ 0 };
}

/* Lines a second that the rate limits let through; INFINITY without any. */
static double
flow_rate(const struct dispatch_flow *f, int64_t input, int64_t output)
{
	double rate = INFINITY;

	for (size_t i = 0; i < f->nrates; i++) {
		const struct pace *p = &f->rates[i]->pace;
		double r = 1e6 /
		    (pace_interval_us(p) * (double)pace_cost(p, input, output));

		rate = fmin(rate, r);
	}
	return rate;
}

/*
 * How long the line may wait for a seat after its slot; -1: there is no room
 * for it now.
 *
 * Strict while the rate limits need fewer seats than there are (Little: rate x
 * latency), loose otherwise.  The stock is what seats may take up before the
 * news of their being free has come here and another grant has gone out.
 */
static int64_t
flow_keep_us(
    const struct dispatch *d, const struct dispatch_flow *f, double rate)
{
	static const double round_s = 0.75; /* news, plan, commit, take */
	double latency_s = estimate_latency_ms(&f->estimate) / 1000;
	bool strict = isfinite(rate);
	int64_t keep_us;

	for (size_t i = 0; i < f->nseats; i++) {
		const struct dispatch_seats *s = f->seats[i];
		double seats = (double)s->granted;

		if (s->granted <= 0)
			return -1;
		if (latency_s > 0 ? rate * latency_s * 1.25 + 1 >= seats
				  : (double)s->out >= seats)
			strict = false;
		if ((double)s->out >= seats + rate + 2)
			strict = false;
	}
	if (strict)
		return PACE_LATE_US;
	for (size_t i = 0; i < f->nseats; i++) {
		const struct dispatch_seats *s = f->seats[i];
		double seats = (double)s->granted;
		/* Unknown latency: guess high where a guess costs nothing. */
		double guess_s = isfinite(rate) ? 4 : 0.1;
		double turn =
		    seats / (latency_s > 0 ? fmax(latency_s, 0.005) : guess_s);
		double stock =
		    fmin(rate, turn) * round_s + (double)d->workers + 1;

		if ((double)s->out >= seats + stock)
			return -1;
	}
	keep_us = (int64_t)(latency_s * 3e6);
	if (keep_us < DISPATCH_LOOSE_US)
		keep_us = DISPATCH_LOOSE_US;
	if (keep_us > DISPATCH_LOOSE_MAX_US)
		keep_us = DISPATCH_LOOSE_MAX_US;
	return keep_us;
}

/* The best a flow can do for a line now; false when it can do nothing. */
static bool
flow_offer(struct dispatch *d, struct dispatch_flow *f,
    const struct dispatch_line *line, int64_t now_us, struct offer *o)
{
	if (f->blocked ||
	    breaker_allows(&f->path->breaker, now_us, f->path->out) == 0 ||
	    f->paused_us > now_us)
		return false;
	o->flow = f;
	o->input = estimate_input(&f->estimate, line->bytes);
	o->output = estimate_output(&f->estimate, line->cap);
	o->keep_us = flow_keep_us(d, f, flow_rate(f, o->input, o->output));
	if (o->keep_us < 0)
		return false;
	o->slot_us = f->nrates == 0 ? now_us : now_us + DISPATCH_LEAD_US;
	for (size_t i = 0; i < f->nrates; i++) {
		const struct pace *p = &f->rates[i]->pace;

		o->slot_us = pace_earliest(
		    p, pace_cost(p, o->input, o->output), o->slot_us);
	}
	return o->slot_us <= now_us + DISPATCH_HORIZON_US;
}

static void
offer_take(const struct offer *o)
{
	struct dispatch_flow *f = o->flow;

	for (size_t i = 0; i < f->nrates; i++) {
		struct dispatch_rate *r = f->rates[i];

		pace_grant(&r->pace, pace_cost(&r->pace, o->input, o->output),
		    o->slot_us, o->keep_us, r->hurry);
		r->changed = true;
	}
	f->out++;
	f->path->out++;
	for (size_t i = 0; i < f->nseats; i++)
		f->seats[i]->out++;
}

/* So few lines to a run that every worker gets its part of the seats' work. */
static size_t
run_most(const struct dispatch *d, const struct dispatch_flow *f)
{
	int64_t most = SLC_CHUNK_LINES_MAX;

	for (size_t i = 0; i < f->nseats; i++) {
		int64_t part = f->seats[i]->granted / (2 * d->workers);

		if (part < most)
			most = part;
	}
	return most < 1 ? 1 : (size_t)most;
}

static struct dispatch_run *
run_for(struct dispatch *d, struct dispatch_plan *plan,
    const struct dispatch_lane *lane, const struct dispatch_line *line,
    const struct offer *o, bool again)
{
	struct dispatch_run *run =
	    plan->nruns > 0 ? plan->runs[plan->nruns - 1] : NULL;

	if (run != NULL && run->lane == lane->id &&
	    run->path == o->flow->path->id && run->again == again &&
	    run->chunk == line->chunk && run->keep_us == o->keep_us &&
	    run->n < run->most && o->slot_us >= run->send_us &&
	    o->slot_us - run->send_us < INT32_MAX)
		return run;
	run = xcalloc(1, sizeof(*run));
	run->lane = lane->id;
	run->path = o->flow->path->id;
	run->again = again;
	run->metered = o->flow->nrates > 0;
	run->chunk = line->chunk;
	run->first_line = line->first_line;
	run->send_us = o->slot_us;
	run->keep_us = o->keep_us;
	run->most = run_most(d, o->flow);
	plan->runs = xrealloc(plan->runs, (plan->nruns + 1) * sizeof(run));
	plan->runs[plan->nruns++] = run;
	return run;
}

static void
run_add(struct dispatch_run *run, const struct dispatch_line *line,
    const struct offer *o)
{
	size_t i = run->n++;

	run->lines[i].index = line->index;
	run->lines[i].tries = line->tries;
	run->lines[i].sends = line->sends;
	run->lines[i].slot_us = (int32_t)(o->slot_us - run->send_us);
	run->lines[i].input =
	    (int32_t)(o->input > INT32_MAX ? INT32_MAX : o->input);
	run->lines[i].output =
	    (int32_t)(o->output > INT32_MAX ? INT32_MAX : o->output);
}

/* The path that lets the line go first. */
static bool
best_offer(struct dispatch *d, const struct dispatch_lane *lane,
    const struct dispatch_line *line, int64_t now_us, struct offer *best)
{
	bool found = false;

	for (size_t p = 0; p < d->npaths; p++) {
		const struct dispatch_path *path = d->paths[p];
		struct dispatch_flow *f = NULL;
		struct offer o = { 0 };

		for (size_t m = 0; m < path->nmodels && f == NULL; m++)
			if (glob_match(path->models[m], lane->model))
				f = dispatch_flow(d, path->id, lane->model);
		if (f == NULL)
			continue;
		if (!flow_offer(d, f, line, now_us, &o)) {
			/* Who comes later would have to wait as well. */
			f->blocked = true;
			continue;
		}
		if (!found || o.slot_us < best->slot_us)
			*best = o;
		found = true;
	}
	return found;
}

static void
plan_queue(struct dispatch *d, struct dispatch_lane *lane,
    struct dispatch_queue *q, bool again, int64_t now_us,
    struct dispatch_plan *plan)
{
	struct dispatch_move move = { .lane = lane->id,
		.from = lane->next_line };

	while (q->first < q->n && plan->lines < DISPATCH_PLAN_LINES) {
		const struct dispatch_line *line = &q->lines[q->first];
		struct offer o = { 0 };

		if (!best_offer(d, lane, line, now_us, &o))
			break;
		offer_take(&o);
		run_add(run_for(d, plan, lane, line, &o, again), line, &o);
		move.next = line->first_line + line->index;
		move.lines++;
		plan->lines++;
		q->first++;
	}
	if (q->first == q->n)
		q->first = q->n = 0;
	if (again || move.lines == 0)
		return;
	lane->next_line = move.next;
	lane->lines_left -= move.lines;
	plan->moves =
	    xrealloc(plan->moves, (plan->nmoves + 1) * sizeof(*plan->moves));
	plan->moves[plan->nmoves++] = move;
}

/*
 * How much faster than evenly a budget must be spent for the deadlines of the
 * lanes that draw on it.
 */
static void
plan_hurry(struct dispatch *d, int64_t now_us)
{
	for (size_t i = 0; i < d->nrates; i++)
		d->rates[i]->hurry = 1;
	for (size_t i = 0; i < d->nrates; i++) {
		struct dispatch_rate *r = d->rates[i];
		double demand = 0; /* units a second */

		if (r->pace.window_us < PACE_BUDGET_US)
			continue;
		for (size_t l = 0; l < d->nlanes; l++) {
			const struct dispatch_lane *lane = d->lanes[l];
			double left_s =
			    (double)(lane->deadline_us - now_us) / 1e6;
			double units = lane->lines_left;
			bool draws = false;

			for (size_t f = 0; f < d->nflows; f++)
				for (size_t k = 0; k < d->flows[f]->nrates; k++)
					draws |= d->flows[f]->rates[k] == r &&
					    glob_match(d->flows[f]->model,
						lane->model);
			if (!draws || lane->fresh.first == lane->fresh.n)
				continue;
			if (r->pace.dimension != PACE_REQUESTS) {
				const struct dispatch_line *line =
				    &lane->fresh.lines[lane->fresh.first];
				const struct estimate none = { 0 };

				units *= (double)pace_cost(&r->pace,
				    estimate_input(&none, line->bytes),
				    estimate_output(&none, line->cap));
			}
			/* A twentieth of the time is kept for retries. */
			demand += units / fmax(left_s * 0.95, 1);
		}
		r->hurry = fmax(1, demand * pace_interval_us(&r->pace) / 1e6);
	}
}

void
dispatch_plan(struct dispatch *d, int64_t now_us, struct dispatch_plan *plan)
{
	for (size_t i = 0; i < d->nrates; i++)
		ledger_expire(&d->rates[i]->pace.ledger, now_us);
	for (size_t i = 0; i < d->nflows; i++)
		d->flows[i]->blocked = false;
	plan_hurry(d, now_us);
	for (size_t i = 0; i < d->nlanes; i++) {
		plan_queue(
		    d, d->lanes[i], &d->lanes[i]->again, true, now_us, plan);
		plan_queue(
		    d, d->lanes[i], &d->lanes[i]->fresh, false, now_us, plan);
	}
}
