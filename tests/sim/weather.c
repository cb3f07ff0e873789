#include "weather.h"

#include "check.h"
#include "leader.h"
#include "upstream.h"
#include "worker.h"

enum { DAY_S = 86400 };

static event_fn on_batch, on_worker_kill, on_worker_pause, on_worker_leave,
    on_leader_kill, on_leader_pause, on_trouble;

/* Again, at a random time with that mean; never when it is 0. */
static void
next(struct sim *s, int64_t mean_us, int64_t last_us, event_fn *run)
{
	int64_t at = s->now + (int64_t)rng_exp(&s->rng, (double)mean_us);

	if (mean_us > 0 && at < last_us)
		sim_at(s, at, run, NULL, 0);
}

static void
on_batch(struct sim *s, struct event *e)
{
	double n = rng_lognormal(&s->rng, s->sc.batch_lines, 0.8);

	(void)e;
	store_batch(s,
	    (int32_t)(n < 1     ? 1
		    : n > 40000 ? 40000
				: n),
	    s->now + DAY_S * SEC);
	next(s, s->sc.batch_every_us, s->sc.last_batch_us, on_batch);
}

static struct worker *
some_worker(struct sim *s)
{
	check_disturbed(s);
	return s->workers[rng_range(&s->rng, 0, (int64_t)s->sc.nworkers - 1)];
}

static struct leader *
some_leader(struct sim *s)
{
	check_disturbed(s);
	return s->leaders[rng_range(&s->rng, 0, (int64_t)s->sc.nleaders - 1)];
}

static void
on_worker_kill(struct sim *s, struct event *e)
{
	(void)e;
	worker_kill(s, some_worker(s), rng_range(&s->rng, SEC, 20 * SEC));
	next(s, s->sc.worker_kill_us, s->sc.heal_us, on_worker_kill);
}

static void
on_worker_pause(struct sim *s, struct event *e)
{
	(void)e;
	worker_pause(
	    s, some_worker(s), (int64_t)rng_lognormal(&s->rng, 3e6, 1.5));
	next(s, s->sc.worker_stop_us, s->sc.heal_us, on_worker_pause);
}

static void
on_worker_leave(struct sim *s, struct event *e)
{
	(void)e;
	worker_stop(s, some_worker(s));
	next(s, s->sc.worker_leave_us, s->sc.heal_us, on_worker_leave);
}

static void
on_leader_kill(struct sim *s, struct event *e)
{
	(void)e;
	leader_kill(s, some_leader(s), rng_range(&s->rng, SEC, 10 * SEC));
	next(s, s->sc.leader_kill_us, s->sc.heal_us, on_leader_kill);
}

static void
on_leader_pause(struct sim *s, struct event *e)
{
	(void)e;
	leader_pause(s, some_leader(s),
	    (int64_t)rng_lognormal(&s->rng, 2e6, 1.5),
	    rng_chance(&s->rng, 0.5));
	next(s, s->sc.leader_stop_us, s->sc.heal_us, on_leader_pause);
}

static void
on_well(struct sim *s, struct event *e)
{
	(void)e;
	check_disturbed(s);
	upstream_mood(s, MOOD_WELL);
}

static void
on_trouble(struct sim *s, struct event *e)
{
	int64_t until = s->now + (int64_t)rng_lognormal(&s->rng, 20e6, 1);

	(void)e;
	check_disturbed(s);
	upstream_mood(s, (enum mood)rng_range(&s->rng, MOOD_AWAY, MOOD_FLAKY));
	sim_at(
	    s, until < s->sc.heal_us ? until : s->sc.heal_us, on_well, NULL, 0);
	next(s, s->sc.trouble_us, s->sc.heal_us, on_trouble);
}

void
weather_start(struct sim *s)
{
	const struct scenario *sc = &s->sc;

	sim_at(s, s->now + 2 * SEC, on_batch, NULL, 0);
	next(s, sc->worker_kill_us, sc->heal_us, on_worker_kill);
	next(s, sc->worker_stop_us, sc->heal_us, on_worker_pause);
	next(s, sc->worker_leave_us, sc->heal_us, on_worker_leave);
	next(s, sc->leader_kill_us, sc->heal_us, on_leader_kill);
	next(s, sc->leader_stop_us, sc->heal_us, on_leader_pause);
	next(s, sc->trouble_us, sc->heal_us, on_trouble);
}
