/*
 * store - what sql/ keeps and does, in memory and at once.
 *
 * Every function here is one transaction.  Callers bring the time it takes and
 * what may go wrong with it.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include <jansson.h>

#include "sim.h"

/* What the world knows of a line, whoever has it. */
struct st_line {
	int32_t bytes, cap, input, output; /* tokens it will really cost */
	int64_t work_us;                   /* what the upstream needs for it */
	uint8_t results, open; /* open: calls of workers that still count */
	int16_t faults, sends; /* faults: of the upstream, with this line */
};

struct st_lane {
	int64_t id;
	int32_t n, next_line, lines_left, settled;
	int64_t deadline_us;
	bool admitted;
	struct st_line *lines; /* [n] */
	struct rng rng;
};

struct st_retry {
	int64_t lane, not_before_us;
	int32_t line;
	int16_t tries, sends, refused;
};

struct st_run {
	int64_t id, lane, chunk, worker; /* worker 0: nobody's yet */
	int32_t path, first_line;
	int64_t send_us, keep_us, last_us; /* last_us: end of the last slot */
	bool metered;
	size_t n, nopen;
	struct {
		int16_t index, tries, sends, refused;
		bool open;
		int32_t slot_us, input, output;
	} lines[];
};

struct st_cell {
	int64_t cell, units;
};

struct st_limit {
	json_t *state; /* as the dispatcher wrote it */
	struct st_cell *cells;
	size_t n, cap;
};

struct st_seen {
	int64_t id;
	struct buf text;
};

enum st_state { ST_LIVE, ST_STOPPING, ST_DEAD };
struct st_worker {
	int64_t id;
	struct worker *who;
	int32_t most;
	int64_t era; /* of takes: older ones come too late */
	enum st_state state;
	/* NEVER while its process runs: then each beat would renew it. */
	int64_t lease_us;
};

struct st_seat {
	int32_t limit;
	int64_t worker;
	int32_t granted, target;
	int64_t frozen_us; /* 0: not */
};

struct store {
	struct st_lane **lanes;
	size_t nlanes;
	int64_t next_lane, next_run, next_seen, next_worker;
	struct st_retry *retries;
	size_t nretries, retries_cap;
	struct st_run **runs; /* by id */
	size_t nruns, runs_cap;
	struct st_limit limits[LIMITS_MAX];
	json_t *path_state, *estimates;
	int timeline;
	int64_t clock_offset_us;
	struct st_seen *seen;
	size_t nseen, seen_cap;
	struct st_worker *workers;
	size_t nworkers;
	struct st_seat *seats;
	size_t nseats;
	struct leader *holder;
	int64_t holder_gen, epoch, lease_us;
	int64_t version; /* moves when a dispatcher may find something new */
};

struct store *store_new(struct sim *s);
void store_free(struct store *st);

/* People ----------------------------------------------------------------- */

struct st_lane *store_batch(struct sim *s, int32_t lines, int64_t deadline_us);
struct st_lane *store_lane(struct store *st, int64_t id);
/* Lines of admitted lanes without a result; fresh ones only. */
int64_t store_backlog(const struct store *st);
int64_t store_open(const struct store *st);

/* The dispatcher's ------------------------------------------------------- */

/* The epoch, or 0 while another holds the lease. */
int64_t store_lease_take(struct sim *s, struct leader *l, int64_t gen);
/* Whoever holds it has stopped renewing it. */
void store_lease_dies(struct sim *s, struct leader *l, int64_t until_us);
/* It goes on after all, and renews what is still its own. */
void store_lease_lives(struct sim *s, struct leader *l, int64_t gen);
bool store_poll(struct sim *s, int64_t epoch, struct buf *out);
void store_config(const struct sim *s, struct buf *out);
bool store_commit(struct sim *s, int64_t epoch, const char *plan);
bool store_reap(struct sim *s, int64_t epoch);
/* When poll() or reap() will find something that waits for a time. */
int64_t store_next_us(const struct sim *s);

/* The workers' ----------------------------------------------------------- */

int64_t store_worker_start(struct sim *s, struct worker *w, int32_t most);
/* Its process has stopped beating. */
void store_worker_dies(struct sim *s, int64_t id, int64_t until_us);
void store_worker_lives(struct sim *s, int64_t id);
struct st_worker *store_worker(struct store *st, int64_t id);
/* false: the lease is lost.  held by limit, as in worker_beat(). */
bool store_beat(struct sim *s, int64_t id, bool stopping, const int32_t held[],
    int32_t targets[]);
/* A beat would change something, here or there. */
bool
store_beat_wanted(const struct sim *s, int64_t id, const int32_t targets[]);
void store_worker_stop(struct sim *s, int64_t id);
/* The first slot of the runs that nobody has. */
int64_t store_next_run_us(const struct store *st);
bool store_worker_live(const struct sim *s, int64_t id);
/* Takes up to lines of runs, of strict ones up to open; returns how many; -1:
 * lease lost. */
int store_take(struct sim *s, int64_t worker, int64_t era, int32_t lines,
    int32_t open, struct st_run ***out);

/* Of a take whose answer was lost: the worker holds these runs, no others.
 * false: the lease is lost. */
bool store_keep(
    struct sim *s, int64_t worker, int64_t era, const int64_t *runs, size_t n);

enum st_result { ST_OUTPUT, ST_ERROR, ST_AGAIN };
struct st_close {
	int64_t run, lane, wait_us;
	size_t at; /* in the run */
	int32_t line;
	enum st_result kind;
	int16_t tries, sends, refused;
	bool counted; /* failed for want of tries */
};
/* false: some line is another's; nothing was done. */
bool store_settle(struct sim *s, int64_t worker, const struct st_close *list,
    size_t n, const char *seen);
bool store_still_open(
    const struct store *st, int64_t worker, int64_t run, size_t at);
void store_again(struct store *st, const struct st_retry *r);
void store_result(struct sim *s, const struct st_close *c);
struct st_run *store_run(const struct store *st, int64_t id);

#endif
