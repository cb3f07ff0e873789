/*
 * leader_own - what leader.c and leader_look.c share.
 */
#ifndef SIM_LEADER_OWN_H
#define SIM_LEADER_OWN_H

#include "../../scheduler/dispatch_json.h"
#include "leader.h"
#include "store.h"
#include "worker.h"

/* As in scheduler/dispatcher.c. */
enum {
	TICK_US = 100000,
	LEASE_US = 3000000,
	LEASE_TRY_US = 500000,
	LANES_EVERY_US = 1000000,
	LANES_READ = 8,
	CHUNKS_READ = 16,
	RETRIES_READ = 512,
	RETRY_AHEAD_US = 700000,
	REAP_EVERY_US = 1000000,
	ESTIMATES_EVERY_US = 10000000,
	EXPLAIN_EVERY_US = 1000000,
	SLEEP_MAX_US = 5000000, /* with a backlog */
};

enum stage {
	STAGE_DEAD,
	STAGE_FOLLOW,
	STAGE_ASK,
	STAGE_LOADING,
	STAGE_IDLE,
	STAGE_LOOK,
	STAGE_COMMIT,
	STAGE_CHORE,
};

struct leader {
	int id;
	int64_t gen, wake, phase_us;
	int64_t paused_us;
	int64_t stop_us; /* it is stopped for so long before its next plan */
	enum stage stage;
	int64_t epoch;
	struct dispatch d;
	struct world world;
	int64_t ask_at, lanes_at, reap_at, estimates_at, explain_at;
	size_t lines_from;
	int64_t due_through;
	bool configure, asleep;
};

/* A transaction under way: it belongs to the database, whoever began it. */
struct call {
	struct leader *l;
	int64_t gen, epoch;
	enum fate fate;
	bool good, lanes, config;
	int64_t version, asked_us;
	struct buf doc,
	    config_doc; /* the poll or the plan; the configuration */
	struct st_cell *cells[LIMITS_MAX];
	size_t ncells[LIMITS_MAX];
	struct {
		int64_t id, deadline_us;
		int32_t next_line, lines_left;
	} * put;
	size_t nput;
	struct st_retry *retries;
	size_t nretries;
	int64_t due[LANES_READ], lines_of[LANES_READ];
	size_t ndue, nlines;
};

/* At the first of its ticks that is not before at. */
void leader_wake(struct sim *s, struct leader *l, int64_t at);
event_fn leader_on_tick;
/* Stopped processes hear and do nothing until they go on. */
bool leader_deaf(struct sim *s, const struct leader *l, const struct event *e);

struct call *
leader_call(struct sim *s, struct leader *l, enum stage stage, event_fn *exec);
void leader_call_free(struct call *c);
/* In the database: shall the transaction be done, and be heard of?  again: how
 * it is done when it comes late. */
bool
leader_exec(struct sim *s, struct call *c, event_fn *heard, event_fn *again);
bool leader_heard(struct sim *s, struct call *c, const struct event *e);
void leader_start_over(struct sim *s, struct leader *l);

/* leader_look.c */
void leader_look(struct sim *s, struct leader *l);
event_fn leader_exec_reap;

#endif
