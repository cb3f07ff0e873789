/*
 * Answers to equal requests, of accounts that want them kept: looked up before
 * the door is asked, and put away when a whole one has gone by.
 */
#include <string.h>

#include <sluice/header.h>
#include <sluice/http.h>
#include <sluice/jscan.h>
#include <sluice/log.h>

#include "live_own.h"

static void
make_key(struct live_call *lc)
{
	struct http_req *req = lc->call->req;
	struct kept_request r = { .path = http_path(req),
		.query = http_query(req),
		.body = buf_slice(&lc->call->body) };

	for (size_t i = 0; i < KEPT_HEADERS; i++)
		r.header[i] = http_header(req, kept_headers[i]);
	kept_key(&r, lc->cache.key);
}

/* At most once; also without a result the call goes its way. */
static void
live_on_looked(struct db_result *res, void *arg)
{
	struct live_call *lc = arg;
	struct slice type, body;

	if (lc->call->req == NULL) {
		live_over(lc);
		return;
	}
	if (db_rc(res) == SLC_OK && db_rows(res, 0) == 1) {
		type = db_slice(res, 0, 0, 0);
		body = db_slice(res, 0, 0, 1);
		lc->cache.state = LIVE_CACHE_HIT;
		buf_add(&lc->cache.type, type.p, type.n);
		buf_add(&lc->cache.body, body.p, body.n);
		live_ask(lc);
		return;
	}
	if (db_rc(res) == SLC_OK)
		lc->cache.state = LIVE_CACHE_MISS;
	live_go(lc);
}

bool
live_cache_look(struct live_call *lc)
{
	if (!lc->call->cache || lc->ask.stream ||
	    !kept_repeats(http_path(lc->call->req), buf_slice(&lc->call->body)))
		return false;
	make_key(lc);
	live_set(lc, LIVE_LOOKING);
	db_run(lc->live->db, live_on_looked, lc, STMT_CACHE_GET,
	    lc->call->account,
	    (struct slice){
		(const char *)lc->cache.key, sizeof(lc->cache.key) });
	return true;
}

static void
live_on_told(struct db_result *res, void *arg)
{
	(void)arg; /* it is only a count, or an answer to be had again */
	if (db_rc(res) != SLC_OK)
		log_warn("live.cache", "why=\"%s\"", db_message(res));
}

void
live_cache_answer(struct live_call *lc)
{
	struct call *call = lc->call;

	db_run(lc->live->db, live_on_told, NULL, STMT_CACHE_USED, call->account,
	    call->key, buf_cstr(&lc->ask.model), lc->kind->resource);
	if (call->req == NULL)
		return;
	call->answered = true;
	http_set(call->req, "x-sluice-cache", "hit");
	http_answer(call->req, 200, buf_cstr(&lc->cache.type),
	    buf_slice(&lc->cache.body));
}

void
live_cache_head(struct live_call *lc, int status, struct slice headers)
{
	struct slice type = header_find(headers, "content-type");

	if (lc->cache.state != LIVE_CACHE_MISS)
		return;
	http_set(lc->call->req, "x-sluice-cache", "miss");
	if (status != 200 || type.n == 0 ||
	    header_find(headers, "content-encoding").p != NULL)
		return;
	lc->cache.state = LIVE_CACHE_KEEPING;
	buf_clear(&lc->cache.type);
	buf_add(&lc->cache.type, type.p, type.n);
}

void
live_cache_piece(struct live_call *lc, struct slice piece)
{
	if (lc->cache.state != LIVE_CACHE_KEEPING)
		return;
	if (lc->cache.body.n + piece.n > SLC_CACHE_ANSWER_MAX) {
		lc->cache.state = LIVE_CACHE_NONE;
		buf_fini(&lc->cache.body);
		return;
	}
	buf_add(&lc->cache.body, piece.p, piece.n);
}

/* Some upstreams say 200 and mean an error. */
static bool
is_result(struct slice body)
{
	static const struct jscan_want wants[] = { { "error", -1 } };
	struct jscan_found found[NITEMS(wants)];
	struct jscan_fault fault;

	return jscan(body, SLC_DEPTH_MAX, wants, NITEMS(wants), found,
		   &fault) == JSCAN_OBJECT &&
	    (found[0].kind == JSCAN_ABSENT || found[0].kind == JSCAN_NULL);
}

void
live_cache_end(struct live_call *lc)
{
	if (lc->cache.state != LIVE_CACHE_KEEPING ||
	    !is_result(buf_slice(&lc->cache.body)))
		return;
	db_run(lc->live->db, live_on_told, NULL, STMT_CACHE_PUT,
	    lc->call->account,
	    (struct slice){
		(const char *)lc->cache.key, sizeof(lc->cache.key) },
	    buf_cstr(&lc->cache.type), buf_slice(&lc->cache.body));
}
