#include "upstream_loop.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	FREE_CALLS_MAX = 1024, /* handles kept for the next calls */
	BUFFER_BYTES = 8192,
};

int64_t
boot_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct upstream_headers *
upstream_headers_new(const char *const *list)
{
	struct upstream_headers *h = xcalloc(1, sizeof(*h));

	h->users = 1;
	for (; *list != NULL; list++)
		h->list = curl_slist_append(h->list, *list);
	/* Never wait for a "100 Continue" that may not come. */
	h->list = curl_slist_append(h->list, "Expect:");
	if (h->list == NULL)
		abort();
	return h;
}

void
upstream_headers_drop(struct upstream_headers *h)
{
	if (h == NULL || --h->users > 0)
		return;
	for (struct curl_slist *l = h->list; l != NULL; l = l->next)
		explicit_bzero(l->data, strlen(l->data));
	curl_slist_free_all(h->list);
	free(h);
}

/* Calls ---------------------------------------------------------------- */

static void
call_unlink(struct upstream_call *c)
{
	*c->prev = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
}

void
call_free(struct upstream_call *c)
{
	curl_easy_cleanup(c->easy);
	buf_fini(&c->head);
	buf_fini(&c->body);
	free(c->method);
	free(c->url);
	free(c->socket);
	free(c->ca_file);
	free(c);
}

/* Handles are reused; large buffers are not kept. */
static void
call_recycle(struct upstream_call *c)
{
	struct upstream *u = c->u;

	upstream_headers_drop(c->request.headers);
	if (u->nspare == FREE_CALLS_MAX || c->body.cap > 1 << 16) {
		call_free(c);
		return;
	}
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
		return c->no_socket ? UPSTREAM_UNSENT
		    : c->forbidden  ? UPSTREAM_FORBIDDEN
				    : UPSTREAM_UNREACHED;
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

static int64_t
connect_us(CURL *e)
{
	long made = 0;
	curl_off_t looked_up = 0, connected = 0;

	curl_easy_getinfo(e, CURLINFO_NUM_CONNECTS, &made);
	curl_easy_getinfo(e, CURLINFO_NAMELOOKUP_TIME_T, &looked_up);
	curl_easy_getinfo(e, CURLINFO_CONNECT_TIME_T, &connected);
	return made > 0 && connected > looked_up ? connected - looked_up : 0;
}

void
call_finish(struct upstream_call *c, CURLcode code)
{
	struct upstream_result result = {
		.end = call_end(c, code),
		.headers = buf_slice(&c->head),
		.body = buf_slice(&c->body),
		.why = c->why[0] != '\0' ? c->why : curl_easy_strerror(code),
		.sent_us = c->sent_us,
		.connect_us = connect_us(c->easy),
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
call_on_body(char *p, size_t size, size_t n, void *arg)
{
	struct upstream_call *c = arg;

	n *= size;
	if (c->cancelled)
		return 0;
	if (c->request.on_piece != NULL) {
		if (c->held) {
			c->held_back = true;
			return CURL_WRITEFUNC_PAUSE;
		}
		c->held = !c->request.on_piece(
		    (struct slice){ p, n }, c->request.arg);
		return n;
	}
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
call_on_fill(char *p, size_t size, size_t n, void *arg)
{
	struct upstream_call *c = arg;

	if (c->cancelled)
		return CURL_READFUNC_ABORT;
	n = c->request.fill(p, size * n, c->request.arg);
	c->unfed = n == UPSTREAM_LATER;
	return n == UPSTREAM_LATER  ? CURL_READFUNC_PAUSE
	    : n == UPSTREAM_GIVE_UP ? CURL_READFUNC_ABORT
				    : n;
}

/* The block of headers is whole; that of a 1xx is not the answer's. */
static void
call_tell_head(struct upstream_call *c)
{
	long status = 0;

	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200 || c->cancelled)
		return;
	c->headed = true;
	c->request.on_head((int)status, buf_slice(&c->head), c->request.arg);
}

static size_t
call_on_header(char *p, size_t size, size_t n, void *arg)
{
	struct upstream_call *c = arg;

	n *= size;
	/* Trailers come here, too, and nobody asked for them. */
	if (c->headed)
		return n;
	/* A new status line: what came before was a 1xx. */
	if (n >= 5 && memcmp(p, "HTTP/", 5) == 0)
		buf_clear(&c->head);
	if (c->head.n + n > UPSTREAM_HEADERS_MAX)
		return 0;
	buf_add(&c->head, p, n);
	if (c->request.on_head != NULL && (*p == '\r' || *p == '\n'))
		call_tell_head(c);
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
	/*
	 * Here for the second time: libcurl found the kept connection closed
	 * and would send the request again.  Whether the first copy was worked
	 * on nobody knows, and that is what the caller is told.
	 */
	if (c->sent_us > 0)
		return CURL_PREREQFUNC_ABORT;
	if (c->request.may_send != NULL &&
	    !c->request.may_send(c->request.arg)) {
		c->refused = true;
		return CURL_PREREQFUNC_ABORT;
	}
	c->sent_us = boot_us();
	return CURL_PREREQFUNC_OK;
}

static struct upstream_call *
call_new(struct upstream *u)
{
	struct upstream_call *c = xcalloc(1, sizeof(*c));
	CURL *e = curl_easy_init();

	if (e == NULL)
		abort();
	c->u = u;
	c->easy = e;
	curl_easy_setopt(e, CURLOPT_PRIVATE, c);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, call_on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(e, CURLOPT_READFUNCTION, call_on_fill);
	curl_easy_setopt(e, CURLOPT_READDATA, c);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, call_on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, call_on_connected);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, c);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, upstream_on_open);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, c);
	curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, upstream_on_close);
	curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, u);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->why);
	curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* Ended while its name resolves: do not wait for that thread. */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(e, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
	    u->http2 ? (long)CURL_HTTP_VERSION_2TLS
		     : (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_PIPEWAIT, u->http2 ? 1L : 0L);
	return c;
}

static bool
differs(const char *a, const char *b)
{
	return (a == NULL) != (b == NULL) || (a != NULL && strcmp(a, b) != 0);
}

static void
set_copy(char **to, const char *from)
{
	free(*to);
	*to = from == NULL ? NULL : xstrdup(from);
}

static void
call_set_method(struct upstream_call *c)
{
	CURL *e = c->easy;
	const struct upstream_request *r = &c->request;
	const char *method = r->method == NULL ? "POST" : r->method;
	bool get = strcmp(method, "GET") == 0;

	if (differs(c->method, method)) {
		set_copy(&c->method, method);
		curl_easy_setopt(e, get ? CURLOPT_HTTPGET : CURLOPT_POST, 1L);
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, c->method);
	}
	if (get)
		return;
	if (r->fill != NULL) {
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, NULL);
		curl_easy_setopt(
		    e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)-1);
		return;
	}
	curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
	curl_easy_setopt(
	    e, CURLOPT_POSTFIELDS, r->body.p == NULL ? "" : r->body.p);
}

/* What differs from call to call; the url and times seldom do. */
static void
call_set(struct upstream_call *c)
{
	static char chunked[] = "Transfer-Encoding: chunked";
	CURL *e = c->easy;
	const struct upstream_request *r = &c->request;
	struct curl_slist *list = r->headers->list;

	if (r->own_header != NULL) {
		snprintf(
		    c->own_header, sizeof(c->own_header), "%s", r->own_header);
		c->own = (struct curl_slist){ c->own_header, list };
		list = &c->own;
	}
	if (r->fill != NULL) {
		c->chunked = (struct curl_slist){ chunked, list };
		list = &c->chunked;
	}
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, list);
	call_set_method(c);
	if (differs(c->url, r->url)) {
		set_copy(&c->url, r->url);
		curl_easy_setopt(e, CURLOPT_URL, c->url);
	}
	if (differs(c->socket, r->socket)) {
		set_copy(&c->socket, r->socket);
		curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, c->socket);
	}
	if (differs(c->ca_file, r->ca_file)) {
		set_copy(&c->ca_file, r->ca_file);
		curl_easy_setopt(e, CURLOPT_CAINFO,
		    c->ca_file == NULL ? c->u->ca_file : c->ca_file);
	}
	if (c->connect_ms == r->connect_ms && c->idle_ms == r->idle_ms &&
	    c->whole_ms == r->whole_ms)
		return;
	c->connect_ms = r->connect_ms;
	c->idle_ms = r->idle_ms;
	c->whole_ms = r->whole_ms;
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)r->connect_ms);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)r->whole_ms);
	curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)(r->idle_ms / 1000));
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
		c->sent_us = 0;
		c->refused = c->no_socket = c->forbidden = false;
		c->too_large = false;
		c->cancelled = c->paused = false;
		c->headed = c->held = c->held_back = c->unfed = false;
		c->why[0] = '\0';
	} else {
		c = call_new(u);
	}
	c->request = *request;
	c->request.headers->users++;
	call_set(c);
	/* copied */
	c->request.method = c->request.url = c->request.socket = NULL;
	c->request.own_header = c->request.ca_file = NULL;
	c->next = u->calls;
	c->prev = &u->calls;
	if (u->calls != NULL)
		u->calls->prev = &c->next;
	u->calls = c;
	curl_multi_add_handle(u->multi, c->easy);
	return c;
}
