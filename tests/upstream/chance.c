#include <math.h>
#include <stdio.h>

#include "chance.h"

/* SplitMix64 (Steele, Lea and Flood 2014). */
uint64_t
chance_next(struct chance *c)
{
	uint64_t z = c->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

double
chance_unit(struct chance *c)
{
	return (double)(chance_next(c) >> 11) * 0x1p-53;
}

double
chance_lognormal(struct chance *c, double median, double sigma)
{
	/* Box and Muller; 1 - u keeps zero away from the logarithm. */
	double radius = sqrt(-2 * log(1 - chance_unit(c)));

	return median *
	    exp(sigma * radius *
		cos(2 * 3.14159265358979323846 * chance_unit(c)));
}

static bool
is_span(double ms)
{
	return ms >= 0 && ms <= 86400e3;
}

bool
latency_parse(struct latency *l, const char *spec)
{
	struct latency got = { .shape = LATENCY_LOGNORMAL };
	int end = 0;

	if (sscanf(spec, "lognormal:%lf:%lf%n", &got.low_ms, &got.sigma,
		&end) != 2) {
		got.shape = LATENCY_UNIFORM;
		if (sscanf(spec, "%lf%n", &got.low_ms, &end) != 1)
			return false;
		got.high_ms = got.low_ms;
		if (spec[end] == '-') {
			int more = 0;

			if (sscanf(spec + end, "-%lf%n", &got.high_ms, &more) !=
			    1)
				return false;
			end += more;
		}
		if (!is_span(got.high_ms) || got.high_ms < got.low_ms)
			return false;
	}
	if (spec[end] != '\0' || !is_span(got.low_ms) || !(got.sigma >= 0) ||
	    got.sigma > 5)
		return false;
	*l = got;
	return true;
}

double
latency_draw_ms(const struct latency *l, struct chance *c)
{
	if (l->shape == LATENCY_LOGNORMAL)
		return chance_lognormal(c, l->low_ms, l->sigma);
	if (l->high_ms == 0)
		return 0;
	return l->low_ms + (l->high_ms - l->low_ms) * chance_unit(c);
}
