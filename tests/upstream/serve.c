#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "serve.h"
#include "upstream.h"

#define BIT(n) (1u << (n))

static const unsigned conn_next[CONN_STATES] = {
	[CONN_IDLE] = BIT(CONN_READING) | BIT(CONN_CLOSED),
	[CONN_READING] = BIT(CONN_BUSY) | BIT(CONN_LINGER) | BIT(CONN_CLOSED),
	[CONN_BUSY] = BIT(CONN_IDLE) | BIT(CONN_CLOSED),
	[CONN_LINGER] = BIT(CONN_CLOSED),
};

struct output {
	uv_write_t req;
	bool close;
	char data[];
};

static void
conn_set(struct conn *c, enum conn_state state)
{
	assert(conn_next[c->state] & BIT(state));
	c->state = state;
}

static void
conn_on_closed(uv_handle_t *handle)
{
	struct conn *c = handle->data;

	free(c->body.p);
	free(c);
}

/* Leave the list and the call; the handle is closed by the caller. */
static void
conn_detach(struct conn *c)
{
	conn_set(c, CONN_CLOSED);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->u->server.conns = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	if (c->call != NULL)
		call_on_gone(c->call);
}

void
conn_close(struct conn *c)
{
	if (c->state == CONN_CLOSED)
		return;
	conn_detach(c);
	uv_close((uv_handle_t *)&c->tcp, conn_on_closed);
}

void
conn_reset(struct conn *c)
{
	if (c->state == CONN_CLOSED)
		return;
	conn_detach(c);
	if (uv_tcp_close_reset(&c->tcp, conn_on_closed) != 0)
		uv_close((uv_handle_t *)&c->tcp, conn_on_closed);
}

static void
conn_on_written(uv_write_t *req, int status)
{
	struct conn *c = req->data;
	struct output *out = (struct output *)req;

	if (status < 0 || out->close)
		conn_close(c);
	free(out);
}

/* True if all of it has left; otherwise the rest follows by itself. */
static bool
conn_write(struct conn *c, uv_buf_t bufs[2], bool close)
{
	size_t total = bufs[0].len + bufs[1].len, at = 0;
	int sent = uv_try_write((uv_stream_t *)&c->tcp, bufs, 2);
	size_t skip = sent > 0 ? (size_t)sent : 0;
	struct output *out;
	uv_buf_t rest;

	if (skip == total)
		return true;
	out = text_realloc(NULL, sizeof(*out) + total - skip);
	for (size_t i = 0; i < 2; i++) {
		size_t gone = skip < bufs[i].len ? skip : bufs[i].len;

		memcpy(out->data + at, bufs[i].base + gone, bufs[i].len - gone);
		at += bufs[i].len - gone;
		skip -= gone;
	}
	out->req.data = c;
	out->close = close;
	rest = uv_buf_init(out->data, (unsigned)at);
	if (uv_write(&out->req, (uv_stream_t *)&c->tcp, &rest, 1,
		conn_on_written) != 0) {
		free(out);
		conn_close(c);
	}
	return false;
}

static const char *
date(struct server *s, int64_t now_s)
{
	if (s->date_s != now_s) {
		time_t t = (time_t)now_s;
		struct tm tm;

		strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT",
		    gmtime_r(&t, &tm));
		s->date_s = now_s;
	}
	return s->date;
}

static void
write_head(struct conn *c, const struct reply *r, bool keep)
{
	struct text *out = &c->u->server.head;

	text_clear(out);
	text_adds(out, "HTTP/1.1 ");
	text_addi(out, r->status);
	text_adds(out, " ");
	text_adds(out, http_status_str((enum http_status)r->status));
	text_adds(out, "\r\ncontent-type: ");
	text_adds(out, r->type != NULL ? r->type : "application/json");
	text_adds(out, "\r\ndate: ");
	text_adds(out, date(&c->u->server, upstream_now(c->u) / 1000000000));
	if (r->id[1] != 0) {
		text_adds(out, "\r\nx-request-id: req_");
		text_addx(out, r->id[0]);
		text_addx(out, r->id[1]);
	}
	if (r->retry_after_s > 0) {
		text_adds(out, "\r\nretry-after: ");
		text_addi(out, r->retry_after_s);
	}
	if (r->stream) {
		text_adds(out, "\r\ntransfer-encoding: chunked\r\n");
	} else {
		text_adds(out, "\r\ncontent-length: ");
		text_addi(out, r->body != NULL ? (int64_t)r->body->n : 0);
		text_adds(out, "\r\n");
	}
	if (r->headers != NULL)
		text_adds(out, r->headers);
	text_adds(out, keep ? "\r\n" : "connection: close\r\n\r\n");
}

void
conn_reply(struct conn *c, const struct reply *r)
{
	bool keep = !r->early && http_should_keep_alive(&c->parser);
	bool close = !r->early && (!keep || r->cut_at > 0);
	uv_buf_t bufs[2] = { 0 };

	write_head(c, r, keep);
	bufs[0] =
	    uv_buf_init(c->u->server.head.p, (unsigned)c->u->server.head.n);
	if (r->body != NULL)
		bufs[1] = uv_buf_init(r->body->p,
		    (unsigned)(r->cut_at > 0 ? r->cut_at : r->body->n));
	c->call = NULL;
	c->served++;
	c->idle_since_ms = (int64_t)uv_now(c->u->loop);
	conn_set(c, r->early ? CONN_LINGER : CONN_IDLE);
	if (conn_write(c, bufs, close) && close)
		conn_close(c);
	/*
	 * Closed with input unread, the connection would be reset and the
	 * answer perhaps be lost on its way.
	 */
	if (r->early && c->state == CONN_LINGER)
		uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, NULL);
}

void
conn_stream_begin(struct conn *c, const struct reply *r)
{
	uv_buf_t bufs[2] = { 0 };

	write_head(c, r, http_should_keep_alive(&c->parser));
	bufs[0] =
	    uv_buf_init(c->u->server.head.p, (unsigned)c->u->server.head.n);
	conn_write(c, bufs, false);
}

void
conn_stream(struct conn *c, const struct text *piece)
{
	struct text *out = &c->u->server.head;
	uv_buf_t bufs[2] = { 0 };

	text_clear(out);
	text_addf(out, "%zx\r\n", piece->n);
	text_add(out, piece->p, piece->n);
	text_adds(out, "\r\n");
	bufs[0] = uv_buf_init(out->p, (unsigned)out->n);
	conn_write(c, bufs, false);
}

void
conn_stream_end(struct conn *c)
{
	bool keep = http_should_keep_alive(&c->parser);
	uv_buf_t bufs[2] = { 0 };

	bufs[0] = uv_buf_init("0\r\n\r\n", 5);
	c->served++;
	c->idle_since_ms = (int64_t)uv_now(c->u->loop);
	conn_set(c, CONN_IDLE);
	if (conn_write(c, bufs, !keep) && !keep)
		conn_close(c);
}

size_t
conn_unsent(const struct conn *c)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
}

static struct conn *
conn_of(http_parser *parser)
{
	return parser->data;
}

static int
conn_on_begin(http_parser *parser)
{
	struct conn *c = conn_of(parser);

	/* No pipelining: a second request must wait for the first answer. */
	if (c->state != CONN_IDLE)
		return -1;
	conn_set(c, CONN_READING);
	c->url_n = c->name.n = 0;
	c->auth.n = c->key.n = c->expect.n = 0;
	c->into = NULL;
	c->in_value = false;
	text_clear(&c->body);
	return 0;
}

static int
conn_on_url(http_parser *parser, const char *at, size_t n)
{
	struct conn *c = conn_of(parser);

	if (n > URL_MAX - c->url_n)
		return -1;
	memcpy(c->url + c->url_n, at, n);
	c->url_n += n;
	return 0;
}

static void
header_add(struct header *h, const char *at, size_t n)
{
	if (n > HEADER_MAX - h->n)
		n = HEADER_MAX - h->n;
	memcpy(h->v + h->n, at, n);
	h->n += n;
}

static int
conn_on_field(http_parser *parser, const char *at, size_t n)
{
	struct conn *c = conn_of(parser);

	if (c->in_value)
		c->name.n = 0;
	c->in_value = false;
	header_add(&c->name, at, n);
	return 0;
}

static struct header *
find_header(struct conn *c)
{
	static const struct {
		const char *name;
		size_t n, at;
	} wanted[] = {
		{ "authorization", 13, offsetof(struct conn, auth) },
		{ "idempotency-key", 15, offsetof(struct conn, key) },
		{ "expect", 6, offsetof(struct conn, expect) },
	};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (c->name.n == wanted[i].n &&
		    strncasecmp(c->name.v, wanted[i].name, c->name.n) == 0)
			return (struct header *)((char *)c + wanted[i].at);
	return NULL;
}

static int
conn_on_value(http_parser *parser, const char *at, size_t n)
{
	struct conn *c = conn_of(parser);

	if (!c->in_value)
		c->into = find_header(c);
	c->in_value = true;
	if (c->into != NULL)
		header_add(c->into, at, n);
	return 0;
}

static int
conn_on_headers(http_parser *parser)
{
	struct conn *c = conn_of(parser);

	c->url[c->url_n] = '\0';
	c->auth.v[c->auth.n] = '\0';
	c->key.v[c->key.n] = '\0';
	if (strncmp(c->url, "/_", 2) != 0 && call_on_headers(c->u, c))
		return -1;
	if (c->expect.n > 0) {
		uv_buf_t bufs[2] = { 0 };

		bufs[0] = uv_buf_init("HTTP/1.1 100 Continue\r\n\r\n", 25);
		conn_write(c, bufs, false);
	}
	return 0;
}

static int
conn_on_body(http_parser *parser, const char *at, size_t n)
{
	struct conn *c = conn_of(parser);

	if (n > BODY_MAX - c->body.n)
		return -1;
	text_add(&c->body, at, n);
	return 0;
}

static int
conn_on_complete(http_parser *parser)
{
	struct conn *c = conn_of(parser);

	conn_set(c, CONN_BUSY);
	if (strncmp(c->url, "/_", 2) == 0)
		control_on_request(c->u, c);
	else
		call_on_request(c->u, c);
	return c->state == CONN_CLOSED ? -1 : 0;
}

static void
conn_on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
	struct conn *c = handle->data;

	(void)hint;
	*buf = uv_buf_init(c->u->server.buffer, READ_SIZE);
}

static void
conn_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	static const http_parser_settings callbacks = {
		.on_message_begin = conn_on_begin,
		.on_url = conn_on_url,
		.on_header_field = conn_on_field,
		.on_header_value = conn_on_value,
		.on_headers_complete = conn_on_headers,
		.on_body = conn_on_body,
		.on_message_complete = conn_on_complete,
	};
	struct conn *c = stream->data;

	if (n < 0)
		conn_close(c);
	if (n <= 0 || c->state == CONN_LINGER || c->state == CONN_CLOSED)
		return;
	http_parser_execute(&c->parser, &callbacks, buf->base, (size_t)n);
	if (HTTP_PARSER_ERRNO(&c->parser) != HPE_OK &&
	    c->state != CONN_LINGER && c->state != CONN_CLOSED) {
		c->u->stats.protocol_errors++;
		conn_close(c);
	}
}

static void
server_on_connection(uv_stream_t *listener, int status)
{
	struct upstream *u = listener->data;
	struct conn *c;

	if (status < 0)
		return;
	c = text_realloc(NULL, sizeof(*c));
	memset(c, 0, sizeof(*c));
	c->u = u;
	c->tcp.data = c;
	c->parser.data = c;
	c->idle_since_ms = (int64_t)uv_now(u->loop);
	uv_tcp_init(u->loop, &c->tcp);
	http_parser_init(&c->parser, HTTP_REQUEST);
	c->next = u->server.conns;
	if (c->next != NULL)
		c->next->prev = c;
	u->server.conns = c;
	u->stats.connections++;
	if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0 ||
	    uv_read_start(
		(uv_stream_t *)&c->tcp, conn_on_alloc, conn_on_read) != 0) {
		conn_close(c);
		return;
	}
	uv_tcp_nodelay(&c->tcp, 1);
}

static void
server_on_sweep(uv_timer_t *timer)
{
	struct upstream *u = timer->data;
	int64_t last = (int64_t)uv_now(u->loop) - u->conf.idle_close_ms;

	for (struct conn *c = u->server.conns, *next; c != NULL; c = next) {
		next = c->next;
		if (c->state == CONN_IDLE && c->idle_since_ms <= last)
			conn_close(c);
	}
}

void
server_set_sweep(struct upstream *u)
{
	/* Soon enough after it falls due, without looking all the time. */
	uint64_t step = (uint64_t)u->conf.idle_close_ms / 10 + 1;

	if (u->conf.idle_close_ms > 0)
		uv_timer_start(&u->server.sweeper, server_on_sweep, step, step);
	else
		uv_timer_stop(&u->server.sweeper);
}

int
server_start(struct upstream *u)
{
	struct server *s = &u->server;
	struct sockaddr_storage at;
	int at_n = sizeof(at), rc;

	uv_tcp_init(u->loop, &s->listener);
	uv_timer_init(u->loop, &s->sweeper);
	s->listener.data = s->sweeper.data = u;
	rc = uv_ip4_addr(
	    u->conf.host, (int)u->conf.port, (struct sockaddr_in *)&at);
	if (rc == 0)
		rc = uv_tcp_bind(&s->listener, (struct sockaddr *)&at, 0);
	if (rc == 0)
		rc = uv_listen(
		    (uv_stream_t *)&s->listener, 4096, server_on_connection);
	if (rc == 0)
		rc = uv_tcp_getsockname(
		    &s->listener, (struct sockaddr *)&at, &at_n);
	if (rc != 0)
		return rc;
	server_set_sweep(u);
	return ntohs(((struct sockaddr_in *)&at)->sin_port);
}
