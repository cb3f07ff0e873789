#include "dispatch_enqueue.h"

#include <stdio.h>

int64_t
dispatch_queued_tokens(
    const struct dispatch_flow *f, const struct dispatch_offer *o)
{
	bool declared = f->path->charge == PACE_CHARGE_DECLARED ||
	    f->path->charge == PACE_CHARGE_REFUNDED;

	return o->input + (declared ? o->output : 0);
}

static int64_t
units(const struct dispatch_queued *q, int64_t lines, int64_t tokens)
{
	return q->tokens ? tokens : lines;
}

void
dispatch_queued_out(struct dispatch *d, int32_t path, const char *model,
    int64_t lines, int64_t tokens, int64_t going)
{
	struct dispatch_flow *f = dispatch_flow(d, path, model);

	if (f == NULL)
		return;
	f->out += lines;
	f->path->out += lines;
	f->path->going += going;
	for (size_t i = 0; i < f->nqueued; i++)
		f->queued[i]->out += units(f->queued[i], lines, tokens);
}

int64_t
dispatch_queued_allowed(const struct dispatch_queued *q, int64_t now_us)
{
	double most = (double)q->most +
	    (double)q->amount * (double)(now_us - q->refused_us) /
		DISPATCH_QUEUE_GROWS_US;

	return q->most == 0 || most > (double)q->amount ? q->amount
							: (int64_t)most;
}

void
dispatch_queued_taken(struct dispatch *d, int32_t path, const char *model)
{
	struct dispatch_flow *f = dispatch_flow(d, path, model);

	if (f == NULL)
		return;
	f->refusals = 0;
	for (size_t i = 0; i < f->nqueued; i++)
		f->queued[i]->refusals = 0;
}

static int64_t
doubled(int64_t wait_us, int refusals)
{
	return wait_us << (refusals < DISPATCH_QUEUE_DOUBLINGS
		       ? refusals
		       : DISPATCH_QUEUE_DOUBLINGS);
}

/* A batch of so many units was refused. */
static void
queued_refused(
    struct dispatch_queued *q, int64_t batch, int64_t wait_us, int64_t now_us)
{
	int64_t allowed = dispatch_queued_allowed(q, now_us);
	int64_t taken = q->out - batch;

	/* Of several batches that were refused for one cause the first is
	 * enough; the others show that even less was there. */
	if (q->most > 0 && allowed < taken)
		taken = allowed;
	q->most = taken > batch / 2 ? taken : batch / 2 + 1;
	q->refused_us = now_us;
	if (q->paused_us <= now_us) {
		q->paused_us = now_us + doubled(wait_us, q->refusals);
		q->refusals++;
	}
	snprintf(q->why, sizeof(q->why),
	    "the upstream refused a batch: too much is enqueued");
	q->changed = true;
}

void
dispatch_queued_refused(struct dispatch *d, int32_t path, const char *model,
    int64_t lines, int64_t tokens, int64_t wait_us, int64_t now_us)
{
	struct dispatch_flow *f = dispatch_flow(d, path, model);
	bool told = false;

	if (f == NULL)
		return;
	/* Where tokens are limited, it is about them. */
	for (size_t i = 0; i < f->nqueued; i++) {
		struct dispatch_queued *q = f->queued[i];

		if (!q->tokens && f->nqueued > 1)
			continue;
		queued_refused(q, units(q, lines, tokens), wait_us, now_us);
		told = true;
	}
	if (told || f->paused_us > now_us)
		return;
	f->paused_us = now_us + doubled(wait_us, f->refusals);
	f->refusals++;
}

bool
dispatch_queued_offer(
    struct dispatch_flow *f, int64_t now_us, struct dispatch_offer *o)
{
	int64_t tokens = dispatch_queued_tokens(f, o);

	f->waits = DISPATCH_WAITS_DOWN;
	if (breaker_allows(&f->path->breaker, now_us, f->path->going) == 0)
		return false;
	f->waits = DISPATCH_WAITS_PAUSE;
	if (f->paused_us > now_us)
		return false;
	f->waits = DISPATCH_WAITS_QUEUE;
	for (size_t i = 0; i < f->nqueued; i++) {
		const struct dispatch_queued *q = f->queued[i];

		f->waits_queued = q;
		if (q->paused_us > now_us ||
		    (q->out > 0 &&
			q->out + units(q, 1, tokens) >
			    dispatch_queued_allowed(q, now_us)))
			return false;
	}
	f->waits = DISPATCH_WAITS_NOT;
	f->blocked = false;
	o->slot_us = now_us;
	o->keep_us = DISPATCH_PACK_US;
	o->large = false;
	return true;
}

void
dispatch_queued_take(struct dispatch_flow *f, const struct dispatch_offer *o)
{
	for (size_t i = 0; i < f->nqueued; i++)
		f->queued[i]->out +=
		    units(f->queued[i], 1, dispatch_queued_tokens(f, o));
	f->out++;
	f->path->out++;
	f->path->going++;
}

const struct dispatch_queued *
dispatch_queued_bursts(const struct dispatch_flow *f, int64_t tokens)
{
	for (size_t i = 0; i < f->nqueued; i++)
		if (f->queued[i]->tokens && tokens > f->queued[i]->configured)
			return f->queued[i];
	return NULL;
}
