#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "leader.h"
#include "worker.h"

enum { CHUNK = 256, BYTES_MAX = 60000, OUTPUT_MAX = 16000 };

struct store *
store_new(struct sim *s)
{
	struct store *st = xcalloc(1, sizeof(*st));

	(void)s;
	st->next_lane = st->next_run = st->next_seen = st->next_worker = 1;
	st->path_state = json_object();
	st->estimates = json_object();
	return st;
}

static void
lane_free(struct st_lane *lane)
{
	free(lane->lines);
	free(lane);
}

void
store_free(struct store *st)
{
	for (size_t i = 0; i < st->nlanes; i++)
		lane_free(st->lanes[i]);
	for (size_t i = 0; i < st->nruns; i++)
		free(st->runs[i]);
	for (size_t i = 0; i < st->seen_cap; i++)
		buf_fini(&st->seen[i].text);
	for (size_t i = 0; i < LIMITS_MAX; i++) {
		json_decref(st->limits[i].state);
		free(st->limits[i].cells);
	}
	json_decref(st->path_state);
	json_decref(st->estimates);
	free(st->lanes);
	free(st->runs);
	free(st->retries);
	free(st->seen);
	free(st->workers);
	free(st->seats);
	free(st);
}

/* People ----------------------------------------------------------------- */

static double
bounded(double v, double lo, double hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static void
line_draw(const struct scenario *sc, struct rng *r, struct st_line *line)
{
	double s = sc->latency_s, tokens;

	line->bytes =
	    (int32_t)bounded(rng_lognormal(r, 700, 0.7), 60, BYTES_MAX);
	line->input = line->bytes / 4 + (int32_t)rng_range(r, 4, 12);
	tokens = rng_lognormal(r, sc->output, sc->output_sd);
	line->output = (int32_t)bounded(tokens, 1, OUTPUT_MAX);
	line->cap = -1;
	if (rng_chance(r, sc->declared))
		line->cap = (int32_t)bounded(
		    line->output * (1 + 3 * rng_unit(r)), 1, OUTPUT_MAX);
	if (sc->latency == LATENCY_UNIFORM)
		s *= 0.5 + rng_unit(r);
	else if (sc->latency == LATENCY_LOGNORMAL)
		s = rng_lognormal(r, s, sc->latency_sd);
	s += sc->token_s * line->output;
	line->work_us =
	    (int64_t)bounded(s * 1e6, 1000, (double)sc->whole_us * 0.8);
}

struct st_lane *
store_batch(struct sim *s, int32_t lines, int64_t deadline_us)
{
	struct store *st = s->store;
	struct st_lane *lane = xcalloc(1, sizeof(*lane));

	lane->id = st->next_lane++;
	lane->n = lane->lines_left = lines;
	lane->next_line = 1;
	lane->deadline_us = deadline_us;
	lane->rng = rng_new(s->seed, 1000 + (uint64_t)lane->id);
	lane->lines = xcalloc((size_t)lines, sizeof(*lane->lines));
	for (int32_t i = 0; i < lines; i++)
		line_draw(&s->sc, &lane->rng, &lane->lines[i]);
	st->lanes = xrealloc(st->lanes, (st->nlanes + 1) * sizeof(lane));
	st->lanes[st->nlanes++] = lane;
	st->version++;
	sim_trace(s, "batch", lane->id, lines, 0);
	leader_news(s);
	return lane;
}

struct st_lane *
store_lane(struct store *st, int64_t id)
{
	for (size_t i = 0; i < st->nlanes; i++)
		if (st->lanes[i]->id == id)
			return st->lanes[i];
	return NULL;
}

int64_t
store_backlog(const struct store *st)
{
	int64_t n = 0;

	for (size_t i = 0; i < st->nlanes; i++)
		n += st->lanes[i]->lines_left;
	return n;
}

int64_t
store_open(const struct store *st)
{
	int64_t n = 0;

	for (size_t i = 0; i < st->nlanes; i++)
		n += st->lanes[i]->n - st->lanes[i]->settled;
	return n;
}

static void
lane_drop_ended(struct store *st, struct st_lane *lane)
{
	size_t i = 0;

	if (lane->settled < lane->n)
		return;
	for (size_t k = 0; k < (size_t)lane->n; k++)
		if (lane->lines[k].open > 0)
			return; /* an upstream still works on a lost call */
	while (st->lanes[i] != lane)
		i++;
	memmove(st->lanes + i, st->lanes + i + 1,
	    (st->nlanes - i - 1) * sizeof(lane));
	st->nlanes--;
	lane_free(lane);
}

void
store_result(struct sim *s, const struct st_close *c)
{
	struct st_lane *lane = store_lane(s->store, c->lane);
	struct st_line *line = &lane->lines[c->line - 1];

	line->results++;
	lane->settled++;
	s->stats.results++;
	check_result(s, lane, c);
	lane_drop_ended(s->store, lane);
}

/* The lease -------------------------------------------------------------- */

int64_t
store_lease_take(struct sim *s, struct leader *l, int64_t gen)
{
	struct store *st = s->store;
	bool same = st->holder == l && st->holder_gen == gen;

	if (!same && st->holder != NULL && st->lease_us > s->now)
		return 0;
	/* Anew even for the same: what it sent before must not get in. */
	st->epoch++;
	st->holder = l;
	st->holder_gen = gen;
	st->lease_us = NEVER;
	sim_trace(s, "lease", leader_id(l), st->epoch, same);
	return st->epoch;
}

void
store_lease_dies(struct sim *s, struct leader *l, int64_t until_us)
{
	if (s->store->holder == l && s->store->lease_us == NEVER)
		s->store->lease_us = until_us;
}

void
store_lease_lives(struct sim *s, struct leader *l, int64_t gen)
{
	if (s->store->holder == l && s->store->holder_gen == gen)
		s->store->lease_us = NEVER;
}

/* Workers ---------------------------------------------------------------- */

int64_t
store_worker_start(struct sim *s, struct worker *w, int32_t most)
{
	struct store *st = s->store;

	st->workers =
	    xrealloc(st->workers, (st->nworkers + 1) * sizeof(*st->workers));
	st->workers[st->nworkers++] = (struct st_worker){
		.id = st->next_worker, .who = w, .most = most, .lease_us = NEVER
	};
	st->version++;
	leader_news(s);
	return st->next_worker++;
}

struct st_worker *
store_worker(struct store *st, int64_t id)
{
	for (size_t i = 0; i < st->nworkers; i++)
		if (st->workers[i].id == id)
			return &st->workers[i];
	return NULL;
}

void
store_worker_dies(struct sim *s, int64_t id, int64_t until_us)
{
	struct st_worker *w = store_worker(s->store, id);

	if (w != NULL && w->state != ST_DEAD && w->lease_us == NEVER)
		w->lease_us = until_us;
	leader_news(s);
}

void
store_worker_lives(struct sim *s, int64_t id)
{
	struct st_worker *w = store_worker(s->store, id);

	if (w != NULL && w->state != ST_DEAD)
		w->lease_us = NEVER;
}

bool
store_worker_live(const struct sim *s, int64_t id)
{
	const struct st_worker *w = store_worker(s->store, id);

	return w != NULL && w->state == ST_LIVE && w->lease_us > s->now;
}

bool
store_beat(struct sim *s, int64_t id, bool stopping, const int32_t held[],
    int32_t targets[])
{
	struct store *st = s->store;
	struct st_worker *w = store_worker(st, id);

	if (w == NULL || w->state == ST_DEAD)
		return false;
	if (stopping)
		w->state = ST_STOPPING;
	for (size_t i = 0; i < s->sc.nlimits; i++)
		targets[i] = 0;
	for (size_t i = 0; i < st->nseats; i++) {
		struct st_seat *seat = &st->seats[i];
		int32_t k = seat->limit - 1, least;

		if (seat->worker != id)
			continue;
		least = held[k] < seat->granted ? held[k] : seat->granted;
		if (least < seat->target)
			least = seat->target;
		if (seat->granted > least) {
			seat->granted = least;
			st->version++;
			leader_news(s);
		}
		targets[k] = seat->target;
	}
	return true;
}

bool
store_beat_wanted(const struct sim *s, int64_t id, const int32_t targets[])
{
	const struct store *st = s->store;

	for (size_t i = 0; i < st->nseats; i++)
		if (st->seats[i].worker == id &&
		    (st->seats[i].granted > st->seats[i].target ||
			st->seats[i].target != targets[st->seats[i].limit - 1]))
			return true;
	return false;
}
