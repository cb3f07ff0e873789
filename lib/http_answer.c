#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <sluice/http.h>

#include "http_conn.h"
#include "server.h"

void
http_answer_id(struct http_shared *shared, char out[5 + 32])
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *r;

	/* One system call for many requests. */
	if (shared->random_left == 0) {
		size_t n = sizeof(shared->random);

		while (getrandom(shared->random, n, 0) != (ssize_t)n)
			;
		shared->random_left = n;
	}
	shared->random_left -= 16;
	r = shared->random + shared->random_left;
	memcpy(out, "req_", 4);
	for (size_t i = 0; i < 16; i++) {
		out[4 + 2 * i] = hex[r[i] >> 4];
		out[5 + 2 * i] = hex[r[i] & 15];
	}
	out[36] = '\0';
}

static const char *
date_now(struct http_shared *shared)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != shared->date_s) {
		gmtime_r(&now.tv_sec, &tm);
		strftime(shared->date, sizeof(shared->date),
		    "%a, %d %b %Y %H:%M:%S GMT", &tm);
		shared->date_s = now.tv_sec;
	}
	return shared->date;
}

/* printf() would take a tenth of a small request's time. */
static void
add_number(struct buf *b, uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	do
		digits[--i] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	buf_add(b, digits + i, sizeof(digits) - i);
}

static bool
is_late(const struct http_req *req)
{
	return req->answer == HTTP_ANSWER_DEAD;
}

/* True if so much of the request is to come that closing is cheaper. */
static bool
rest_is_long(const struct http_req *req)
{
	if (req->conn->state != HTTP_CONN_BODY || req->head.length == 0)
		return false;
	/* A peer that was not told to go on may send the body or not. */
	return req->head.length == -1 || req->head.expects_continue ||
	    req->head.length - req->body_seen > HTTP_SKIP_MAX;
}

/* The answer's header; valid until the next one is made. */
static struct slice
make_head(struct http_req *req, int status, const char *type, int64_t length)
{
	struct http_conn *c = req->conn;
	struct http_shared *shared = c->shared;
	struct buf *b = &shared->head;
	bool none = status < 200 || status == 204 || status == 304;

	req->bodyless = none || req->head.is_head;
	req->chunked = length == -1 && !none && !req->head.is_http10;
	if (length == -1 && !none && !req->chunked)
		c->last = true; /* the end of the body is the end of all */

	buf_clear(b);
	buf_adds(b, "HTTP/1.1 ");
	add_number(b, (uint64_t)status);
	buf_addc(b, ' ');
	buf_adds(b, http_status_str((enum http_status)status));
	buf_adds(b, "\r\ndate: ");
	buf_adds(b, date_now(shared));
	if (type != NULL) {
		buf_adds(b, "\r\ncontent-type: ");
		buf_adds(b, type);
	}
	if (req->chunked) {
		buf_adds(b, "\r\ntransfer-encoding: chunked");
	} else if (length >= 0 && !none) {
		buf_adds(b, "\r\ncontent-length: ");
		add_number(b, (uint64_t)length);
	}
	buf_adds(b, "\r\nx-request-id: ");
	buf_adds(b, req->id);
	buf_adds(b, "\r\nopenai-processing-ms: ");
	add_number(b, (uint64_t)(server_now(c) - req->since_ms));
	if (c->last)
		buf_adds(b, "\r\nconnection: close");
	else if (req->head.is_http10)
		buf_adds(b, "\r\nconnection: keep-alive");
	buf_adds(b, "\r\n");
	buf_add(b, req->extra.p, req->extra.n);
	buf_adds(b, "\r\n");
	return buf_slice(b);
}

static void
send_or_die(struct http_req *req, const struct slice *pieces, size_t n)
{
	if (!server_send(req->conn, pieces, n)) {
		req->answer = HTTP_ANSWER_DEAD;
		http_conn_touch(req->conn);
	}
}

static void
answer_done(struct http_req *req)
{
	if (is_late(req))
		return;
	/* What is left of the body is skipped, not waited with. */
	http_resume(req);
	req->answer = HTTP_ANSWER_DONE;
	http_conn_touch(req->conn);
}

void
http_set(struct http_req *req, const char *name, const char *fmt, ...)
{
	va_list ap;
	char *value;

	va_start(ap, fmt);
	if (vasprintf(&value, fmt, ap) < 0)
		abort();
	va_end(ap);
	/* A line end here would let a value write headers of its own. */
	for (char *p = value; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	buf_addf(&req->extra, "%s: %s\r\n", name, value);
	free(value);
}

void
http_answer(
    struct http_req *req, int status, const char *type, struct slice body)
{
	struct slice pieces[2];

	if (is_late(req))
		return;
	assert(req->answer == HTTP_ANSWER_NONE);
	if (rest_is_long(req))
		req->conn->last = true;
	pieces[0] = make_head(req, status, type, (int64_t)body.n);
	pieces[1] = body;
	send_or_die(req, pieces, req->bodyless || body.n == 0 ? 1 : 2);
	answer_done(req);
}

void
http_error(struct http_req *req, int status, const char *code,
    const char *param, const char *fmt, ...)
{
	const char *type = "invalid_request_error";
	char message[1024];
	struct buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (status == 429)
		type = "rate_limit_error";
	else if (status >= 500)
		type = "server_error";
	buf_adds(&b, "{\"error\":{\"message\":");
	buf_add_json(&b, slice_str(message));
	buf_addf(&b, ",\"type\":\"%s\",\"param\":", type);
	if (param != NULL)
		buf_add_json(&b, slice_str(param));
	else
		buf_adds(&b, "null");
	buf_adds(&b, ",\"code\":");
	if (code != NULL)
		buf_add_json(&b, slice_str(code));
	else
		buf_adds(&b, "null");
	buf_adds(&b, "}}");
	http_answer(req, status, "application/json", buf_slice(&b));
	buf_fini(&b);
}

void
http_start(struct http_req *req, int status, const char *type, int64_t length,
    void (*on_drain)(struct http_req *req))
{
	struct slice head;

	if (is_late(req))
		return;
	assert(req->answer == HTTP_ANSWER_NONE);
	head = make_head(req, status, type, length);
	req->answer = HTTP_ANSWER_STARTED;
	req->on_drain = on_drain;
	req->out_left = length;
	send_or_die(req, &head, 1);
}

size_t
http_answer_high(const struct http_req *req)
{
	return req->out_high > 0 ? req->out_high : HTTP_OUT_HIGH;
}

void
http_limit_unsent(struct http_req *req, size_t bytes)
{
	req->out_high = bytes;
}

bool
http_write(struct http_req *req, struct slice bytes)
{
	struct slice pieces[3] = { { 0 }, bytes, SLICE("\r\n") };
	char size[20];

	if (is_late(req))
		return false;
	assert(req->answer == HTTP_ANSWER_STARTED);
	if (req->out_left >= 0) {
		/* More than was announced would be the next answer's head. */
		if (bytes.n > (size_t)req->out_left) {
			http_abort(req);
			return false;
		}
		req->out_left -= (int64_t)bytes.n;
	}
	if (bytes.n > 0 && !req->bodyless) {
		if (req->chunked) {
			pieces[0].p = size;
			pieces[0].n = (size_t)snprintf(
			    size, sizeof(size), "%zx\r\n", bytes.n);
			send_or_die(req, pieces, 3);
		} else {
			send_or_die(req, &bytes, 1);
		}
	}
	if (server_unsent(req->conn) > http_answer_high(req))
		req->wants_drain = true;
	return !req->wants_drain && !is_late(req);
}

void
http_end(struct http_req *req)
{
	static const struct slice end = SLICE("0\r\n\r\n");

	if (is_late(req))
		return;
	assert(req->answer == HTTP_ANSWER_STARTED);
	if (req->out_left > 0 && !req->bodyless) {
		http_abort(req);
		return;
	}
	req->wants_drain = false;
	/* The header promised to stay, but then too much is still to come. */
	if (rest_is_long(req))
		req->conn->last = true;
	if (req->chunked && !req->bodyless)
		send_or_die(req, &end, 1);
	answer_done(req);
}

void
http_abort(struct http_req *req)
{
	req->answer = HTTP_ANSWER_DEAD;
	req->wants_drain = false;
	http_conn_touch(req->conn);
}
