#include "http_conn.h"

#include <assert.h>
#include <stdlib.h>

#include "server.h"

#define BIT(n) (1u << (n))

static const unsigned next_states[HTTP_CONN_STATES] = {
	[HTTP_CONN_IDLE] = BIT(HTTP_CONN_HEAD) | BIT(HTTP_CONN_LAST),
	[HTTP_CONN_HEAD] = BIT(HTTP_CONN_BODY) | BIT(HTTP_CONN_LAST),
	[HTTP_CONN_BODY] = BIT(HTTP_CONN_WAIT) | BIT(HTTP_CONN_LAST),
	[HTTP_CONN_WAIT] = BIT(HTTP_CONN_IDLE) | BIT(HTTP_CONN_LAST),
	[HTTP_CONN_LAST] = BIT(HTTP_CONN_LINGER),
};

static void
move(struct http_conn *c, enum http_conn_state next)
{
	const struct http_opts *opts = &c->shared->opts;
	/* The others wait for the handler, or server.c sees them stall. */
	const int64_t limits[HTTP_CONN_STATES] = {
		[HTTP_CONN_IDLE] = opts->idle_ms,
		[HTTP_CONN_HEAD] = opts->header_ms,
		[HTTP_CONN_BODY] = opts->body_grace_ms,
		[HTTP_CONN_LINGER] = HTTP_LINGER_IDLE_MS,
	};

	assert(next == HTTP_CONN_CLOSED ? c->state != HTTP_CONN_CLOSED
					: next_states[c->state] & BIT(next));
	c->state = next;
	c->deadline_ms = limits[next] + server_now(c);
}

static void
begin_request(struct http_conn *c)
{
	c->req = xcalloc(1, sizeof(*c->req));
	c->req->conn = c;
	c->req->since_ms = server_now(c);
	http_answer_id(c->shared, c->req->id);
	move(c, HTTP_CONN_HEAD);
}

static void
end_request(struct http_conn *c)
{
	struct http_req *req = c->req;

	c->req = NULL;
	req->answer = HTTP_ANSWER_DEAD;
	if (req->known)
		c->shared->handler->on_gone(req);
	http_head_fini(&req->head);
	buf_fini(&req->extra);
	free(req);
}

static void
drop(struct http_conn *c, bool reset)
{
	bool busy = c->busy;

	c->busy = true;
	move(c, HTTP_CONN_CLOSED);
	if (c->req != NULL)
		end_request(c);
	server_close(c, reset);
	c->busy = busy;
}

/* Answer for the handler, and for the last time. */
static void
refuse(struct http_conn *c, struct http_fault fault)
{
	static const struct {
		int status;
		const char *code;
	} codes[] = {
		{ 408, "request_timeout" },
		{ 414, "uri_too_long" },
		{ 417, "expectation_failed" },
		{ 431, "headers_too_large" },
		{ 501, "not_implemented" },
		{ 503, "overloaded" },
	};
	const char *code = NULL;

	c->last = true;
	if (c->req->answer == HTTP_ANSWER_STARTED)
		c->req->answer = HTTP_ANSWER_DEAD;
	if (c->req->answer != HTTP_ANSWER_NONE)
		return;
	for (size_t i = 0; i < NITEMS(codes); i++)
		if (codes[i].status == fault.status)
			code = codes[i].code;
	if (fault.status == 503)
		http_set(c->req, "retry-after", "1");
	http_error(c->req, fault.status, code, NULL, "%s", fault.why);
}

/* The body's deadline: each byte moves it on, up to the grace from now. */
static void
extend_body(struct http_conn *c)
{
	const struct http_opts *opts = &c->shared->opts;
	int64_t most = server_now(c) + opts->body_grace_ms;

	c->deadline_ms += (int64_t)c->body_new * 1000 / opts->body_min_bps;
	if (c->deadline_ms > most)
		c->deadline_ms = most;
	c->body_new = 0;
}

/* Take the steps that are due, whoever caused them. */
static void
settle(struct http_conn *c)
{
	static const struct slice go_on =
	    SLICE("HTTP/1.1 100 Continue\r\n\r\n");
	struct http_req *req = c->req;

	if (req != NULL && c->state == HTTP_CONN_BODY && !req->paused &&
	    req->head.expects_continue && req->answer == HTTP_ANSWER_NONE) {
		req->head.expects_continue = false;
		if (!server_send(c, &go_on, 1))
			req->answer = HTTP_ANSWER_DEAD;
	}
	if (req != NULL && req->answer == HTTP_ANSWER_DEAD) {
		drop(c, true);
	} else if (req != NULL && req->answer == HTTP_ANSWER_DONE &&
	    (c->state == HTTP_CONN_WAIT || c->last)) {
		move(c, c->last ? HTTP_CONN_LAST : HTTP_CONN_IDLE);
		end_request(c);
	}
	if (c->state == HTTP_CONN_IDLE && c->shared->closing)
		move(c, HTTP_CONN_LAST);
	if (c->state == HTTP_CONN_LAST && server_unsent(c) == 0) {
		if (c->eof) {
			drop(c, false);
			return;
		}
		server_shut(c);
		move(c, HTTP_CONN_LINGER);
		c->left_ms = server_now(c) + HTTP_LINGER_MS;
	}
}

static bool
may_parse(struct http_conn *c, size_t n)
{
	switch (c->state) {
	case HTTP_CONN_IDLE:
		/* Who takes no answers gets no further ones. */
		if (n == 0 || server_unsent(c) > 0)
			return false;
		begin_request(c);
		return true;
	case HTTP_CONN_HEAD:
		return true;
	case HTTP_CONN_BODY:
		return !c->req->paused;
	default:
		return false;
	}
}

static void
on_event(struct http_conn *c, enum http_parse_event event, struct slice piece)
{
	const struct http_handler *handler = c->shared->handler;
	struct http_req *req = c->req;

	switch (event) {
	case HTTP_PARSE_MORE:
		break;
	case HTTP_PARSE_HEADER:
		move(c, HTTP_CONN_BODY);
		c->last = !c->parse.keep_alive || c->shared->closing;
		req->since_ms = server_now(c);
		req->known = true;
		/* There is nothing to wait for with an empty body. */
		if (req->head.length == 0)
			req->head.expects_continue = false;
		handler->on_request(req, c->shared->ctx);
		break;
	case HTTP_PARSE_BODY:
		req->body_seen += (int64_t)piece.n;
		c->body_new += piece.n;
		if (req->answer < HTTP_ANSWER_DONE)
			handler->on_body(req, piece);
		break;
	case HTTP_PARSE_END:
		move(c, HTTP_CONN_WAIT);
		if (req->answer < HTTP_ANSWER_DONE)
			handler->on_body_end(req);
		break;
	case HTTP_PARSE_BAD:
		refuse(c, c->parse.fault);
		break;
	}
}

/* What could not be parsed now is kept; in is the end of the tail, if any. */
static void
keep(struct http_conn *c, struct slice in)
{
	if (c->state >= HTTP_CONN_LAST)
		in.n = 0;
	if (in.n == 0)
		buf_fini(&c->tail);
	else if (c->tail.n > 0)
		buf_drop(&c->tail, c->tail.n - in.n);
	else
		buf_add(&c->tail, in.p, in.n);
}

static void
run(struct http_conn *c, struct slice bytes)
{
	struct slice in = bytes, piece = { 0 };
	enum http_parse_event event;

	if (c->tail.n > 0) {
		buf_add(&c->tail, bytes.p, bytes.n);
		in = buf_slice(&c->tail);
	}
	c->busy = true;
	do {
		settle(c);
		event = HTTP_PARSE_MORE;
		if (may_parse(c, in.n))
			event = http_parse_next(
			    &c->parse, &c->req->head, &in, &piece);
		on_event(c, event, piece);
	} while (event != HTTP_PARSE_MORE);
	c->busy = false;
	keep(c, in);
	if (c->state != HTTP_CONN_CLOSED)
		server_read(c, !c->eof && http_conn_room(c) > 0);
}

void
http_conn_open(struct http_conn *c, struct http_shared *shared)
{
	c->shared = shared;
	http_parse_init(&c->parse);
	c->deadline_ms = server_now(c) + shared->opts.header_ms;
	server_read(c, true);
}

void
http_conn_refuse(struct http_conn *c, const char *why)
{
	begin_request(c);
	c->busy = true;
	refuse(c, (struct http_fault){ 503, why });
	run(c, (struct slice){ 0 });
}

void
http_conn_fini(struct http_conn *c)
{
	assert(c->req == NULL);
	buf_fini(&c->tail);
}

size_t
http_conn_room(const struct http_conn *c)
{
	/* What is read while nothing may be parsed is to see the peer leave. */
	return HTTP_TAIL_MAX > c->tail.n ? HTTP_TAIL_MAX - c->tail.n : 0;
}

void
http_conn_on_bytes(struct http_conn *c, struct slice bytes)
{
	int64_t now_ms = server_now(c);

	assert(bytes.n <= http_conn_room(c));
	if (c->state < HTTP_CONN_LAST) {
		run(c, bytes);
	} else if (c->state == HTTP_CONN_LINGER) {
		c->deadline_ms = now_ms + HTTP_LINGER_IDLE_MS;
		if (c->deadline_ms > c->left_ms)
			c->deadline_ms = c->left_ms;
	}
}

void
http_conn_on_eof(struct http_conn *c)
{
	c->eof = true;
	/*
	 * A peer that has only closed its sending half is rare, and cannot be
	 * told from one that left: it gets no answer that is still to be made.
	 */
	if (c->req == NULL && server_unsent(c) > 0) {
		if (c->state != HTTP_CONN_LAST)
			move(c, HTTP_CONN_LAST);
	} else {
		drop(c, false);
	}
}

void
http_conn_on_broken(struct http_conn *c)
{
	drop(c, true);
}

void
http_conn_on_sent(struct http_conn *c)
{
	struct http_req *req = c->req;
	size_t unsent = server_unsent(c);

	c->busy = true;
	if (req != NULL && req->wants_drain &&
	    unsent <= http_answer_high(req) / HTTP_OUT_LOW) {
		req->wants_drain = false;
		req->on_drain(req);
	}
	if (c->state == HTTP_CONN_IDLE && unsent == 0)
		c->deadline_ms = server_now(c) + c->shared->opts.idle_ms;
	run(c, (struct slice){ 0 });
}

void
http_conn_on_wake(struct http_conn *c)
{
	run(c, (struct slice){ 0 });
}

void
http_conn_on_tick(struct http_conn *c, int64_t deaf_ms)
{
	struct http_fault slow = { 408, "the request did not arrive in time" };

	c->deadline_ms += deaf_ms;
	if (c->state == HTTP_CONN_BODY && !c->req->paused)
		extend_body(c);
	if (server_now(c) < c->deadline_ms)
		return;
	switch (c->state) {
	case HTTP_CONN_IDLE:
		if (server_unsent(c) > 0)
			return;
		drop(c, false);
		return;
	case HTTP_CONN_HEAD:
	case HTTP_CONN_BODY:
		c->busy = true;
		refuse(c, slow);
		run(c, (struct slice){ 0 });
		return;
	case HTTP_CONN_LINGER:
		drop(c, false);
		return;
	default:
		return;
	}
}

void
http_conn_on_closing(struct http_conn *c)
{
	c->last = true;
	if (!c->busy && c->state == HTTP_CONN_IDLE)
		run(c, (struct slice){ 0 });
}

void
http_conn_touch(struct http_conn *c)
{
	if (!c->busy)
		server_wake(c);
}

void
http_pause(struct http_req *req)
{
	struct http_conn *c = req->conn;

	if (req->paused || req->answer >= HTTP_ANSWER_DONE)
		return;
	req->paused = true;
	if (c->state != HTTP_CONN_BODY)
		return;
	/* The time we take is not the peer's. */
	extend_body(c);
	c->left_ms = c->deadline_ms - server_now(c);
	c->deadline_ms = HTTP_NEVER;
}

void
http_resume(struct http_req *req)
{
	struct http_conn *c = req->conn;

	if (!req->paused || req->answer == HTTP_ANSWER_DEAD)
		return;
	req->paused = false;
	if (c->state == HTTP_CONN_BODY)
		c->deadline_ms = server_now(c) + c->left_ms;
	http_conn_touch(c);
}
