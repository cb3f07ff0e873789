/*
 * What a seed stands for.
 */
#include <stdio.h>

#include "sim.h"

const char *const profile_names[PROFILES] = { "calm", "long", "fast", "tokens",
	"seats", "chaos", "learn", "foreign", "races", "headers" };
const char *const dimension_names[5] = { "requests", "tokens", "input_tokens",
	"output_tokens", "concurrent" };

static struct sc_limit *
limit_add(
    struct scenario *sc, enum dimension dim, int64_t amount, int64_t window_s)
{
	struct sc_limit *l = &sc->limits[sc->nlimits++];

	*l = (struct sc_limit){ .id = (int32_t)sc->nlimits,
		.dim = dim,
		.amount = amount < 1 ? 1 : amount,
		.window_us = window_s * SEC,
		.quantum_us = window_s * SEC };
	l->burst = l->amount;
	return l;
}

/* An algorithm that even spacing satisfies whatever its phase. */
static void
safe_kind(struct rng *r, struct sc_limit *l)
{
	double gap_us = (double)l->window_us / (double)l->amount;

	l->phase_us = rng_range(r, 0, l->window_us - 1);
	l->kind = (enum limiter_kind[]){ LIMITER_LOG, LIMITER_FIXED,
		LIMITER_FIXED, LIMITER_BUCKET }[rng_range(r, 0, 3)];
	/* A bucket must hold what lateness and jitter can bring together. */
	if (l->kind == LIMITER_BUCKET && rng_chance(r, 0.5)) {
		l->burst = l->amount / rng_range(r, 1, 10);
		if (l->burst < 3 + (int64_t)(400e3 / gap_us))
			l->burst = 3 + (int64_t)(400e3 / gap_us);
	}
	if (l->burst > l->amount)
		l->burst = l->amount;
	l->charge_refused = rng_chance(r, 0.5);
}

/* One that must be learned. */
static void
hard_kind(struct rng *r, struct sc_limit *l)
{
	l->phase_us = rng_range(r, 0, l->window_us - 1);
	l->kind =
	    (enum limiter_kind)rng_range(r, LIMITER_COUNTER, LIMITER_SECONDS);
	if (l->kind == LIMITER_QUANTA) {
		int64_t quanta = rng_chance(r, 0.5) ? 6 : 60;

		l->quantum_us = l->window_us / quanta;
		l->amount = (l->amount + quanta) / quanta * quanta;
	}
	if (l->kind == LIMITER_BUCKET)
		l->burst = rng_range(r, 1, 1 + l->amount / 20);
	l->charge_refused = rng_chance(r, 0.5);
}

static void
draw_latency(struct scenario *sc, struct rng *r)
{
	sc->latency = rng_range(r, LATENCY_CONST, LATENCY_LOGNORMAL);
	sc->latency_s = rng_lognormal(r, 2, 0.8);
	sc->latency_sd = 0.2 + 0.5 * rng_unit(r);
	sc->output = rng_lognormal(r, 150, 0.7);
	sc->output_sd = 0.3 + 0.5 * rng_unit(r);
	sc->token_s = rng_chance(r, 0.5) ? 0.01 : 0;
	sc->declared = (double[]){ 0, 0.5, 1 }[rng_range(r, 0, 2)];
	sc->net_us = rng_range(r, 2 * MS, 80 * MS);
	sc->jitter_us = rng_range(r, 0, 180 * MS);
	sc->db_us = rng_range(r, 1, 15) * MS;
}

static void
draw_headers(struct scenario *sc, struct rng *r)
{
	enum style style = rng_range(r, STYLE_OPENAI, STYLES - 1);
	enum lie lie =
	    rng_chance(r, 0.3) ? rng_range(r, LIE_NOT, LIES - 1) : LIE_NOT;

	sc->retry_after = rng_chance(r, 0.7);
	if (sc->profile == PROFILE_HEADERS || sc->profile == PROFILE_FOREIGN) {
		sc->style = style;
		sc->lie = lie;
	}
}

double
scenario_latency_s(const struct scenario *sc)
{
	double s = sc->latency_s;

	if (sc->latency == LATENCY_LOGNORMAL)
		s *= exp(sc->latency_sd * sc->latency_sd / 2);
	return s +
	    sc->token_s * sc->output * exp(sc->output_sd * sc->output_sd / 2);
}

/* Requests a minute, and more of other windows. */
static double
draw_requests(struct scenario *sc, struct rng *r, double least, double most)
{
	double rpm = exp(log(least) + (log(most) - log(least)) * rng_unit(r));
	int64_t window_s = rng_chance(r, 0.2) ? 10 : 60;

	safe_kind(r,
	    limit_add(sc, DIM_REQUESTS, (int64_t)(rpm * (double)window_s / 60),
		window_s));
	if (rng_chance(r, 0.3))
		safe_kind(r,
		    limit_add(sc, DIM_REQUESTS,
			(int64_t)(rpm * 60 * (0.3 + rng_unit(r))), 3600));
	if (rng_chance(r, 0.2))
		safe_kind(r,
		    limit_add(sc, DIM_REQUESTS,
			(int64_t)(rpm * 1440 * (0.2 + rng_unit(r))), 86400));
	return rpm;
}

static void
draw_tokens(struct scenario *sc, struct rng *r, double rpm)
{
	enum dimension dim = rng_range(r, DIM_TOKENS, DIM_OUTPUT);
	double cost = 250 + sc->output * 1.3;

	sc->charge = rng_range(r, CHARGE_ACTUAL, CHARGE_INPUT);
	if (sc->charge == CHARGE_INPUT)
		dim = DIM_INPUT;
	if (sc->charge == CHARGE_DECLARED || sc->charge == CHARGE_REFUNDED)
		sc->declared = 1;
	if (dim == DIM_INPUT)
		cost = 250;
	else if (dim == DIM_OUTPUT)
		cost = sc->output * 1.3;
	if (sc->charge != CHARGE_ACTUAL && dim != DIM_INPUT)
		cost += sc->output * 1.5;
	safe_kind(r,
	    limit_add(sc, dim,
		(int64_t)(rpm * cost * (0.3 + rng_unit(r))) + 20000, 60));
	sc->limits[sc->nlimits - 1].burst = sc->limits[sc->nlimits - 1].amount;
}

static void
draw_faults(struct scenario *sc, struct rng *r)
{
	int64_t often = rng_range(r, 60, 400) * SEC;

	sc->worker_kill_us = often * rng_range(r, 1, 3);
	sc->worker_stop_us = often * rng_range(r, 1, 3);
	sc->worker_leave_us = often * rng_range(r, 1, 4);
	sc->leader_kill_us = often * rng_range(r, 1, 3);
	sc->leader_stop_us = often * rng_range(r, 1, 3);
	sc->trouble_us = often * rng_range(r, 2, 5);
	sc->lost = 0.02 * rng_unit(r);
	sc->unknown = 0.02 * rng_unit(r);
	sc->late = 0.005 * rng_unit(r);
	sc->whole_us = rng_range(r, 60, 240) * SEC;
}

void
scenario_draw(
    struct scenario *sc, uint64_t seed, enum profile profile, double days)
{
	static const double usual[PROFILES] = { 0.1, 30, 1.0 / 24, 0.1, 0.1,
		0.15, 0.15, 0.1, 0.15, 0.1 };
	struct rng rng = rng_new(seed, 0), *r = &rng;
	double rpm = 60;

	*sc = (struct scenario){ .profile = profile };
	/* From a time of day that is none in particular. */
	sc->start_us =
	    INT64_C(1700000000) * SEC + rng_range(r, 0, INT64_C(86400) * SEC);
	days = days > 0 ? days : usual[profile];
	sc->end_us = sc->start_us + (int64_t)(days * 86400e6);
	sc->heal_us = sc->start_us;
	sc->last_batch_us = NEVER;
	sc->nworkers = (size_t)rng_range(r, 1, 4);
	sc->nleaders = 1;
	sc->worker_most = 1000;
	sc->whole_us = 600 * SEC;
	sc->attempts = 5;
	draw_latency(sc, r);
	/* Calls that outlive the lease of their worker. */
	if (profile == PROFILE_CHAOS && rng_chance(r, 0.3))
		sc->latency_s += 15 + 20 * rng_unit(r);
	draw_headers(sc, r);
	/* The worlds of chaos, where workers come and go all the time. */
	if (profile == PROFILE_RACES)
		profile = PROFILE_CHAOS;
	switch (profile) {
	case PROFILE_LONG:
		rpm = draw_requests(sc, r, 5, 120);
		break;
	case PROFILE_FAST:
		rpm = 3000;
		safe_kind(r, limit_add(sc, DIM_REQUESTS, 3000, 60));
		break;
	case PROFILE_LEARN:
		rpm = rng_range(r, 20, 600);
		hard_kind(r, limit_add(sc, DIM_REQUESTS, (int64_t)rpm, 60));
		break;
	default:
		rpm = draw_requests(
		    sc, r, 3, profile == PROFILE_CHAOS ? 200 : 600);
	}
	if (profile == PROFILE_TOKENS ||
	    (profile == PROFILE_CHAOS && rng_chance(r, 0.3)))
		draw_tokens(sc, r, rpm);
	if (profile == PROFILE_SEATS ||
	    (profile == PROFILE_CHAOS && rng_chance(r, 0.6))) {
		double need = rpm / 60 * scenario_latency_s(sc);

		need *= 0.2 + 2 * rng_unit(r);
		limit_add(sc, DIM_SEATS, 2 + (int64_t)need, 1);
		/* Loose slots leave in groups: no small bucket takes them. */
		for (size_t i = 0; i < sc->nlimits; i++)
			sc->limits[i].burst = sc->limits[i].amount;
		sc->seats_bind =
		    (double)sc->limits[sc->nlimits - 1].amount * 1.5 <
			rpm / 60 * scenario_latency_s(sc) &&
		    sc->nlimits == 2;
	}
	sc->batch_every_us = (int64_t)(rng_range(r, 10, 40) * 60) * SEC;
	sc->batch_lines = (int32_t)(rpm * 20) + 1;
	if (profile == PROFILE_LONG) {
		sc->batch_every_us = rng_range(r, 6, 48) * 3600 * SEC;
		sc->batch_lines = 700;
	} else if (profile == PROFILE_FAST) {
		sc->batch_lines = 30000;
		sc->batch_every_us = 300 * SEC;
	} else if (profile == PROFILE_FOREIGN) {
		sc->foreign = 0.1 + 0.4 * rng_unit(r);
	} else if (profile == PROFILE_CHAOS) {
		sc->heal_us = sc->start_us + (int64_t)(days * 86400e6 * 0.6);
		sc->last_batch_us = sc->heal_us;
		sc->batch_lines = (int32_t)(rpm * 3) + 1;
		sc->nleaders = (size_t)rng_range(r, 1, LEADERS_MAX);
		draw_faults(sc, r);
		if (sc->profile == PROFILE_RACES) {
			sc->worker_leave_us /= 6;
			sc->leader_stop_us /= 3;
		}
		sc->must_end = true;
	}
	if (sc->charge != CHARGE_ACTUAL && profile == PROFILE_CHAOS)
		sc->charge = CHARGE_ACTUAL;
}

void
scenario_print(const struct scenario *sc)
{
	printf("# %s: %zu workers, %zu dispatchers, latency %.2f s, jitter "
	       "%" PRId64 " ms, database %" PRId64
	       " ms, foreign %.2f, charge %d, style %d, lie %d\n",
	    profile_names[sc->profile], sc->nworkers, sc->nleaders,
	    scenario_latency_s(sc), sc->jitter_us / MS, sc->db_us / MS,
	    sc->foreign, (int)sc->charge, (int)sc->style, (int)sc->lie);
	for (size_t i = 0; i < sc->nlimits; i++) {
		const struct sc_limit *l = &sc->limits[i];

		printf("# limit %d: %" PRId64 " %s in %" PRId64
		       " s, %s, burst %" PRId64 ", quantum %" PRId64 " s\n",
		    l->id, l->amount, dimension_names[l->dim],
		    l->window_us / SEC, limiter_names[l->kind], l->burst,
		    l->quantum_us / SEC);
	}
}
