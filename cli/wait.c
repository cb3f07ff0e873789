#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "batch.h"
#include "js.h"
#include "out.h"
#include "progress.h"

enum {
	WAIT_POLL_MIN_MS = 250,
	WAIT_POLL_MAX_MS = 2000,
	WAIT_AWAY_MS = 600000, /* the server may be gone so long */
	WAIT_SAMPLES = 32,
	WAIT_RATE_MS = 30000, /* the rate is of the last so many */
};

struct wait {
	struct cli *cli;
	struct client *client;
	char *const *ids;
	json_t **last;
	size_t n, open;
	bool stream;
	enum cli_exit code;
	int64_t away_ms; /* since when the server is away; 0: it is not */
	struct progress progress;
	struct {
		int64_t at_ms, done;
	} samples[WAIT_SAMPLES]; /* a ring */
	size_t nsamples;
};

/* What to say when interrupted; written by a signal handler. */
static struct buf detached;

static void
wait_on_interrupt(int signum)
{
	(void)signum;
	if (write(STDERR_FILENO, detached.p, detached.n) < 0)
		_exit(CLI_ERROR);
	_exit(CLI_INTERRUPTED);
}

static void
catch_interrupt(const struct wait *w, bool on)
{
	struct sigaction sa = { .sa_handler =
				    on ? wait_on_interrupt : SIG_DFL };
	struct buf ids = { 0 };

	for (size_t i = 0; on && i < w->n; i++) {
		buf_addc(&ids, ' ');
		out_clean(&ids, slice_str(w->ids[i]));
	}
	if (on)
		buf_addf(&detached,
		    "\nsluice: detached; the server goes on. Watch it again: "
		    "sluice watch%s\n",
		    buf_cstr(&ids));
	sigaction(SIGINT, &sa, NULL);
	if (!on)
		buf_fini(&detached);
	buf_fini(&ids);
}

/* The exit code of several batches is that of the worst. */
static enum cli_exit
worse(enum cli_exit a, enum cli_exit b)
{
	static const enum cli_exit order[] = { CLI_ERROR, CLI_DEADLINE,
		CLI_CANCELLED, CLI_FAILED_LINES };

	for (size_t i = 0; i < NITEMS(order); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return CLI_OK;
}

static void
say_final(const struct wait *w, const json_t *batch)
{
	const json_t *counts = json_object_get(batch, "request_counts");
	const char *status = js_text(batch, "status");
	char span[OUT_TIME_MAX], at[32];
	int64_t s;

	snprintf(at, sizeof(at), "%s_at", status);
	s = js_int(batch, at) - js_int(batch, "created_at");
	cli_note(w->cli,
	    "%s %s: %" PRId64 " done, %" PRId64 " failed of %" PRId64 " in %s",
	    js_text(batch, "id"), status, js_int(counts, "completed"),
	    js_int(counts, "failed"), js_int(counts, "total"),
	    out_span(s > 0 ? s : 0, span));
	batch_say_faults(w->cli, batch);
}

/* Lines a second over the last half minute; 0 while there is none. */
static double
rate(struct wait *w, int64_t done, int64_t now_ms)
{
	size_t oldest =
	    w->nsamples > WAIT_SAMPLES ? w->nsamples - WAIT_SAMPLES : 0;
	size_t i = oldest;

	w->samples[w->nsamples % WAIT_SAMPLES].at_ms = now_ms;
	w->samples[w->nsamples++ % WAIT_SAMPLES].done = done;
	while (i + 2 < w->nsamples &&
	    now_ms - w->samples[i % WAIT_SAMPLES].at_ms > WAIT_RATE_MS)
		i++;
	if (now_ms == w->samples[i % WAIT_SAMPLES].at_ms)
		return 0;
	return (double)(done - w->samples[i % WAIT_SAMPLES].done) * 1000 /
	    (double)(now_ms - w->samples[i % WAIT_SAMPLES].at_ms);
}

static void
show(struct wait *w)
{
	int64_t total = 0, completed = 0, failed = 0, ended;
	struct buf waits = { 0 };
	char bar[32], left[OUT_TIME_MAX], span[OUT_TIME_MAX], who[96];
	double per_s;

	for (size_t i = 0; i < w->n; i++) {
		const json_t *counts = js_at(w->last[i], "request_counts");

		total += js_int(counts, "total");
		completed += js_int(counts, "completed");
		failed += js_int(counts, "failed");
	}
	ended = completed + failed;
	per_s = rate(w, ended, progress_now());
	if (!progress_due(&w->progress))
		return;
	if (w->n == 1)
		snprintf(who, sizeof(who), "%s", js_text(w->last[0], "status"));
	else
		snprintf(
		    who, sizeof(who), "%zu of %zu batches open", w->open, w->n);
	strcpy(left, "");
	if (per_s > 0 && ended < total)
		snprintf(left, sizeof(left), ", about %s left",
		    out_span(
			1 + (int64_t)((double)(total - ended) / per_s), span));
	for (size_t i = 0; i < w->n && waits.n == 0; i++)
		if (w->n == 1 || batch_is_stuck(w->last[i]))
			batch_waits(w->last[i], &waits);
	progress_show(&w->progress,
	    "%s %s %" PRId64 "/%" PRId64 " done, %" PRId64
	    " failed, %.1f/s%s%s%s",
	    who, progress_bar(ended, total, bar), completed, total, failed,
	    per_s, left, waits.n > 0 ? ", " : "", buf_cstr(&waits));
	buf_fini(&waits);
}

/* Look at one batch; SLC_EDB is borne for a while. */
static enum slc_rc
look(struct wait *w, size_t i, struct slc_err *err)
{
	json_t *batch = NULL;
	enum slc_rc rc = batch_get(w->client, w->ids[i], &batch, err);
	enum cli_exit code;

	if (rc == SLC_EDB) {
		if (w->away_ms == 0) {
			progress_end(&w->progress);
			cli_note(w->cli, "%s; still trying", err->text);
			w->away_ms = progress_now();
		}
		return progress_now() - w->away_ms > WAIT_AWAY_MS ? rc : SLC_OK;
	}
	if (rc != SLC_OK)
		return rc;
	if (w->away_ms != 0)
		cli_note(w->cli, "the server is back");
	w->away_ms = 0;
	if (w->stream && !json_equal(batch, w->last[i]))
		out_json(w->cli, buf_slice(&w->client->body));
	json_decref(w->last[i]);
	w->last[i] = batch;
	if (batch_final(batch, &code)) {
		w->code = worse(w->code, code);
		w->open--;
		progress_end(&w->progress);
		say_final(w, batch);
	}
	return SLC_OK;
}

enum cli_exit
batch_wait(struct cli *cli, struct client *c, char *const *ids, size_t n,
    bool stream, json_t **last)
{
	struct wait w = { .cli = cli,
		.client = c,
		.ids = ids,
		.last = last,
		.n = n,
		.open = n,
		.stream = stream };
	int64_t poll_ms = WAIT_POLL_MIN_MS;
	enum slc_rc rc = SLC_OK;
	struct slc_err err;
	enum cli_exit code;

	catch_interrupt(&w, true);
	progress_begin(&w.progress, cli);
	for (;;) {
		for (size_t i = 0; i < n && rc == SLC_OK; i++)
			if (!batch_final(last[i], &code))
				rc = look(&w, i, &err);
		if (rc != SLC_OK || w.open == 0)
			break;
		show(&w);
		nanosleep(&(struct timespec){ poll_ms / 1000,
			      poll_ms % 1000 * 1000000 },
		    NULL);
		poll_ms = poll_ms * 5 / 4;
		if (poll_ms > WAIT_POLL_MAX_MS)
			poll_ms = WAIT_POLL_MAX_MS;
	}
	progress_end(&w.progress);
	catch_interrupt(&w, false);
	return rc == SLC_OK ? w.code : cli_fail(cli, &err);
}
