#include "server.h"

#include <assert.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <sluice/log.h>

#include "http_bind.h"
#include "http_conn.h"
#include "http_peers.h"

/* Turned away with an answer; beyond, they are just closed. */
enum { SERVER_REFUSED_MAX = 64 };

struct server_conn {
	struct http_conn http; /* first: the two are one object */
	union http_handle handle;
	struct http_server *server;
	struct http_peer *peer; /* NULL: not counted */
	LIST_ENTRY(server_conn) all;
	LIST_ENTRY(server_conn) woken;
	int64_t queued;   /* bytes ever left to libuv */
	int64_t taken;    /* of these, by the peer, when last looked at */
	int64_t stall_ms; /* by when the peer must take some more */
	bool is_woken;
	bool is_refused;
	char address[INET6_ADDRSTRLEN];
};

struct server_write {
	uv_write_t req;
	struct server_conn *conn;
	char bytes[];
};

LIST_HEAD(server_conns, server_conn);

struct http_server {
	struct http_shared shared;
	uv_loop_t *loop;
	union http_handle listener;
	uv_timer_t tick;
	uv_idle_t waker;
	int handles; /* of these three, not yet closed */
	int conns, refused;
	struct server_conns all, woken;
	struct http_peers peers;
	int64_t tick_ms;      /* between ticks */
	int64_t last_tick_ms; /* when it was */
	int64_t last_log_ms;  /* of refused connections */
	int64_t close_ms;     /* when to drop what is still open */
	void (*on_closed)(void *arg);
	void *closed_arg;
	/* One for all: what it holds is dealt with before the next read. */
	char input[HTTP_TAIL_MAX];
};

static struct server_conn *
conn_of(const struct http_conn *c)
{
	return (struct server_conn *)c;
}

int64_t
server_now(const struct http_conn *c)
{
	return (int64_t)uv_now(conn_of(c)->server->loop);
}

const char *
server_peer(const struct http_conn *c)
{
	return conn_of(c)->address;
}

size_t
server_unsent(const struct http_conn *c)
{
	return uv_stream_get_write_queue_size(&conn_of(c)->handle.stream);
}

static void
server_on_written(uv_write_t *req, int status)
{
	struct server_write *w = (struct server_write *)req;
	struct server_conn *c = w->conn;

	free(w);
	if (uv_is_closing(&c->handle.any))
		return;
	if (status < 0)
		http_conn_on_broken(&c->http);
	else
		http_conn_on_sent(&c->http);
}

/* Keep the last n bytes, up to the end of *piece, for when the socket takes
 * them. */
static bool
send_later(struct server_conn *c, const struct slice *piece, size_t n)
{
	struct server_write *w = xmalloc(sizeof(*w) + n);
	uv_buf_t rest = { .base = w->bytes, .len = n };

	w->conn = c;
	while (n > 0) {
		size_t part = piece->n < n ? piece->n : n;

		n -= part;
		memcpy(w->bytes + n, piece->p + piece->n - part, part);
		piece--;
	}
	if (server_unsent(&c->http) == 0)
		c->stall_ms =
		    server_now(&c->http) + c->server->shared.opts.stall_ms;
	c->queued += (int64_t)rest.len;
	if (uv_write(&w->req, &c->handle.stream, &rest, 1, server_on_written) ==
	    0)
		return true;
	free(w);
	return false;
}

bool
server_send(struct http_conn *http, const struct slice *pieces, size_t n)
{
	struct server_conn *c = conn_of(http);
	uv_buf_t bufs[4] = { { 0 } };
	size_t total = 0;
	int sent;

	assert(n <= NITEMS(bufs));
	for (size_t i = 0; i < n; i++) {
		bufs[i].base = (char *)pieces[i].p;
		bufs[i].len = pieces[i].n;
		total += pieces[i].n;
	}
	sent = uv_try_write(&c->handle.stream, bufs, (unsigned)n);
	if (sent == UV_EAGAIN)
		sent = 0;
	if (sent < 0)
		return false;
	total -= (size_t)sent;
	return total == 0 || send_later(c, &pieces[n - 1], total);
}

static void
server_on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
	struct server_conn *c = handle->data;

	(void)wanted;
	buf->base = c->server->input;
	buf->len = http_conn_room(&c->http);
}

static void
server_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct server_conn *c = stream->data;

	if (n > 0)
		http_conn_on_bytes(
		    &c->http, (struct slice){ buf->base, (size_t)n });
	else if (n == UV_EOF)
		http_conn_on_eof(&c->http);
	else if (n < 0)
		http_conn_on_broken(&c->http);
}

void
server_read(struct http_conn *http, bool on)
{
	uv_stream_t *stream = &conn_of(http)->handle.stream;

	/* libuv sees by itself when nothing is to change. */
	if (on)
		uv_read_start(stream, server_on_alloc, server_on_read);
	else
		uv_read_stop(stream);
}

static void
server_on_waker(uv_idle_t *waker)
{
	struct http_server *s = waker->data;
	struct server_conn *c;

	while ((c = LIST_FIRST(&s->woken)) != NULL) {
		LIST_REMOVE(c, woken);
		c->is_woken = false;
		http_conn_on_wake(&c->http);
	}
	uv_idle_stop(waker);
}

void
server_wake(struct http_conn *http)
{
	struct server_conn *c = conn_of(http);

	if (c->is_woken)
		return;
	c->is_woken = true;
	LIST_INSERT_HEAD(&c->server->woken, c, woken);
	/* The loop does not wait for events while it has an idle handle. */
	uv_idle_start(&c->server->waker, server_on_waker);
}

void
server_shut(struct http_conn *http)
{
	uv_os_fd_t fd;

	/* Not uv_shutdown(): there is nothing to wait for, nor to allocate. */
	if (uv_fileno(&conn_of(http)->handle.any, &fd) == 0)
		shutdown(fd, SHUT_WR);
}

static void
server_on_handle_closed(uv_handle_t *handle)
{
	struct http_server *s = handle->data;
	void (*on_closed)(void *arg) = s->on_closed;
	void *arg = s->closed_arg;

	if (--s->handles > 0)
		return;
	buf_fini(&s->shared.head);
	free(s);
	if (on_closed != NULL)
		on_closed(arg);
}

static void
close_if_empty(struct http_server *s)
{
	if (!s->shared.closing || s->conns > 0)
		return;
	uv_close((uv_handle_t *)&s->tick, server_on_handle_closed);
	uv_close((uv_handle_t *)&s->waker, server_on_handle_closed);
}

static void
server_on_conn_closed(uv_handle_t *handle)
{
	struct server_conn *c = handle->data;
	struct http_server *s = c->server;

	LIST_REMOVE(c, all);
	s->conns--;
	s->refused -= c->is_refused;
	http_peers_leave(&s->peers, c->peer);
	http_conn_fini(&c->http);
	free(c);
	if (s->conns == 0 && !s->shared.closing)
		uv_timer_stop(&s->tick);
	close_if_empty(s);
}

void
server_close(struct http_conn *http, bool reset)
{
	struct server_conn *c = conn_of(http);

	if (c->is_woken)
		LIST_REMOVE(c, woken);
	/* A unix socket knows no reset; its peer sees the end come early. */
	if (reset && c->handle.any.type == UV_TCP &&
	    uv_tcp_close_reset(&c->handle.tcp, server_on_conn_closed) == 0)
		return;
	uv_close(&c->handle.any, server_on_conn_closed);
}

/*
 * True if the peer has taken nothing for too long.  The kernel's buffer counts:
 * we only hear when a third of it is free, which at some KB/s is too late.
 */
static bool
is_stalled(struct server_conn *c, int64_t now_ms)
{
	size_t unsent = server_unsent(&c->http);
	int64_t taken = c->queued - (int64_t)unsent;
	uv_os_fd_t fd;
	int in_kernel;

	if (unsent == 0)
		return false;
	if (uv_fileno(&c->handle.any, &fd) == 0 &&
	    ioctl(fd, SIOCOUTQ, &in_kernel) == 0)
		taken -= in_kernel;
	if (taken != c->taken) {
		c->taken = taken;
		c->stall_ms = now_ms + c->server->shared.opts.stall_ms;
	}
	return now_ms >= c->stall_ms;
}

/*
 * One timer for all connections: at some thousands of them a sweep costs less
 * than a timer moved at each request.
 */
static void
server_on_tick(uv_timer_t *timer)
{
	struct http_server *s = timer->data;
	int64_t now_ms = (int64_t)uv_now(s->loop);
	int64_t deaf_ms = now_ms - s->last_tick_ms - s->tick_ms;
	struct server_conn *c;

	s->last_tick_ms = now_ms;
	/* We did not read meanwhile: what the peers sent in time is waiting. */
	if (deaf_ms < s->tick_ms)
		deaf_ms = 0;
	LIST_FOREACH (c, &s->all, all) {
		if (uv_is_closing(&c->handle.any))
			continue;
		c->stall_ms += deaf_ms;
		if (is_stalled(c, now_ms) ||
		    (s->shared.closing && now_ms >= s->close_ms))
			http_conn_on_broken(&c->http);
		else
			http_conn_on_tick(&c->http, deaf_ms);
	}
}

/* Why the connection is not wanted, or NULL if it is. */
static const char *
admit(struct http_server *s, struct server_conn *c)
{
	const struct http_opts *opts = &s->shared.opts;
	struct sockaddr_storage addr;
	bool has_address = http_bind_peer(&c->handle, &addr, c->address);

	if (s->conns - s->refused > opts->max_connections)
		return "too many connections";
	if (!has_address)
		return NULL;
	c->peer = http_peers_enter(
	    &s->peers, (struct sockaddr *)&addr, opts->max_per_address);
	return c->peer == NULL ? "too many connections from your address"
			       : NULL;
}

static void
turn_away(struct http_server *s, struct server_conn *c, const char *why)
{
	int64_t now_ms = (int64_t)uv_now(s->loop);

	c->is_refused = true;
	s->refused++;
	/* A flood of connections must not become a flood of log lines. */
	if (now_ms - s->last_log_ms >= 1000) {
		log_warn("http.refused", "peer=%s open=%d why=\"%s\"",
		    c->address, s->conns, why);
		s->last_log_ms = now_ms;
	}
	if (s->refused > SERVER_REFUSED_MAX)
		server_close(&c->http, true);
	else
		http_conn_refuse(&c->http, why);
}

static void
server_on_connection(uv_stream_t *listener, int status)
{
	struct http_server *s = listener->data;
	struct server_conn *c;
	const char *why;

	/* libuv keeps a spare descriptor: with none left it closes the peer. */
	if (status < 0)
		return;
	c = xcalloc(1, sizeof(*c));
	c->server = s;
	if (listener->type == UV_TCP)
		uv_tcp_init(s->loop, &c->handle.tcp);
	else
		uv_pipe_init(s->loop, &c->handle.pipe, 0);
	c->handle.any.data = c;
	LIST_INSERT_HEAD(&s->all, c, all);
	if (s->conns++ == 0) {
		s->last_tick_ms = (int64_t)uv_now(s->loop);
		uv_timer_start(&s->tick, server_on_tick, (uint64_t)s->tick_ms,
		    (uint64_t)s->tick_ms);
	}
	if (uv_accept(listener, &c->handle.stream) != 0) {
		server_close(&c->http, false);
		return;
	}
	http_conn_open(&c->http, &s->shared);
	why = admit(s, c);
	if (why != NULL)
		turn_away(s, c, why);
}

struct http_server *
http_listen(uv_loop_t *loop, const struct http_opts *opts,
    const struct http_handler *handler, void *ctx, struct slc_err *err)
{
	struct http_server *s = xcalloc(1, sizeof(*s));
	enum slc_rc rc;

	s->loop = loop;
	s->shared.opts = *opts;
	http_opts_fill(&s->shared.opts);
	s->shared.handler = handler;
	s->shared.ctx = ctx;
	s->tick_ms = http_opts_tick_ms(&s->shared.opts);
	http_parse_limit(s->shared.opts.headers_max);
	uv_timer_init(loop, &s->tick);
	uv_idle_init(loop, &s->waker);
	rc = http_bind(
	    loop, &s->listener, opts->listen, server_on_connection, err);
	s->listener.any.data = s->tick.data = s->waker.data = s;
	s->handles = 3;
	if (rc == SLC_OK)
		return s;
	http_close(s, 0, NULL, NULL);
	return NULL;
}

int
http_port(const struct http_server *s)
{
	return http_bind_port(&s->listener);
}

void
http_close(struct http_server *s, int64_t grace_ms,
    void (*on_closed)(void *arg), void *arg)
{
	struct server_conn *c;

	assert(!s->shared.closing);
	s->shared.closing = true;
	s->close_ms = (int64_t)uv_now(s->loop) + grace_ms;
	s->on_closed = on_closed;
	s->closed_arg = arg;
	uv_close(&s->listener.any, server_on_handle_closed);
	LIST_FOREACH (c, &s->all, all)
		if (!uv_is_closing(&c->handle.any))
			http_conn_on_closing(&c->http);
	close_if_empty(s);
}
