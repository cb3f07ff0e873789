/*
 * Runs, and what becomes of their lines: taken, settled, given back.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "leader.h"
#include "store.h"
#include "worker.h"

enum { STRICT_US = 1000000 };

/* Runs ------------------------------------------------------------------- */

struct st_run *
store_run(const struct store *st, int64_t id)
{
	size_t lo = 0, hi = st->nruns;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (st->runs[mid]->id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < st->nruns && st->runs[lo]->id == id ? st->runs[lo] : NULL;
}

static void
run_drop(struct store *st, struct st_run *run)
{
	size_t i = 0;

	while (st->runs[i] != run)
		i++;
	memmove(
	    st->runs + i, st->runs + i + 1, (st->nruns - i - 1) * sizeof(run));
	st->nruns--;
	free(run);
}

int
store_take(struct sim *s, int64_t worker, int64_t era, int32_t lines,
    int32_t open, struct st_run ***out)
{
	struct store *st = s->store;
	int32_t before = 0;
	int n = 0;

	*out = NULL;
	if (!store_worker_live(s, worker) ||
	    store_worker(st, worker)->era != era)
		return -1;
	while (before < lines) {
		struct st_run *best = NULL;

		for (size_t i = 0; i < st->nruns; i++) {
			struct st_run *r = st->runs[i];

			if (r->worker == 0 &&
			    (before < open || r->keep_us > STRICT_US) &&
			    r->send_us <= s->now + WORKER_AHEAD_US &&
			    (best == NULL || r->send_us < best->send_us))
				best = r;
		}
		if (best == NULL)
			break;
		best->worker = worker;
		before += (int32_t)best->n;
		*out = xrealloc(*out, (size_t)(n + 1) * sizeof(best));
		(*out)[n++] = best;
	}
	return n;
}

void
store_again(struct store *st, const struct st_retry *r)
{
	if (st->nretries == st->retries_cap) {
		st->retries_cap =
		    st->retries_cap == 0 ? 64 : st->retries_cap * 2;
		st->retries = xrealloc(
		    st->retries, st->retries_cap * sizeof(*st->retries));
	}
	st->retries[st->nretries++] = *r;
	st->version++;
}

static void
run_give_back(struct sim *s, struct st_run *run, bool sent)
{
	for (size_t i = 0; i < run->n; i++) {
		struct st_retry r = { .lane = run->lane,
			.line = run->first_line + run->lines[i].index - 1,
			.not_before_us = s->now,
			.tries = run->lines[i].tries,
			.sends = (int16_t)(run->lines[i].sends + sent),
			.refused = run->lines[i].refused };

		if (run->lines[i].open)
			store_again(s->store, &r);
	}
}

bool
store_keep(
    struct sim *s, int64_t worker, int64_t era, const int64_t *runs, size_t n)
{
	struct store *st = s->store;
	struct st_worker *w = store_worker(st, worker);

	if (w == NULL || w->state == ST_DEAD || w->era > era)
		return false;
	w->era = era;
	for (size_t i = 0; i < st->nruns; i++) {
		struct st_run *run = st->runs[i];
		size_t k = 0;

		if (run->worker != worker)
			continue;
		while (k < n && runs[k] != run->id)
			k++;
		if (k < n)
			continue;
		sim_trace(s, "take lost", run->id, (int64_t)run->nopen, 0);
		run_give_back(s, run, false);
		run_drop(st, run);
		i--;
	}
	leader_news(s);
	return true;
}

void
store_worker_stop(struct sim *s, int64_t id)
{
	struct store *st = s->store;
	struct st_worker *w = store_worker(st, id);
	size_t kept = 0;

	if (w != NULL)
		w->state = ST_DEAD;
	for (size_t i = 0; i < st->nruns; i++) {
		struct st_run *run = st->runs[i];

		if (run->worker != id)
			continue;
		run_give_back(s, run, true);
		run_drop(st, run);
		i--;
	}
	for (size_t i = 0; i < st->nseats; i++)
		if (st->seats[i].worker != id)
			st->seats[kept++] = st->seats[i];
	st->nseats = kept;
	st->version++;
	leader_news(s);
}

int64_t
store_next_run_us(const struct store *st)
{
	int64_t at = NEVER;

	for (size_t i = 0; i < st->nruns; i++)
		if (st->runs[i]->worker == 0 && st->runs[i]->send_us < at)
			at = st->runs[i]->send_us;
	return at;
}

bool
store_reap(struct sim *s, int64_t epoch)
{
	struct store *st = s->store;
	size_t kept = 0;

	if (st->epoch != epoch)
		return false;
	for (size_t k = 0; k < st->nworkers; k++) {
		struct st_worker *w = &st->workers[k];

		if (w->state == ST_DEAD || w->lease_us >= s->now)
			continue;
		w->state = ST_DEAD;
		sim_trace(s, "reaped", w->id, 0, 0);
		for (size_t i = 0; i < st->nseats; i++)
			if (st->seats[i].worker == w->id)
				st->seats[i].frozen_us =
				    s->now + s->sc.whole_us;
	}
	for (size_t i = 0; i < st->nruns; i++) {
		struct st_run *run = st->runs[i];
		const struct st_worker *w = store_worker(st, run->worker);

		if (run->worker == 0 || (w != NULL && w->state != ST_DEAD))
			continue;
		run_give_back(s, run, true);
		check_orphans(s, run);
		run_drop(st, run);
		i--;
	}
	for (size_t i = 0; i < st->nseats; i++)
		if (st->seats[i].frozen_us == 0 ||
		    st->seats[i].frozen_us >= s->now)
			st->seats[kept++] = st->seats[i];
	st->nseats = kept;
	for (size_t i = 0; i < st->nruns; i++) {
		struct st_run *run = st->runs[i];

		if (run->worker != 0 || run->last_us >= s->now)
			continue;
		sim_trace(s, "stale", run->id, (int64_t)run->nopen, 0);
		s->stats.lapsed += (int64_t)run->nopen;
		run_give_back(s, run, false);
		run_drop(st, run);
		i--;
	}
	kept = 0;
	for (size_t k = 0; k < st->nworkers; k++)
		if (st->workers[k].state != ST_DEAD)
			st->workers[kept++] = st->workers[k];
	st->nworkers = kept;
	return true;
}

bool
store_still_open(const struct store *st, int64_t worker, int64_t run, size_t at)
{
	const struct st_run *r = store_run(st, run);

	return r != NULL && r->worker == worker && r->lines[at].open;
}

/* When years go by, results alone wait until the next line is due. */
static bool
is_news(const struct sim *s, const struct st_close *list, size_t n)
{
	if (s->sc.profile != PROFILE_LONG || store_backlog(s->store) == 0)
		return true;
	for (size_t i = 0; i < n; i++)
		if (list[i].kind == ST_AGAIN)
			return true;
	return false;
}

bool
store_settle(struct sim *s, int64_t worker, const struct st_close *list,
    size_t n, const char *seen)
{
	struct store *st = s->store;

	for (size_t i = 0; i < n; i++)
		if (!store_still_open(st, worker, list[i].run, list[i].at))
			return false;
	for (size_t i = 0; i < n; i++) {
		const struct st_close *c = &list[i];
		struct st_run *run = store_run(st, c->run);
		struct st_retry again = { .lane = c->lane,
			.line = c->line,
			.not_before_us = s->now + c->wait_us,
			.tries = c->tries,
			.sends = c->sends,
			.refused = c->refused };

		sim_trace(s, "settled", c->lane, c->line, c->kind);
		run->lines[c->at].open = false;
		if (--run->nopen == 0)
			run_drop(st, run);
		if (c->kind == ST_AGAIN)
			store_again(st, &again);
		else
			store_result(s, c);
	}
	if (st->nseen == st->seen_cap) {
		size_t cap = st->seen_cap == 0 ? 64 : st->seen_cap * 2;

		st->seen = xrealloc(st->seen, cap * sizeof(*st->seen));
		memset(st->seen + st->seen_cap, 0,
		    (cap - st->seen_cap) * sizeof(*st->seen));
		st->seen_cap = cap;
	}
	st->seen[st->nseen].id = st->next_seen++;
	buf_clear(&st->seen[st->nseen].text);
	buf_adds(&st->seen[st->nseen].text, seen);
	st->nseen++;
	st->version++;
	if (is_news(s, list, n))
		leader_news(s);
	return true;
}
