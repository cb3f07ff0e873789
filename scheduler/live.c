#include "live.h"

#include <assert.h>
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

/* What is served live: as which resource, and the model when none is named. */
struct live_kind {
	const char *path, *resource, *model;
};

static const struct live_kind kinds[] = {
	{ "/v1/chat/completions", "chat", NULL },
	{ "/v1/completions", "chat", NULL },
	{ "/v1/responses", "chat", NULL },
	{ "/v1/embeddings", "embeddings", NULL },
	{ "/v1/moderations", "moderations", "omni-moderation-latest" },
	{ "/v1/images/generations", "images", "dall-e-2" },
	{ "/v1/images/edits", "images", "dall-e-2" },
	{ "/v1/images/variations", "images", "dall-e-2" },
	{ "/v1/audio/speech", "audio", NULL },
	{ "/v1/audio/transcriptions", "audio", NULL },
	{ "/v1/audio/translations", "audio", NULL },
};

void
live_set(struct live_call *lc, enum live_stage next)
{
	static const unsigned legal[LIVE_STAGES] = {
		[LIVE_READING] =
		    1u << LIVE_ASKING | 1u << LIVE_WAITING | 1u << LIVE_OVER,
		[LIVE_ASKING] =
		    1u << LIVE_WAITING | 1u << LIVE_CALLING | 1u << LIVE_OVER,
		[LIVE_WAITING] = 1u << LIVE_ASKING | 1u << LIVE_OVER,
		[LIVE_CALLING] = 1u << LIVE_FINDING | 1u << LIVE_OVER,
		[LIVE_FINDING] = 1u << LIVE_CALLING | 1u << LIVE_OVER,
	};

	assert(legal[lc->stage] & 1u << next);
	lc->stage = next;
}

void
live_over(struct live_call *lc)
{
	struct call *call = lc->call;

	live_wait_leave(lc);
	live_set(lc, LIVE_OVER);
	lc->live->bodies -= lc->reserved;
	call->state = NULL;
	live_ask_fini(&lc->ask);
	buf_fini(&lc->said);
	free(lc);
	call_drop(call);
}

/* Whoever let it in is told that nothing came of it. */
static void
live_on_dropped(struct db_result *res, void *arg)
{
	(void)arg; /* the admission expires anyway */
	if (db_rc(res) != SLC_OK)
		log_warn("live.drop", "why=\"%s\"", db_message(res));
}

static void
drop_admission(struct live_call *lc)
{
	db_run(lc->live->db, live_on_dropped, NULL, STMT_ADMISSION_DROP,
	    lc->admission);
}

/* The worker -------------------------------------------------------------- */

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

	if (!lc->unsent)
		return lc->call->req == NULL ||
		    http_write(lc->call->req, piece);
	if (lc->said.n + piece.n <= SAID_MAX)
		buf_add(&lc->said, piece.p, piece.n);
	return true;
}

static void live_start(struct live_call *lc);

/* No worker took it: as the last one said, or in our words. */
static void
answer_unsent(struct live_call *lc)
{
	struct call *call = lc->call;

	drop_admission(lc);
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
	live_start(lc);
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
		drop_admission(lc);
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
	char *lines[LINES_MAX + 6], number[24];
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
	add_escaped(&model, buf_slice(&lc->ask.model));
	add_line(lines, &n, slice_str(LIVE_MODEL), buf_slice(&model));
	buf_fini(&model);
	lines[n] = NULL;
	h = upstream_headers_new((const char *const *)lines);
	while (n > 0)
		free(lines[--n]);
	return h;
}

static void
live_start(struct live_call *lc)
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

/* The door ---------------------------------------------------------------- */

static void
refuse(struct live_call *lc, const struct admit_answer *a)
{
	struct call *call = lc->call;
	const struct reply_refusal refusal = { .wait_us = a->wait_us,
		.limit = a->limit,
		.dimension = a->dimension,
		.scope = a->scope,
		.upstream = a->verdict == ADMIT_BUSY };

	if (call->req == NULL)
		return;
	switch (a->verdict) {
	case ADMIT_LIMITED:
	case ADMIT_BUSY:
		api_reply_refused(call, &a->headline, lc->kind->resource,
		    lc->priority, &refusal);
		break;
	case ADMIT_NO_MODEL:
		api_error(call, 404, "model_not_found", "model",
		    "The model '%s' does not exist or you do not have access "
		    "to it.",
		    lc->ask.model.p);
		break;
	case ADMIT_NO_CHEAP:
		api_error(call, 400, "no_cheap_path", "model",
		    "No cheaper path takes '%s' for calls that wait: name the "
		    "model without \":batch\", or send a batch.",
		    lc->ask.model.p);
		break;
	case ADMIT_NO_PATH:
		api_error(call, 503, "no_path", NULL,
		    "No path to a provider of '%s' is working at present. Try "
		    "again.",
		    lc->ask.model.p);
		break;
	default:
		api_error(call, 503, "database_unavailable", NULL,
		    "The database is not available; nothing was done. Try "
		    "again.");
	}
}

static void
live_on_admitted(const struct admit_answer *a, void *arg)
{
	struct live_call *lc = arg;

	if (a->verdict == ADMIT_BUSY && lc->call->req != NULL &&
	    live_wait(lc, a->wait_us))
		return;
	live_wait_leave(lc);
	lc->admission = a->admission;
	if (a->verdict != ADMIT_LIMITED && a->verdict != ADMIT_BUSY)
		api_reply(
		    lc->call, &a->headline, lc->kind->resource, lc->priority);
	if (a->verdict != ADMIT_YES) {
		refuse(lc, a);
		live_over(lc);
	} else if (lc->call->req == NULL) {
		drop_admission(lc);
		live_over(lc);
	} else {
		lc->path = a->path;
		memcpy(lc->url, a->worker_url, sizeof(lc->url));
		memcpy(lc->token, a->worker_token, sizeof(lc->token));
		live_start(lc);
	}
}

void
live_ask(struct live_call *lc)
{
	struct admit_ask ask = {
		.account = lc->call->account,
		.key = lc->call->key,
		.model = lc->ask.model.p,
		.resource = lc->kind->resource,
		.input = lc->ask.input,
		.output = lc->ask.output,
		.priority = lc->priority,
		.cheap = lc->ask.cheap,
	};

	live_set(lc, LIVE_ASKING);
	admit_ask(lc->live->admit, &ask, live_on_admitted, lc);
}

/* The caller -------------------------------------------------------------- */

static bool
reserve(struct live_call *lc, size_t n)
{
	if (lc->reserved + n > SLC_LIVE_BODY_MAX) {
		api_error(lc->call, 413, "request_too_large", NULL,
		    "The body has more than %d bytes.", SLC_LIVE_BODY_MAX);
		return false;
	}
	if (lc->live->bodies + n > SLC_LIVE_BODIES_MAX) {
		api_error(lc->call, 503, "overloaded", NULL,
		    "Too many large requests are being sent at once. Try "
		    "again.");
		return false;
	}
	lc->reserved += n;
	lc->live->bodies += n;
	return true;
}

static void
live_on_body(struct call *call, struct slice piece)
{
	struct live_call *lc = call->state;

	if (lc == NULL)
		return;
	if (http_body_length(call->req) < 0 && !reserve(lc, piece.n))
		live_over(lc);
	else
		buf_add(&call->body, piece.p, piece.n);
}

static void
live_on_end(struct call *call)
{
	struct live_call *lc = call->state;
	const char *param;
	struct slc_err err;

	if (lc == NULL)
		return;
	if (live_ask_read(http_header(call->req, "content-type"),
		buf_slice(&call->body), lc->kind->model, &lc->ask, &param,
		&err) != SLC_OK) {
		api_error(call, 400, "invalid_request", param, "%s", err.text);
		live_over(lc);
		return;
	}
	lc->until_ms = (int64_t)uv_now(lc->live->loop) + lc->live->opts.wait_ms;
	if (!live_wait_behind(lc))
		live_ask(lc);
}

static void
live_on_gone(struct call *call)
{
	struct live_call *lc = call->state;

	if (lc == NULL)
		return;
	if (lc->up != NULL)
		upstream_cancel(lc->up);
	else if (lc->stage == LIVE_READING || lc->stage == LIVE_WAITING)
		live_over(lc);
}

/* 1 to 4 or their names; false: answered, none of them, or not for this key. */
static bool
read_priority(struct call *call, int *priority)
{
	static const char *const names[] = { "low", "normal", "high",
		"critical" };
	struct slice v = http_header(call->req, "x-request-priority");
	int64_t n = 0;

	*priority = call->max_priority;
	if (v.p == NULL || v.n == 0)
		return true;
	if (!slice_int(v, SLC_PRIORITY_CRITICAL, &n))
		for (size_t i = 0; i < NITEMS(names); i++)
			if (slice_ieq(v, names[i]))
				n = (int64_t)i + 1;
	if (n < SLC_PRIORITY_LOW) {
		api_error(call, 400, "invalid_value", "X-Request-Priority",
		    "X-Request-Priority is one of 1 to 4, or low, normal, "
		    "high, critical.");
		return false;
	}
	if (n > call->max_priority) {
		api_error(call, 400, "invalid_value", "X-Request-Priority",
		    "This key may use an X-Request-Priority of 1 to %d.",
		    call->max_priority);
		return false;
	}
	*priority = (int)n;
	return true;
}

void
api_live(struct call *call)
{
	struct live_call *lc = xcalloc(1, sizeof(*lc));
	int64_t length = http_body_length(call->req);
	size_t k = 0;

	while (!slice_eq(http_path(call->req), kinds[k].path))
		k++;
	lc->kind = &kinds[k];
	lc->live = call->api->live;
	lc->call = call;
	if (!read_priority(call, &lc->priority) ||
	    (length > 0 && !reserve(lc, (size_t)length))) {
		free(lc);
		return;
	}
	call->refs++;
	call->state = lc;
	call->on_piece = live_on_body;
	call->on_end = live_on_end;
	call->on_gone = live_on_gone;
	http_resume(call->req);
}

/* Begin and end ----------------------------------------------------------- */

struct live *
live_new(uv_loop_t *loop, struct db *db, const struct live_opts *opts)
{
	static const size_t nothing;
	struct upstream_opts up = { .connections = opts->connections,
		.elsewhere = &nothing };
	struct live *l = xcalloc(1, sizeof(*l));

	l->loop = loop;
	l->db = db;
	l->opts = *opts;
	l->admit = admit_new(loop, db, opts->name);
	l->upstream = upstream_new(loop, &up);
	live_wait_init(l);
	return l;
}

static void
live_on_part_closed(void *arg)
{
	struct live *l = arg;

	if (--l->open > 0)
		return;
	l->on_closed(l->closed_arg);
	free(l);
}

static void
live_on_wake_closed(uv_handle_t *handle)
{
	live_on_part_closed(handle->data);
}

void
live_free(struct live *l, void (*on_closed)(void *arg), void *arg)
{
	l->on_closed = on_closed;
	l->closed_arg = arg;
	l->open = 3;
	upstream_close(l->upstream, live_on_part_closed, l);
	admit_free(l->admit, live_on_part_closed, l);
	uv_close((uv_handle_t *)&l->wake, live_on_wake_closed);
}
