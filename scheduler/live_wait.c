#include <string.h>

#include "live_own.h"

enum { WAKE_MAX = 64 }; /* that ask at once */

static void wake_at_next(struct live *l);

static void
wait_on_wake(uv_timer_t *timer)
{
	struct live *l = timer->data;
	int64_t now_ms = (int64_t)uv_now(l->loop);
	int n = 0;

	for (struct live_call *lc = l->waiting; lc != NULL && n < WAKE_MAX;
	     lc = lc->next)
		if (lc->stage == LIVE_WAITING && lc->due_ms <= now_ms) {
			live_ask(lc);
			n++;
		}
	wake_at_next(l);
}

static void
wake_at_next(struct live *l)
{
	int64_t now_ms = (int64_t)uv_now(l->loop), at_ms = INT64_MAX;

	for (struct live_call *lc = l->waiting; lc != NULL; lc = lc->next)
		if (lc->stage == LIVE_WAITING && lc->due_ms < at_ms)
			at_ms = lc->due_ms;
	if (at_ms == INT64_MAX)
		uv_timer_stop(&l->wake);
	else
		uv_timer_start(&l->wake, wait_on_wake,
		    at_ms > now_ms ? (uint64_t)(at_ms - now_ms) : 0, 0);
}

/* By priority, then as they came; who asks again keeps its place. */
static void
enter(struct live_call *lc)
{
	struct live_call **at = &lc->live->waiting;

	if (lc->queued)
		return;
	while (*at != NULL && (*at)->priority >= lc->priority)
		at = &(*at)->next;
	lc->next = *at;
	*at = lc;
	lc->queued = true;
}

void
live_wait_leave(struct live_call *lc)
{
	struct live_call **at = &lc->live->waiting;

	if (!lc->queued)
		return;
	while (*at != lc)
		at = &(*at)->next;
	*at = lc->next;
	lc->queued = false;
}

bool
live_wait(struct live_call *lc, int64_t wait_us)
{
	struct live *l = lc->live;
	int64_t now_ms = (int64_t)uv_now(l->loop);
	int64_t due_ms = now_ms + wait_us / 1000 + 1;

	if (wait_us < 0 || due_ms > lc->until_ms)
		return false;
	lc->due_ms = due_ms;
	live_set(lc, LIVE_WAITING);
	enter(lc);
	wake_at_next(l);
	return true;
}

bool
live_wait_behind(struct live_call *lc)
{
	struct live_call *w = lc->live->waiting;

	while (w != NULL &&
	    (w->priority < lc->priority ||
		strcmp(w->ask.model.p, lc->ask.model.p) != 0))
		w = w->next;
	if (w == NULL)
		return false;
	lc->due_ms = w->due_ms < lc->until_ms ? w->due_ms : lc->until_ms;
	live_set(lc, LIVE_WAITING);
	enter(lc);
	wake_at_next(lc->live);
	return true;
}

void
live_wait_init(struct live *l)
{
	uv_timer_init(l->loop, &l->wake);
	l->wake.data = l;
}
