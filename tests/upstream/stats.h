/*
 * stats - what arrived, when, and what became of it.
 *
 * Pure: times are passed in, ns since 1970.  It keeps its own log, whatever
 * the limiter thinks, so that windows can be counted after the fact: 48 bytes
 * for each arrival, about 40 for the two sets of hashes, and the text of its
 * Idempotency-Key.
 */
#ifndef UPSTREAM_STATS_H
#define UPSTREAM_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "limiter.h"
#include "text.h"

enum { MODELS_MAX = 1024, STATUS_MAX = 600, KINDS_MAX = 64 };
enum { KEY_TEXT_MAX = 255 };

enum fate {
	FATE_DENIED,   /* wrong key or no sensible request; never judged */
	FATE_REFUSED,  /* by a limit */
	FATE_ACCEPTED, /* charged, whatever was answered */
	FATE_FOREIGN_REFUSED,
	FATE_FOREIGN, /* charged */
	FATES
};

struct arrival {
	int64_t ns;
	uint64_t body;   /* hash */
	int64_t tokens;  /* charged, as the account stands now */
	int32_t input;   /* of them */
	uint32_t key_at; /* Idempotency-Key, in keys; 0: none */
	uint16_t status; /* 0: not answered */
	uint16_t model;
	char auth[4]; /* the last of Authorization */
	uint8_t fate;
	uint8_t fault; /* 1 + the kind's number; 0: none */
};

struct model {
	char *name; /* as in the JSON */
	int64_t running, most_running;
};

struct tally { /* how often each hash has come */
	uint64_t *slot;
	uint8_t *times; /* 0: the slot is free; stops at 255 */
	size_t size, n;
};

struct stats {
	bool no_log;
	struct arrival *log;
	size_t n, cap;
	uint32_t era; /* counts the resets */
	struct text keys;
	struct tally keys_seen, bodies_seen;

	uint64_t arrivals, fates[FATES];
	uint64_t status[STATUS_MAX], faults[KINDS_MAX];
	uint64_t prompt_tokens, completion_tokens;
	uint64_t resends;    /* arrivals whose key had come before */
	uint64_t copies;     /* accepted, as an equal body had been before */
	uint64_t duplicates; /* copies without a key or with a known one */
	uint8_t most_copies, most_sends;
	uint64_t abandoned;   /* the client left before its answer */
	uint64_t connections; /* ever opened */
	uint64_t protocol_errors;
	int64_t first_ns, last_ns;

	int64_t running, most_running;
	double running_ns; /* the integral of running */
	int64_t running_from_ns, running_since_ns;

	struct model models[MODELS_MAX];
	size_t nmodels;
};

/* Forget all but the calls in progress and the models' names. */
void stats_reset(struct stats *s, int64_t now_ns);

/* The number of a model; all beyond MODELS_MAX share the last. */
uint16_t stats_model(struct stats *s, const char *name, size_t n);

/* What an arrival costs in each dimension. */
void stats_units(int64_t units[DIMS], const struct arrival *a);

/* Others' calls stand in the log and in fates, and count nowhere else. */
void stats_foreign(struct stats *s, const struct arrival *a);

/* Returns what stats_settle() knows the arrival by. */
uint64_t stats_arrive(
    struct stats *s, const struct arrival *a, const char *key, size_t key_n);
/* status 0: never answered. */
void stats_settle(struct stats *s, uint64_t ticket, int status, int64_t tokens);
void stats_start(struct stats *s, uint16_t model, int64_t now_ns);
void stats_stop(struct stats *s, uint16_t model, int64_t now_ns);

/* Most units accepted in any closed interval of l's window; all: others', too.
 */
int64_t
stats_max_in_window(const struct stats *s, const struct limit *l, bool all);

struct stats_query {
	double from_s, to_s; /* since the first arrival; to_s < 0: the last */
	bool series;
};

void stats_json(struct text *out, const struct stats *s,
    const struct limiter *limits, const struct stats_query *q, int64_t now_ns);

/* One line of JSON for each arrival from the first'th on. */
void stats_sends(
    struct text *out, const struct stats *s, size_t first, size_t count);

#endif
