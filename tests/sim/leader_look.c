/*
 * A dispatcher's look at the store, and the plan that it makes of it.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "leader_own.h"

/* Sleeping --------------------------------------------------------------- */

/* When a path may let a line of any lane go, seats permitting. */
static int64_t
next_slot(struct sim *s, struct leader *l)
{
	int64_t best = NEVER;

	for (size_t i = 0; i < l->d.nlanes; i++) {
		struct dispatch_lane *lane = l->d.lanes[i];
		struct dispatch_flow *f = dispatch_flow(&l->d, 1, lane->model);
		int64_t at = s->now;

		if (lane->fresh.first == lane->fresh.n &&
		    lane->again.first == lane->again.n)
			continue;
		if (f->path->breaker.health == BREAKER_DOWN)
			at = f->path->breaker.until_us;
		if (at < f->paused_us)
			at = f->paused_us;
		for (size_t k = 0; k < f->nrates; k++)
			at = pace_earliest(&f->rates[k]->pace, 1, at);
		if (at < best)
			best = at;
	}
	return best == NEVER ? NEVER : best - DISPATCH_HORIZON_US;
}

/* When years go by, what is only for people and takeovers is written less
 * often, and nobody looks whether what was reckoned is still true. */
static int64_t
every_us(const struct sim *s, int64_t us, int64_t years_us)
{
	return s->sc.profile == PROFILE_LONG ? years_us : us;
}

/* After a look that changed nothing: until something may have changed. */
static void
sleep_on(struct sim *s, struct leader *l, int64_t version)
{
	int64_t at = next_slot(s, l), due = store_next_us(s);

	for (size_t i = 0; i < l->d.nflows; i++)
		if (l->d.flows[i]->learned && l->estimates_at < at)
			at = l->estimates_at;
	if (at != NEVER && at > s->now + every_us(s, SLEEP_MAX_US, 60 * SEC))
		at = s->now + every_us(s, SLEEP_MAX_US, 60 * SEC);
	/* When years go by, the next line's slot is soon enough. */
	if (due < at && (s->sc.profile != PROFILE_LONG || at == NEVER))
		at = due;
	for (size_t i = 0; i < l->d.nlanes; i++)
		if (dispatch_lane_wants(l->d.lanes[i]))
			at = s->now;
	if (version != s->store->version || l->world.admitted ||
	    l->lanes_at == 0)
		at = s->now;
	if (at == NEVER) {
		if (s->store->nruns == 0)
			check_idle(s);
		l->asleep = true;
		l->wake++;
		return;
	}
	if (at > l->reap_at)
		l->reap_at += (at - l->reap_at + REAP_EVERY_US - 1) /
		    REAP_EVERY_US * REAP_EVERY_US;
	leader_wake(s, l, at);
	l->asleep = true; /* news wake it earlier */
}

/* Looking ---------------------------------------------------------------- */

static void
on_committed(struct sim *s, struct event *e)
{
	struct call *c = e->obj;
	struct leader *l = c->l;

	if (!leader_heard(s, c, e))
		return;
	if (c->good) {
		l->stage = STAGE_IDLE;
		/* A plan grants all there is to grant. */
		if (s->sc.profile == PROFILE_LONG &&
		    c->version == s->store->version)
			sleep_on(s, l, c->version);
		else
			leader_wake(s, l, s->now);
	} else {
		leader_start_over(s, l);
	}
	leader_call_free(c);
}

static void
exec_commit(struct sim *s, struct event *e)
{
	struct call *c = e->obj;

	if (!leader_exec(s, c, on_committed, exec_commit))
		return;
	c->good = store_commit(s, c->epoch, buf_cstr(&c->doc));
	sim_trace(s, c->good ? "commit" : "commit refused", c->l->id, c->epoch,
	    (int64_t)c->doc.n);
	if (c->good && c->epoch != s->store->epoch)
		sim_fail(s,
		    "fence: dispatcher %d wrote in epoch %" PRId64
		    ", which is over",
		    c->l->id, c->epoch);
	c->version = s->store->version;
	if (c->good)
		worker_news(s);
	if (c->fate != FATE_GOOD)
		c->good = false;
}

static void
read_lines(struct sim *s, struct leader *l, int64_t id)
{
	struct dispatch_lane *lane = dispatch_lane(&l->d, id);
	const struct st_lane *st = store_lane(s->store, id);
	int32_t from, to;

	if (lane == NULL || st == NULL)
		return;
	from = lane->read_line;
	to = ((from - 1) / SLC_CHUNK_LINES_MAX + CHUNKS_READ) *
	    SLC_CHUNK_LINES_MAX;
	for (int32_t n = from; n <= to && n <= st->n; n++) {
		int32_t chunk = (n - 1) / SLC_CHUNK_LINES_MAX;
		struct dispatch_line line = {
			.chunk = id * 100000 + chunk,
			.first_line = 1 + chunk * SLC_CHUNK_LINES_MAX,
			.index = (int16_t)(n - chunk * SLC_CHUNK_LINES_MAX),
			.bytes = st->lines[n - 1].bytes,
			.cap = st->lines[n - 1].cap,
		};

		dispatch_lane_fresh(lane, &line);
	}
	dispatch_lane_read(lane, to < st->n ? to + 1 : st->n + 1);
}

static void
read_retry(struct sim *s, struct leader *l, const struct st_retry *r)
{
	struct dispatch_lane *lane = dispatch_lane(&l->d, r->lane);
	const struct st_lane *st = store_lane(s->store, r->lane);
	int32_t chunk = (r->line - 1) / SLC_CHUNK_LINES_MAX;

	if (lane == NULL || st == NULL)
		return;
	struct dispatch_line line = {
		.chunk = r->lane * 100000 + chunk,
		.first_line = 1 + chunk * SLC_CHUNK_LINES_MAX,
		.index = (int16_t)(r->line - chunk * SLC_CHUNK_LINES_MAX),
		.bytes = st->lines[r->line - 1].bytes,
		.cap = st->lines[r->line - 1].cap,
		.tries = r->tries,
		.sends = r->sends,
		.refused = r->refused,
	};
	dispatch_lane_again(lane, &line);
}

static void
read_look(struct sim *s, struct leader *l, struct call *c)
{
	struct slc_err err = { 0 };

	world_fini(&l->world);
	l->world.asked_us = c->asked_us;
	l->world.heard_us = s->now;
	if (c->config &&
	    dispatch_read_config(&l->d, buf_slice(&c->config_doc), &err) !=
		SLC_OK)
		sim_fail(s, "configuration: %s", err.text);
	if (dispatch_read_world(&l->d, buf_slice(&c->doc), &l->world, &err) !=
	    SLC_OK)
		sim_fail(s, "world: %s", err.text);
	l->configure = l->world.revision != l->d.revision;
	if (c->lanes) {
		dispatch_lanes_begin(&l->d);
		for (size_t i = 0; i < c->nput; i++)
			dispatch_lane_put(&l->d, c->put[i].id, "m", 2,
			    c->put[i].deadline_us, c->put[i].next_line,
			    c->put[i].lines_left);
		dispatch_lanes_end(&l->d);
	}
	for (size_t i = 0; i < c->nlines; i++)
		read_lines(s, l, c->lines_of[i]);
	for (size_t i = 0; i < c->nretries; i++)
		read_retry(s, l, &c->retries[i]);
	if (l->world.admitted)
		l->lanes_at = 0;
}

static void
on_looked(struct sim *s, struct event *e)
{
	struct call *c = e->obj;
	struct leader *l = c->l;
	struct dispatch_plan plan = { 0 };
	bool estimates = s->now >= l->estimates_at, explain;
	struct call *commit;
	struct buf doc = { 0 };

	if (l->stop_us > 0 && c->gen == l->gen) {
		int64_t for_us = l->stop_us;

		l->stop_us = 0;
		leader_pause(s, l, for_us, false);
	}
	if (!leader_heard(s, c, e))
		return;
	if (!c->good) {
		leader_start_over(s, l);
		leader_call_free(c);
		return;
	}
	read_look(s, l, c);
	check_world(s, l, &l->world);
	dispatch_plan(&l->d, l->world.now_us, &plan);
	s->stats.plans++;
	explain = s->now >= l->explain_at &&
	    (l->d.nlanes > 0 || l->d.seats[0]->out > 0);
	dispatch_write_plan(&l->d, &plan, &l->world, estimates, explain, &doc);
	dispatch_plan_fini(&plan);
	if (explain)
		l->explain_at =
		    s->now + every_us(s, EXPLAIN_EVERY_US, 600 * SEC);
	if (estimates)
		l->estimates_at =
		    s->now + every_us(s, ESTIMATES_EVERY_US, 300 * SEC);
	if (dispatch_plan_empty(&doc)) {
		l->stage = STAGE_IDLE;
		buf_fini(&doc);
		sleep_on(s, l, c->version);
	} else {
		commit = leader_call(s, l, STAGE_COMMIT, exec_commit);
		commit->doc = doc;
	}
	leader_call_free(c);
}

static int
by_line(const void *a, const void *b)
{
	const struct st_retry *x = a, *y = b;

	if (x->lane != y->lane)
		return x->lane < y->lane ? -1 : 1;
	return x->line - y->line;
}

static void
copy_retries(struct sim *s, struct call *c)
{
	const struct store *st = s->store;

	c->retries = xcalloc(st->nretries + 1, sizeof(*c->retries));
	for (size_t i = 0; i < st->nretries; i++)
		for (size_t k = 0; k < c->ndue; k++)
			if (st->retries[i].lane == c->due[k] &&
			    st->retries[i].not_before_us <=
				s->now + RETRY_AHEAD_US)
				c->retries[c->nretries++] = st->retries[i];
	qsort(c->retries, c->nretries, sizeof(*c->retries), by_line);
	if (c->nretries > RETRIES_READ)
		c->nretries = RETRIES_READ;
}

static void
copy_lanes(struct sim *s, struct call *c, const struct world *w)
{
	const struct store *st = s->store;

	c->put = xcalloc(st->nlanes + 1, sizeof(*c->put));
	for (size_t i = 0; i < st->nlanes; i++) {
		const struct st_lane *lane = st->lanes[i];
		bool wanted = lane->lines_left > 0;

		for (size_t k = 0; k < w->ndue; k++)
			wanted |= w->due[k] == lane->id;
		if (!wanted || !lane->admitted)
			continue;
		c->put[c->nput].id = lane->id;
		c->put[c->nput].deadline_us = lane->deadline_us;
		c->put[c->nput].next_line = lane->next_line;
		c->put[c->nput++].lines_left = lane->lines_left;
	}
}

static void
exec_look(struct sim *s, struct event *e)
{
	struct call *c = e->obj;

	/* It only reads: nobody would miss it later. */
	if (c->fate == FATE_LATE)
		c->fate = FATE_LOST;
	if (!leader_exec(s, c, on_looked, exec_look))
		return;
	c->good = store_poll(s, c->epoch, &c->doc) && c->fate == FATE_GOOD;
	if (c->config)
		store_config(s, &c->config_doc);
	if (c->lanes)
		copy_lanes(s, c, &c->l->world);
	copy_retries(s, c);
	c->version = s->store->version;
}

static void
look_for_lines_of(struct call *c, const struct dispatch_lane *lane)
{
	if (!dispatch_lane_wants(lane))
		return;
	for (size_t i = 0; i < c->nlines; i++)
		if (c->lines_of[i] == lane->id)
			return;
	c->lines_of[c->nlines++] = lane->id;
}

static void
look_for_lines(struct leader *l, struct call *c)
{
	size_t n = l->d.nlanes, from = l->lines_from;

	for (size_t i = 0; i < n && c->nlines < LANES_READ / 2; i++)
		look_for_lines_of(c, l->d.lanes[i]);
	for (size_t i = 0; i < n && c->nlines < LANES_READ; i++) {
		l->lines_from = (from + i + 1) % n;
		look_for_lines_of(c, l->d.lanes[(from + i) % n]);
	}
}

static void
look_for_retries(struct leader *l, struct call *c)
{
	size_t n = l->world.ndue, from = 0;

	while (from < n && l->world.due[from] <= l->due_through)
		from++;
	for (size_t i = 0; i < n && c->ndue < LANES_READ; i++) {
		int64_t id = l->world.due[(from + i) % n];
		const struct dispatch_lane *lane = dispatch_lane(&l->d, id);

		if (lane == NULL || lane->again.first < lane->again.n)
			continue;
		c->due[c->ndue++] = l->due_through = id;
	}
}

void
leader_look(struct sim *s, struct leader *l)
{
	struct call *c = leader_call(s, l, STAGE_LOOK, exec_look);

	for (size_t i = 0; i < l->world.ndue; i++)
		if (dispatch_lane(&l->d, l->world.due[i]) == NULL)
			l->lanes_at = 0;
	c->config = l->configure;
	c->lanes = s->now >= l->lanes_at;
	if (c->lanes)
		l->lanes_at = s->now + LANES_EVERY_US;
	look_for_lines(l, c);
	look_for_retries(l, c);
}

void
leader_exec_reap(struct sim *s, struct event *e)
{
	struct call *c = e->obj;

	if (!leader_exec(s, c, on_committed, leader_exec_reap))
		return;
	c->good = store_reap(s, c->epoch) && c->fate == FATE_GOOD;
}
