#include "supervise.h"

#include <signal.h>

enum {
	SUPERVISE_POLL_MS = 20,
	SUPERVISE_BACK_OFF_MS = 500,
	SUPERVISE_BACK_OFF_MAX_MS = 30000,
	SUPERVISE_STEADY_MS = 60000, /* ran so long: not a failed start */
};

static const int watched[] = { SIGCHLD, SIGINT, SIGTERM, SIGHUP };

struct supervisor {
	const struct cli *cli;
	uv_loop_t loop;
	uv_signal_t signals[NITEMS(watched)];
	struct ward *wards;
	size_t n;
	struct ward *stopping; /* the one that is to end now */
	bool stop;
	void (*on_stop)(void *arg);
	void *arg;
};

enum slc_rc
ward_start(struct ward *w, struct slc_err *err)
{
	if (w->prepare != NULL)
		w->prepare(w->arg, &w->spec);
	w->log_from = child_log_end(w->spec.log);
	return child_start(&w->spec, &w->pid, err);
}

void
ward_stop(struct ward *w)
{
	char how[64];

	if (w->pid == 0)
		return;
	kill(w->pid, w->stop_signal);
	for (int64_t ms = 0; !child_ended(w->pid, how);
	     ms += SUPERVISE_POLL_MS) {
		if (ms == w->stop_ms)
			kill(w->pid, w->kill_signal);
		uv_sleep(SUPERVISE_POLL_MS);
	}
	w->pid = 0;
}

static void ward_on_timer(uv_timer_t *timer);

/* It ended, or could not be started: again, a little later each time. */
static void
start_later(struct ward *w, const char *why)
{
	const struct supervisor *s = w->by;
	struct buf words = { 0 };
	int64_t ran_ms = (int64_t)uv_now(&s->loop) - w->started_ms;

	w->back_off_ms *= 2;
	if (w->back_off_ms > SUPERVISE_BACK_OFF_MAX_MS)
		w->back_off_ms = SUPERVISE_BACK_OFF_MAX_MS;
	if (w->back_off_ms == 0 || ran_ms > SUPERVISE_STEADY_MS)
		w->back_off_ms = SUPERVISE_BACK_OFF_MS;
	child_last_words(w->spec.log, w->log_from, &words);
	cli_note(s->cli, "%s %s%s%.150s; starting it again in %.1f s (see %s)",
	    w->name, why, words.n > 0 ? ": " : "", buf_cstr(&words),
	    (double)w->back_off_ms / 1000, w->spec.log);
	buf_fini(&words);
	uv_timer_start(&w->timer, ward_on_timer, (uint64_t)w->back_off_ms, 0);
}

static void
ward_on_timer(uv_timer_t *timer)
{
	struct ward *w = timer->data;
	struct supervisor *s = w->by;
	struct slc_err err;

	if (s->stop) {
		if (w->pid != 0)
			kill(w->pid, w->kill_signal);
		return;
	}
	w->started_ms = (int64_t)uv_now(&s->loop);
	if (ward_start(w, &err) != SLC_OK)
		start_later(w, err.text);
}

/* The last ward that still runs; when none does, the loop is let go. */
static void
stop_next(struct supervisor *s)
{
	size_t i = s->n;

	while (i > 0 && s->wards[i - 1].pid == 0)
		i--;
	if (i > 0) {
		s->stopping = &s->wards[i - 1];
		kill(s->stopping->pid, s->stopping->stop_signal);
		uv_timer_start(&s->stopping->timer, ward_on_timer,
		    (uint64_t)s->stopping->stop_ms, 0);
		return;
	}
	for (i = 0; i < s->n; i++)
		uv_close((uv_handle_t *)&s->wards[i].timer, NULL);
	for (i = 0; i < NITEMS(watched); i++)
		uv_close((uv_handle_t *)&s->signals[i], NULL);
}

static void
look_for_ended(struct supervisor *s)
{
	char how[64];

	for (size_t i = 0; i < s->n; i++) {
		struct ward *w = &s->wards[i];

		if (w->pid == 0 || !child_ended(w->pid, how))
			continue;
		w->pid = 0;
		uv_timer_stop(&w->timer);
		if (!s->stop)
			start_later(w, how);
		else if (w == s->stopping)
			stop_next(s);
	}
}

static void
supervise_on_signal(uv_signal_t *handle, int signum)
{
	struct supervisor *s = handle->data;

	if (signum == SIGCHLD) {
		look_for_ended(s);
		return;
	}
	if (s->stop) {
		cli_note(s->cli, "stopping %s at once", s->stopping->name);
		kill(s->stopping->pid, s->stopping->kill_signal);
		return;
	}
	s->stop = true;
	cli_note(s->cli, "stopping; once more to hurry");
	for (size_t i = 0; i < s->n; i++)
		uv_timer_stop(&s->wards[i].timer);
	s->on_stop(s->arg);
	stop_next(s);
}

void
supervise(const struct cli *cli, struct ward *wards, size_t n,
    void (*on_stop)(void *arg), void *arg)
{
	struct supervisor s = { .cli = cli,
		.wards = wards,
		.n = n,
		.on_stop = on_stop,
		.arg = arg };

	uv_loop_init(&s.loop);
	for (size_t i = 0; i < n; i++) {
		wards[i].by = &s;
		wards[i].timer.data = &wards[i];
		wards[i].started_ms = (int64_t)uv_now(&s.loop);
		uv_timer_init(&s.loop, &wards[i].timer);
	}
	for (size_t i = 0; i < NITEMS(watched); i++) {
		s.signals[i].data = &s;
		uv_signal_init(&s.loop, &s.signals[i]);
		uv_signal_start(&s.signals[i], supervise_on_signal, watched[i]);
	}
	/* What ended before anybody listened. */
	look_for_ended(&s);
	uv_run(&s.loop, UV_RUN_DEFAULT);
	uv_loop_close(&s.loop);
}
