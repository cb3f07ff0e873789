#include "aimd.h"

int64_t
aimd_limit(const struct aimd *a)
{
	if (a->limit >= AIMD_UNBOUND)
		return INT64_MAX;
	return a->limit == 0 ? AIMD_START : a->limit;
}

bool
aimd_binds(const struct aimd *a)
{
	return a->refused_at > 0 && aimd_limit(a) < INT64_MAX;
}

static void
set(struct aimd *a, int64_t limit, int64_t now_us)
{
	a->limit = limit < 1 ? 1 : limit;
	a->moved_us = now_us;
}

bool
aimd_allows(struct aimd *a, int64_t out)
{
	if (out < aimd_limit(a))
		return true;
	a->wanted = true;
	return false;
}

/* A latency; of short ones four, but no longer than until the news of a refusal
 * is sure to be here: what goes out meanwhile is refused, too. */
static int64_t
doubling_us(int64_t latency_us)
{
	if (latency_us >= AIMD_NEWS_US)
		return latency_us;
	return 4 * latency_us < AIMD_NEWS_US ? 4 * latency_us : AIMD_NEWS_US;
}

/* Twice as many at the end of that time. */
static void
aimd_double(struct aimd *a, int64_t now_us, int64_t latency_us)
{
	int64_t limit = aimd_limit(a), past_us = now_us - a->since_us;
	int64_t most = limit;

	if (past_us >= latency_us)
		most = 2 * a->from;
	else if (past_us > 0)
		most = a->from +
		    (int64_t)((double)a->from * (double)past_us /
			(double)latency_us);
	if (most > limit)
		set(a, most, now_us);
	if (past_us >= latency_us) {
		a->from = aimd_limit(a);
		a->since_us = now_us;
	}
}

void
aimd_grow(struct aimd *a, int64_t now_us, int64_t latency_us)
{
	int64_t limit = aimd_limit(a);

	/* Not by what is out: calls may be over as fast as they are planned. */
	if (limit == INT64_MAX)
		return;
	/* Before any answer: once, slowly. */
	if (latency_us > AIMD_LATENCY_MAX_US && limit < 2 * AIMD_START)
		latency_us = AIMD_UNKNOWN_US;
	if (!a->wanted || a->found || a->from == 0 ||
	    latency_us > AIMD_LATENCY_MAX_US) {
		a->from = limit;
		a->since_us = now_us;
	}
	if (!a->wanted)
		return;
	a->wanted = false;
	if (a->found && a->risen) {
		/* As many were out, and nobody minded. */
		if (now_us >= a->moved_us + 2 * latency_us)
			a->found = a->risen = false;
	} else if (a->found) {
		if (now_us >=
		    a->moved_us + (a->brief ? AIMD_BRIEF_US : a->rest_us)) {
			set(a, limit + 1, now_us);
			a->risen = true;
		}
	} else {
		aimd_double(a, now_us, doubling_us(latency_us));
	}
}

void
aimd_refused(struct aimd *a, int64_t now_us, int64_t sent_us, int64_t in_flight)
{
	int64_t limit = aimd_limit(a);

	/* Those that left before the last step back say nothing new. */
	if (a->found && sent_us < a->moved_us)
		return;
	if (in_flight < 1 || in_flight > limit)
		in_flight = limit < INT64_MAX ? limit : AIMD_UNBOUND;
	a->refused_at = in_flight;
	/* Only the one more that was tried is too many. */
	if (!a->found || a->risen || in_flight - 1 < limit * 9 / 10)
		set(a, in_flight - 1, now_us);
	else
		set(a, limit * 9 / 10, now_us);
	a->found = true;
	a->risen = a->brief = false;
	if (a->rest_us == 0)
		a->rest_us = AIMD_REST_US;
	else if (a->rest_us < AIMD_REST_MAX_US)
		a->rest_us *= 2;
}

void
aimd_unexplained(struct aimd *a, int64_t now_us, int64_t sent_us)
{
	int64_t limit = aimd_limit(a);

	if (a->found && sent_us < a->moved_us)
		return;
	if (limit == INT64_MAX)
		limit = AIMD_UNBOUND;
	set(a, a->found && a->risen ? limit - 1 : limit / 2, now_us);
	a->found = a->brief = true;
	a->risen = false;
}

void
aimd_refused_live(
    struct aimd *a, int64_t now_us, int64_t sent_us, int64_t in_flight)
{
	if (a->found && sent_us < a->moved_us) {
		if (in_flight > 1 && in_flight - 1 < aimd_limit(a))
			a->limit = in_flight - 1;
		return;
	}
	if (!aimd_binds(a) && in_flight > aimd_limit(a))
		a->limit = in_flight;
	aimd_refused(a, now_us, sent_us, in_flight);
}
