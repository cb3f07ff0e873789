#include "check_own.h"

#include <stdlib.h>

#include "../../scheduler/dispatch_json.h"
#include "leader.h"
#include "worker.h"

struct check *
check_new(struct sim *s)
{
	struct check *c = xcalloc(1, sizeof(*c));

	c->binding = check_binding(&s->sc);
	c->rise_us = check_rise_us(&s->sc, c->binding);
	c->seat_limit = -1;
	for (size_t i = 0; i < s->sc.nlimits; i++)
		if (s->sc.limits[i].dim == DIM_SEATS)
			c->seat_limit = (int64_t)i;
	return c;
}

void
check_free(struct check *c)
{
	for (size_t i = 0; i < LIMITS_MAX; i++)
		free(c->logs[i].entries);
	free(c);
}

/* I1: any closed window -------------------------------------------------- */

static void
count(struct sim *s, size_t i, int64_t units)
{
	const struct sc_limit *l = &s->sc.limits[i];
	struct limiter_log *log = &s->check->logs[i];
	double share;

	limiter_log_drop(log, s->now - l->window_us);
	limiter_log_add(log, s->now, units);
	share = (double)log->sum / (double)l->amount;
	if (share > s->check->worst[i])
		s->check->worst[i] = share;
	if (log->sum <= l->amount)
		return;
	/* Hidden costs are learned: nobody can promise them exactly. */
	if (l->dim != DIM_REQUESTS && s->sc.charge != CHARGE_DECLARED)
		return;
	sim_fail(s, "I1: %" PRId64 " %s of %" PRId64 " in %" PRId64 " s (%s)",
	    log->sum, dimension_names[l->dim], l->amount, l->window_us / SEC,
	    limiter_names[l->kind]);
}

void
check_charged(struct sim *s, size_t limit, int64_t units)
{
	count(s, limit, units);
}

void
check_arrived(struct sim *s, const struct up_call *call)
{
	check_seat_time(s);
	(void)call;
	for (size_t i = 0; i < s->sc.nlimits; i++) {
		const struct sc_limit *l = &s->sc.limits[i];

		if (l->dim == DIM_REQUESTS)
			count(s, i, 1);
		if (l->dim == DIM_SEATS && upstream_in_flight(s) >= l->amount)
			sim_fail(s,
			    "I6: %" PRId64 " calls at once, %" PRId64
			    " are allowed",
			    upstream_in_flight(s) + 1, l->amount);
	}
}

/* Calls ------------------------------------------------------------------ */

static struct st_line *
truth(struct sim *s, int64_t lane, int32_t line)
{
	struct st_lane *l = store_lane(s->store, lane);

	return l == NULL ? NULL : &l->lines[line - 1];
}

void
check_sent(
    struct sim *s, struct up_call *call, int64_t slot_us, int64_t keep_us)
{
	struct st_line *line = truth(s, call->lane, call->line);

	s->stats.sends++;
	sim_trace(s, "send", call->lane, call->line, s->now - slot_us);
	if (line == NULL || line->results > 0) {
		sim_fail(s, "I5: line %" PRId64 ":%d is sent after its result",
		    call->lane, call->line);
		return;
	}
	call->input = line->input;
	call->output = line->output;
	call->cap = line->cap;
	call->work_us = line->work_us;
	if (line->open > 0)
		sim_fail(s, "I5: line %" PRId64 ":%d is out twice", call->lane,
		    call->line);
	line->open++;
	line->sends++;
	if (slot_us > 0 && (s->now < slot_us || s->now > slot_us + keep_us))
		sim_fail(s,
		    "slot: line %" PRId64 ":%d left %" PRId64
		    " us after its slot, %" PRId64 " are allowed",
		    call->lane, call->line, s->now - slot_us, keep_us);
	check_stretch(s);
}

void
check_fault(struct sim *s, const struct up_call *call)
{
	struct st_line *line = truth(s, call->lane, call->line);

	if (line != NULL && !call->orphan)
		line->faults++;
}

void
check_ended(struct sim *s, const struct up_call *call)
{
	struct st_line *line = truth(s, call->lane, call->line);

	check_seat_time(s);
	if (line != NULL && !call->orphan)
		line->open--;
}

void
check_orphans(struct sim *s, const struct st_run *run)
{
	for (size_t i = 0; i < run->n; i++) {
		int32_t number = run->first_line + run->lines[i].index - 1;

		for (struct up_call *c = upstream_open(s); c != NULL;
		     c = c->next)
			if (run->lines[i].open && !c->orphan &&
			    c->lane == run->lane && c->line == number) {
				c->orphan = true;
				truth(s, run->lane, number)->open--;
			}
	}
}

void
check_refused(struct sim *s, size_t limit)
{
	const struct sc_limit *l = &s->sc.limits[limit];
	int allowed = 0;

	/* While it learns; then each time that it tries to give less up. */
	if (s->sc.profile == PROFILE_LEARN)
		allowed = 3 +
		    2 *
			(int)log2(
			    1 + (double)(s->now - s->sc.start_us) / 3600e6);

	if (s->sc.foreign > 0 ||
	    (l->dim != DIM_REQUESTS && l->dim != DIM_SEATS &&
		s->sc.charge != CHARGE_DECLARED))
		return;
	if (s->stats.refusals - s->stats.injected >= allowed)
		sim_fail(s,
		    "I3: refused for the %dth time, by the limit of %" PRId64
		    " %s in %" PRId64 " s (%s)",
		    (int)(s->stats.refusals - s->stats.injected) + 1, l->amount,
		    dimension_names[l->dim], l->window_us / SEC,
		    limiter_names[l->kind]);
}

/* I8: waits that were told ----------------------------------------------- */

void
check_told(struct sim *s, int64_t seen, int64_t until_us)
{
	struct check *c = s->check;

	if (c->ntold == TOLD_MAX)
		c->ntold = 0; /* old ones were read long ago */
	c->told[c->ntold++] = (struct told){ seen, until_us };
}

void
check_granted(struct sim *s, const struct st_run *run)
{
	for (size_t i = 0; i < run->n; i++) {
		const struct st_line *line = truth(
		    s, run->lane, run->first_line + run->lines[i].index - 1);
		int64_t slot = run->send_us + run->lines[i].slot_us;

		sim_trace(s, "grant", run->lane,
		    run->first_line + run->lines[i].index - 1, slot - s->now);
		if (line == NULL || line->results > 0)
			sim_fail(s, "I5: line %" PRId64 ":%d has a result",
			    run->lane,
			    run->first_line + run->lines[i].index - 1);
		if (slot < s->check->paused_us)
			sim_fail(s,
			    "I8: line %" PRId64 ":%d is granted %" PRId64
			    " us before the upstream's wait is over",
			    run->lane,
			    run->first_line + run->lines[i].index - 1,
			    s->check->paused_us - slot);
	}
}

/* I4, I6 in the books ---------------------------------------------------- */

static void
check_ledgers(struct sim *s, const struct leader *l)
{
	const struct dispatch *d = leader_state(l);

	for (size_t i = 0; i < d->nrates; i++) {
		const struct ledger *g = &d->rates[i]->pace.ledger;
		int64_t sum = 0;

		for (size_t k = g->first; k < g->n; k++) {
			sum += g->cells[k].units;
			if (g->cells[k].units < 0)
				sim_fail(s,
				    "I4: a cell of limit %d has %" PRId64,
				    d->rates[i]->id, g->cells[k].units);
		}
		if (sum != g->total)
			sim_fail(s,
			    "I4: limit %d has %" PRId64 " in cells, %" PRId64
			    " in all",
			    d->rates[i]->id, sum, g->total);
	}
}

/* What the books of a limit may have beyond what was charged. */
static double
books_over(const struct sim *s, const struct sc_limit *l, int64_t charged)
{
	double more = (double)charged * 0.02;

	if (l->dim != DIM_REQUESTS)
		return more + 500;
	/* Arrivals are later than records, and slots that lapsed stay. */
	return more + 5 + (double)s->stats.lapsed +
	    (double)l->amount * 1e6 / (double)l->window_us;
}

/*
 * The books of the last window are not more than what was charged: for tokens
 * that is when calls end, after they were sent.
 */
void
check_idle(struct sim *s)
{
	const struct store *st = s->store;

	if (s->sc.heal_us > s->sc.start_us)
		return;
	for (size_t i = 0; i < s->sc.nlimits; i++) {
		const struct sc_limit *l = &s->sc.limits[i];
		struct limiter_log *log = &s->check->logs[i];
		int64_t width = l->window_us / 1200, books = 0;

		if (l->dim == DIM_SEATS ||
		    (l->dim != DIM_REQUESTS && s->sc.charge != CHARGE_ACTUAL))
			continue;
		limiter_log_drop(log, s->now - l->window_us);
		for (size_t k = 0; k < st->limits[i].n; k++)
			if (st->limits[i].cells[k].cell * width >=
			    s->now - l->window_us)
				books += st->limits[i].cells[k].units;
		if ((double)(books - log->sum) > books_over(s, l, log->sum))
			sim_fail(s,
			    "I4: %" PRId64 " %s in the books, %" PRId64
			    " were charged",
			    books, dimension_names[l->dim], log->sum);
	}
}

void
check_world(struct sim *s, const struct leader *l, const struct world *w)
{
	struct check *c = s->check;

	for (size_t i = 0; i < w->nseen; i++)
		for (size_t k = 0; k < c->ntold; k++)
			if (c->told[k].seen == w->seen[i] &&
			    c->told[k].until_us > c->paused_us)
				c->paused_us = c->told[k].until_us;
	if (++c->looks % 64 == 0)
		check_ledgers(s, l);
}

void
check_seats(struct sim *s, int32_t limit)
{
	const struct store *st = s->store;
	int64_t granted = 0;

	for (size_t i = 0; i < st->nseats; i++)
		if (st->seats[i].limit == limit)
			granted += st->seats[i].granted;
	if (granted > s->sc.limits[limit - 1].amount)
		sim_fail(s, "I6: %" PRId64 " seats granted of %" PRId64,
		    granted, s->sc.limits[limit - 1].amount);
}

/* I5: results ------------------------------------------------------------ */

void
check_result(
    struct sim *s, const struct st_lane *lane, const struct st_close *c)
{
	const struct st_line *line = &lane->lines[c->line - 1];

	if (line->results > 1)
		sim_fail(s, "I5: line %" PRId64 ":%d has %d results", c->lane,
		    c->line, line->results);
	if (c->kind != ST_ERROR)
		return;
	s->stats.failed++;
	if (c->counted && line->faults < s->sc.attempts)
		sim_fail(s,
		    "I5: line %" PRId64 ":%d failed after %d faults, %d "
		    "attempts are allowed",
		    c->lane, c->line, line->faults, s->sc.attempts);
}
