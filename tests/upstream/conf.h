/*
 * conf - the options: one table for the command line, --help and, by the same
 * names, the keys of POST /_control.
 */
#ifndef UPSTREAM_CONF_H
#define UPSTREAM_CONF_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "answer.h"
#include "chance.h"
#include "dialect.h"
#include "fault.h"
#include "foreign.h"
#include "limiter.h"

enum { CONF_KEYS_MAX = 32, CONF_KEY_MAX = 128 };

/* What a call costs its account in tokens. */
enum conf_charge {
	CHARGE_ACTUAL,            /* prompt and the answer to come */
	CHARGE_DECLARED,          /* prompt and max_tokens */
	CHARGE_DECLARED_REFUNDED, /* the same, corrected at the end */
	CHARGE_INPUT_ONLY,        /* prompt */
	CHARGE_ACTUAL_LATE,       /* actual, at the end; any room lets in */
};

struct conf { /* copied as a value */
	char host[64];
	int64_t port;
	char port_file[256];
	struct {
		char v[CONF_KEYS_MAX][CONF_KEY_MAX];
		size_t n;
	} keys;
	struct limiter limits; /* never charged: struct upstream has its own */
	enum conf_charge charge;
	int64_t declared_default;
	bool charge_refused;
	bool no_retry_after;
	enum dialect headers;
	struct foreign_plan foreign;
	struct latency latency;
	double token_ms;
	double chunk_ms;
	struct faults faults;
	struct {
		double from_s, to_s; /* since the start */
	} outage;
	int64_t idle_close_ms;
	bool close_once;
	bool reversed;
	double bytes_per_token, output_mean, output_cv;
	enum answer_style style;
	int64_t dimensions;
	int64_t seed;
	bool no_log;
};

void conf_default(struct conf *c);

/* False, with a message, when the arguments are wrong; help was asked for
 * when *help is true. */
bool
conf_args(struct conf *c, int argc, char **argv, bool *help, char err[160]);
void conf_help(FILE *to);

/*
 * Set one option while running.  A list replaces all that was there; true and
 * false switch a flag.  On failure c may be half changed: change a copy.
 */
bool conf_change(
    struct conf *c, const char *name, const json_t *value, char err[160]);

#endif
