#include "upstream_loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/log.h>

enum { LOG_EVERY_US = 30000000 };

/*
 * A socket that libcurl watches.  Those of connections (kept) are watched for
 * reading from their opening to their closing, also between two calls: starting
 * and stopping costs libuv two system calls each time.  Others, such as the
 * resolver's, come and go without a word, and are watched while asked for.
 */
struct watch {
	uv_poll_t poll;
	struct upstream *u;
	curl_socket_t fd;
	bool kept;
	int wanted;  /* by libcurl: UV_READABLE, UV_WRITABLE, 0 between calls */
	int polling; /* by libuv */
};

static void
upstream_reap(struct upstream *u)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(u->multi, &left)) != NULL) {
		struct upstream_call *c;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(
		    msg->easy_handle, CURLINFO_PRIVATE, (char **)&c);
		call_finish(c, msg->data.result);
	}
}

static void
watch_on_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;

	free(w);
}

static void watch_on_ready(uv_poll_t *poll, int status, int events);

static void
watch_poll(struct watch *w, int events)
{
	if (events == w->polling)
		return;
	w->polling = events;
	if (events == 0)
		uv_poll_stop(&w->poll);
	else
		uv_poll_start(&w->poll, events, watch_on_ready);
}

static void
watch_on_ready(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	struct upstream *u = w->u;
	int flags = 0, running;

	/* Between two calls: the peer closes. libcurl sees it at the next. */
	if (w->wanted == 0) {
		watch_poll(w, 0);
		return;
	}
	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(u->multi, w->fd, flags, &running);
	upstream_reap(u);
}

static struct watch *
watch_new(struct upstream *u, curl_socket_t fd, bool kept)
{
	struct watch *w = xcalloc(1, sizeof(*w));

	if ((size_t)fd >= u->nwatches) {
		size_t n = (size_t)fd + 64;

		u->watches = xrealloc(u->watches, n * sizeof(*u->watches));
		memset(u->watches + u->nwatches, 0,
		    (n - u->nwatches) * sizeof(*u->watches));
		u->nwatches = n;
	}
	w->u = u;
	w->fd = fd;
	w->kept = kept;
	w->poll.data = w;
	if (uv_poll_init(u->loop, &w->poll, fd) != 0) {
		free(w);
		return NULL;
	}
	u->watches[fd] = w;
	return w;
}

static struct watch *
watch_find(const struct upstream *u, curl_socket_t fd)
{
	return (size_t)fd < u->nwatches ? u->watches[fd] : NULL;
}

static void
watch_end(struct watch *w)
{
	w->u->watches[w->fd] = NULL;
	uv_poll_stop(&w->poll);
	uv_close((uv_handle_t *)&w->poll, watch_on_closed);
}

/* The call is given back and comes again: an operator should know why. */
static void
no_socket(struct upstream_call *c, int error)
{
	int64_t now_us = boot_us();

	c->no_socket = true;
	if (now_us < c->u->log_at_us)
		return;
	log_warn("upstream.no_socket", "why=\"%s\"", strerror(error));
	c->u->log_at_us = now_us + LOG_EVERY_US;
}

curl_socket_t
upstream_on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct upstream_call *c = arg;
	int fd;

	(void)purpose;
	if (c->u->may_connect != NULL &&
	    !c->u->may_connect(&a->addr, c->u->may_arg)) {
		c->forbidden = true;
		return CURL_SOCKET_BAD;
	}
	fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
	/* Not for want of IPv6, say, but of room here. */
	if (fd < 0 && errno != EAFNOSUPPORT && errno != EPROTONOSUPPORT)
		no_socket(c, errno);
	if (fd >= 0 && watch_new(c->u, fd, true) == NULL) {
		close(fd);
		fd = -1;
		no_socket(c, ENOMEM);
	}
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

int
upstream_on_close(void *arg, curl_socket_t fd)
{
	struct watch *w = watch_find(arg, fd);

	if (w != NULL)
		watch_end(w);
	return close(fd);
}

static int
upstream_on_socket(
    CURL *easy, curl_socket_t fd, int what, void *arg, void *sockp)
{
	struct upstream *u = arg;
	struct watch *w = watch_find(u, fd);

	(void)easy;
	(void)sockp;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL && !w->kept)
			watch_end(w);
		else if (w != NULL)
			w->wanted = 0;
		return 0;
	}
	if (w == NULL && (w = watch_new(u, fd, false)) == NULL)
		return -1;
	w->wanted = (what != CURL_POLL_OUT ? UV_READABLE : 0) |
	    (what != CURL_POLL_IN ? UV_WRITABLE : 0);
	watch_poll(w, w->wanted);
	return 0;
}

static void
upstream_on_timer(uv_timer_t *timer)
{
	struct upstream *u = timer->data;
	int running;

	curl_multi_socket_action(u->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	upstream_reap(u);
}

static int
upstream_on_timeout(CURLM *multi, long ms, void *arg)
{
	struct upstream *u = arg;

	(void)multi;
	if (u->closing)
		return 0;
	if (ms < 0)
		uv_timer_stop(&u->timer);
	else
		uv_timer_start(&u->timer, upstream_on_timer, (uint64_t)ms, 0);
	return 0;
}

/* Calls are ended from the loop, not from inside whoever cancels them. */
static void
upstream_on_cancelled(uv_timer_t *timer)
{
	struct upstream *u = timer->data;
	struct upstream_call *next;

	for (struct upstream_call *c = u->calls; c != NULL; c = next) {
		next = c->next;
		if (c->cancelled)
			call_finish(c, CURLE_OK);
	}
}

void
upstream_cancel(struct upstream_call *call)
{
	call->cancelled = true;
	uv_timer_start(&call->u->cancel_timer, upstream_on_cancelled, 0, 0);
}

void
upstream_resume(struct upstream *u)
{
	for (struct upstream_call *c = u->calls; c != NULL && u->npaused > 0;
	     c = c->next) {
		if (!c->paused)
			continue;
		if (u->greedy != NULL &&
		    u->buffered + *u->elsewhere > u->buffer_max / 2)
			return;
		c->paused = false;
		u->npaused--;
		curl_easy_pause(c->easy, CURLPAUSE_CONT);
	}
}

void
upstream_go_on(struct upstream_call *c)
{
	c->held = false;
	if (!c->held_back || c->cancelled)
		return;
	c->held_back = false;
	curl_easy_pause(c->easy, CURLPAUSE_CONT);
}

void
upstream_feed(struct upstream_call *c)
{
	if (!c->unfed || c->cancelled)
		return;
	c->unfed = false;
	curl_easy_pause(c->easy, CURLPAUSE_CONT);
}

struct upstream *
upstream_new(uv_loop_t *loop, const struct upstream_opts *opts)
{
	static bool ready;
	struct upstream *u = xcalloc(1, sizeof(*u));

	if (!ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
	ready = true;
	u->ca_file = curl_version_info(CURLVERSION_NOW)->cainfo;
	u->loop = loop;
	u->http2 = opts->http2;
	u->buffer_max = opts->buffer_max;
	u->elsewhere = opts->elsewhere;
	u->may_connect = opts->may_connect;
	u->may_arg = opts->may_arg;
	u->multi = curl_multi_init();
	if (u->multi == NULL)
		abort();
	curl_multi_setopt(
	    u->multi, CURLMOPT_SOCKETFUNCTION, upstream_on_socket);
	curl_multi_setopt(u->multi, CURLMOPT_SOCKETDATA, u);
	curl_multi_setopt(
	    u->multi, CURLMOPT_TIMERFUNCTION, upstream_on_timeout);
	curl_multi_setopt(u->multi, CURLMOPT_TIMERDATA, u);
	curl_multi_setopt(
	    u->multi, CURLMOPT_MAXCONNECTS, (long)opts->connections);
	if (opts->http2) {
		/* Without a limit every call opens a connection of its own. */
		curl_multi_setopt(u->multi, CURLMOPT_MAX_HOST_CONNECTIONS, 8L);
		curl_multi_setopt(
		    u->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, 1000L);
	}
	uv_timer_init(loop, &u->timer);
	u->timer.data = u;
	uv_timer_init(loop, &u->cancel_timer);
	u->cancel_timer.data = u;
	u->open_handles = 2;
	return u;
}

static void
upstream_on_handle_closed(uv_handle_t *handle)
{
	struct upstream *u = handle->data;
	void (*on_closed)(void *arg) = u->on_closed;
	void *arg = u->closed_arg;

	if (--u->open_handles > 0)
		return;
	free(u->watches);
	free(u);
	on_closed(arg);
}

void
upstream_close(struct upstream *u, void (*on_closed)(void *arg), void *arg)
{
	u->on_closed = on_closed;
	u->closed_arg = arg;
	while (u->calls != NULL) {
		u->calls->cancelled = true;
		call_finish(u->calls, CURLE_OK);
	}
	u->closing = true;
	while (u->spare != NULL) {
		struct upstream_call *c = u->spare;

		u->spare = c->next;
		call_free(c);
	}
	curl_multi_cleanup(u->multi);
	uv_close((uv_handle_t *)&u->timer, upstream_on_handle_closed);
	uv_close((uv_handle_t *)&u->cancel_timer, upstream_on_handle_closed);
}
