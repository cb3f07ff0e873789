#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "js.h"
#include "out.h"
#include "path_frame.h"
#include "progress.h"

enum {
	WATCH_EVERY_MS = 1000,
	WATCH_AWAY_MS = 600000, /* the server may be gone so long */
	WATCH_COUNT_MAX = 1000000000,
	WATCH_WIDTH = 80,
	WATCH_HEIGHT = 24,
};

/* A screen of its own, without wrapping and cursor; and back. */
#define SCREEN_ENTER "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
#define SCREEN_LEAVE "\x1b[?7h\x1b[?25h\x1b[?1049l"

struct watch {
	struct cli *cli;
	struct client client;
	struct buf url;
	json_t *last;    /* what the server showed */
	bool terminal;   /* redraw in place */
	int64_t away_ms; /* since when the server is away; 0: it is not */
	struct slc_err trouble;
};

/* What a signal leaves on the terminal, which then is as it was. */
static struct buf farewell;
static volatile sig_atomic_t resized;

static void
watch_on_signal(int signum)
{
	if (farewell.n > 0 && write(STDOUT_FILENO, farewell.p, farewell.n) < 0)
		_exit(CLI_ERROR);
	if (signum == SIGINT)
		_exit(CLI_INTERRUPTED);
	signal(signum, SIG_DFL);
	raise(signum);
}

static void
watch_on_resize(int signum)
{
	(void)signum;
	resized = 1;
}

static const int ends[] = { SIGINT, SIGTERM, SIGHUP };

static void
catch_signals(bool on)
{
	struct sigaction end = { .sa_handler = on ? watch_on_signal : SIG_DFL };
	struct sigaction resize = { .sa_handler =
					on ? watch_on_resize : SIG_DFL };

	for (size_t i = 0; i < NITEMS(ends); i++)
		sigaction(ends[i], &end, NULL);
	sigaction(SIGWINCH, &resize, NULL);
}

/* The last frame, on the screen that was there before. */
static void
set_farewell(struct slice frame)
{
	sigset_t mask, old;

	sigemptyset(&mask);
	for (size_t i = 0; i < NITEMS(ends); i++)
		sigaddset(&mask, ends[i]);
	sigprocmask(SIG_BLOCK, &mask, &old);
	buf_clear(&farewell);
	buf_adds(&farewell, SCREEN_LEAVE);
	if (frame.n > 0)
		buf_add(&farewell, frame.p, frame.n);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void
put(struct slice text)
{
	if (text.n > 0)
		fwrite(text.p, 1, text.n, stdout);
	fflush(stdout);
}

/*
 * Every line is written over its old self and cleared behind, all in one go: a
 * screen that is wiped first would flicker.
 */
static void
draw(const struct watch *w)
{
	struct path_frame frame = { .width = WATCH_WIDTH,
		.height = WATCH_HEIGHT,
		.ascii = out_ascii(),
		.trouble = w->away_ms != 0 ? w->trouble.text : NULL };
	struct winsize size;
	struct buf text = { 0 }, screen = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 &&
	    size.ws_row > 0) {
		frame.width = size.ws_col;
		frame.height = size.ws_row;
	}
	path_frame(w->last, &frame, &text);
	set_farewell(buf_slice(&text));
	buf_adds(&screen, "\x1b[H");
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\n')
			buf_adds(&screen, i + 1 < text.n ? "\x1b[K\r\n" : "");
		else
			buf_addc(&screen, text.p[i]);
	}
	buf_adds(&screen, "\x1b[K\x1b[J");
	put(buf_slice(&screen));
	buf_fini(&screen);
	buf_fini(&text);
}

static void
print_line(const json_t *path, struct buf *to)
{
	time_t now = time(NULL);
	char at[OUT_TIME_MAX];

	buf_addf(to, "%s ", out_time((int64_t)now, at));
	path_frame_line(path, to);
	buf_addc(to, '\n');
}

static void
show(const struct watch *w)
{
	const json_t *list = json_object_get(w->last, "data");
	struct buf text = { 0 };

	if (w->terminal) {
		draw(w);
		return;
	}
	if (out_json(w->cli, buf_slice(&w->client.body)))
		return;
	for (size_t i = 0; i < json_array_size(list); i++)
		print_line(json_array_get(list, i), &text);
	if (list == NULL)
		print_line(w->last, &text);
	put(buf_slice(&text));
	buf_fini(&text);
}

/* Look once; that the server is away is borne for a while. */
static enum slc_rc
look(struct watch *w, bool *seen, struct slc_err *err)
{
	json_t *shown = NULL;
	enum slc_rc rc = client_call(
	    &w->client, "GET", buf_cstr(&w->url), NULL, &shown, err);

	*seen = rc == SLC_OK;
	if (rc == SLC_EDB) {
		if (w->away_ms == 0)
			w->away_ms = progress_now();
		if (w->trouble.rc == SLC_OK && !w->terminal)
			cli_note(w->cli, "%s; still trying", err->text);
		w->trouble = *err;
		return progress_now() - w->away_ms > WATCH_AWAY_MS ? rc
								   : SLC_OK;
	}
	if (rc != SLC_OK)
		return rc;
	if (w->away_ms != 0 && !w->terminal)
		cli_note(w->cli, "the server is back");
	w->away_ms = 0;
	w->trouble = (struct slc_err){ 0 };
	json_decref(w->last);
	w->last = shown;
	return SLC_OK;
}

/* A terminal that changes its size is drawn anew at once. */
static void
sleep_until(const struct watch *w, int64_t at_ms)
{
	int64_t left_ms;

	while ((left_ms = at_ms - progress_now()) > 0) {
		nanosleep(&(struct timespec){ left_ms / 1000,
			      left_ms % 1000 * 1000000 },
		    NULL);
		if (resized && w->terminal)
			draw(w);
		resized = 0;
	}
}

static enum slc_rc
run(struct watch *w, int64_t count, struct slc_err *err)
{
	int64_t next_ms = progress_now();
	enum slc_rc rc;
	bool seen;

	for (;;) {
		rc = look(w, &seen, err);
		if (rc != SLC_OK)
			return rc;
		if (seen || w->terminal)
			show(w);
		if (seen && count > 0 && --count == 0)
			return SLC_OK;
		if (ferror(stdout))
			return slc_fail(
			    err, SLC_EIO, "cannot write: %s", strerror(errno));
		next_ms += WATCH_EVERY_MS;
		/* After a long wait for the server: from now on. */
		if (next_ms < progress_now())
			next_ms = progress_now();
		sleep_until(w, next_ms);
	}
}

enum cli_exit
cmd_path_watch(struct cli *cli)
{
	const char *term = getenv("TERM");
	struct watch w = { .cli = cli,
		.terminal = isatty(STDOUT_FILENO) && !cli->json &&
		    term != NULL && strcmp(term, "dumb") != 0 };
	int64_t count = 0;
	struct slc_err err;
	enum slc_rc rc;

	if (cli_int(cli, "count", 1, WATCH_COUNT_MAX, &count, &err) != SLC_OK)
		return cli_usage(cli, "%s", err.text);
	rc = client_open(&w.client, cli, &err);
	if (cli->noperands > 0)
		client_path("/admin/v1/paths/", cli->operand[0], "", &w.url);
	else
		buf_adds(&w.url, "/admin/v1/paths");
	if (rc == SLC_OK) {
		if (w.terminal) {
			set_farewell((struct slice){ NULL, 0 });
			put(slice_str(SCREEN_ENTER));
		}
		catch_signals(true);
		rc = run(&w, count, &err);
		catch_signals(false);
		put(buf_slice(&farewell));
	}
	buf_fini(&farewell);
	json_decref(w.last);
	buf_fini(&w.url);
	client_close(&w.client);
	return rc == SLC_OK ? CLI_OK : cli_fail(cli, &err);
}
