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
	ESTIMATE_OUTPUT = 512,
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
};

void estimate_learn(struct estimate *e, const struct estimate_sample *s);

/* Tokens to reserve for a body of so many bytes; cap < 0: none declared. */
int64_t estimate_input(const struct estimate *e, int64_t bytes);
int64_t estimate_output(const struct estimate *e, int64_t cap);

/* Latency that most calls stay under, in ms; 0 when nothing is known. */
double estimate_latency_ms(const struct estimate *e);

#endif
