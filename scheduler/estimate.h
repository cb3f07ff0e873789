/*
 * estimate - what a line will cost and how long it will take, as learned from
 * the answers of one model on one path.
 *
 * Pure.  Zeroed is a valid start: it answers with cautious guesses.
 */
#ifndef SCHEDULER_ESTIMATE_H
#define SCHEDULER_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	ESTIMATE_BYTES_PER_TOKEN = 3, /* before anything is known */
	ESTIMATE_RATIO_MAX =
	    2, /* tokens a byte; more is no usage to learn from */
	ESTIMATE_OUTPUT = 512,
	ESTIMATE_SPREAD = 400, /* standard deviation of that */
	ESTIMATE_AGES = 40,    /* classes of latency, each 1.25 of the last */
	ESTIMATE_AGE_MS = 25,  /* the first one's end */
	ESTIMATE_SEEDED = 30,  /* answers before which guesses are mixed in */
};

/* Sums over some answers; the squares give the spread. */
struct estimate_sample {
	int64_t n;
	double bytes, input, output, output2; /* tokens */
	double ms, ms2;                       /* latency */
};

struct estimate {
	double n;     /* answers learned from, fading */
	double ratio; /* input tokens per byte of body */
	double output, output2;
	double ms, ms2;
	/* The same answers by latency: those that are still out after a time
	 * are the long ones.  Not kept over a restart. */
	struct estimate_age {
		double n, output, output2; /* sums, fading */
	} ages[ESTIMATE_AGES];
};

void estimate_learn(struct estimate *e, const struct estimate_sample *s);
/* One answer with its latency. */
void estimate_learn_age(struct estimate *e, int64_t ms, int64_t output);

/* Tokens to reserve for a body of so many bytes; cap < 0: none declared. */
int64_t estimate_input(const struct estimate *e, int64_t bytes);
/* What an upstream that reserves it takes: the cap, or mean and deviation. */
int64_t estimate_output(const struct estimate *e, int64_t cap);

/*
 * Mean and variance of the output of a call that has been out for age_ms
 * without an answer (0: that is to leave).  cap < 0: none declared.
 */
void estimate_pending(const struct estimate *e, int64_t age_ms, int64_t cap,
    double *mean, double *variance);

/* Latency that most calls stay under, in ms; 0 when nothing is known. */
double estimate_latency_ms(const struct estimate *e);

#endif
