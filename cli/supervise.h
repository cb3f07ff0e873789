/*
 * supervise - keeps children running, and stops them in order.
 */
#ifndef CLI_SUPERVISE_H
#define CLI_SUPERVISE_H

#include <uv.h>

#include "child.h"

/* A child to keep running; pid is 0 while it does not. */
struct ward {
	const char *name;
	void (*prepare)(void *arg, struct child_spec *spec); /* may be NULL */
	void *arg;
	struct child_spec spec;
	int stop_signal, kill_signal;
	int64_t stop_ms; /* from the one to the other */
	pid_t pid;
	off_t log_from; /* where what it writes begins */
	/* supervise.c's */
	struct supervisor *by;
	uv_timer_t timer;
	int64_t started_ms, back_off_ms;
};

enum slc_rc ward_start(struct ward *w, struct slc_err *err);

/* Stop it, if it runs, and wait for its end. */
void ward_stop(struct ward *w);

/*
 * Start again what ends, until SIGINT, SIGTERM or SIGHUP; then call on_stop and
 * stop the wards, the last one first, each when the one after it has ended.  A
 * second signal hurries the one that is being stopped.
 */
void supervise(const struct cli *cli, struct ward *wards, size_t n,
    void (*on_stop)(void *arg), void *arg);

#endif
