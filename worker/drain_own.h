/*
 * drain_own - the worker between drain.c, its life, and drain_lease.c, what it
 * asks and tells the database while it has a lease.
 */
#ifndef WORKER_DRAIN_OWN_H
#define WORKER_DRAIN_OWN_H

#include "drain.h"

#include "hooks.h"
#include "provider.h"
#include "runs.h"

enum {
	DRAIN_LEASE_MS = 15000,
	DRAIN_START_AGAIN_MS = 1000,
};

enum stage {
	STAGE_DOWN, /* no worker row */
	STAGE_STARTING,
	STAGE_LIVE,
	STAGE_STOPPING, /* what is out comes in */
	STAGE_LEAVING,  /* worker_stop() */
	STAGE_CLOSING,
	STAGES
};

struct drain {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct drain_opts opts;
	char *name;
	struct db *takes, *settles;
	int64_t db_quiet_until_ms;
	struct paths paths;
	struct chunks *chunks;
	struct flush *flush;
	struct sender sender;
	struct live *live; /* NULL: none */
	struct hooks *hooks;
	struct provider *provider;
	enum stage stage;
	int64_t id;
	struct runs runs;
	int64_t era; /* of takes: one more when an answer is lost */
	bool unsure; /* the database may think that we have more runs */
	bool beating, taking, keeping, configuring, checking, checked;
	int64_t beat_at_ms, take_at_ms, refresh_at_ms, start_at_ms;
	int64_t beat_sent_us, take_sent_us; /* boot time */
	int64_t give_up_ms;                 /* stopping: calls are ended */
	bool gave_up;
	bool abandoned; /* calls, or outcomes of lines */
	bool told;      /* the database: stopping */
	int open;       /* parts still closing */
	void (*on_stopped)(void *arg);
	void *stopped_arg;
};

void drain_set_stage(struct drain *d, enum stage next);

/* Ask for lines, if there is room for any; what comes is begun. */
void drain_take(struct drain *d, int64_t now_ms);

/* An answer to a take was lost: nobody would send what we do not know of, so
 * say which runs we do know. */
void drain_keep(struct drain *d, int64_t now_ms);

/* Prolong the lease; tells seats, and hears of changes. */
void drain_beat(struct drain *d, int64_t now_ms);

/* Read paths and limits anew, unless that is under way. */
void drain_configure(struct drain *d);

#endif
