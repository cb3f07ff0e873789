/*
 * world - the planner in virtual time: batches, their lines as a dispatcher
 * reads them, calls that leave at their slots and answer after a while, and a
 * plan every 0.1 s that knows of them.
 *
 * There is one world, w; a test starts it, adds batches and lets it run.
 */
#ifndef TESTS_UNIT_WORLD_H
#define TESTS_UNIT_WORLD_H

#include "../../../scheduler/dispatch.h"

#define S INT64_C(1000000)

enum {
	WORLD_CALLS = 400000,
	WORLD_BATCHES = 64,
	WORLD_MANY = 1000000, /* lines of a batch that does not end */
	WORLD_STEP_US = 100000,
	WORLD_READ_CHARS = 4, /* of a token */
};

/* Its lane is its place, from 1. */
struct world_batch {
	int64_t account, from_us, deadline_us; /* after the start; 0: far off */
	int priority, weight;
	int32_t tokens; /* each line takes, one in five of them as input */
	int32_t lines;
	const char *model;
	int32_t shape; /* a limit of its caller; 0: none */
	/* as it runs */
	int32_t next;              /* lines that were granted */
	int64_t first_us, last_us; /* slots */
};

struct world_call {
	int64_t slot_us, keep_us, sent_us, end_us;
	int32_t est_input, est_output;
	int32_t input, output; /* as its answer says */
	int32_t units;         /* the upstream charges */
	int32_t bytes, line;
	int64_t late_us; /* as is told; 0: nothing is */
	size_t batch;
	bool settled;
};

struct unit_world {
	struct dispatch d;
	int64_t start, now, latency_us;
	struct world_batch batches[WORLD_BATCHES];
	size_t nbatches;
	struct world_call calls[WORLD_CALLS]; /* in the order of their grants */
	size_t n, settled;
	int64_t lapsed;
	uint64_t chance;
	/* Where lines or calls of a test are others: a line (from 1) as it is
	 * read; a call before it leaves, false: it lapses. */
	void (*line)(
	    struct world_batch *b, int32_t number, struct dispatch_line *line);
	bool (*leave)(struct world_call *c);
};

extern struct unit_world w;

/* Uniform, [0, 1). */
double world_chance(void);

/* One path, 1, without a concurrency to find. */
void world_configure(
    struct dispatch *d, const struct dispatch_conf_limit *limits, size_t n);
void world_start(const struct dispatch_conf_limit *limits, size_t n);
void world_stop(void);

/* Its place among w.batches.  Zero: of model "m", without end, due in a month.
 */
size_t world_add(struct world_batch b);

/* What a step does before its plan: tell of calls and lanes, read lines. */
void world_look(void);
void world_run_for_s(int64_t seconds);

/* Calls in the order in which they were sent. */
void world_sort(void);
/* The most of units, or calls, in any closed window. */
int64_t world_worst(int64_t window_us, bool tokens);
/*
 * Share of a limit that was used from so long after the first send on, from one
 * send to another, the last one not counted: as bench/limits has it.
 */
double
world_used(int64_t amount, int64_t window_us, bool tokens, int64_t after_s);

#endif
