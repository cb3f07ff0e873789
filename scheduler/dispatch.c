#include "dispatch_enqueue.h"
#include "dispatch_order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* So few calls to a run that every worker gets its part of the seats' work. */
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
    struct dispatch_lane *lane, const struct dispatch_line *line,
    const struct dispatch_offer *o, bool again)
{
	struct dispatch_run *run = lane->run;

	if (run != NULL && run->path == o->flow->path->id &&
	    run->again == again && run->chunk == line->chunk &&
	    run->keep_us == o->keep_us && run->calls < run->most &&
	    run->n + o->n <= SLC_CHUNK_LINES_MAX &&
	    (!run->packed || run->lines[0].tries == line->tries) &&
	    o->slot_us >= run->send_us && o->slot_us - run->send_us < INT32_MAX)
		return run;
	run = xcalloc(1, sizeof(*run));
	run->lane = lane->id;
	run->path = o->flow->path->id;
	run->again = again;
	run->metered = o->flow->nrates > 0 || lane->nshapes > 0;
	run->chunk = line->chunk;
	run->first_line = line->first_line;
	run->send_us = o->slot_us;
	run->keep_us = o->keep_us;
	run->packed = o->flow->path->kind == DISPATCH_BATCHES;
	run->most = run_most(d, o->flow);
	plan->runs = xrealloc(plan->runs, (plan->nruns + 1) * sizeof(run));
	plan->runs[plan->nruns++] = lane->run = run;
	return run;
}

static int32_t
tokens32(int64_t tokens)
{
	return (int32_t)(tokens > INT32_MAX ? INT32_MAX : tokens);
}

static void
run_add_line(struct dispatch_run *run, const struct dispatch_line *line,
    const struct dispatch_offer *o, bool joins)
{
	struct dispatch_offer own = { 0 };
	size_t i = run->n++;

	dispatch_line_cost(o->flow, o->lane, line, &own);
	run->bytes += line->bytes;
	run->lines[i].share = line->most;
	run->lines[i].joins = joins;
	run->lines[i].index = line->index;
	run->lines[i].tries = line->tries;
	run->lines[i].sends = line->sends;
	run->lines[i].refused = line->refused;
	run->lines[i].slot_us = (int32_t)(o->slot_us - run->send_us);
	run->lines[i].input = tokens32(own.input);
	run->lines[i].output = tokens32(own.output);
}

/* A call. */
static void
run_add(struct dispatch_run *run, const struct dispatch_line *lines,
    const struct dispatch_offer *o)
{
	run->money += o->money;
	run->tokens += dispatch_queued_tokens(o->flow, o);
	run->calls++;
	for (size_t i = 0; i < o->n; i++)
		run_add_line(run, &lines[i], o, i > 0);
}

static void
mark(struct dispatch_mark **list, size_t *n, const struct dispatch_lane *lane,
    const struct dispatch_line *line, bool again, const char *code,
    const char *why)
{
	struct dispatch_mark *m;

	*list = xrealloc(*list, (*n + 1) * sizeof(**list));
	m = &(*list)[(*n)++];
	*m = (struct dispatch_mark){ .lane = lane->id,
		.chunk = line->chunk,
		.first_line = line->first_line,
		.index = line->index,
		.sends = line->sends,
		.again = again,
		.code = code };
	snprintf(m->why, sizeof(m->why), "%s", why);
}

enum fate { FATE_GOES, FATE_ASIDE, FATE_FAILS, FATE_WAITS };

/* What becomes of the next of a lane's lines[0..n); one that goes is in the
 * plan, and so are those that share its call, o->n in all. */
static enum fate
plan_line(struct dispatch *d, struct dispatch_lane *lane,
    const struct dispatch_line *line, size_t n, bool again, int64_t now_us,
    struct dispatch_plan *plan, struct dispatch_offer *o)
{
	bool goes = dispatch_offer_best(
	    d, lane, line, dispatch_lines_alike(line, n), now_us, o);
	char why[160];

	if ((o->large || o->waits_large) &&
	    plan->nfailed < DISPATCH_FAILED_MAX &&
	    dispatch_too_large(d, lane, line, why, sizeof(why))) {
		mark(&plan->failed, &plan->nfailed, lane, line, again,
		    "request_exceeds_limit", why);
		return FATE_FAILS;
	}
	/* Nothing will come back that it could be paid with. */
	if (o->too_dear && !d->purses[lane->purse - 1].out &&
	    plan->nfailed < DISPATCH_FAILED_MAX) {
		mark(&plan->failed, &plan->nfailed, lane, line, again,
		    "spending_limit_reached",
		    "The request was not sent: what is left of the batch's "
		    "max_cost does not pay for it.");
		return FATE_FAILS;
	}
	if (goes) {
		o->limit_us =
		    dispatch_limit_us(o->flow, o->input, o->output, now_us);
		dispatch_offer_take(d, o);
		run_add(run_for(d, plan, lane, line, o, again), line, o);
		plan->lines += (int64_t)o->n;
		return FATE_GOES;
	}
	if (o->waits_large && !again && lane->naside < DISPATCH_ASIDE_MAX) {
		struct dispatch_line aside = *line;

		mark(&plan->aside, &plan->naside, lane, line, again, NULL,
		    "large: others pass");
		aside.aside = true;
		dispatch_lane_again(lane, &aside);
		lane->naside++;
		return FATE_ASIDE;
	}
	return FATE_WAITS;
}

/* The next line that went before; a large one that waits lets others pass. */
static bool
plan_again(struct dispatch *d, struct dispatch_lane *lane, int64_t now_us,
    struct dispatch_plan *plan, struct dispatch_offer *o)
{
	struct dispatch_queue *q = &lane->again;

	while (lane->at < lane->end) {
		size_t n;
		enum fate fate;

		*o = (struct dispatch_offer){ 0 };
		fate = plan_line(d, lane, &q->lines[lane->at],
		    lane->end - lane->at, true, now_us, plan, o);
		if (fate == FATE_WAITS) {
			q->lines[lane->kept++] = q->lines[lane->at++];
			continue;
		}
		n = fate == FATE_GOES ? o->n : 1;
		for (; n > 0; n--)
			lane->naside -= q->lines[lane->at++].aside;
		if (fate == FATE_GOES)
			return true;
	}
	return false;
}

/* The cursor moves past a line. */
static void
plan_move(struct dispatch_lane *lane, const struct dispatch_line *line,
    struct dispatch_plan *plan)
{
	struct dispatch_move *m;

	if (lane->move == 0) {
		plan->moves = xrealloc(
		    plan->moves, (plan->nmoves + 1) * sizeof(*plan->moves));
		plan->moves[plan->nmoves++] =
		    (struct dispatch_move){ .lane = lane->id,
			    .from = lane->next_line };
		lane->move = plan->nmoves;
	}
	m = &plan->moves[lane->move - 1];
	m->next = lane->next_line = line->first_line + line->index;
	m->lines++;
	lane->lines_left--;
}

static bool
plan_fresh(struct dispatch *d, struct dispatch_lane *lane, int64_t now_us,
    struct dispatch_plan *plan, struct dispatch_offer *o)
{
	struct dispatch_queue *q = &lane->fresh;
	bool goes = false;

	while (!goes && q->first < q->n) {
		size_t n;
		enum fate fate;

		*o = (struct dispatch_offer){ 0 };
		fate = plan_line(d, lane, &q->lines[q->first], q->n - q->first,
		    false, now_us, plan, o);
		if (fate == FATE_WAITS)
			return false;
		goes = fate == FATE_GOES;
		for (n = goes ? o->n : 1; n > 0; n--)
			plan_move(lane, &q->lines[q->first++], plan);
	}
	if (q->first == q->n)
		q->first = q->n = 0;
	if (!goes && lane->lines_left > 0)
		lane->starved = true;
	return goes;
}

/* Lines of the account whose turn it is; more than one of a plan of many. */
static void
plan_turn(struct dispatch *d, struct dispatch_turn *t, int64_t now_us,
    struct dispatch_plan *plan)
{
	int64_t most = 1 + t->book->last_lines / DISPATCH_TURNS;
	int64_t n = 0, tokens = 0;
	double limit_us = 0;
	struct dispatch_lane *lane;

	while (n < most && plan->lines < DISPATCH_PLAN_LINES &&
	    (lane = dispatch_order_lane(d, t)) != NULL) {
		struct dispatch_offer o;

		if (!plan_again(d, lane, now_us, plan, &o) &&
		    !plan_fresh(d, lane, now_us, plan, &o)) {
			lane->over = true;
			continue;
		}
		limit_us += o.limit_us;
		tokens += o.input + o.output;
		n += (int64_t)o.n;
	}
	if (n > 0)
		fair_charge(t->book, t->class, limit_us, tokens);
	else
		fair_done(t->book, t->class);
	t->book->lines += n;
}

/* Those that went before and did not go now wait on, in their order. */
static void
plan_close(struct dispatch_lane *lane)
{
	struct dispatch_queue *q = &lane->again;

	if (lane->at == q->first)
		return;
	memmove(q->lines + lane->kept, q->lines + lane->at,
	    (q->n - lane->at) * sizeof(*q->lines));
	q->n = lane->kept + q->n - lane->at;
	q->first = 0;
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
	struct dispatch_turn *t;

	dispatch_begin(d, now_us);
	dispatch_order_begin(d, now_us);
	while (plan->lines < DISPATCH_PLAN_LINES &&
	    (t = dispatch_order_next(d)) != NULL)
		plan_turn(d, t, now_us, plan);
	for (size_t i = 0; i < d->nlanes; i++)
		plan_close(d->lanes[i]);
}
