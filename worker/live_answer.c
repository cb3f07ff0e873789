#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sluice/dialect.h>
#include <sluice/header.h>
#include <sluice/log.h>

#include "live_own.h"

enum { LOG_EVERY_MS = 10000 };

static void
live_on_drain(struct http_req *req)
{
	struct live_call *c = http_user(req);

	if (c->up != NULL)
		upstream_go_on(c->up);
}

/* Set the headers of an upstream's answer that may go on, but for its type. */
static void
pass_headers(struct live_call *c, struct slice headers, struct buf *type)
{
	struct slice name, value;
	struct buf text = { 0 };

	while (header_next(&headers, &name, &value)) {
		if (slice_ieq(name, "content-type")) {
			buf_clear(type);
			buf_add(type, value.p, value.n);
		} else if (slice_ieq(name, "x-request-id")) {
			http_set(c->req, "x-upstream-request-id", "%.*s",
			    (int)value.n, value.p);
		} else if (live_comes_down(name)) {
			buf_clear(&text);
			buf_add(&text, name.p, name.n);
			http_set(c->req, buf_cstr(&text), "%.*s", (int)value.n,
			    value.p);
		}
	}
	buf_fini(&text);
}

void
live_on_head(int status, struct slice headers, void *arg)
{
	static const struct slice events = SLICE("text/event-stream");
	struct live_call *c = arg;
	struct slice length = header_find(headers, "content-length");
	struct buf type = { 0 };
	int64_t n = -1;

	c->status = status;
	c->error = status >= 300;
	if (c->req == NULL || c->error)
		return;
	pass_headers(c, headers, &type);
	c->usage.stream = type.n >= events.n &&
	    slice_ieq((struct slice){ type.p, events.n }, events.p);
	if (length.p != NULL && !slice_int(length, INT64_MAX, &n))
		n = -1;
	c->started = true;
	http_limit_unsent(c->req, LIVE_UNSENT_MAX);
	http_start(c->req, status, type.n > 0 ? buf_cstr(&type) : NULL, n,
	    live_on_drain);
	buf_fini(&type);
}

bool
live_on_piece(struct slice piece, void *arg)
{
	struct live_call *c = arg;

	if (c->error) {
		c->too_long |= c->error_body.n + piece.n > LIVE_ERROR_MAX;
		if (!c->too_long)
			buf_add(&c->error_body, piece.p, piece.n);
		return true;
	}
	usage_feed(&c->usage, piece);
	return c->req == NULL || http_write(c->req, piece);
}

/* An answer of our own, to a call that may have been worked on. */
static void
fail(struct live_call *c, int status, const char *code, const char *text)
{
	c->status = status;
	if (c->req != NULL)
		http_error(c->req, status, code, NULL, "%s", text);
}

static bool
is_our_fault(int status, const struct dialect_answer *said)
{
	return status == 401 || status == 402 || status == 403 ||
	    said->refusal == DIALECT_BILLING;
}

/* What we hold with the upstream is no business of the caller's. */
static void
answer_our_fault(struct live_call *c)
{
	struct live *l = c->live;
	int64_t now_ms = (int64_t)uv_now(l->loop);

	if (l->log_at_ms == 0 || now_ms - l->log_at_ms > LOG_EVERY_MS) {
		log_error("live.refused",
		    "path=%s status=%d why=\"our secret "
		    "or account was refused\"",
		    c->path->name, c->status);
		l->log_at_ms = now_ms;
	}
	if (c->req != NULL)
		http_set(c->req, "retry-after", "30");
	fail(c, 503, "upstream_refused_us",
	    "The upstream refused the account that this service has with it. "
	    "The operator must act.");
}

static void
answer_error(struct live_call *c, const struct upstream_result *got)
{
	struct buf type = { 0 }, *body = &c->error_body;

	if (c->req == NULL)
		return;
	answer_redact(body->p, body->n, buf_slice(&c->path->secret));
	pass_headers(c, got->headers, &type);
	http_answer(c->req, got->status,
	    type.n > 0 ? buf_cstr(&type) : "application/json", buf_slice(body));
	buf_fini(&type);
}

static void
answer_whole(struct live_call *c, const struct upstream_result *got,
    const struct dialect_answer *said)
{
	if (c->started && c->req != NULL)
		http_end(c->req);
	else if (is_our_fault(got->status, said))
		answer_our_fault(c);
	else if (c->error && got->status < 400)
		fail(c, 502, "upstream_redirect",
		    "The upstream answered with a redirect.");
	else if (c->too_long)
		fail(c, got->status, NULL,
		    "The upstream's error was too long to be passed on.");
	else if (c->error)
		answer_error(c, got);
}

/* It did not come to an end; false: nothing has left, and nobody settles. */
static bool
answer_broken(struct live_call *c, const struct upstream_result *got)
{
	if (c->started) {
		if (c->req != NULL)
			http_abort(c->req);
		return true;
	}
	switch (got->end) {
	case UPSTREAM_UNREACHED:
	case UPSTREAM_UNSENT:
		/* A caller that has gone tries nothing again. */
		if (c->req == NULL)
			return true;
		http_set(c->req, LIVE_UNSENT, "1");
		fail(c, 503, "upstream_unreachable",
		    "The upstream cannot be reached.");
		return false;
	case UPSTREAM_TIMEOUT:
		fail(c, 504, "upstream_timeout",
		    "The upstream did not answer in time.");
		break;
	default:
		fail(c, 502, "upstream_broken",
		    "The connection to the upstream broke; whether the request "
		    "was worked on is not known.");
	}
	return true;
}

static bool
is_plain(const struct upstream_result *got)
{
	return header_find(got->headers, "content-encoding").p == NULL;
}

void
live_on_done(const struct upstream_result *got, void *arg)
{
	struct live_call *c = arg;
	struct live *l = c->live;
	struct dialect_answer said = { 0 };
	struct live_end end = {
		.admission = c->admission,
		.settle = true,
		.path = c->path,
		.model = buf_cstr(&c->model),
		.got = got,
		.said = &said,
		.bytes = c->json ? (int64_t)c->body.n : 0,
		.in_flight = c->in_flight,
	};

	c->up = NULL;
	usage_end(&c->usage);
	if (got->end == UPSTREAM_ANSWERED)
		dialect_read(c->path->dialect, got->status, got->headers,
		    buf_slice(&c->error_body), (int64_t)time(NULL), &said);
	if (got->end == UPSTREAM_ANSWERED)
		answer_whole(c, got, &said);
	else
		end.settle = answer_broken(c, got);
	c->path->live--;
	/* What may have been worked on is charged as estimated. */
	end.status = got->end == UPSTREAM_ANSWERED ? c->status
	    : got->sent_us == 0                    ? 503
						   : 0;
	if (is_plain(got)) {
		end.usage = c->usage.found;
		end.chunks = c->usage.chunks;
	}
	live_settle_add(l->settle, &end);
	live_set(c, LIVE_DONE);
	live_call_drop(c);
}
