#include "leader_own.h"

#include <stdlib.h>
#include <string.h>

#include "worker.h"

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
void
leader_wake(struct sim *s, struct leader *l, int64_t at)
{
	int64_t ticks;

	if (at <= s->now)
		at = s->now + 1;
	ticks = (at - l->phase_us + TICK_US - 1) / TICK_US;
	sim_at(s, l->phase_us + ticks * TICK_US, leader_on_tick, l, ++l->wake);
	l->asleep = false;
}

void
leader_news(struct sim *s)
{
	for (size_t i = 0; i < s->sc.nleaders; i++) {
		struct leader *l = s->leaders[i];

		if (l != NULL && l->asleep && leader_leads(l))
			leader_wake(s, l, s->now);
	}
}

/* Stopped processes hear and do nothing until they go on. */
bool
leader_deaf(struct sim *s, const struct leader *l, const struct event *e)
{
	if (l->paused_us <= s->now)
		return false;
	sim_defer(s, e, l->paused_us);
	return true;
}

struct call *
leader_call(struct sim *s, struct leader *l, enum stage stage, event_fn *exec)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->l = l;
	c->gen = l->gen;
	c->epoch = l->epoch;
	c->asked_us = s->now;
	c->fate = sim_fate(s);
	l->stage = stage;
	sim_at(s, s->now + sim_db_us(s), exec, c, 0);
	return c;
}

void
leader_call_free(struct call *c)
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
bool
leader_exec(struct sim *s, struct call *c, event_fn *heard, event_fn *again)
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

bool
leader_heard(struct sim *s, struct call *c, const struct event *e)
{
	if (c->gen != c->l->gen) {
		leader_call_free(c);
		return false;
	}
	return !leader_deaf(s, c->l, e);
}

void
leader_start_over(struct sim *s, struct leader *l)
{
	sim_trace(s, "start over", l->id, l->epoch, 0);
	dispatch_fini(&l->d);
	dispatch_init(&l->d);
	l->d.margin = DISPATCH_MARGIN;
	world_fini(&l->world);
	l->stage = STAGE_FOLLOW;
	l->ask_at = s->now + TICK_US;
	leader_wake(s, l, l->ask_at);
}

/* Loading ---------------------------------------------------------------- */

static void
on_loaded(struct sim *s, struct event *e)
{
	struct call *c = e->obj;
	struct leader *l = c->l;
	struct slc_err err = { 0 };

	if (!leader_heard(s, c, e))
		return;
	if (!c->good) {
		leader_start_over(s, l);
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
		leader_wake(s, l, s->now);
	}
	leader_call_free(c);
}

static void
exec_load(struct sim *s, struct event *e)
{
	struct call *c = e->obj;

	if (!leader_exec(s, c, on_loaded, exec_load))
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

	if (!leader_heard(s, c, e))
		return;
	if (c->epoch == 0) {
		l->stage = STAGE_FOLLOW;
		l->ask_at = s->now + LEASE_TRY_US;
		/* Else it sleeps until the holder is heard no more. */
		if (!c->good || s->store->lease_us != NEVER)
			leader_wake(s, l, l->ask_at);
	} else {
		l->epoch = c->epoch;
		leader_call(s, l, STAGE_LOADING, exec_load);
	}
	leader_call_free(c);
}

static void
exec_lease(struct sim *s, struct event *e)
{
	struct call *c = e->obj;
	int64_t gen = c->gen;

	c->epoch = 0;
	if (!leader_exec(s, c, on_lease, exec_lease))
		return;
	if (gen == c->l->gen)
		c->epoch = store_lease_take(s, c->l, gen);
	c->good = c->fate == FATE_GOOD;
	if (!c->good)
		c->epoch = 0;
}

void
leader_on_tick(struct sim *s, struct event *e)
{
	struct leader *l = e->obj;

	if (e->gen != l->wake || leader_deaf(s, l, e))
		return;
	l->asleep = false;
	if (l->paused_us > 0)
		store_lease_lives(s, l, l->gen);
	l->paused_us = 0;
	if (l->stage == STAGE_FOLLOW && s->now >= l->ask_at) {
		leader_call(s, l, STAGE_ASK, exec_lease);
	} else if (l->stage == STAGE_FOLLOW) {
		leader_wake(s, l, l->ask_at);
	} else if (l->stage == STAGE_IDLE && s->now >= l->reap_at) {
		l->reap_at = s->now + REAP_EVERY_US;
		leader_call(s, l, STAGE_CHORE, leader_exec_reap);
	} else if (l->stage == STAGE_IDLE) {
		leader_look(s, l);
	}
}

/* Life ------------------------------------------------------------------- */

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
			leader_wake(s, s->leaders[i],
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
	leader_wake(s, l, s->now);
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
		leader_wake(s, l, l->paused_us);
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
