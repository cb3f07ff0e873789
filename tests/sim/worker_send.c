/*
 * A worker's lines: they leave at their slots, as seats allow.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../worker/outcome.h"
#include "check.h"
#include "worker_own.h"

enum {
	HOLD_US = 1500000, /* after a refusal */
	REFUSED_PARK = 5,
	PARK_US = 900000000,
};

/* Lines ------------------------------------------------------------------ */

void
wline_drop(struct wline *line)
{
	if (--line->refs == 0)
		free(line);
}

void
worker_settled(struct worker *w, struct wline *line)
{
	struct wrun *run = line->run, **at = &w->runs;

	wline_drop(line);
	if (--run->open > 0)
		return;
	while (*at != run)
		at = &(*at)->next;
	*at = run->next;
	free(run);
}

void
worker_give_back(struct sim *s, struct worker *w, struct wline *line)
{
	struct wresult r = { .line = line,
		.close = { .kind = ST_AGAIN,
		    .tries = line->tries,
		    .sends = line->sends,
		    .refused = line->refused } };

	s->stats.lapsed++;
	sim_trace(s, "given back", line->run->lane, line->line, w->id);
	worker_finish(s, w, &r);
}

/* Seats ------------------------------------------------------------------ */

static bool
sit(struct sim *s, struct worker *w)
{
	for (size_t i = 0; i < s->sc.nlimits; i++)
		if (s->sc.limits[i].dim == DIM_SEATS &&
		    w->used[i] >= w->targets[i])
			return false;
	for (size_t i = 0; i < s->sc.nlimits; i++)
		w->used[i]++;
	return true;
}

static void
rise(struct sim *s, struct worker *w)
{
	for (size_t i = 0; i < s->sc.nlimits; i++)
		w->used[i]--;
	w->in_flight--;
}

/* Sending ---------------------------------------------------------------- */

static bool
may_leave(const struct sim *s, const struct worker *w, const struct wline *line)
{
	int64_t now = worker_boot(s, w);

	return now <= line->not_after_us && now < w->lease_us;
}

static void
call_over(struct sim *s, struct up_call *call)
{
	wline_drop(call->wline);
	free(call);
	(void)s;
}

/* Until the dispatcher has had time to hear. */
static void
hold(const struct sim *s, struct worker *w, int64_t wait_us)
{
	int64_t until_us;

	if (wait_us <= 0 || wait_us > HOLD_US)
		wait_us = HOLD_US;
	until_us = worker_boot(s, w) + wait_us;
	if (w->held_us < until_us)
		w->held_us = until_us;
}

/* The end of a call, whatever it is. */
static void
take_answer(
    struct sim *s, struct worker *w, struct up_call *call, enum outcome_end end)
{
	struct wline *line = call->wline;
	struct wresult r = { .line = line,
		.close = { .kind = ST_AGAIN,
		    .tries = line->tries,
		    .sends = line->sends,
		    .refused = line->refused } };
	struct outcome_in in = {
		.end = end,
		.status = call->status,
		.said = &r.said,
		.good_body = call->status == 200,
		.tries = line->tries,
		.attempts = s->sc.attempts,
		.chance = rng_unit(&w->rng),
	};
	struct outcome out;
	bool sent = end == OUTCOME_ANSWER || end == OUTCOME_BROKEN;

	if (end == OUTCOME_ANSWER)
		dialect_read(NULL, call->status, slice_str(call->headers),
		    slice_str(call->body), (s->now + w->offset_us) / SEC,
		    &r.said);
	if (end == OUTCOME_BROKEN ||
	    (end == OUTCOME_ANSWER && call->status >= 500))
		in.bulk = health_failed(&w->health,
		    (uint64_t)line->run->lane << 32 ^ (uint64_t)line->line);
	else if (end == OUTCOME_ANSWER)
		health_ok(&w->health);
	outcome_of(&in, &out);
	if (end == OUTCOME_ANSWER) {
		r.left_us = call->answered_us;
		snprintf(r.wait_from, sizeof(r.wait_from), "%s",
		    r.said.wait_from == NULL ? "" : r.said.wait_from);
		r.wait_us = call->wait_us;
		r.answered_us =
		    worker_boot(s, w) - line->not_before_us + line->slot_us;
	}
	if (sent) {
		r.close.sends++;
		/* The product reckons from the earliest it can have been. */
		r.sent_us = line->slot_us + call->sent_us + w->offset_us -
		    (line->not_after_us - line->run->keep_us);
		r.ms = (s->now - call->sent_us) / MS;
	}
	r.in_flight = w->in_flight + 1;
	r.connect_us = line->connect_us;
	switch (out.kind) {
	case OUTCOME_DONE:
		r.close.kind = ST_OUTPUT;
		r.close.refused = 0;
		r.answered = r.ok = true;
		r.input = call->input;
		r.output = call->output;
		break;
	case OUTCOME_FAILED:
		r.close.kind = ST_ERROR;
		r.close.counted = true;
		r.ok = end == OUTCOME_ANSWER && call->status < 500;
		break;
	case OUTCOME_AGAIN:
		r.close.wait_us = out.wait_ms * MS;
		r.close.refused = 0;
		r.close.tries++;
		break;
	case OUTCOME_REFUSED:
		r.throttled = r.ok = true;
		r.close.wait_us = out.pause_ms * MS;
		if (++r.close.refused >= REFUSED_PARK) {
			r.close.refused = 0;
			if (r.close.wait_us < PARK_US)
				r.close.wait_us = PARK_US;
		}
		hold(s, w, out.pause_ms * MS);
		break;
	case OUTCOME_DOWN:
		r.down = true;
		break;
	case OUTCOME_SPLIT: /* no call here has several lines */
		break;
	case OUTCOME_UNSENT:
		s->stats.lapsed++;
		sim_trace(s, "too late", line->run->lane, line->line, w->id);
		break;
	}
	worker_finish(s, w, &r);
	call_over(s, call);
	worker_pump(s, w);
}

static void
on_connected(struct sim *s, struct event *e)
{
	struct up_call *call = e->obj;
	struct worker *w = call->worker;
	struct wline *line = call->wline;

	if (e->gen != w->gen) {
		call_over(s, call);
		return;
	}
	if (worker_deaf(s, w, e))
		return;
	if (!upstream_reached(s)) {
		rise(s, w);
		take_answer(s, w, call, OUTCOME_UNREACHED);
	} else if (!may_leave(s, w, line)) {
		rise(s, w);
		take_answer(s, w, call, OUTCOME_NOT_SENT);
	} else {
		call->sent_us = s->now;
		check_sent(s, call, line->slot_us, line->run->keep_us);
		upstream_send(s, call);
	}
}

void
worker_answer(struct sim *s, struct up_call *call)
{
	struct worker *w = call->worker;

	if (call->worker_gen != w->gen) {
		call_over(s, call);
		return;
	}
	rise(s, w);
	take_answer(s, w, call,
	    call->end == UP_ANSWER ? OUTCOME_ANSWER : OUTCOME_BROKEN);
}

bool
worker_defers(struct sim *s, const struct up_call *call, const struct event *e)
{
	return call->worker_gen == call->worker->gen &&
	    worker_deaf(s, call->worker, e);
}

static void
start_call(struct sim *s, struct worker *w, struct wline *line)
{
	struct up_call *call = xcalloc(1, sizeof(*call));
	bool anew = rng_chance(&w->rng, 0.0005);
	int64_t took_us = anew
	    ? s->sc.net_us + rng_range(&s->rng, 0, s->sc.jitter_us / 2) + 2 * MS
	    : rng_range(&w->rng, 200, 1000);

	line->state = W_SENDING;
	line->connect_us = anew ? took_us : 0;
	line->refs++;
	w->in_flight++;
	call->worker = w;
	call->worker_gen = w->gen;
	call->wline = line;
	call->lane = line->run->lane;
	call->line = line->line;
	sim_at(s, s->now + took_us, on_connected, call, w->gen);
}

static void
on_pump(struct sim *s, struct event *e)
{
	struct worker *w = e->obj;

	if (e->gen == w->gen && !worker_deaf(s, w, e))
		worker_pump(s, w);
}

/* What is ready leaves if there is a seat, or goes back if it is late. */
void
worker_pump(struct sim *s, struct worker *w)
{
	struct wline **at = &w->ready, *line;
	int64_t now = worker_boot(s, w);

	while ((line = *at) != NULL) {
		bool late = now > line->not_after_us, held = now < w->held_us;

		if (!late && !held && w->in_flight >= w->most)
			break;
		if (!late && !held && (now >= w->lease_us || !sit(s, w))) {
			at = &line->next;
			continue;
		}
		*at = line->next;
		if (*at == NULL)
			w->ready_last = at;
		if (late || held)
			worker_give_back(s, w, line);
		else
			start_call(s, w, line);
	}
}

void
worker_on_line(struct sim *s, struct event *e)
{
	struct wline *line = e->obj;
	struct worker *w = s->workers[e->gen % WORKERS_MAX];

	if (worker_deaf(s, w, e))
		return;
	if (e->gen / WORKERS_MAX == w->gen && line->state == W_WAITING) {
		line->state = W_READY;
		line->next = NULL;
		*w->ready_last = line;
		w->ready_last = &line->next;
		worker_pump(s, w);
		if (line->state == W_READY)
			sim_at(s,
			    line->not_after_us - w->offset_us + WORKER_TICK_US,
			    on_pump, w, w->gen);
	}
	wline_drop(line);
}
