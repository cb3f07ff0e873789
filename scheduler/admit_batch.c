#include "admit_batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/buf.h>

struct met {
	const struct admit_limit *limit;
	size_t use;
};

void
admit_batch_add(struct admit_batch *b, const struct admit_ask *ask,
    const struct admit_limits *limits)
{
	size_t i = b->n++;

	assert(i < ADMIT_BATCH_MAX);
	b->account[i] = ask->account;
	b->key[i] = ask->key;
	b->model[i] = slice_str(ask->model);
	b->resource[i] = slice_str(ask->resource);
	b->input[i] = ask->input;
	b->output[i] = ask->output;
	b->priority[i] = (int16_t)ask->priority;
	b->as_of[i] = ask->as_of;
	b->cheap[i] = ask->known ? ADMIT_KNOWN_ANSWER : ask->cheap;
	/* Until it is closed: which of the uses, from 1. */
	b->head[i] =
	    limits->head < 0 ? 0 : (int32_t)b->nuses + limits->head + 1;
	if (b->nuses + limits->n > b->uses_max) {
		b->uses_max = (b->nuses + limits->n) * 2;
		b->met = xrealloc(b->met, b->uses_max * sizeof(*b->met));
		b->units = xrealloc(b->units, b->uses_max * sizeof(*b->units));
	}
	for (size_t j = 0; j < limits->n; j++) {
		const struct admit_limit *l = &limits->v[j];

		b->met[b->nuses] = l;
		b->units[b->nuses++] = ask->known &&
			(l->hold == ADMIT_RESERVED || l->hold == ADMIT_MONEY)
		    ? 0
		    : admit_limit_units(l, ask->input, ask->output);
	}
	b->last[i] = (int32_t)b->nuses;
}

static int
by_counter(const void *a, const void *b)
{
	const struct admit_limit *x = ((const struct met *)a)->limit;
	const struct admit_limit *y = ((const struct met *)b)->limit;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return strcmp(x->subject, y->subject);
}

static void
add_state(struct admit_batch *b, const struct admit_limit *l)
{
	size_t s = b->nstates++;

	b->state[s] = l;
	b->limit[s] = l->id;
	b->window[s] = l->window_s;
	b->subject[s] = slice_str(l->subject);
	b->zone[s] = slice_str(l->zone);
	b->amount[s] = l->amount;
	b->algorithm[s] = (int16_t)l->algorithm;
	b->hold[s] = (int16_t)l->hold;
}

void
admit_batch_close(struct admit_batch *b)
{
	size_t n = b->nuses;
	struct met *met = xcalloc(n + 1, sizeof(*met));

	b->use = xcalloc(n + 1, sizeof(*b->use));
	b->state = xcalloc(n + 1, sizeof(*b->state));
	b->limit = xcalloc(n + 1, sizeof(*b->limit));
	b->window = xcalloc(n + 1, sizeof(*b->window));
	b->subject = xcalloc(n + 1, sizeof(*b->subject));
	b->zone = xcalloc(n + 1, sizeof(*b->zone));
	b->amount = xcalloc(n + 1, sizeof(*b->amount));
	b->algorithm = xcalloc(n + 1, sizeof(*b->algorithm));
	b->hold = xcalloc(n + 1, sizeof(*b->hold));
	for (size_t i = 0; i < n; i++)
		met[i] = (struct met){ b->met[i], i };
	qsort(met, n, sizeof(*met), by_counter);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || by_counter(&met[i - 1], &met[i]) != 0)
			add_state(b, met[i].limit);
		b->use[met[i].use] = (int32_t)b->nstates;
	}
	for (size_t i = 0; i < b->n; i++)
		if (b->head[i] > 0)
			b->head[i] = b->use[b->head[i] - 1];
	free(met);
}

void
admit_batch_clear(struct admit_batch *b)
{
	free(b->met);
	free(b->use);
	free(b->units);
	free(b->state);
	free(b->limit);
	free(b->window);
	free(b->subject);
	free(b->zone);
	free(b->amount);
	free(b->algorithm);
	free(b->hold);
	*b = (struct admit_batch){ 0 };
}
