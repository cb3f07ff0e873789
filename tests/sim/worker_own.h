/*
 * worker_own - what worker.c and worker_settle.c share.
 */
#ifndef SIM_WORKER_OWN_H
#define SIM_WORKER_OWN_H

#include "../../worker/health.h"
#include "store.h"
#include "worker.h"

enum { WORKER_TICK_US = 25000 };

enum wstate { W_WAITING, W_READY, W_SENDING, W_SETTLING };

struct wrun {
	int64_t id, lane, keep_us;
	int32_t first_line;
	bool metered;
	size_t n, open;
	struct wrun *next;
	struct wline *lines[];
};

struct wline {
	struct wrun *run;
	struct wline *next; /* ready */
	enum wstate state;
	int refs; /* its run, events */
	size_t at;
	int32_t line, bytes;
	int16_t tries, sends, refused;
	int32_t est_input, est_output;
	int64_t connect_us;                           /* of a new connection */
	int64_t slot_us, not_before_us, not_after_us; /* the latter boot time */
};

struct wresult {
	struct wline *line;
	struct st_close close;
	bool answered, ok, down, throttled;
	int64_t left_us; /* the answer, the upstream: true time */
	int64_t sent_us, answered_us, ms, in_flight, connect_us, wait_us;
	int32_t input, output;
	struct dialect_answer said;
	char wait_from[DIALECT_FROM_MAX + 1]; /* said points into itself */
};

enum wstage { WS_DEAD, WS_STARTING, WS_LIVE, WS_STOPPING };

struct worker {
	int id;
	int64_t gen, wake, beat, wid;
	int64_t offset_us; /* boot time less true time */
	int64_t phase_us, paused_us;
	enum wstage stage;
	int32_t most, in_flight, held;
	int32_t targets[LIMITS_MAX], used[LIMITS_MAX];
	int64_t lease_us; /* boot time */
	struct wrun *runs;
	struct wline *ready, **ready_last;
	struct wresult *results;
	size_t nresults, results_cap;
	bool flushing, flush_set, taking, asleep, beating;
	bool unsure;     /* the store may think that it has more runs */
	int64_t era;     /* of takes: one more when an answer is lost */
	int64_t held_us; /* nothing leaves before: boot time */
	int64_t take_at, learned_us, done;
	double done_per_s;
	struct health health;
	struct rng rng;
};

int64_t worker_boot(const struct sim *s, const struct worker *w);
/* Its process is stopped: the event waits. */
bool worker_deaf(struct sim *s, const struct worker *w, const struct event *e);
void worker_wake(struct sim *s, struct worker *w, int64_t at);
void wline_drop(struct wline *line);
/* The outcome is committed, or another's business. */
void worker_settled(struct worker *w, struct wline *line);
void worker_lost(struct sim *s, struct worker *w);

/* worker_send.c */
void worker_give_back(struct sim *s, struct worker *w, struct wline *line);
/* What is ready leaves if there is a seat, or goes back if it is late. */
void worker_pump(struct sim *s, struct worker *w);
event_fn worker_on_line; /* its slot has come */

/* worker_take.c */
event_fn worker_on_tick;
/* Nobody would send what it does not know of: it says what it does. */
void worker_keep(struct sim *s, struct worker *w);

/* worker_settle.c */
void worker_finish(struct sim *s, struct worker *w, struct wresult *r);
bool worker_quiet(const struct worker *w);

#endif
