#include "estimate.h"

#include <math.h>

/* A new answer weighs a 200th at least: what was learned fades, slowly. */
enum { MEMORY = 200 };

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
		e->ratio = blend(e->ratio, s->input / s->bytes, share);
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

double
estimate_latency_ms(const struct estimate *e)
{
	if (e->n <= 0)
		return 0;
	return e->ms + deviation(e->ms, e->ms2);
}
