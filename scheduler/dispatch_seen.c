#include "dispatch.h"

#include <stdio.h>

void
dispatch_settle(struct dispatch *d, int32_t path, const char *model,
    const struct dispatch_entry *e)
{
	struct dispatch_flow *f = dispatch_flow(d, path, model);

	if (f == NULL)
		return;
	for (size_t i = 0; i < f->nrates; i++) {
		struct pace *p = &f->rates[i]->pace;

		pace_settle(p, pace_cost(p, e->est_input, e->est_output),
		    e->slot_us, e->keep_us, pace_cost(p, e->input, e->output),
		    e->sent_us);
	}
}

/* Which limit does a refusal speak of?  The tightest of its dimension. */
static struct dispatch_rate *
refused_rate(const struct dispatch_flow *f, bool tokens)
{
	struct dispatch_rate *best = NULL;

	for (size_t i = 0; i < f->nrates; i++) {
		struct dispatch_rate *r = f->rates[i];

		if ((r->pace.dimension != PACE_REQUESTS) != tokens)
			continue;
		if (best == NULL || r->pace.window_us < best->pace.window_us)
			best = r;
	}
	return best;
}

static void
seen_refusal(struct dispatch_flow *f, int64_t now_us,
    const struct dispatch_refusal *seen)
{
	bool tokens = seen->dim == DIALECT_TOKENS ||
	    seen->dim == DIALECT_INPUT_TOKENS ||
	    seen->dim == DIALECT_OUTPUT_TOKENS;
	struct dispatch_rate *r = refused_rate(f, tokens);

	if (r == NULL)
		r = refused_rate(f, !tokens);
	if (r == NULL) {
		int64_t wait_us = seen->wait_us > 0 ? seen->wait_us : 1000000;

		if (f->paused_us < now_us + wait_us)
			f->paused_us = now_us + wait_us;
		return;
	}
	pace_refused(&r->pace, now_us, seen->wait_us);
	snprintf(r->why, sizeof(r->why), "the upstream refused %s (429)",
	    tokens ? "tokens" : "a request");
	r->changed = true;
}

void
dispatch_seen(
    struct dispatch *d, int64_t now_us, const struct dispatch_seen *seen)
{
	struct dispatch_flow *f = dispatch_flow(d, seen->path, seen->model);

	if (f == NULL)
		return;
	if (seen->sample.n > 0) {
		estimate_learn(&f->estimate, &seen->sample);
		f->learned = true;
	}
	breaker_seen(&f->path->breaker, now_us, seen->ok, seen->down,
	    seen->why == NULL ? "" : seen->why);
	for (size_t i = 0; i < seen->nrefusals; i++)
		seen_refusal(f, now_us, &seen->refusals[i]);
}
