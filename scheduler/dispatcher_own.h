/*
 * dispatcher_own - what dispatcher.c (the lease, what is looked at and
 * planned), dispatcher_look.c (what a look asks for) and dispatcher_chores.c
 * (what else a leader does) share.
 */
#ifndef SCHEDULER_DISPATCHER_OWN_H
#define SCHEDULER_DISPATCHER_OWN_H

#include <stdlib.h>

#include "dispatch.h"
#include "dispatch_json.h"
#include "dispatcher.h"

enum {
	LEASE_MS = 3000,
	LANES_READ = 8,   /* whose lines are read in one look */
	LANES_EACH = 128, /* of one account, model and class */
};

/* Where the loop is; every answer of the database moves it on. */
enum stage {
	STAGE_FOLLOW, /* another may hold the lease */
	STAGE_ASK,    /* for the lease */
	STAGE_LOAD,   /* leads, knows nothing yet */
	STAGE_LOADING,
	STAGE_IDLE, /* between two ticks */
	STAGE_LOOK,
	STAGE_COMMIT,
	STAGE_CHORE, /* reap or batches_end */
	STAGES
};

struct dispatcher {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct db *db;
	char *name;
	enum stage stage;
	int64_t epoch;
	struct dispatch d;
	struct world world;
	int64_t ask_at_ms, lanes_at_ms, reap_at_ms, publish_at_ms, sweep_at_ms,
	    estimates_at_ms, explain_at_ms, config_at_ms;
	struct dispatcher_opts opts;
	int64_t live_us;  /* live cells are known up to then; 0: none are */
	int64_t asked_us; /* monotonic: the look under way */
	bool configure;   /* the revision has moved */
	int hurry; /* so many looks without a pause: batches have come in */
	int64_t hurry_at_ms;
	bool lost; /* what was committed last, in a failover */
	bool publishing, sweeping;
	/* of the look under way: which statement answers what */
	int at_config, at_live, at_lanes, at_lines, at_retries;
	int64_t lines_of[LANES_READ], retries_of[LANES_READ];
	size_t nlines, nretries;
	size_t lines_from;   /* lane with which the next look begins */
	int64_t due_through; /* lane with which the last one ended */
	bool stopping;
	void (*on_stopped)(void *arg);
	void *stopped_arg;
};

/* The one way from stage to stage. */
void dispatcher_stage(struct dispatcher *dr, enum stage next);
/*
 * Whatever went wrong, what is in memory may differ from what is committed: it
 * is thrown away and read again, under the lease if it is still ours.
 */
void dispatcher_start_over(struct dispatcher *dr, const struct db_result *res);
/* Idle: do what is due next. */
void dispatcher_tick(struct dispatcher *dr, int64_t now_ms);
/* Ask for how things stand and what may go; dispatcher_on_looked() plans. */
void dispatcher_look(struct dispatcher *dr, int64_t now_ms);
void dispatcher_on_looked(struct db_result *res, void *arg);

#endif
