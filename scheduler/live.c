#include "live.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/http.h>

#include "live_own.h"

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
		[LIVE_READING] = 1u << LIVE_LOOKING | 1u << LIVE_ASKING |
		    1u << LIVE_WAITING | 1u << LIVE_OVER,
		[LIVE_LOOKING] =
		    1u << LIVE_ASKING | 1u << LIVE_WAITING | 1u << LIVE_OVER,
		[LIVE_ASKING] = 1u << LIVE_WAITING | 1u << LIVE_CALLING |
		    1u << LIVE_KNOWING | 1u << LIVE_OVER,
		[LIVE_KNOWING] =
		    1u << LIVE_ASKING | 1u << LIVE_WAITING | 1u << LIVE_OVER,
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
	buf_fini(&lc->cache.type);
	buf_fini(&lc->cache.body);
	free(lc);
	call_drop(call);
}

/* The door ---------------------------------------------------------------- */

static struct admit_ask
ask_of(const struct live_call *lc)
{
	return (struct admit_ask){
		.account = lc->call->account,
		.key = lc->call->key,
		.model = lc->ask.model.p,
		.resource = lc->kind->resource,
		.input = lc->ask.input,
		.output = lc->ask.output,
		.priority = lc->priority,
		.as_of = lc->call->as_of,
		.era = lc->call->era,
		.cheap = lc->ask.cheap,
		.known = lc->cache.state == LIVE_CACHE_HIT,
	};
}

static void
refuse(struct live_call *lc, const struct admit_answer *a)
{
	struct call *call = lc->call;
	struct admit_ask ask = ask_of(lc);
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
		admit_refused(lc->live->admit, &ask);
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

	if (a->verdict == ADMIT_STALE) {
		live_set(lc, LIVE_KNOWING);
		api_who_again(lc->call);
		return;
	}
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
	} else if (lc->cache.state == LIVE_CACHE_HIT) {
		live_cache_answer(lc);
		live_over(lc);
	} else if (lc->call->req == NULL) {
		live_drop_admission(lc);
		live_over(lc);
	} else {
		lc->path = a->path;
		lc->leave_us = a->leave_us;
		memcpy(lc->url, a->worker_url, sizeof(lc->url));
		memcpy(lc->token, a->worker_token, sizeof(lc->token));
		live_carry(lc);
	}
}

void
live_ask(struct live_call *lc)
{
	struct admit_ask ask = ask_of(lc);

	live_set(lc, LIVE_ASKING);
	admit_ask(lc->live->admit, &ask, live_on_admitted, lc);
}

void
live_go(struct live_call *lc)
{
	lc->until_ms = (int64_t)uv_now(lc->live->loop) + lc->live->opts.wait_ms;
	if (!live_wait_behind(lc))
		live_ask(lc);
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
	if (!live_cache_look(lc))
		live_go(lc);
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

/* 1 to 4 or their names; 0 for something else; none: what the key may use. */
static int
named_priority(const struct call *call)
{
	static const char *const names[] = { "low", "normal", "high",
		"critical" };
	struct slice v = http_header(call->req, "x-request-priority");
	int64_t n = 0;

	if (v.p == NULL || v.n == 0)
		return call->max_priority;
	if (!slice_int(v, SLC_PRIORITY_CRITICAL, &n))
		for (size_t i = 0; i < NITEMS(names); i++)
			if (slice_ieq(v, names[i]))
				n = (int64_t)i + 1;
	return n < SLC_PRIORITY_LOW ? 0 : (int)n;
}

/* False: answered, it names none, or one that is not for this key. */
static bool
read_priority(struct call *call, int *priority)
{
	int n = named_priority(call);

	if (n == 0) {
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
	*priority = n;
	return true;
}

static void
live_on_known(struct call *call, bool ok)
{
	struct live_call *lc = call->state;

	if (!ok || !read_priority(call, &lc->priority)) {
		live_over(lc);
		return;
	}
	if (!call->cache)
		lc->cache.state = LIVE_CACHE_NONE;
	/* A hit never went there; what is one no more does. */
	if (lc->until_ms == 0 && lc->cache.state != LIVE_CACHE_HIT)
		live_go(lc);
	else
		live_ask(lc);
}

void
api_live(struct call *call)
{
	struct live_call *lc;
	int64_t length = http_body_length(call->req);
	size_t k = 0;

	/* The door, which would say that it may more by now, is not reached. */
	if (call->remembered && named_priority(call) > call->max_priority) {
		http_pause(call->req);
		api_who_again(call);
		return;
	}
	lc = xcalloc(1, sizeof(*lc));
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
	call->on_known = live_on_known;
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

uint64_t
live_era(const struct live *l)
{
	return admit_era(l->admit);
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
