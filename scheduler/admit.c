#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/buf.h>

#include "admit_own.h"

/* The columns of sluice.admit(). */
enum {
	AT_VERDICT,
	AT_ADMISSION,
	AT_PATH,
	AT_WAIT,
	AT_STATE,
	AT_WHY,
	AT_USED,
	AT_RESET,
	AT_URL,
	AT_TOKEN,
	AT_LEAVE
};

void
admit_push(struct admit_queue *q, struct admit_wait *w)
{
	w->next = NULL;
	if (q->first == NULL)
		q->first = w;
	else
		q->last->next = w;
	q->last = w;
}

struct admit_wait *
admit_pop(struct admit_queue *q)
{
	struct admit_wait *w = q->first;

	if (w != NULL)
		q->first = w->next;
	return w;
}

void
admit_end(
    struct admit *a, struct admit_wait *w, const struct admit_answer *answer)
{
	if (w->read != NULL)
		a->open--;
	w->known->uses--;
	w->done(answer, w->arg);
	admit_read_drop(a, w->read);
	free(w);
}

void
admit_end_db(struct admit *a, struct admit_queue *q)
{
	static const struct admit_answer away = { .verdict = ADMIT_DB };
	struct admit_queue all = *q;
	struct admit_wait *w;

	*q = (struct admit_queue){ 0 };
	while ((w = admit_pop(&all)) != NULL)
		admit_end(a, w, &away);
}

static void
copy_text(char *out, size_t size, struct slice s)
{
	size_t n = s.n < size ? s.n : size - 1;

	if (n > 0)
		memcpy(out, s.p, n);
	out[n] = '\0';
}

static void
name_limit(struct admit_answer *out, const struct admit_limit *l)
{
	snprintf(out->limit, sizeof(out->limit), "%s", l->text);
	snprintf(out->dimension, sizeof(out->dimension), "%s", l->dimension);
	snprintf(out->scope, sizeof(out->scope), "%s", l->scope);
}

static void
answer_read(const struct db_result *res, int row, const struct admit_limits *l,
    const struct admit_batch *b, struct admit_answer *out)
{
	static const enum admit_verdict verdicts[] = { ADMIT_YES, ADMIT_LIMITED,
		ADMIT_BUSY, ADMIT_NO_MODEL, ADMIT_NO_CHEAP, ADMIT_NO_PATH,
		ADMIT_STALE };
	size_t verdict = (size_t)db_int(res, 0, row, AT_VERDICT);
	size_t state = (size_t)db_int(res, 0, row, AT_STATE);

	*out = (struct admit_answer){ .verdict = ADMIT_DB };
	if (verdict < NITEMS(verdicts))
		out->verdict = verdicts[verdict];
	if (l->head >= 0) {
		out->headline.known = true;
		out->headline.amount = l->v[l->head].amount;
		out->headline.window_s = l->v[l->head].window_s;
		out->headline.used = db_int(res, 0, row, AT_USED);
		out->headline.reset_us = db_int(res, 0, row, AT_RESET);
	}
	if (out->verdict == ADMIT_YES) {
		out->admission = db_int(res, 0, row, AT_ADMISSION);
		out->path = (int32_t)db_int(res, 0, row, AT_PATH);
		copy_text(out->worker_url, sizeof(out->worker_url),
		    db_slice(res, 0, row, AT_URL));
		copy_text(out->worker_token, sizeof(out->worker_token),
		    db_slice(res, 0, row, AT_TOKEN));
		out->leave_us = db_int(res, 0, row, AT_LEAVE);
		return;
	}
	out->wait_us = db_int(res, 0, row, AT_WAIT);
	if (out->verdict == ADMIT_LIMITED && state >= 1 && state <= b->nstates)
		name_limit(out, b->state[state - 1]);
	if (out->verdict == ADMIT_BUSY) {
		copy_text(out->limit, sizeof(out->limit),
		    db_slice(res, 0, row, AT_WHY));
		snprintf(out->scope, sizeof(out->scope), "upstream");
	}
}

/* Again, under limits that are read anew; not for ever. */
static void
judge_again(struct admit *a, struct admit_wait *w)
{
	static const struct admit_answer away = { .verdict = ADMIT_DB };

	if (a->closing || ++w->tries >= ADMIT_TRIES)
		admit_end(a, w, &away);
	else
		admit_enlist(a, w);
}

/* What is known of limits is old, or the door was closed meanwhile, or another
 * transaction was in the way: nothing was judged.  Else nobody knows. */
static bool
to_be_judged_again(struct admit *a, const struct db_result *res)
{
	if (db_rc(res) == SLC_OK) {
		a->revision = 0;
		return true;
	}
	if (db_rc(res) == SLC_ELOST) {
		a->door = 0;
		return true;
	}
	return db_is_class(res, "40");
}

static void
lane_leave(struct admit_lane *lane)
{
	for (size_t i = 0; i < lane->batch.n; i++) {
		const struct admit_read *r = lane->judged[i]->read;

		for (size_t j = 0; j < r->limits.n; j++)
			r->counters[j]->lane = NULL;
	}
}

static void
admit_on_judged(struct db_result *res, void *arg)
{
	struct admit_lane *lane = arg;
	struct admit *a = lane->a;
	struct admit_batch *b = &lane->batch;
	struct admit_answer answer = { .verdict = ADMIT_DB };
	bool judged = db_rc(res) == SLC_OK && (size_t)db_rows(res, 0) == b->n;
	bool again = !judged && to_be_judged_again(a, res);

	lane_leave(lane);
	a->answering = true;
	for (size_t i = 0; i < b->n; i++) {
		struct admit_wait *w = lane->judged[i];

		if (again) {
			judge_again(a, w);
			continue;
		}
		if (judged)
			answer_read(res, (int)i, &w->read->limits, b, &answer);
		admit_end(a, w, &answer);
	}
	admit_batch_clear(b);
	a->answering = false;
	admit_pump(a);
	admit_quiet(a);
}

enum fit { FIT_FREE, FIT_OURS, FIT_WAITS };

/* A call that must wait keeps those behind it from what it waits for. */
static enum fit
lane_fits(struct admit_lane *lane, const struct admit_read *r)
{
	enum fit fit = FIT_FREE;

	for (size_t i = 0; i < r->limits.n && fit != FIT_WAITS; i++) {
		const struct admit_counter *c = r->counters[i];

		if (c->passed == lane->a->fill ||
		    (c->lane != NULL && c->lane != lane))
			fit = FIT_WAITS;
		else if (c->lane == lane)
			fit = FIT_OURS;
	}
	return fit;
}

/*
 * A share of the calls, so that other lanes have theirs; beyond it only those
 * that no other lane could take, for this one has their counters.
 */
static void
lane_fill(struct admit_lane *lane)
{
	struct admit *a = lane->a;
	struct admit_batch *b = &lane->batch;
	struct admit_queue passed = { 0 };
	struct admit_wait *w;
	size_t share = (a->open + ADMIT_LANES - 1) / ADMIT_LANES;

	if (share < ADMIT_SHARE_MIN)
		share = ADMIT_SHARE_MIN;
	a->fill++;
	for (int looked = 0; looked < ADMIT_LOOK_MAX &&
	     b->n < ADMIT_BATCH_MAX && (w = admit_pop(&a->ready)) != NULL;
	     looked++) {
		const struct admit_read *r = w->read;
		enum fit fit = lane_fits(lane, r);
		bool takes =
		    fit == FIT_OURS || (fit == FIT_FREE && b->n < share);

		if (!admit_is_current(a, r)) {
			admit_enlist(a, w);
			continue;
		}
		for (size_t i = 0; i < r->limits.n; i++) {
			if (takes)
				r->counters[i]->lane = lane;
			else
				r->counters[i]->passed = a->fill;
		}
		if (takes) {
			/* Whose the key was then is nobody's word. */
			if (w->ask.era != admit_era(a))
				w->ask.as_of = 0;
			lane->judged[b->n] = w;
			admit_batch_add(b, &w->ask, &r->limits);
		} else {
			admit_push(&passed, w);
		}
	}
	if (passed.first != NULL) {
		passed.last->next = a->ready.first;
		if (a->ready.first == NULL)
			a->ready.last = passed.last;
		a->ready.first = passed.first;
	}
}

static void
lane_send(struct admit_lane *lane)
{
	struct admit *a = lane->a;
	struct admit_batch *b = &lane->batch;

	admit_batch_close(b);
	a->under_way++;
	db_run(a->db, admit_on_judged, lane, STMT_ADMIT, a->door, a->revision,
	    b->limit, b->nstates, b->subject, b->nstates, b->amount, b->nstates,
	    b->window, b->nstates, b->algorithm, b->nstates, b->zone,
	    b->nstates, b->hold, b->nstates, b->account, b->n, b->key, b->n,
	    b->model, b->n, b->resource, b->n, b->input, b->n, b->output, b->n,
	    b->priority, b->n, b->cheap, b->n, b->head, b->n, b->last, b->n,
	    b->use, b->nuses, b->units, b->nuses, b->as_of, b->n);
}

void
admit_pump(struct admit *a)
{
	if (a->answering || a->ready.first == NULL)
		return;
	if (a->door == 0) {
		admit_door_open(a);
		return;
	}
	for (size_t i = 0; i < ADMIT_LANES && a->ready.first != NULL; i++) {
		struct admit_lane *lane = &a->lanes[i];

		if (lane->batch.n > 0)
			continue;
		lane_fill(lane);
		if (lane->batch.n > 0)
			lane_send(lane);
	}
}

void
admit_refused(struct admit *a, const struct admit_ask *ask)
{
	admit_known(a, ask)->refused++;
}

void
admit_ask(struct admit *a, const struct admit_ask *ask,
    void (*done)(const struct admit_answer *answer, void *arg), void *arg)
{
	struct admit_wait *w = xcalloc(1, sizeof(*w));

	w->known = admit_known(a, ask);
	w->known->uses++;
	w->ask = *ask;
	w->ask.model = w->known->model;
	w->ask.resource = w->known->resource;
	w->done = done;
	w->arg = arg;
	admit_enlist(a, w);
	admit_pump(a);
}
