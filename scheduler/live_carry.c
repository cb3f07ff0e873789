#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/header.h>
#include <sluice/http.h>
#include <sluice/live.h>
#include <sluice/log.h>

#include "live_own.h"

enum {
	CONNECT_MS = 2000,
	LINES_MAX = 64,          /* of headers that go on */
	UNSENT_BYTES = 64 << 10, /* of an answer; then the worker waits */
	SAID_MAX = 64 << 10,     /* of an answer to what was not sent */
};

/* Whoever let it in is told that nothing came of it. */
static void
live_on_dropped(struct db_result *res, void *arg)
{
	(void)arg; /* the admission expires anyway */
	if (db_rc(res) != SLC_OK)
		log_warn("live.drop", "why=\"%s\"", db_message(res));
}

void
live_drop_admission(struct live_call *lc)
{
	db_run(lc->live->db, live_on_dropped, NULL, STMT_ADMISSION_DROP,
	    lc->admission);
}

static void
live_on_drain(struct http_req *req)
{
	struct call *call = http_user(req);
	struct live_call *lc = call->state;

	if (lc != NULL && lc->up != NULL)
		upstream_go_on(lc->up);
}

static void
live_on_head(int status, struct slice headers, void *arg)
{
	struct live_call *lc = arg;
	struct call *call = lc->call;
	struct slice length = header_find(headers, "content-length");
	struct slice name, value, rest = headers;
	struct buf text = { 0 }, type = { 0 };
	int64_t n = -1;

	lc->status = status;
	lc->unsent = header_find(headers, LIVE_UNSENT).p != NULL;
	if (lc->unsent || call->req == NULL)
		return;
	while (header_next(&rest, &name, &value)) {
		if (slice_ieq(name, "content-type")) {
			buf_clear(&type);
			buf_add(&type, value.p, value.n);
		} else if (live_comes_down(name)) {
			buf_clear(&text);
			buf_add(&text, name.p, name.n);
			http_set(call->req, buf_cstr(&text), "%.*s",
			    (int)value.n, value.p);
		}
	}
	if (length.p != NULL && !slice_int(length, INT64_MAX, &n))
		n = -1;
	live_cache_head(lc, status, headers);
	lc->started = call->answered = true;
	http_limit_unsent(call->req, UNSENT_BYTES);
	http_start(call->req, status, type.n > 0 ? buf_cstr(&type) : NULL, n,
	    live_on_drain);
	buf_fini(&text);
	buf_fini(&type);
}

static bool
live_on_piece(struct slice piece, void *arg)
{
	struct live_call *lc = arg;

	if (!lc->unsent) {
		live_cache_piece(lc, piece);
		return lc->call->req == NULL ||
		    http_write(lc->call->req, piece);
	}
	if (lc->said.n + piece.n <= SAID_MAX)
		buf_add(&lc->said, piece.p, piece.n);
	return true;
}

/* No worker took it: as the last one said, or in our words. */
static void
answer_unsent(struct live_call *lc)
{
	struct call *call = lc->call;

	live_drop_admission(lc);
	if (call->req != NULL && lc->said.n > 0) {
		http_set(call->req, "Retry-After", "1");
		api_json(call, lc->status, buf_slice(&lc->said));
	} else {
		api_error(call, 503, "no_worker", NULL,
		    "No live worker can be reached; nothing was sent. Try "
		    "again.");
	}
	live_over(lc);
}

static void
live_on_other(struct db_result *res, void *arg)
{
	struct live_call *lc = arg;
	struct slice url, token;

	if (lc->call->req == NULL || db_rc(res) != SLC_OK ||
	    db_rows(res, 0) == 0) {
		answer_unsent(lc);
		return;
	}
	url = db_slice(res, 0, 0, 0);
	token = db_slice(res, 0, 0, 1);
	snprintf(lc->url, sizeof(lc->url), "%.*s", (int)url.n, url.p);
	snprintf(lc->token, sizeof(lc->token), "%.*s", (int)token.n, token.p);
	buf_clear(&lc->said);
	live_carry(lc);
}

/* Nothing has left: once, another worker may try. */
static void
find_other(struct live_call *lc)
{
	if (lc->again || lc->call->req == NULL) {
		answer_unsent(lc);
		return;
	}
	lc->again = true;
	live_set(lc, LIVE_FINDING);
	db_run(lc->live->db, live_on_other, lc, STMT_LIVE_OTHER, lc->admission,
	    lc->url);
}

static void
live_on_done(const struct upstream_result *got, void *arg)
{
	struct live_call *lc = arg;
	struct call *call = lc->call;
	bool unsent = lc->unsent || got->end == UPSTREAM_UNREACHED ||
	    got->end == UPSTREAM_UNSENT;

	lc->up = NULL;
	if (unsent && got->end != UPSTREAM_ABANDONED) {
		find_other(lc);
		return;
	}
	/* From here on the worker settles, or its death does. */
	if (got->sent_us == 0)
		live_drop_admission(lc);
	if (got->end == UPSTREAM_ANSWERED)
		live_cache_end(lc);
	if (call->req == NULL)
		;
	else if (lc->started && got->end == UPSTREAM_ANSWERED)
		http_end(call->req);
	else if (lc->started)
		http_abort(call->req);
	else
		api_error(call, 502, "worker_lost", NULL,
		    "The worker that carried the call was lost; whether the "
		    "request was worked on is not known.");
	live_over(lc);
}

static void
add_line(char **lines, size_t *n, struct slice name, struct slice value)
{
	struct buf b = { 0 };

	buf_add(&b, name.p, name.n);
	buf_adds(&b, ": ");
	buf_add(&b, value.p, value.n);
	buf_cstr(&b);
	lines[(*n)++] = b.p; /* moved */
}

static void
add_escaped(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c > ' ' && c < 0x7f && c != '%')
			buf_addc(out, (char)c);
		else
			buf_addf(out, "%%%02X", c);
	}
}

static struct upstream_headers *
make_headers(struct live_call *lc)
{
	struct http_req *req = lc->call->req;
	char *lines[LINES_MAX + 7], number[24];
	struct upstream_headers *h;
	struct slice name, value;
	struct buf model = { 0 };
	size_t n = 0;

	for (size_t i = 0;
	     n < LINES_MAX && http_header_at(req, i, &name, &value); i++)
		if (live_goes_up(name) && value.n > 0)
			add_line(lines, &n, name, value);
	add_line(lines, &n, slice_str(LIVE_TOKEN), slice_str(lc->token));
	snprintf(number, sizeof(number), "%" PRId64, lc->admission);
	add_line(lines, &n, slice_str(LIVE_ADMISSION), slice_str(number));
	snprintf(number, sizeof(number), "%" PRId32, lc->path);
	add_line(lines, &n, slice_str(LIVE_PATH), slice_str(number));
	snprintf(number, sizeof(number), "%" PRId64, lc->leave_us);
	if (lc->leave_us > 0)
		add_line(lines, &n, slice_str(LIVE_LEAVE), slice_str(number));
	add_escaped(&model, buf_slice(&lc->ask.model));
	add_line(lines, &n, slice_str(LIVE_MODEL), buf_slice(&model));
	buf_fini(&model);
	lines[n] = NULL;
	h = upstream_headers_new((const char *const *)lines);
	while (n > 0)
		free(lines[--n]);
	return h;
}

void
live_carry(struct live_call *lc)
{
	struct http_req *req = lc->call->req;
	struct slice path = http_path(req), query = http_query(req);
	struct buf url = { 0 };
	struct upstream_request request = {
		.method = http_method(req),
		.body = buf_slice(&lc->call->body),
		.connect_ms = CONNECT_MS,
		.on_head = live_on_head,
		.on_piece = live_on_piece,
		.done = live_on_done,
		.arg = lc,
	};

	if (strncmp(lc->url, "unix:", 5) == 0) {
		request.socket = lc->url + 5;
		buf_adds(&url, "http://worker");
	} else {
		buf_adds(&url, lc->url);
	}
	buf_add(&url, path.p, path.n);
	if (query.n > 0) {
		buf_addc(&url, '?');
		buf_add(&url, query.p, query.n);
	}
	request.url = buf_cstr(&url);
	request.headers = make_headers(lc);
	live_set(lc, LIVE_CALLING);
	lc->up = upstream_start(lc->live->upstream, &request);
	upstream_headers_drop(request.headers);
	buf_fini(&url);
}
