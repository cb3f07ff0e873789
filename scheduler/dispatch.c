#include "dispatch_offer.h"

#include <stdio.h>
#include <stdlib.h>

void
dispatch_plan_fini(struct dispatch_plan *plan)
{
	for (size_t i = 0; i < plan->nruns; i++)
		free(plan->runs[i]);
	free(plan->runs);
	free(plan->moves);
	free(plan->aside);
	free(plan->failed);
	*plan = (struct dispatch_plan){ 0 };
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
    const struct dispatch_offer *o, bool again)
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
    const struct dispatch_offer *o)
{
	size_t i = run->n++;

	run->lines[i].index = line->index;
	run->lines[i].tries = line->tries;
	run->lines[i].sends = line->sends;
	run->lines[i].refused = line->refused;
	run->lines[i].slot_us = (int32_t)(o->slot_us - run->send_us);
	run->lines[i].input =
	    (int32_t)(o->input > INT32_MAX ? INT32_MAX : o->input);
	run->lines[i].output =
	    (int32_t)(o->output > INT32_MAX ? INT32_MAX : o->output);
}

static void
mark(struct dispatch_mark **list, size_t *n, const struct dispatch_lane *lane,
    const struct dispatch_line *line, bool again, const char *why)
{
	struct dispatch_mark *m;

	*list = xrealloc(*list, (*n + 1) * sizeof(**list));
	m = &(*list)[(*n)++];
	*m = (struct dispatch_mark){ .lane = lane->id,
		.chunk = line->chunk,
		.first_line = line->first_line,
		.index = line->index,
		.sends = line->sends,
		.again = again };
	snprintf(m->why, sizeof(m->why), "%s", why);
}

enum fate { FATE_GOES, FATE_ASIDE, FATE_FAILS, FATE_WAITS };

/* What becomes of the next line of a lane; a line that goes is in the plan. */
static enum fate
plan_line(struct dispatch *d, struct dispatch_lane *lane,
    const struct dispatch_line *line, bool again, int64_t now_us,
    struct dispatch_plan *plan)
{
	struct dispatch_offer o = { 0 };
	bool goes = dispatch_offer_best(d, lane, line, now_us, &o);
	char why[160];

	if ((o.large || o.waits_large) && plan->nfailed < DISPATCH_FAILED_MAX &&
	    dispatch_too_large(d, lane, line, why, sizeof(why))) {
		mark(&plan->failed, &plan->nfailed, lane, line, again, why);
		return FATE_FAILS;
	}
	if (goes) {
		dispatch_offer_take(d, &o);
		run_add(run_for(d, plan, lane, line, &o, again), line, &o);
		plan->lines++;
		return FATE_GOES;
	}
	if (o.waits_large && !again && lane->naside < DISPATCH_ASIDE_MAX) {
		struct dispatch_line aside = *line;

		mark(&plan->aside, &plan->naside, lane, line, again,
		    "large: others pass");
		aside.aside = true;
		dispatch_lane_again(lane, &aside);
		lane->naside++;
		return FATE_ASIDE;
	}
	return FATE_WAITS;
}

/* Lines that went before; a large one that waits lets the others pass. */
static void
plan_again(struct dispatch *d, struct dispatch_lane *lane, int64_t now_us,
    struct dispatch_plan *plan)
{
	struct dispatch_queue *q = &lane->again;
	size_t kept = 0, i = q->first;

	for (; i < q->n && plan->lines < DISPATCH_PLAN_LINES; i++) {
		struct dispatch_line line = q->lines[i];

		if (plan_line(d, lane, &line, true, now_us, plan) == FATE_WAITS)
			q->lines[kept++] = line;
		else
			lane->naside -= line.aside;
	}
	for (; i < q->n; i++)
		q->lines[kept++] = q->lines[i];
	q->first = 0;
	q->n = kept;
}

static void
plan_fresh(struct dispatch *d, struct dispatch_lane *lane, int64_t now_us,
    struct dispatch_plan *plan)
{
	struct dispatch_queue *q = &lane->fresh;
	struct dispatch_move move = { .lane = lane->id,
		.from = lane->next_line };

	while (q->first < q->n && plan->lines < DISPATCH_PLAN_LINES) {
		const struct dispatch_line *line = &q->lines[q->first];

		if (plan_line(d, lane, line, false, now_us, plan) == FATE_WAITS)
			break;
		move.next = line->first_line + line->index;
		move.lines++;
		q->first++;
	}
	if (q->first == q->n)
		q->first = q->n = 0;
	if (move.lines == 0)
		return;
	lane->next_line = move.next;
	lane->lines_left -= move.lines;
	plan->moves =
	    xrealloc(plan->moves, (plan->nmoves + 1) * sizeof(*plan->moves));
	plan->moves[plan->nmoves++] = move;
}

void
dispatch_lost(struct dispatch *d, int64_t now_us, int64_t lost_us)
{
	for (size_t i = 0; i < d->nrates; i++) {
		pace_charge_lost(&d->rates[i]->pace, now_us, lost_us);
		d->rates[i]->changed = true;
	}
}

void
dispatch_plan(struct dispatch *d, int64_t now_us, struct dispatch_plan *plan)
{
	dispatch_begin(d, now_us);
	for (size_t i = 0; i < d->nlanes; i++) {
		plan_again(d, d->lanes[i], now_us, plan);
		plan_fresh(d, d->lanes[i], now_us, plan);
	}
}
