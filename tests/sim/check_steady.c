/*
 * How much of the limits is used while there is a backlog, and how evenly.
 */
#include "check_own.h"
#include "store.h"

/* Of a limit, what lateness, jitter and coarse books may cost. */
static double
slack_us(const struct sc_limit *l)
{
	double cell = (double)l->window_us / 1200;

	return 550e3 + (cell < 5000 ? 5000 : cell);
}

/* Requests a second: the limit's, and those that fit beside the slack. */
static double
rate_of(const struct sc_limit *l)
{
	return (double)l->amount * 1e6 / (double)l->window_us;
}

static double
due_of(const struct sc_limit *l)
{
	return (double)l->amount * 1e6 / ((double)l->window_us + slack_us(l));
}

/* The request limit that rules when nothing else does. */
size_t
check_binding(const struct scenario *sc)
{
	double least = INFINITY, latency = scenario_latency_s(sc), seats;
	size_t best = LIMITS_MAX;

	for (size_t i = 0; i < sc->nlimits; i++)
		if (sc->limits[i].dim == DIM_REQUESTS &&
		    due_of(&sc->limits[i]) < least) {
			least = due_of(&sc->limits[i]);
			best = i;
		}
	if (best == LIMITS_MAX)
		return best;
	seats = (double)sc->worker_most * (double)sc->nworkers;
	for (size_t i = 0; i < sc->nlimits; i++) {
		if (sc->limits[i].dim == DIM_SEATS)
			seats = fmin(seats, (double)sc->limits[i].amount);
		else if (sc->limits[i].dim != DIM_REQUESTS)
			return LIMITS_MAX;
	}
	return least * latency * 1.6 + 4 < seats ? best : LIMITS_MAX;
}

int64_t
check_rise_us(const struct scenario *sc, size_t binding)
{
	double latency = fmax(scenario_latency_s(sc), 1), most;

	if (binding == LIMITS_MAX)
		return 0;
	for (size_t i = 0; i < sc->nlimits; i++)
		if (sc->limits[i].dim == DIM_SEATS)
			return 0;
	/* Nothing doubles before the first answer. */
	most = rate_of(&sc->limits[binding]) * latency;
	return (
	    int64_t)(latency * 1e6 * (1 + fmax(0, log2(most / START_SEATS))));
}

/* Seats used up to now. */
void
check_seat_time(struct sim *s)
{
	struct check *c = s->check;
	const struct sc_limit *l;

	if (c->seat_limit < 0)
		return;
	l = &s->sc.limits[c->seat_limit];
	if (c->busy_us > 0 && c->busy_us + 2 * WARM_US < s->now &&
	    store_backlog(s->store) > 4 * l->amount) {
		s->stats.busy_us += (double)(s->now - c->seat_us) *
		    (double)upstream_in_flight(s);
		s->stats.seat_us +=
		    (double)(s->now - c->seat_us) * (double)l->amount;
	}
	c->seat_us = s->now;
}

/* I2, I11: steady stretches ---------------------------------------------- */

static void
stretch_end(struct sim *s)
{
	struct check *c = s->check;
	const struct sc_limit *l;
	struct stats *st = &s->stats;

	if (c->n >= STRETCH_SENDS) {
		l = &s->sc.limits[c->binding];
		st->stretch_units += c->n;
		st->stretch_due +=
		    (double)(c->last_us - c->first_us) / 1e6 * rate_of(l);
		st->gaps += c->gaps;
		st->gaps2 += c->gaps2;
		st->ngaps += c->n;
	}
	c->n = 0;
	c->gaps = c->gaps2 = 0;
	c->first_us = 0;
}

void
check_disturbed(struct sim *s)
{
	stretch_end(s);
	s->check->busy_us = 0;
}

void
check_stretch(struct sim *s)
{
	struct check *c = s->check;
	double gap;

	if (store_backlog(s->store) == 0) {
		check_disturbed(s);
		return;
	}
	if (c->busy_us == 0)
		c->busy_us = s->now;
	if (s->now < s->sc.heal_us)
		return;
	if (c->binding == LIMITS_MAX ||
	    s->now < c->busy_us + WARM_US + c->rise_us)
		return;
	c->rise_us = 0;
	if (c->first_us == 0) {
		c->first_us = c->last_us = s->now;
		return;
	}
	gap = (double)(s->now - c->last_us);
	c->gaps += gap;
	c->gaps2 += gap * gap;
	c->last_us = s->now;
	c->n++;
}

void
check_end(struct sim *s)
{
	const struct sc_limit *l;
	const struct stats *st = &s->stats;
	double used, want, mean, cv;

	stretch_end(s);
	if (s->sc.must_end && store_open(s->store) > 0)
		sim_fail(s,
		    "I5: %" PRId64 " lines have no result, and nothing moves",
		    store_open(s->store));
	if (st->seat_us > 60e6 && s->check->binding == LIMITS_MAX &&
	    s->sc.profile == PROFILE_SEATS && s->sc.seats_bind &&
	    st->busy_us / st->seat_us < 0.9)
		sim_fail(s, "I2: %.4f of the seats are used",
		    st->busy_us / st->seat_us);
	/* Who was refused for no reason is slower for good reason. */
	if (st->stretch_units < STRETCH_SENDS || s->sc.foreign > 0 ||
	    s->sc.profile == PROFILE_LEARN || st->injected > 0)
		return;
	l = &s->sc.limits[s->check->binding];
	used = (double)st->stretch_units / st->stretch_due;
	want = due_of(l) / rate_of(l) - 0.002;
	/* A stretch begins and ends with a send that jitters. */
	want -= 1.5 / (double)st->stretch_units * st->stretch_due /
	    (double)st->stretch_units;
	if (used < want)
		sim_fail(s,
		    "I2: %.4f of the limit of %" PRId64 " in %" PRId64
		    " s is used, %.4f are due",
		    used, l->amount, l->window_us / SEC, want);
	mean = st->gaps / (double)st->ngaps;
	cv = sqrt(st->gaps2 / (double)st->ngaps - mean * mean) / mean;
	if (cv >= 0.3 && l->window_us < 600 * SEC)
		sim_fail(s, "I11: the gaps of sends vary by %.3f", cv);
}
