/*
 * rng - seeded randomness; the same numbers on every run.
 */
#ifndef SIM_RNG_H
#define SIM_RNG_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline uint64_t
rng_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* splitmix64. */
static inline uint64_t
rng_next(struct rng *r)
{
	return rng_mix(r->state += UINT64_C(0x9e3779b97f4a7c15));
}

/* A stream of its own for each purpose. */
static inline struct rng
rng_new(uint64_t seed, uint64_t purpose)
{
	return (struct rng){ rng_mix(rng_mix(seed + 1) ^ purpose) };
}

/* [0, 1) */
static inline double
rng_unit(struct rng *r)
{
	return (double)(rng_next(r) >> 11) / 9007199254740992.0;
}

/* lo..hi, both included */
static inline int64_t
rng_range(struct rng *r, int64_t lo, int64_t hi)
{
	return lo + (int64_t)(rng_unit(r) * (double)(hi - lo + 1));
}

static inline bool
rng_chance(struct rng *r, double p)
{
	return rng_unit(r) < p;
}

/* Exponential with that mean: gaps of a Poisson process. */
static inline double
rng_exp(struct rng *r, double mean)
{
	return -mean * log(1 - rng_unit(r));
}

static inline double
rng_normal(struct rng *r)
{
	double u = 1 - rng_unit(r), v = rng_unit(r);

	return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static inline double
rng_lognormal(struct rng *r, double median, double sigma)
{
	return median * exp(sigma * rng_normal(r));
}

#endif
