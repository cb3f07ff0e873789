#include "leader.h"

#include <stdlib.h>
#include <string.h>

#include "../../scheduler/dispatch_json.h"
#include "check.h"
#include "store.h"
#include "worker.h"

/* As in scheduler/dispatcher.c. */
enum {
	TICK_US = 100000,
	LEASE_US = 3000000,
	LEASE_TRY_US = 500000,
	LANES_EVERY_US = 1000000,
	LANES_READ = 8,
	CHUNKS_READ = 16,
	RETRIES_READ = 512,
	RETRY_AHEAD_US = 700000,
	REAP_EVERY_US = 1000000,
	ESTIMATES_EVERY_US = 10000000,
	EXPLAIN_EVERY_US = 1000000,
	SLEEP_MAX_US = 5000000, /* with a backlog */
};

enum stage {
	STAGE_DEAD,
	STAGE_FOLLOW,
	STAGE_ASK,
	STAGE_LOADING,
	STAGE_IDLE,
	STAGE_LOOK,
	STAGE_COMMIT,
	STAGE_CHORE,
};

struct leader {
	int id;
	int64_t gen, wake, phase_us;
	int64_t paused_us;
	int64_t stop_us; /* it is stopped for so long before its next plan */
	enum stage stage;
	int64_t epoch;
	struct dispatch d;
	struct world world;
	int64_t ask_at, lanes_at, reap_at, estimates_at, explain_at;
	size_t lines_from;
	int64_t due_through;
	bool configure, asleep;
};

/* A transaction under way: it belongs to the database, whoever began it. */
struct call {
	struct leader *l;
	int64_t gen, epoch;
	enum fate fate;
	bool good, lanes, config;
	int64_t version;
	struct buf doc,
	    config_doc; /* the poll or the plan; the configuration */
	struct st_cell *cells[LIMITS_MAX];
	size_t ncells[LIMITS_MAX];
	struct {
		int64_t id, deadline_us;
		int32_t next_line, lines_left;
	} * put;
	size_t nput;
	struct st_retry *retries;
	size_t nretries;
	int64_t due[LANES_READ], lines_of[LANES_READ];
	size_t ndue, nlines;
};

static event_fn on_tick;

int
leader_id(const struct leader *l)
{
	return l->id;
}

bool
leader_leads(const struct leader *l)
{
	return l->stage >= STAGE_IDLE;
}

const struct dispatch *
leader_state(const struct leader *l)
{
	return &l->d;
}

/* At the first of its ticks that is not before at. */
static void
wake_at(struct sim *s, struct leader *l, int64_t at)
{
	int64_t ticks;

	if (at <= s->now)
		at = s->now + 1;
	ticks = (at - l->phase_us + TICK_US - 1) / TICK_US;
	sim_at(s, l->phase_us + ticks * TICK_US, on_tick, l, ++l->wake);
	l->asleep = false;
}

void
leader_news(struct sim *s)
{
	for (size_t i = 0; i < s->sc.nleaders; i++) {
		struct leader *l = s->leaders[i];

		if (l != NULL && l->asleep && leader_leads(l))
			wake_at(s, l, s->now);
	}
}

/* Stopped processes hear and do nothing until they go on. */
static bool
is_deaf(struct sim *s, const struct leader *l, const struct event *e)
{
	if (l->paused_us <= s->now)
		return false;
	sim_defer(s, e, l->paused_us);
	return true;
}

static struct call *
call_new(struct sim *s, struct leader *l, enum stage stage, event_fn *exec)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->l = l;
	c->gen = l->gen;
	c->epoch = l->epoch;
	c->fate = sim_fate(s);
	l->stage = stage;
	sim_at(s, s->now + sim_db_us(s), exec, c, 0);
	return c;
}

static void
call_free(struct call *c)
{
	buf_fini(&c->doc);
	buf_fini(&c->config_doc);
	for (size_t i = 0; i < LIMITS_MAX; i++)
		free(c->cells[i]);
	free(c->put);
	free(c->retries);
	free(c);
}

/* In the database: shall the transaction be done, and be heard of? */
static bool
call_exec(struct sim *s, struct call *c, event_fn *heard, event_fn *again)
{
	enum fate fate = c->fate;

	if (fate == FATE_LATE) {
		/* The connection broke; what was sent is done later. */
		struct call *late = xcalloc(1, sizeof(*late));

		*late = *c;
		late->fate = FATE_GOOD;
		late->gen = -1;
		*c = (struct call){ .l = c->l, .gen = c->gen };
		sim_at(
		    s, s->now + rng_range(&s->rng, 0, 2 * SEC), again, late, 0);
	}
	sim_at(s, s->now + sim_db_us(s), heard, c, 0);
	return fate == FATE_GOOD || fate == FATE_UNKNOWN;
}

static bool
is_heard(struct sim *s, struct call *c, const struct event *e)
{
	if (c->gen != c->l->gen) {
		call_free(c);
		return false;
	}
	return !is_deaf(s, c->l, e);
}

static void
start_over(struct sim *s, struct leader *l)
{
	sim_trace(s, "start over", l->id, l->epoch, 0);
	dispatch_fini(&l->d);
	dispatch_init(&l->d);
	l->d.margin = DISPATCH_MARGIN;
	world_fini(&l->world);
	l->stage = STAGE_FOLLOW;
	l->ask_at = s->now + TICK_US;
	wake_at(s, l, l->ask_at);
}

/* Loading ------------------------------------------------------------------ */

static void
on_loaded(struct sim *s, struct event *e)
{
	struct call *c = e->obj;
	struct leader *l = c->l;
	struct slc_err err = { 0 };

	if (!is_heard(s, c, e))
		return;
	if (!c->good) {
		start_over(s, l);
	} else {
		if (dispatch_read_config(
			&l->d, buf_slice(&c->config_doc), &err) != SLC_OK)
			sim_fail(s, "configuration: %s", err.text);
		for (size_t i = 0; i < s->sc.nlimits; i++) {
			struct dispatch_rate *r =
			    dispatch_rate(&l->d, (int32_t)i + 1);

			for (size_t k = 0; r != NULL && k < c->ncells[i]; k++)
				ledger_load(&r->pace.ledger,
				    c->cells[i][k].cell, c->cells[i][k].units);
		}
		l->stage = STAGE_IDLE;
		l->lanes_at = 0;
		wake_at(s, l, s->now);
	}
	call_free(c);
}

static void
exec_load(struct sim *s, struct event *e)
{
	struct call *c = e->obj;

	if (!call_exec(s, c, on_loaded, exec_load))
		return;
	store_config(s, &c->config_doc);
	for (size_t i = 0; i < s->sc.nlimits; i++) {
		const struct st_limit *l = &s->store->limits[i];

		c->cells[i] = xcalloc(l->n + 1, sizeof(*l->cells));
		if (l->n > 0)
			memcpy(c->cells[i], l->cells, l->n * sizeof(*l->cells));
		c->ncells[i] = l->n;
	}
	c->good = c->fate == FATE_GOOD;
}

static void
on_lease(struct sim *s, struct event *e)
{
	struct call *c = e->obj;
	struct leader *l = c->l;

	if (!is_heard(s, c, e))
		return;
	if (c->epoch == 0) {
		l->stage = STAGE_FOLLOW;
		l->ask_at = s->now + LEASE_TRY_US;
		/* Else it sleeps until the holder is heard no more. */
		if (!c->good || s->store->lease_us != NEVER)
			wake_at(s, l, l->ask_at);
	} else {
		l->epoch = c->epoch;
		call_new(s, l, STAGE_LOADING, exec_load);
	}
	call_free(c);
}

static void
exec_lease(struct sim *s, struct event *e)
{
	struct call *c = e->obj;
	int64_t gen = c->gen;

	c->epoch = 0;
	if (!call_exec(s, c, on_lease, exec_lease))
		return;
	if (gen == c->l->gen)
		c->epoch = store_lease_take(s, c->l, gen);
	c->good = c->fate == FATE_GOOD;
	if (!c->good)
		c->epoch = 0;
}

/* Sleeping ----------------------------------------------------------------- */

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

/* After a look that changed nothing: until something may have changed. */
static void
sleep_on(struct sim *s, struct leader *l, int64_t version)
{
	int64_t at = next_slot(s, l), due = store_next_us(s);

	for (size_t i = 0; i < l->d.nflows; i++)
		if (l->d.flows[i]->learned && l->estimates_at < at)
			at = l->estimates_at;
	if (at != NEVER && at > s->now + SLEEP_MAX_US)
		at = s->now + SLEEP_MAX_US;
	if (due < at)
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
	wake_at(s, l, at);
	l->asleep = true; /* news wake it earlier */
}

/* Looking ------------------------------------------------------------------ */

static void
on_committed(struct sim *s, struct event *e)
{
	struct call *c = e->obj;
	struct leader *l = c->l;

	if (!is_heard(s, c, e))
		return;
	if (c->good) {
		l->stage = STAGE_IDLE;
		wake_at(s, l, s->now);
	} else {
		start_over(s, l);
	}
	call_free(c);
}

static void
exec_commit(struct sim *s, struct event *e)
{
	struct call *c = e->obj;

	if (!call_exec(s, c, on_committed, exec_commit))
		return;
	c->good = store_commit(s, c->epoch, buf_cstr(&c->doc));
	sim_trace(s, c->good ? "commit" : "commit refused", c->l->id, c->epoch,
	    (int64_t)c->doc.n);
	if (c->good && c->epoch != s->store->epoch)
		sim_fail(s,
		    "fence: dispatcher %d wrote in epoch %" PRId64
		    ", which is over",
		    c->l->id, c->epoch);
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
	if (!is_heard(s, c, e))
		return;
	if (!c->good) {
		start_over(s, l);
		call_free(c);
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
		/* People look less often when years go by. */
		l->explain_at = s->now +
		    EXPLAIN_EVERY_US * (s->sc.profile == PROFILE_LONG ? 30 : 1);
	if (estimates)
		l->estimates_at = s->now + ESTIMATES_EVERY_US;
	if (dispatch_plan_empty(&doc)) {
		l->stage = STAGE_IDLE;
		buf_fini(&doc);
		sleep_on(s, l, c->version);
	} else {
		commit = call_new(s, l, STAGE_COMMIT, exec_commit);
		commit->doc = doc;
	}
	call_free(c);
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
	if (!call_exec(s, c, on_looked, exec_look))
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

static void
look(struct sim *s, struct leader *l)
{
	struct call *c = call_new(s, l, STAGE_LOOK, exec_look);

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

static void
exec_reap(struct sim *s, struct event *e)
{
	struct call *c = e->obj;

	if (!call_exec(s, c, on_committed, exec_reap))
		return;
	c->good = store_reap(s, c->epoch) && c->fate == FATE_GOOD;
}

static void
on_tick(struct sim *s, struct event *e)
{
	struct leader *l = e->obj;

	if (e->gen != l->wake || is_deaf(s, l, e))
		return;
	l->asleep = false;
	if (l->paused_us > 0)
		store_lease_lives(s, l, l->gen);
	l->paused_us = 0;
	if (l->stage == STAGE_FOLLOW && s->now >= l->ask_at) {
		call_new(s, l, STAGE_ASK, exec_lease);
	} else if (l->stage == STAGE_FOLLOW) {
		wake_at(s, l, l->ask_at);
	} else if (l->stage == STAGE_IDLE && s->now >= l->reap_at) {
		l->reap_at = s->now + REAP_EVERY_US;
		call_new(s, l, STAGE_CHORE, exec_reap);
	} else if (l->stage == STAGE_IDLE) {
		look(s, l);
	}
}

/* Life ----------------------------------------------------------------------
 */

/* The others see the lease run out, each at its next try. */
static void
lease_dies(struct sim *s, struct leader *l)
{
	int64_t until = s->now + rng_range(&s->rng, LEASE_US / 2, LEASE_US);

	if (s->store->holder != l || s->store->holder_gen != l->gen)
		return;
	store_lease_dies(s, l, until);
	for (size_t i = 0; i < s->sc.nleaders; i++)
		if (s->leaders[i] != l && s->leaders[i]->stage == STAGE_FOLLOW)
			wake_at(s, s->leaders[i],
			    until + rng_range(&s->rng, 0, LEASE_TRY_US));
}

static void
on_born(struct sim *s, struct event *e)
{
	struct leader *l = e->obj;

	if (e->gen != l->gen)
		return;
	l->stage = STAGE_FOLLOW;
	l->ask_at = s->now;
	l->phase_us = s->now;
	wake_at(s, l, s->now);
}

void
leader_kill(struct sim *s, struct leader *l, int64_t for_us)
{
	sim_trace(s, "leader killed", l->id, l->epoch, for_us);
	lease_dies(s, l);
	l->gen++;
	l->wake++;
	l->stage = STAGE_DEAD;
	l->asleep = false;
	l->paused_us = l->stop_us = 0;
	l->epoch = 0;
	dispatch_fini(&l->d);
	dispatch_init(&l->d);
	world_fini(&l->world);
	l->configure = false;
	l->lanes_at = l->reap_at = l->estimates_at = l->explain_at = 0;
	l->d.margin = DISPATCH_MARGIN;
	sim_at(s, s->now + for_us, on_born, l, l->gen);
}

void
leader_pause(struct sim *s, struct leader *l, int64_t for_us, bool worst)
{
	if (l->stage == STAGE_DEAD || l->paused_us > s->now)
		return;
	if (worst && leader_leads(l)) {
		l->stop_us = for_us;
		return;
	}
	sim_trace(s, "leader stopped", l->id, l->epoch, for_us);
	lease_dies(s, l);
	l->paused_us = s->now + for_us;
	if (l->stage == STAGE_IDLE || l->stage == STAGE_FOLLOW)
		wake_at(s, l, l->paused_us);
}

struct leader *
leader_new(struct sim *s, int id)
{
	struct leader *l = xcalloc(1, sizeof(*l));

	l->id = id;
	dispatch_init(&l->d);
	l->d.margin = DISPATCH_MARGIN;
	sim_at(s, s->now + rng_range(&s->rng, 0, TICK_US), on_born, l, 0);
	return l;
}

void
leader_free(struct leader *l)
{
	dispatch_fini(&l->d);
	world_fini(&l->world);
	free(l);
}
