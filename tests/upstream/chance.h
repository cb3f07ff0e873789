/*
 * chance - a stream of pseudo-random numbers, and latencies drawn from it.
 *
 * Pure.  Equal seeds give equal streams on every machine.
 */
#ifndef UPSTREAM_CHANCE_H
#define UPSTREAM_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

struct chance {
	uint64_t state; /* any value is a seed */
};

uint64_t chance_next(struct chance *c);
double chance_unit(struct chance *c); /* [0, 1) */
/* median * e^(sigma * standard normal) */
double chance_lognormal(struct chance *c, double median, double sigma);

enum latency_shape { LATENCY_UNIFORM, LATENCY_LOGNORMAL };

struct latency { /* zeroed: no latency */
	enum latency_shape shape;
	double low_ms; /* the median, of a lognormal */
	double high_ms;
	double sigma;
};

/* "8000", "300-800" or "lognormal:2000:0.6"; false if it is none of them. */
bool latency_parse(struct latency *l, const char *spec);
double latency_draw_ms(const struct latency *l, struct chance *c);

#endif
