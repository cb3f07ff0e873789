#include "estimate.h"

#include <math.h>

/* A new answer weighs a 200th at least: what was learned fades, slowly. */
enum { MEMORY = 200, AGES_MEMORY = 4000 };

static double
blend(double old, double mean, double share)
{
	return old + (mean - old) * share;
}

void
estimate_learn(struct estimate *e, const struct estimate_sample *s)
{
	double n = (double)s->n, share;

	if (s->n <= 0)
		return;
	share = n / (e->n + n);
	if (share < n / (MEMORY + n))
		share = n / (MEMORY + n);
	e->n = e->n + n > 1e6 ? 1e6 : e->n + n;
	if (s->bytes > 0)
		e->ratio = blend(e->ratio,
		    fmin(s->input / s->bytes, ESTIMATE_RATIO_MAX), share);
	e->output = blend(e->output, s->output / n, share);
	e->output2 = blend(e->output2, s->output2 / n, share);
	e->ms = blend(e->ms, s->ms / n, share);
	e->ms2 = blend(e->ms2, s->ms2 / n, share);
}

static double
deviation(double mean, double square)
{
	double variance = square - mean * mean;

	return variance > 0 ? sqrt(variance) : 0;
}

int64_t
estimate_input(const struct estimate *e, int64_t bytes)
{
	/* A few per cent above the mean: short bodies cost more for each byte.
	 */
	if (e->n > 0 && e->ratio > 0)
		return (int64_t)ceil((double)bytes * e->ratio * 1.03) + 2;
	return bytes / ESTIMATE_BYTES_PER_TOKEN + 1;
}

int64_t
estimate_output(const struct estimate *e, int64_t cap)
{
	if (cap >= 0)
		return cap;
	if (e->n > 0)
		return (int64_t)ceil(
		    e->output + deviation(e->output, e->output2));
	return ESTIMATE_OUTPUT;
}

static int
age_of(int64_t ms)
{
	double end = ESTIMATE_AGE_MS;
	int i = 0;

	while (i < ESTIMATE_AGES - 1 && (double)ms >= end) {
		end *= 1.25;
		i++;
	}
	return i;
}

void
estimate_learn_age(struct estimate *e, int64_t ms, int64_t output)
{
	struct estimate_age *a = &e->ages[age_of(ms)];
	double n = 0;

	a->n++;
	a->output += (double)output;
	a->output2 += (double)output * (double)output;
	for (int i = 0; i < ESTIMATE_AGES; i++)
		n += e->ages[i].n;
	/* Halve it when it is full: old answers fade. */
	if (n >= AGES_MEMORY)
		for (int i = 0; i < ESTIMATE_AGES; i++) {
			e->ages[i].n /= 2;
			e->ages[i].output /= 2;
			e->ages[i].output2 /= 2;
		}
}

void
estimate_pending(const struct estimate *e, int64_t age_ms, int64_t cap,
    double *mean, double *variance)
{
	static const double spread2 = (double)ESTIMATE_SPREAD * ESTIMATE_SPREAD;
	double n = 0, output = 0, output2 = 0, guess = ESTIMATE_OUTPUT;
	double m, v, unknown;

	for (int i = age_of(age_ms); i < ESTIMATE_AGES; i++) {
		n += e->ages[i].n;
		output += e->ages[i].output;
		output2 += e->ages[i].output2;
	}
	/* Older than all that was seen: as the oldest were. */
	for (int i = ESTIMATE_AGES - 1; i >= 0 && n < 1; i--) {
		n += e->ages[i].n;
		output += e->ages[i].output;
		output2 += e->ages[i].output2;
	}
	if (n < 1 && e->n > 0) {
		n = e->n;
		output = e->output * n;
		output2 = e->output2 * n;
	}
	/* The first answers are the short ones: a guess goes with them. */
	if (cap >= 0 && (double)cap < guess)
		guess = (double)cap;
	unknown = e->n >= ESTIMATE_SEEDED ? 0 : ESTIMATE_SEEDED - e->n;
	m = (output + guess * unknown) / (n + unknown);
	v = (output2 + (guess * guess + spread2) * unknown) / (n + unknown) -
	    m * m;
	if (cap >= 0 && m > (double)cap)
		m = (double)cap;
	*mean = m;
	*variance = v > 0 ? v : 0;
}

double
estimate_latency_ms(const struct estimate *e)
{
	if (e->n <= 0)
		return 0;
	return e->ms + deviation(e->ms, e->ms2);
}
