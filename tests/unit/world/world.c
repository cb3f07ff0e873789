#include "world.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct unit_world w;

double
world_chance(void)
{
	w.chance ^= w.chance << 13;
	w.chance ^= w.chance >> 7;
	w.chance ^= w.chance << 17;
	return (double)(w.chance >> 11) / 9007199254740992.0;
}

void
world_configure(
    struct dispatch *d, const struct dispatch_conf_limit *limits, size_t n)
{
	static const char *const all[] = { "*" };
	struct dispatch_conf_path path = {
		.id = 1, .pool = 1, .models = all, .nmodels = 1
	};

	dispatch_init(d);
	dispatch_configure(d, &path, 1, limits, n);
	d->paths[0]->aimd.limit = AIMD_UNBOUND;
}

void
world_start(const struct dispatch_conf_limit *limits, size_t n)
{
	memset(&w, 0, sizeof(w));
	w.start = w.now = 1000 * S;
	w.latency_us = 3 * S;
	w.chance = 88172645463325252;
	world_configure(&w.d, limits, n);
}

void
world_stop(void)
{
	dispatch_fini(&w.d);
}

size_t
world_add(struct world_batch b)
{
	assert(w.nbatches < WORLD_BATCHES);
	if (b.model == NULL)
		b.model = "m";
	if (b.lines == 0)
		b.lines = WORLD_MANY;
	if (b.deadline_us == 0)
		b.deadline_us = 30 * 86400 * S;
	w.batches[w.nbatches] = b;
	return w.nbatches++;
}

/* Looking ---------------------------------------------------------------- */

static void
read_lines(size_t i)
{
	struct world_batch *b = &w.batches[i];
	struct dispatch_lane *lane = dispatch_lane(&w.d, (int64_t)i + 1);

	while (lane != NULL && dispatch_lane_wants(lane) &&
	    lane->read_line <= b->lines) {
		int32_t n = lane->read_line - 1;
		struct dispatch_line line = {
			.chunk = 1 + n / 256,
			.first_line = 1 + n / 256 * 256,
			.index = (int16_t)(1 + n % 256),
			.bytes = b->tokens / 5 * WORLD_READ_CHARS,
			.cap = -1,
		};

		if (w.line != NULL)
			w.line(b, n + 1, &line);
		dispatch_lane_fresh(lane, &line);
	}
}

static void
lanes(void)
{
	dispatch_lanes_begin(&w.d);
	for (size_t i = 0; i < w.nbatches; i++) {
		struct world_batch *b = &w.batches[i];
		struct dispatch_lane *lane;

		if (w.now < w.start + b->from_us || b->next >= b->lines)
			continue;
		lane = dispatch_lane_put(&w.d, (int64_t)i + 1, b->model,
		    b->priority, w.start + b->deadline_us, b->next + 1,
		    b->lines - b->next);
		lane->account = b->account;
		lane->weight = b->weight > 0 ? b->weight : 1;
		lane->nshape_ids = b->shape > 0;
		lane->shape_ids[0] = b->shape;
	}
	dispatch_lanes_end(&w.d);
	for (size_t i = 0; i < w.nbatches; i++)
		read_lines(i);
}

static void
answer(struct world_call *c)
{
	const char *model = w.batches[c->batch].model;
	double ms = (double)(c->end_us - c->sent_us) / 1000;
	struct dispatch_entry e = { .slot_us = c->slot_us,
		.keep_us = c->keep_us,
		.sent_us = c->sent_us,
		.est_input = c->est_input,
		.est_output = c->est_output,
		.input = c->input,
		.output = c->output,
		.ms = (int64_t)ms,
		.lane = (int64_t)c->batch + 1 };
	struct dispatch_seen seen = { .path = 1,
		.model = model,
		.ok = 1,
		.late_us = c->late_us,
		.sample = { .n = 1,
		    .bytes = c->bytes,
		    .input = c->input,
		    .output = c->output,
		    .output2 = (double)c->output * c->output,
		    .ms = ms,
		    .ms2 = ms * ms } };

	dispatch_settle(&w.d, 1, model, &e);
	dispatch_seen(&w.d, w.now, &seen);
	c->settled = true;
}

void
world_look(void)
{
	dispatch_world_begin(&w.d);
	dispatch_worker(&w.d, 10000);
	for (size_t i = 1; i < w.d.nseats; i++)
		dispatch_granted(
		    &w.d, w.d.seats[i]->id, w.d.seats[i]->amount, true);
	for (size_t i = w.settled; i < w.n; i++) {
		struct world_call *c = &w.calls[i];

		if (c->settled)
			continue;
		if (c->end_us <= w.now)
			answer(c);
		else
			dispatch_out(&w.d, 1, w.batches[c->batch].model, 1);
	}
	while (w.settled < w.n && w.calls[w.settled].settled)
		w.settled++;
	lanes();
}

/* Leaving ---------------------------------------------------------------- */

static void
take(const struct dispatch_run *run)
{
	struct world_batch *b = &w.batches[run->lane - 1];

	for (size_t k = 0; k < run->n; k++) {
		struct world_call *c = &w.calls[w.n];
		int64_t slot_us = run->send_us + run->lines[k].slot_us;

		assert(w.n < WORLD_CALLS - 1);
		assert(!run->metered || slot_us >= w.now + DISPATCH_LEAD_US);
		*c = (struct world_call){ .slot_us = slot_us,
			.keep_us = run->keep_us,
			.sent_us = slot_us + 1000,
			.end_us = slot_us + w.latency_us,
			.est_input = run->lines[k].input,
			.est_output = run->lines[k].output,
			.input = b->tokens / 5,
			.output = b->tokens - b->tokens / 5,
			.units = b->tokens,
			.bytes = b->tokens / 5 * WORLD_READ_CHARS,
			.line = run->first_line + run->lines[k].index - 1,
			.batch = (size_t)run->lane - 1 };
		if (b->next++ == 0)
			b->first_us = slot_us;
		b->last_us = slot_us;
		if (w.leave != NULL && !w.leave(c))
			w.lapsed++;
		else
			w.n++;
	}
}

void
world_run_for_s(int64_t seconds)
{
	int64_t end = w.now + seconds * S;

	for (; w.now < end; w.now += WORLD_STEP_US) {
		struct dispatch_plan plan = { 0 };

		world_look();
		dispatch_plan(&w.d, w.now, &plan);
		for (size_t i = 0; i < plan.nruns; i++)
			take(plan.runs[i]);
		dispatch_plan_fini(&plan);
	}
}

/* What came of it -------------------------------------------------------- */

static int
by_sent(const void *a, const void *b)
{
	const struct world_call *x = a, *y = b;

	return x->sent_us < y->sent_us ? -1 : x->sent_us > y->sent_us;
}

void
world_sort(void)
{
	qsort(w.calls, w.n, sizeof(w.calls[0]), by_sent);
	w.settled = 0; /* the first that is not may be elsewhere */
}

int64_t
world_worst(int64_t window_us, bool tokens)
{
	int64_t sum = 0, most = 0;
	size_t first = 0;

	world_sort();
	for (size_t i = 0; i < w.n; i++) {
		sum += tokens ? w.calls[i].units : 1;
		while (w.calls[first].sent_us < w.calls[i].sent_us - window_us)
			sum -= tokens ? w.calls[first++].units : (first++, 1);
		most = sum > most ? sum : most;
	}
	return most;
}

double
world_used(int64_t amount, int64_t window_us, bool tokens, int64_t after_s)
{
	int64_t from_us, units = 0;
	size_t i = 0, last = w.n - 1;

	world_sort();
	from_us = w.calls[0].sent_us + after_s * S;
	while (i < last && w.calls[i].sent_us < from_us)
		i++;
	from_us = w.calls[i].sent_us;
	for (; i < last; i++)
		units += tokens ? w.calls[i].units : 1;
	return (double)units /
	    ((double)amount * (double)(w.calls[last].sent_us - from_us) /
		(double)window_us);
}
