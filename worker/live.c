#include "live.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <sluice/log.h>

#include "live_own.h"

enum {
	TELL_AGAIN_MS = 30000, /* clocks drift apart */
	TELL_RETRY_MS = 500,
	PARKED_MAX_MS = 3000,
	IDLE_MS = 600000, /* longer than sluiced keeps a connection */
};

void
live_set(struct live_call *c, enum live_stage next)
{
	static const unsigned legal[LIVE_STAGES] = {
		[LIVE_READING] =
		    1u << LIVE_PARKED | 1u << LIVE_CALLING | 1u << LIVE_DONE,
		[LIVE_PARKED] = 1u << LIVE_CALLING | 1u << LIVE_DONE,
		[LIVE_CALLING] = 1u << LIVE_DONE,
	};

	assert(legal[c->stage] & 1u << next);
	c->stage = next;
}

void
live_refuse(struct live_call *c, int status, const char *code, const char *text)
{
	live_set(c, LIVE_DONE);
	if (c->req == NULL)
		return;
	http_set(c->req, LIVE_UNSENT, "1");
	http_error(c->req, status, code, NULL, "%s", text);
}

void
live_call_drop(struct live_call *c)
{
	if (c->req != NULL || c->up != NULL)
		return;
	*c->prev = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->live->n--;
	c->live->bodies -= c->reserved;
	usage_fini(&c->usage);
	buf_fini(&c->model);
	buf_fini(&c->body);
	buf_fini(&c->error_body);
	free(c);
}

void
live_configured(struct live *l)
{
	struct live_call *next;

	for (struct live_call *c = l == NULL ? NULL : l->calls; c != NULL;
	     c = next) {
		next = c->next;
		if (c->stage == LIVE_PARKED)
			live_call_ready(c);
	}
}

/* From sluiced ------------------------------------------------------------ */

static bool
is_token(const struct live *l, struct slice given)
{
	return given.n == 2 * (size_t)LIVE_TOKEN_BYTES &&
	    CRYPTO_memcmp(given.p, l->token, given.n) == 0;
}

/* Room for so many more bytes of bodies. */
static bool
reserve(struct live_call *c, size_t n)
{
	if (c->reserved + n > SLC_LIVE_BODY_MAX ||
	    c->live->bodies + n > SLC_LIVE_BODIES_MAX)
		return false;
	c->reserved += n;
	c->live->bodies += n;
	return true;
}

static void
live_on_request(struct http_req *req, void *ctx)
{
	struct live *l = ctx;
	struct live_call *c = xcalloc(1, sizeof(*c));
	int64_t length = http_body_length(req), path = 0;
	struct slice type = http_header(req, "content-type");

	c->live = l;
	c->req = req;
	c->next = l->calls;
	c->prev = &l->calls;
	if (c->next != NULL)
		c->next->prev = &c->next;
	l->calls = c;
	l->n++;
	http_set_user(req, c);
	if (!is_token(l, http_header(req, LIVE_TOKEN))) {
		live_refuse(c, 403, "invalid_token", "Not for you.");
		return;
	}
	if (!slice_int(
		http_header(req, LIVE_ADMISSION), INT64_MAX, &c->admission) ||
	    !slice_int(http_header(req, LIVE_PATH), INT32_MAX, &path) ||
	    !http_unescape(http_header(req, LIVE_MODEL), &c->model)) {
		live_refuse(c, 400, "invalid_request", "Bad headers.");
		return;
	}
	c->path_id = (int32_t)path;
	slice_int(http_header(req, LIVE_LEAVE), INT64_MAX, &c->leave_us);
	c->json = type.n >= 16 &&
	    slice_ieq((struct slice){ type.p, 16 }, "application/json");
	if (length > 0 && !reserve(c, (size_t)length))
		live_refuse(
		    c, 503, "overloaded", "Too much is being sent at once.");
}

static void
live_on_body(struct http_req *req, struct slice piece)
{
	struct live_call *c = http_user(req);

	if (c->stage != LIVE_READING)
		return;
	if (http_body_length(req) < 0 && !reserve(c, piece.n)) {
		live_refuse(
		    c, 503, "overloaded", "Too much is being sent at once.");
		return;
	}
	buf_add(&c->body, piece.p, piece.n);
}

static void
live_on_body_end(struct http_req *req)
{
	struct live_call *c = http_user(req);

	if (c->stage == LIVE_READING)
		live_call_ready(c);
}

/* The caller left before anything was sent: it costs nothing. */
static void
settle_unused(struct live_call *c)
{
	struct upstream_result none = { .end = UPSTREAM_ABANDONED };
	struct live_end end = { .admission = c->admission,
		.settle = true,
		.status = 499,
		.got = &none };

	live_set(c, LIVE_DONE);
	live_settle_add(c->live->settle, &end);
}

static void
live_on_gone(struct http_req *req)
{
	struct live_call *c = http_user(req);

	c->req = NULL;
	if (c->up != NULL)
		upstream_cancel(c->up);
	else if (c->stage == LIVE_READING || c->stage == LIVE_PARKED)
		settle_unused(c);
	live_call_drop(c);
}

static const struct http_handler live_handler = {
	.on_request = live_on_request,
	.on_body = live_on_body,
	.on_body_end = live_on_body_end,
	.on_gone = live_on_gone,
};

/* The worker's row --------------------------------------------------------- */

static void
live_on_told(struct db_result *res, void *arg)
{
	struct live *l = arg;

	l->telling = false;
	if (db_rc(res) == SLC_OK && db_rows(res, 0) > 0)
		live_settle_as(
		    l->settle, l->worker, db_int(res, 0, 0, 0) - boot_us());
	else
		l->told_at_ms += TELL_RETRY_MS - TELL_AGAIN_MS;
}

void
live_worker(struct live *l, int64_t worker)
{
	if (l == NULL)
		return;
	l->worker = worker;
	l->told_at_ms = (int64_t)uv_now(l->loop) - TELL_AGAIN_MS;
	live_tick(l, (int64_t)uv_now(l->loop));
}

void
live_tick(struct live *l, int64_t now_ms)
{
	struct live_call *next;

	if (l == NULL)
		return;
	for (struct live_call *c = l->calls; c != NULL; c = next) {
		next = c->next;
		if (c->stage == LIVE_PARKED &&
		    now_ms - c->parked_ms > PARKED_MAX_MS)
			live_refuse(c, 503, "unknown_path",
			    "The worker does not know the path.");
	}
	if (l->worker == 0 || l->telling ||
	    now_ms - l->told_at_ms < TELL_AGAIN_MS)
		return;
	l->telling = true;
	l->told_at_ms = now_ms;
	db_run(l->db, live_on_told, l, STMT_WORKER_LIVE, l->worker,
	    buf_cstr(&l->url), l->token);
}

/* Begin and end ------------------------------------------------------------ */

static void
make_token(char out[2 * LIVE_TOKEN_BYTES + 1])
{
	unsigned char bytes[LIVE_TOKEN_BYTES];

	while (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		;
	for (size_t i = 0; i < sizeof(bytes); i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
}

static void
make_url(struct live *l)
{
	const char *listen = l->opts.listen, *colon = strrchr(listen, ':');

	if (l->opts.url != NULL)
		buf_adds(&l->url, l->opts.url);
	else if (strncmp(listen, "unix:", 5) == 0)
		buf_adds(&l->url, listen);
	else
		buf_addf(&l->url, "http://%.*s:%d", (int)(colon - listen),
		    listen, http_port(l->server));
}

struct live *
live_new(uv_loop_t *loop, struct paths *paths, struct db *db,
    const struct live_opts *opts, struct slc_err *err)
{
	struct live *l = xcalloc(1, sizeof(*l));
	struct http_opts http = { .listen = opts->listen,
		.max_connections = opts->max_calls,
		.max_per_address = opts->max_calls,
		.idle_ms = IDLE_MS };
	static const size_t nothing;
	struct upstream_opts up = { .connections = opts->max_calls,
		.elsewhere = &nothing };

	l->loop = loop;
	l->paths = paths;
	l->db = db;
	l->opts = *opts;
	l->server = http_listen(loop, &http, &live_handler, l, err);
	if (l->server == NULL) {
		free(l);
		return NULL;
	}
	make_token(l->token);
	make_url(l);
	l->settle = live_settle_new(loop, db);
	/* Not HTTP/2: one stream of a connection cannot be held back without
	 * libcurl keeping up to 32 MB of it. */
	l->upstream = upstream_new(loop, &up);
	log_info("live.listening", "on=%s", buf_cstr(&l->url));
	return l;
}

void
live_stop(struct live *l, bool calls)
{
	if (l == NULL)
		return;
	l->stopping = true;
	live_configured(l); /* refuses what is parked */
	if (!calls)
		return;
	for (struct live_call *c = l->calls; c != NULL; c = c->next)
		if (c->up != NULL)
			upstream_cancel(c->up);
	live_settle_drop(l->settle);
}

int32_t
live_calls(const struct live *l)
{
	return l == NULL ? 0 : l->n;
}

bool
live_idle(const struct live *l)
{
	return l == NULL ||
	    (l->n == 0 && live_settle_idle(l->settle) && !l->telling);
}

static void
live_on_part_closed(void *arg)
{
	struct live *l = arg;

	if (--l->open > 0)
		return;
	explicit_bzero(l->token, sizeof(l->token));
	buf_fini(&l->url);
	l->on_closed(l->closed_arg);
	free(l);
}

void
live_free(struct live *l, void (*on_closed)(void *arg), void *arg)
{
	if (l == NULL) {
		on_closed(arg);
		return;
	}
	l->on_closed = on_closed;
	l->closed_arg = arg;
	l->open = 3;
	upstream_close(l->upstream, live_on_part_closed, l);
	http_close(l->server, 0, live_on_part_closed, l);
	live_settle_free(l->settle, live_on_part_closed, l);
}
