#include "peer.h"

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uv.h>

struct tally *tally;

static pid_t child;

/* --- the handler: what a request does follows from its path --- */

struct job {
	struct http_req *req;
	void (*answer)(struct job *job);
	int64_t left; /* of a big answer */
	int64_t body;
	uv_timer_t timer;
	bool stalled, paused, closing;
	struct job *next;
};

static struct job *jobs;
static uv_loop_t loop;
static struct http_server *server;
static char block[64 << 10];

static void
job_stall(struct job *job, bool on)
{
	if (job->stalled != on)
		atomic_fetch_add(&tally->stalled, on ? 1 : -1);
	job->stalled = on;
}

static void
job_pause(struct job *job, bool on)
{
	if (job->paused == on)
		return;
	job->paused = on;
	atomic_fetch_add(&tally->paused, on ? 1 : -1);
	if (on)
		http_pause(job->req);
	else
		http_resume(job->req);
}

static void
answer_hello(struct job *job)
{
	http_answer(job->req, 200, "text/plain", SLICE("hello"));
}

/* The loop is deaf meanwhile. */
static void
answer_blocked(struct job *job)
{
	atomic_fetch_add(&tally->blocked, 1);
	poll(NULL, 0, 700);
	answer_hello(job);
}

static void
answer_body(struct job *job)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)job->body);
	http_set(job->req, "x-note", "line\r\nend: %s", "x");
	http_answer(job->req, 200, "text/plain", slice_str(text));
}

static void
answer_error(struct job *job)
{
	http_error(job->req, 401, "invalid_api_key", "key", "a \"bad\" key");
}

/* Who asks, as the handler sees it. */
static void
answer_who(struct job *job)
{
	struct slice path = http_path(job->req), query = http_query(job->req);
	struct slice h = http_header(job->req, "X-ThIng");
	struct buf b = { 0 }, value = { 0 };
	bool has = http_param(job->req, "p", &value);

	http_set(job->req, "x-method", "%s", http_method(job->req));
	buf_addf(&b, "%s %.*s %.*s %.*s %s %s", http_method(job->req),
	    (int)path.n, path.p, (int)query.n, query.p, (int)h.n,
	    h.p == NULL ? "" : h.p, has ? buf_cstr(&value) : "-",
	    http_peer(job->req));
	http_answer(job->req, 200, "text/plain", buf_slice(&b));
	buf_fini(&b);
	buf_fini(&value);
}

/* Too much for the socket, and head and body do not end together. */
static void
answer_page(struct job *job)
{
	http_answer(
	    job->req, 200, "text/plain", (struct slice){ block, 20011 });
}

/* What others wait for, from inside a callback of this one. */
static void
answer_release(struct job *job)
{
	for (struct job *other = jobs; other != NULL; other = other->next)
		if (slice_eq(http_path(other->req), "/wait"))
			other->answer(other);
	answer_hello(job);
}

static void
big_on_drain(struct http_req *req)
{
	struct job *job = http_user(req);

	atomic_fetch_add(&tally->drains, job->stalled);
	job_stall(job, false);
	while (job->left > 0) {
		size_t n = sizeof(block);

		if ((int64_t)n > job->left)
			n = (size_t)job->left;
		job->left -= (int64_t)n;
		if (!http_write(req, (struct slice){ block, n })) {
			job_stall(job, true);
			return;
		}
	}
	http_end(req);
}

static void
answer_big(struct job *job)
{
	struct buf n = { 0 };
	bool chunked = http_param(job->req, "chunked", &n);

	http_param(job->req, "n", &n);
	job->left = atoll(buf_cstr(&n));
	buf_fini(&n);
	http_start(job->req, 200, "text/plain", chunked ? -1 : job->left,
	    big_on_drain);
	big_on_drain(job->req);
}

/* Announces more than it gives, then gives up, or pretends to be done. */
static void
answer_part(struct job *job)
{
	bool chunked = http_query(job->req).n > 0;

	http_start(job->req, 200, "text/plain", chunked ? -1 : 100, NULL);
	http_write(job->req, SLICE("0123456789"));
	if (chunked)
		http_abort(job->req);
	else
		http_end(job->req);
}

static void
echo_on_drain(struct http_req *req)
{
	struct job *job = http_user(req);

	job_stall(job, false);
	job_pause(job, false);
}

enum {
	DO_NOW = 1,
	DO_AT_END = 2,
	DO_LATER = 4,
	DO_SLOW = 8,
	DO_ECHO = 16,
	DO_STOP = 32
};
static const struct {
	const char *path;
	unsigned when;
	void (*answer)(struct job *job);
} routes[] = {
	{ "/", DO_AT_END, answer_hello },
	{ "/now", DO_NOW, answer_hello },
	{ "/count", DO_AT_END, answer_body },
	{ "/slow", DO_AT_END | DO_SLOW, answer_body },
	{ "/stop", DO_AT_END | DO_STOP, answer_body },
	{ "/later", DO_LATER, answer_hello },
	{ "/late", DO_LATER | DO_STOP, answer_hello },
	{ "/wait", 0, answer_hello },
	{ "/release", DO_NOW, answer_release },
	{ "/page", DO_NOW, answer_page },
	{ "/block", DO_NOW, answer_blocked },
	{ "/error", DO_NOW, answer_error },
	{ "/who", DO_NOW, answer_who },
	{ "/big", DO_NOW, answer_big },
	{ "/part", DO_NOW, answer_part },
	{ "/echo", DO_ECHO, NULL },
};

static unsigned
route(struct http_req *req, struct job *job)
{
	for (size_t i = 0; i < NITEMS(routes); i++)
		if (slice_eq(http_path(req), routes[i].path)) {
			job->answer = routes[i].answer;
			return routes[i].when;
		}
	job->answer = answer_hello;
	return DO_AT_END;
}

static void
job_on_timer(uv_timer_t *timer)
{
	struct job *job = timer->data;

	if (route(job->req, job) & DO_SLOW)
		job_pause(job, false);
	else
		job->answer(job);
}

static void
on_request(struct http_req *req, void *ctx)
{
	struct job *job = xcalloc(1, sizeof(*job));
	unsigned when = route(req, job);

	atomic_fetch_add(&tally->requests, 1);
	job->req = req;
	job->next = jobs;
	jobs = job;
	job->timer.data = job;
	uv_timer_init(ctx, &job->timer);
	http_set_user(req, job);
	if (when & DO_NOW)
		job->answer(job);
	if (when & DO_LATER)
		uv_timer_start(&job->timer, job_on_timer, 1, 0);
	if (when & DO_STOP)
		job_pause(job, true);
	if (when & DO_ECHO)
		http_start(req, 200, "text/plain", http_body_length(req),
		    echo_on_drain);
}

static void
on_body(struct http_req *req, struct slice piece)
{
	struct job *job = http_user(req);
	unsigned when = route(req, job);

	atomic_fetch_add(&tally->pieces, 1);
	atomic_fetch_add(&tally->body, (long)piece.n);
	job->body += (int64_t)piece.n;
	if (when & DO_SLOW) {
		job_pause(job, true);
		uv_timer_start(&job->timer, job_on_timer, 2, 0);
	}
	if (when & DO_ECHO && !http_write(req, piece)) {
		job_stall(job, true);
		job_pause(job, true);
	}
}

static void
on_body_end(struct http_req *req)
{
	struct job *job = http_user(req);
	unsigned when = route(req, job);

	atomic_fetch_add(&tally->bodies, 1);
	if (when & DO_AT_END)
		job->answer(job);
	if (when & DO_ECHO)
		http_end(req);
}

static void
job_on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void
on_gone(struct http_req *req)
{
	struct job **p = &jobs, *job = http_user(req);

	atomic_fetch_add(&tally->gone, 1);
	job_stall(job, false);
	if (job->paused)
		atomic_fetch_add(&tally->paused, -1);
	while (*p != job)
		p = &(*p)->next;
	*p = job->next;
	uv_close((uv_handle_t *)&job->timer, job_on_closed);
}

static const struct http_handler handler = { on_request, on_body, on_body_end,
	on_gone };

/* --- the process --- */

static uv_signal_t term, usr1;

static void
on_closed(void *arg)
{
	uv_close(arg, NULL);
}

static void
on_term(uv_signal_t *signal, int number)
{
	(void)number;
	uv_close((uv_handle_t *)signal, NULL);
	http_close(server, 1000, on_closed, &usr1);
}

/* Whatever waits, goes on. */
static void
on_usr1(uv_signal_t *signal, int number)
{
	(void)signal, (void)number;
	for (struct job *job = jobs; job != NULL; job = job->next)
		if (job->paused)
			job_pause(job, false);
		else if (slice_eq(http_path(job->req), "/wait"))
			job->answer(job);
}

static int
serve(const struct http_opts *opts)
{
	struct slc_err err;

	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* no orphan, however a test ends */
	malloc_trim(0); /* what the parent left would hide what we take */
	uv_loop_init(&loop);
	server = http_listen(&loop, opts, &handler, &loop, &err);
	if (server == NULL) {
		fprintf(stderr, "# %s\n", err.text);
		tally->port = -1;
		uv_run(&loop, UV_RUN_DEFAULT);
		return 2 + (uv_loop_close(&loop) != 0);
	}
	uv_signal_init(&loop, &term);
	uv_signal_start(&term, on_term, SIGTERM);
	uv_signal_init(&loop, &usr1);
	uv_signal_start(&usr1, on_usr1, SIGUSR1);
	tally->port = http_port(server) > 0 ? http_port(server) : 1;
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop) != 0 || jobs != NULL;
}

void
serve_start(const struct http_opts *opts)
{
	struct http_opts o = *opts;

	if (tally == NULL)
		tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(tally, 0, sizeof(*tally));
	if (o.listen == NULL)
		o.listen = "127.0.0.1:0";
	fflush(stdout);
	child = fork();
	if (child == 0)
		exit(serve(&o));
	reaches(&tally->port, 1);
}

void
serve_signal(int sig)
{
	kill(child, sig);
}

int
serve_wait(void)
{
	int status = -1;

	waitpid(child, &status, 0);
	return status;
}

int
serve_stop(void)
{
	serve_signal(SIGTERM);
	return serve_wait();
}

long
serve_memory_kb(const char *what)
{
	char path[64], line[256];
	long kb = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)child);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, what, strlen(what)) == 0)
			kb = atol(line + strlen(what) + 1);
	if (f != NULL)
		fclose(f);
	return kb;
}

double
serve_cpu_s(void)
{
	char path[64], line[512] = "";
	unsigned long user = 0, sys = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)child);
	f = fopen(path, "r");
	if (f != NULL && fgets(line, sizeof(line), f) != NULL)
		sscanf(line,
		    "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
		    "%lu %lu",
		    &user, &sys);
	if (f != NULL)
		fclose(f);
	return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}
