/*
 * worker - what worker/ does with runs: takes them ahead, sends lines at their
 * slots as seats allow, settles.  Its clock is its own.
 */
#ifndef SIM_WORKER_H
#define SIM_WORKER_H

#include "upstream.h"

enum { WORKER_AHEAD_US = 250000 };

struct worker *worker_new(struct sim *s, int id);
void worker_free(struct worker *w);
int worker_id(const struct worker *w);

/* Runs were written. */
void worker_news(struct sim *s);
/* The end of a call as the worker hears it; takes the call over. */
void worker_answer(struct sim *s, struct up_call *call);
/* Its worker is stopped: the event waits. */
bool
worker_defers(struct sim *s, const struct up_call *call, const struct event *e);

/* The process dies and another starts after a time; or it stops for a time;
 * or it is asked to end, and starts again. */
void worker_kill(struct sim *s, struct worker *w, int64_t for_us);
void worker_pause(struct sim *s, struct worker *w, int64_t for_us);
void worker_stop(struct sim *s, struct worker *w);

#endif
