/*
 * Who calls, and may they: from the database, or, for a live call, as it was
 * known; then the door looks whether it is still so.
 */
#include <string.h>

#include "api.h"
#include "live.h"

/* May the key do that?  batch includes read. */
static bool
has_scope(const struct db_result *res, const char *scope)
{
	struct slice scopes = db_slice(res, 0, 0, 2);

	/* text[] in binary: the words stand in it as they are. */
	return memmem(scopes.p, scopes.n, scope, strlen(scope)) != NULL ||
	    (strcmp(scope, "read") == 0 &&
		memmem(scopes.p, scopes.n, "batch", 5) != NULL);
}

/* What STMT_AUTH says of who calls. */
static void
know_caller(struct call *call, const struct db_result *res)
{
	struct admit_headline headline = { .known = !db_null(res, 0, 0, 6) };

	call->account = db_int(res, 0, 0, 0);
	call->key = db_int(res, 0, 0, 1);
	if (!reply_dialect(db_slice(res, 0, 0, 3), &call->dialect))
		call->dialect = REPLY_OPENAI;
	call->max_priority = (int)db_int(res, 0, 0, 4);
	call->cache = db_bool(res, 0, 0, 10);
	call->as_of = db_int(res, 0, 0, 11);
	if (strcmp(call->route->scope, "live") == 0)
		return;
	if (headline.known) {
		headline.amount = db_int(res, 0, 0, 6);
		headline.used = db_int(res, 0, 0, 7);
		headline.window_s = db_int(res, 0, 0, 8);
		headline.reset_us = db_int(res, 0, 0, 9);
	}
	api_reply(call, &headline, db_null(res, 0, 0, 5) ? NULL : "chat",
	    call->max_priority);
}

/* The next call with this key need not ask, up to the end of the key. */
static void
keep_caller(struct call *call, const struct db_result *res)
{
	const struct who who = { .account = call->account,
		.key = call->key,
		.as_of = call->as_of,
		.era = call->era,
		.dialect = call->dialect,
		.max_priority = call->max_priority,
		.cache = call->cache };

	whos_put(&call->api->whos, call->hash, &who,
	    db_null(res, 0, 0, 12)
		? INT64_MAX
		: call->asked_ms + db_int(res, 0, 0, 12) / 1000);
}

/* The door looks whether it is still so. */
static bool
may_be_kept(const struct call *call)
{
	return call->route->run == api_live;
}

/* False: answered. */
static bool
let_in(struct call *call, const struct db_result *res)
{
	if (call->req == NULL || call->answered)
		return false;
	if (may_be_kept(call))
		whos_drop(&call->api->whos, call->hash);
	if (db_rc(res) != SLC_OK) {
		api_db_error(call, res);
		return false;
	}
	if (db_rows(res, 0) == 0) {
		api_error(call, 401, "invalid_api_key", NULL,
		    "Incorrect API key provided.");
		return false;
	}
	know_caller(call, res);
	if (!has_scope(res, call->route->scope)) {
		api_error(call, 403, "insufficient_permissions", NULL,
		    "This key may not do that: it lacks the scope \"%s\".",
		    call->route->scope);
		return false;
	}
	if (may_be_kept(call))
		keep_caller(call, res);
	return true;
}

static void
api_on_auth(struct db_result *res, void *arg)
{
	struct call *call = arg;

	call->on_known(call, let_in(call, res));
	call_drop(call);
}

void
api_who_again(struct call *call)
{
	call->refs++;
	call->remembered = false;
	call->era = live_era(call->api->live);
	call->asked_ms = (int64_t)uv_now(call->api->loop);
	db_run(call->api->db, api_on_auth, call, STMT_AUTH,
	    (struct slice){ (const char *)call->hash, KEY_HASH });
}

static bool
is_known(struct call *call)
{
	const struct who *who = whos_find(
	    &call->api->whos, call->hash, (int64_t)uv_now(call->api->loop));

	if (who == NULL || !may_be_kept(call))
		return false;
	call->account = who->account;
	call->key = who->key;
	call->as_of = who->as_of;
	call->era = who->era;
	call->dialect = who->dialect;
	call->max_priority = who->max_priority;
	call->cache = who->cache;
	call->remembered = true;
	return true;
}

void
api_who(struct call *call)
{
	struct slice v = http_header(call->req, "authorization");

	if (v.p == NULL || v.n == 0) {
		api_error(call, 401, "invalid_api_key", NULL,
		    "You didn't provide an API key. Send it in an "
		    "Authorization "
		    "header: \"Authorization: Bearer sk-slc-...\".");
		return;
	}
	if (v.n > 7 && slice_ieq((struct slice){ v.p, 7 }, "Bearer "))
		for (v.p += 7, v.n -= 7; v.n > 0 && v.p[0] == ' '; v.n--)
			v.p++;
	if (!key_hash(v, call->hash)) {
		api_error(call, 401, "invalid_api_key", NULL,
		    "Incorrect API key provided.");
		return;
	}
	if (is_known(call)) {
		call->on_known(call, true);
		return;
	}
	http_pause(call->req); /* no body before we know whose it is */
	api_who_again(call);
}
