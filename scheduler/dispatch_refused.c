/* What a refusal stops: the limit it speaks of, else its flow. */
#include "dispatch_offer.h"

#include <stdio.h>

enum {
	FLOW_PAUSE_US = 1000000,
	FLOW_PAUSE_MAX_US = 30000000,
	SECONDARY_PAUSE_US = 60000000,
};
/* Whatever an upstream says; a call then finds out. */
#define FLOW_WAIT_MAX_US INT64_C(3600000000)
#define FLOW_DAY_MAX_US  INT64_C(86400000000)

static bool
is_tokens(enum dialect_dim dim)
{
	return dim == DIALECT_TOKENS || dim == DIALECT_INPUT_TOKENS ||
	    dim == DIALECT_OUTPUT_TOKENS;
}

/* A cheap path is refused by limits of its own: what it shares with the direct
 * one is not to blame. */
static bool
may_be_blamed(const struct dispatch_flow *f, const struct dispatch_rate *r)
{
	return f->path->kind == DISPATCH_DIRECT || r->scope.path != 0;
}

/* The limits' window that fits a refusal better: what it says, else the
 * shortest; for a day's the shortest of a day at least. */
static bool
fits_better(const struct dispatch_refusal *seen, const struct dispatch_rate *r,
    const struct dispatch_rate *best)
{
	int64_t window_us = seen->window_s * INT64_C(1000000);

	if (seen->kind == DIALECT_DAY &&
	    r->pace.window_us < INT64_C(86400000000))
		return false;
	if (best == NULL)
		return true;
	if (window_us > 0 &&
	    (best->pace.window_us == window_us) !=
		(r->pace.window_us == window_us))
		return r->pace.window_us == window_us;
	return r->pace.window_us < best->pace.window_us;
}

/* Which limit does a refusal speak of?  What is at 0 in the same answers, else
 * what it names. */
static struct dispatch_rate *
refused_rate(const struct dispatch_flow *f, const struct dispatch_seen *all,
    const struct dispatch_refusal *seen)
{
	struct dispatch_rate *best = NULL;
	bool tokens = is_tokens(seen->dim);

	if (seen->dim == DIALECT_UNKNOWN)
		for (size_t i = 0; i < all->nreadings; i++) {
			const struct dialect_reading *said =
			    &all->readings[i].said;

			best = said->remaining == 0
			    ? dispatch_reading_rate(f, said)
			    : NULL;
			if (best != NULL && may_be_blamed(f, best))
				return best;
			best = NULL;
		}
	for (size_t i = 0; i < f->nrates; i++) {
		struct dispatch_rate *r = f->rates[i];

		if ((r->pace.dimension != PACE_REQUESTS) == tokens &&
		    may_be_blamed(f, r) && fits_better(seen, r, best))
			best = r;
	}
	if (best == NULL && seen->dim == DIALECT_UNKNOWN)
		for (size_t i = 0; i < f->nrates; i++)
			if (may_be_blamed(f, f->rates[i]) &&
			    fits_better(seen, f->rates[i], best))
				best = f->rates[i];
	return best;
}

static void
pause_flow(
    struct dispatch_flow *f, int64_t now_us, int64_t wait_us, int64_t most_us)
{
	if (wait_us > most_us)
		wait_us = most_us;
	if (wait_us <= 0) {
		wait_us = (int64_t)FLOW_PAUSE_US
		    << (f->refusals < 5 ? f->refusals : 5);
		if (wait_us > FLOW_PAUSE_MAX_US)
			wait_us = FLOW_PAUSE_MAX_US;
	}
	if (f->refused_us <= now_us)
		f->refusals++;
	if (f->refused_us < now_us + wait_us)
		f->refused_us = now_us + wait_us;
	if (f->paused_us < f->refused_us)
		f->paused_us = f->refused_us;
}

static bool
says_empty(const struct dispatch_seen *all)
{
	for (size_t i = 0; i < all->nreadings; i++)
		if (all->readings[i].said.remaining == 0 &&
		    all->readings[i].said.reset_ms > 0)
			return true;
	return false;
}

/* No limit of ours explains it.  Where nobody says what was too much, it may
 * be the calls at once, if they are this flow's. */
static void
pause_unexplained(struct dispatch_flow *f, int64_t now_us,
    const struct dispatch_seen *all, const struct dispatch_refusal *seen)
{
	if (f->undeclared && f->refusals == 0 && seen->kind == DIALECT_RATE &&
	    !says_empty(all) && 2 * f->out >= dispatch_path_open(f->path))
		aimd_unexplained(&f->path->aimd, now_us, seen->sent_us);
	pause_flow(f, now_us, seen->wait_us,
	    seen->kind == DIALECT_DAY ? FLOW_DAY_MAX_US : FLOW_WAIT_MAX_US);
	f->probing = true;
}

static void
pause_rate(struct dispatch_flow *f, struct dispatch_rate *r, int64_t now_us,
    const struct dispatch_refusal *seen)
{
	struct pace *p = &r->pace;
	enum pace_blame blame = PACE_BLAME_OTHERS;

	foreign_refused(&r->foreign, p, now_us);
	if (p->dimension != PACE_REQUESTS &&
	    f->path->charge == PACE_CHARGE_ACTUAL)
		blame = PACE_BLAME_GUESS;
	else if (seen->kind == DIALECT_RATE &&
	    !foreign_active(&r->foreign, now_us) &&
	    (now_us - r->since_us > p->window_us ||
		pace_steady(p, seen->sent_us)))
		blame = PACE_BLAME_US;
	pace_refused(p, now_us, seen->wait_us, seen->sent_us, blame);
	snprintf(r->why, sizeof(r->why), "the upstream refused %s (429)%s%s",
	    p->dimension == PACE_REQUESTS ? "a request" : "tokens",
	    seen->from[0] != '\0' ? ", wait from " : "", seen->from);
	r->changed = true;
}

/* What one worker had in flight stands for what all had, but where live calls
 * are counted and were fewer. */
static void
refused_concurrency(struct dispatch_path *path, int64_t now_us, int64_t workers,
    const struct dispatch_refusal *seen, bool live)
{
	int64_t in_flight = seen->in_flight * (workers > 0 ? workers : 1);
	int64_t open = path->out +
	    (aimd_binds(&path->aimd) ? path->live.held : path->live.open);

	if (!live) {
		aimd_refused(&path->aimd, now_us, seen->sent_us, in_flight);
		return;
	}
	if (open >= seen->in_flight && open < in_flight)
		in_flight = open;
	aimd_refused_live(&path->aimd, now_us, seen->sent_us, in_flight);
}

void
dispatch_refused(struct dispatch_flow *f, int64_t now_us, int64_t workers,
    const struct dispatch_seen *all, const struct dispatch_refusal *seen)
{
	struct dispatch_rate *r;

	switch (seen->kind) {
	case DIALECT_CONCURRENCY:
		if (f->undeclared)
			refused_concurrency(
			    f->path, now_us, workers, seen, all->live);
		pause_flow(f, now_us, seen->wait_us, FLOW_WAIT_MAX_US);
		return;
	case DIALECT_SECONDARY:
		pause_flow(f, now_us,
		    seen->wait_us > SECONDARY_PAUSE_US ? seen->wait_us
						       : SECONDARY_PAUSE_US,
		    FLOW_WAIT_MAX_US);
		return;
	case DIALECT_RATE:
	case DIALECT_DAY:
		r = refused_rate(f, all, seen);
		if (r != NULL)
			pause_rate(f, r, now_us, seen);
		else
			pause_unexplained(f, now_us, all, seen);
		return;
	case DIALECT_OVERLOAD:
		pause_flow(f, now_us, seen->wait_us, FLOW_WAIT_MAX_US);
		return;
	case DIALECT_SERVED:
	case DIALECT_TOO_LARGE:
	case DIALECT_BILLING:
		return; /* the worker deals with these */
	}
}
