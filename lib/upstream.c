#include <sluice/upstream.h>

#include <assert.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sluice/log.h>

enum {
	FREE_CALLS_MAX = 64, /* handles kept for the next calls */
	BUFFER_BYTES = 8192,
	UPLOAD_BUFFER_BYTES = 16384, /* libcurl's least */
};

struct upstream {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t timer, cancel_timer;
	struct upstream_call *calls; /* under way */
	struct upstream_call *spare;
	int nspare;
	bool http2;
	/* Answers in memory: beyond the bound only one call is read on. */
	size_t buffered, buffer_max;
	const size_t *elsewhere;
	struct upstream_call *greedy;
	int npaused;
	int open_handles;
	bool closing;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

struct upstream_call {
	struct upstream *u;
	struct upstream_call *next, **prev;
	CURL *easy;
	struct curl_slist *headers;
	struct upstream_request request;
	size_t sent; /* of the body */
	struct buf head, body;
	int64_t sent_us;
	bool refused; /* may_send() said no */
	bool too_large;
	bool cancelled;
	bool paused;
	char why[CURL_ERROR_SIZE];
};

static void upstream_on_cancelled(uv_timer_t *timer);

int64_t
boot_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Calls ---------------------------------------------------------------- */

static void
call_unlink(struct upstream_call *c)
{
	*c->prev = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
}

static void
call_free(struct upstream_call *c)
{
	curl_easy_cleanup(c->easy);
	buf_fini(&c->head);
	buf_fini(&c->body);
	free(c);
}

/* Handles are reused; large buffers are not kept. */
static void
call_recycle(struct upstream_call *c)
{
	struct upstream *u = c->u;

	curl_slist_free_all(c->headers);
	c->headers = NULL;
	if (u->nspare == FREE_CALLS_MAX || c->body.cap > 1 << 16) {
		call_free(c);
		return;
	}
	curl_easy_reset(c->easy);
	c->next = u->spare;
	u->spare = c;
	u->nspare++;
}

static enum upstream_end
call_end(const struct upstream_call *c, CURLcode code)
{
	if (c->cancelled)
		return UPSTREAM_ABANDONED;
	if (c->refused)
		return UPSTREAM_UNSENT;
	if (c->too_large)
		return UPSTREAM_TOO_LARGE;
	if (code == CURLE_OK)
		return UPSTREAM_ANSWERED;
	if (c->sent_us == 0)
		return UPSTREAM_UNREACHED;
	return code == CURLE_OPERATION_TIMEDOUT ? UPSTREAM_TIMEOUT
						: UPSTREAM_UNKNOWN;
}

/* The peer's bytes wait in its socket until there is room for them here. */
static bool
call_may_grow(struct upstream_call *c, size_t n)
{
	struct upstream *u = c->u;

	if (u->buffered + *u->elsewhere + n <= u->buffer_max || u->greedy == c)
		return true;
	if (u->greedy == NULL) {
		u->greedy = c;
		return true;
	}
	c->paused = true;
	u->npaused++;
	return false;
}

static void
call_finish(struct upstream_call *c, CURLcode code)
{
	struct upstream_result result = {
		.end = call_end(c, code),
		.headers = buf_slice(&c->head),
		.body = buf_slice(&c->body),
		.why = c->why[0] != '\0' ? c->why : curl_easy_strerror(code),
		.sent_us = c->sent_us,
	};
	long status = 0;

	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	result.status = (int)status;
	if (c->sent_us > 0)
		result.ms = (boot_us() - c->sent_us) / 1000;
	curl_multi_remove_handle(c->u->multi, c->easy);
	call_unlink(c);
	c->u->buffered -= c->body.n;
	if (c->u->greedy == c)
		c->u->greedy = NULL;
	c->u->npaused -= c->paused;
	c->request.done(&result, c->request.arg);
	call_recycle(c);
}

static size_t
call_on_read(char *out, size_t size, size_t n, void *arg)
{
	struct upstream_call *c = arg;
	size_t left = c->request.body.n - c->sent;

	n *= size;
	if (n > left)
		n = left;
	memcpy(out, c->request.body.p + c->sent, n);
	c->sent += n;
	return n;
}

static size_t
call_on_body(char *p, size_t size, size_t n, void *arg)
{
	struct upstream_call *c = arg;

	n *= size;
	if (c->body.n + n > c->request.answer_max) {
		c->too_large = true;
		return 0;
	}
	if (!call_may_grow(c, n))
		return CURL_WRITEFUNC_PAUSE;
	buf_add(&c->body, p, n);
	c->u->buffered += n;
	return n;
}

static size_t
call_on_header(char *p, size_t size, size_t n, void *arg)
{
	struct upstream_call *c = arg;

	n *= size;
	/* A new status line: what came before was a 1xx. */
	if (n >= 5 && memcmp(p, "HTTP/", 5) == 0)
		buf_clear(&c->head);
	if (c->head.n + n > UPSTREAM_HEADERS_MAX)
		return 0;
	buf_add(&c->head, p, n);
	return n;
}

/* A connection is there and nothing has been sent on it for this call. */
static int
call_on_connected(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct upstream_call *c = arg;

	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	if (c->request.may_send != NULL &&
	    !c->request.may_send(c->request.arg)) {
		c->refused = true;
		return CURL_PREREQFUNC_ABORT;
	}
	c->sent_us = boot_us();
	return CURL_PREREQFUNC_OK;
}

static void
call_set_options(struct upstream_call *c)
{
	CURL *e = c->easy;
	const struct upstream_request *r = &c->request;

	curl_easy_setopt(e, CURLOPT_URL, r->url);
	curl_easy_setopt(e, CURLOPT_PRIVATE, c);
	curl_easy_setopt(e, CURLOPT_POST, 1L);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, c->headers);
	curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
	curl_easy_setopt(e, CURLOPT_READFUNCTION, call_on_read);
	curl_easy_setopt(e, CURLOPT_READDATA, c);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, call_on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, call_on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, call_on_connected);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, c);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->why);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)r->connect_ms);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)r->whole_ms);
	curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)(r->idle_ms / 1000));
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(e, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
	curl_easy_setopt(
	    e, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_BYTES);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
	    c->u->http2 ? (long)CURL_HTTP_VERSION_2TLS
			: (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_PIPEWAIT, c->u->http2 ? 1L : 0L);
}

struct upstream_call *
upstream_start(struct upstream *u, const struct upstream_request *request)
{
	struct upstream_call *c = u->spare;

	assert(!u->closing);
	if (c != NULL) {
		u->spare = c->next;
		u->nspare--;
		buf_clear(&c->head);
		buf_clear(&c->body);
		c->sent = 0;
		c->sent_us = 0;
		c->refused = c->too_large = c->cancelled = c->paused = false;
		c->why[0] = '\0';
	} else {
		c = xcalloc(1, sizeof(*c));
		c->u = u;
		c->easy = curl_easy_init();
		if (c->easy == NULL)
			abort();
	}
	c->request = *request;
	c->request.url = NULL; /* libcurl has its copy */
	for (size_t i = 0; request->headers[i] != NULL; i++)
		c->headers = curl_slist_append(c->headers, request->headers[i]);
	/* Never wait for a "100 Continue" that may not come. */
	c->headers = curl_slist_append(c->headers, "Expect:");
	c->request.headers = NULL;
	c->request.url = request->url;
	call_set_options(c);
	c->request.url = NULL;
	c->next = u->calls;
	c->prev = &u->calls;
	if (u->calls != NULL)
		u->calls->prev = &c->next;
	u->calls = c;
	curl_multi_add_handle(u->multi, c->easy);
	return c;
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
upstream_cancel(struct upstream_call *call)
{
	call->cancelled = true;
	uv_timer_start(&call->u->cancel_timer, upstream_on_cancelled, 0, 0);
}

/* libcurl on the loop --------------------------------------------------- */

struct watch { /* one fresh poll for each socket: libcurl reuses numbers */
	uv_poll_t poll;
	struct upstream *u;
	curl_socket_t fd;
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

static void
watch_on_ready(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	struct upstream *u = w->u;
	int flags = 0, running;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(u->multi, w->fd, flags, &running);
	upstream_reap(u);
}

static int
upstream_on_socket(
    CURL *easy, curl_socket_t fd, int what, void *arg, void *sockp)
{
	struct upstream *u = arg;
	struct watch *w = sockp;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL) {
			uv_poll_stop(&w->poll);
			uv_close((uv_handle_t *)&w->poll, watch_on_closed);
			curl_multi_assign(u->multi, fd, NULL);
		}
		return 0;
	}
	if (w == NULL) {
		w = xcalloc(1, sizeof(*w));
		w->u = u;
		w->fd = fd;
		w->poll.data = w;
		if (uv_poll_init(u->loop, &w->poll, fd) != 0) {
			free(w);
			return -1;
		}
		curl_multi_assign(u->multi, fd, w);
	}
	if (what != CURL_POLL_OUT)
		events |= UV_READABLE;
	if (what != CURL_POLL_IN)
		events |= UV_WRITABLE;
	uv_poll_start(&w->poll, events, watch_on_ready);
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

struct upstream *
upstream_new(uv_loop_t *loop, const struct upstream_opts *opts)
{
	static bool ready;
	struct upstream *u = xcalloc(1, sizeof(*u));

	if (!ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
	ready = true;
	u->loop = loop;
	u->http2 = opts->http2;
	u->buffer_max = opts->buffer_max;
	u->elsewhere = opts->elsewhere;
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
