#include "admit_limits.h"
#include "api.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/log.h>
#include <sluice/utf8.h>

/* Answers -------------------------------------------------------------- */

void
api_json(struct call *call, int status, struct slice json)
{
	if (call->req == NULL || call->answered)
		return;
	call->answered = true;
	http_answer(call->req, status, "application/json", json);
}

void
api_error(struct call *call, int status, const char *code, const char *param,
    const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (call->req == NULL || call->answered)
		return;
	call->answered = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* SDKs try again after 409 by themselves; that would not help. */
	if (status == 409)
		http_set(call->req, "x-should-retry", "false");
	if (status == 503)
		http_set(call->req, "Retry-After", "1");
	http_error(call->req, status, code, param, "%s", text);
}

/* A limit before the caller, said by the database; its headers are set. */
static void
answer_limited(struct call *call, const struct db_result *res)
{
	static const struct admit_headline none = { 0 };
	struct admit_answer a;

	if (!admit_refusal_read(db_param(res), &a)) {
		api_error(call, 429, db_code(res), NULL, "%s", db_message(res));
		return;
	}
	api_reply_refused(call, &none, NULL, 0,
	    &(struct reply_refusal){ .wait_us = a.wait_us,
		.limit = a.limit,
		.dimension = a.dimension,
		.scope = a.scope });
}

void
api_db_error(struct call *call, const struct db_result *res)
{
	int status = db_status(res);
	const char *code = db_code(res), *param = db_param(res);

	if (status == 429) {
		answer_limited(call, res);
		return;
	}
	if (code[0] == '\0')
		code = NULL;
	if (param[0] == '\0')
		param = NULL;
	if (status == 500 && call->req != NULL)
		log_error("api.db_error", "request=%s message=\"%s\"",
		    http_id(call->req), db_message(res));
	/* Whatever the routes did not look at, or not well enough. */
	if (status == 500 && (db_is_class(res, "22") || db_is_class(res, "23")))
		api_error(call, 400, "invalid_value", NULL,
		    "Something in the request has a value that cannot be "
		    "stored; the log has it under the request id.");
	else if (status == 500)
		api_error(call, 500, "internal_error", NULL,
		    "Something went wrong here; the log has it under the "
		    "request id.");
	else if (status == 503 && code == NULL)
		api_error(call, 503, "database_unavailable", NULL,
		    "The database is not available; nothing was done. Try "
		    "again.");
	else
		api_error(call, status, code, param, "%s", db_message(res));
}

void
api_on_queried(struct db_result *res, void *arg)
{
	struct call *call = arg;

	if (db_rc(res) != SLC_OK)
		api_db_error(call, res);
	else
		api_json(call, 200, db_slice(res, 0, 0, 0));
	call_drop(call);
}

/* What routes share ----------------------------------------------------- */

bool
api_id(struct call *call, struct slice text, const char *prefix,
    const char *what, const char *param, char hex[33])
{
	size_t n = strlen(prefix);
	bool ok = text.n == n + 32 && memcmp(text.p, prefix, n) == 0;

	for (size_t i = n; ok && i < text.n; i++)
		ok = (text.p[i] >= '0' && text.p[i] <= '9') ||
		    (text.p[i] >= 'a' && text.p[i] <= 'f');
	if (!ok) {
		api_error(call, 404, NULL, param, "No such %s object: %.*s",
		    what, text.n > 100 ? 100 : (int)text.n, text.p);
		return false;
	}
	memcpy(hex, text.p + n, 32);
	hex[32] = '\0';
	return true;
}

static bool
page_limit(struct call *call, int64_t most, int64_t *limit)
{
	struct buf text = { 0 };
	bool ok = true;
	struct slice s;
	bool minus;
	int64_t v;

	if (!http_param(call->req, "limit", &text))
		goto out;
	s = buf_slice(&text);
	minus = s.n > 1 && s.p[0] == '-';
	if (minus) {
		s.p++;
		s.n--;
	}
	ok = false;
	if (!slice_int(s, INT64_MAX, &v))
		api_error(call, 400, "invalid_type", "limit",
		    "'limit' must be an integer.");
	else if (minus && v > 0)
		api_error(call, 400, "integer_below_min_value", "limit",
		    "'limit' must be at least 0.");
	else if (v > most)
		api_error(call, 400, "integer_above_max_value", "limit",
		    "'limit' must be at most %lld.", (long long)most);
	else
		ok = true;
	if (ok)
		*limit = v;
out:
	buf_fini(&text);
	return ok;
}

bool
api_page(struct call *call, int64_t limit_default, int64_t limit_max,
    const char *prefix, const char *what, int64_t *limit, char after[33],
    bool *has_after)
{
	struct buf text = { 0 };
	bool ok = true;

	*limit = limit_default;
	if (!page_limit(call, limit_max, limit))
		return false;
	*has_after = http_param(call->req, "after", &text) && text.n > 0;
	if (*has_after)
		ok = api_id(
		    call, buf_slice(&text), prefix, what, "after", after);
	buf_fini(&text);
	return ok;
}

bool
api_idempotency_key(struct call *call, struct buf *out, const char **key)
{
	struct slice v = http_header(call->req, "idempotency-key");

	*key = NULL;
	if (v.p == NULL || v.n == 0)
		return true;
	if (v.n > SLC_IDEMPOTENCY_MAX || !utf8_ok(v.p, v.n)) {
		api_error(call, 400, "invalid_value", "Idempotency-Key",
		    "An Idempotency-Key has %d characters at most, all valid "
		    "UTF-8.",
		    SLC_IDEMPOTENCY_MAX);
		return false;
	}
	buf_add(out, v.p, v.n);
	*key = buf_cstr(out);
	return true;
}

/* Bytes of a JSON body that the route takes; 0: it takes none. */
static int64_t
json_max(const struct route *route)
{
	return route->body == API_JSON  ? SLC_JSON_BODY_MAX
	    : route->body == API_CONFIG ? SLC_CONFIG_BODY_MAX
					: 0;
}

/* Calls ---------------------------------------------------------------- */

void
call_drop(struct call *call)
{
	if (--call->refs > 0)
		return;
	call->api->calls--;
	buf_fini(&call->body);
	free(call);
}

/* A route with a JSON body runs when that is whole. */
static void
start_route(struct call *call)
{
	if (call->route->body != API_STREAM)
		http_resume(call->req);
	if (json_max(call->route) == 0)
		call->route->run(call);
}

static void
api_on_known(struct call *call, bool ok)
{
	if (ok)
		start_route(call);
}

static bool
check_body_head(struct call *call)
{
	struct slice type = http_header(call->req, "content-type");
	struct slice coding = http_header(call->req, "content-encoding");
	int64_t length = http_body_length(call->req);

	if (!http_has_body(call->req))
		return true;
	if (coding.n > 0 && !slice_ieq(coding, "identity")) {
		api_error(call, 415, "unsupported_media_type", NULL,
		    "The body must come as it is, without Content-Encoding.");
		return false;
	}
	if (json_max(call->route) == 0)
		return true;
	if (type.p == NULL || type.n < 16 ||
	    !slice_ieq((struct slice){ type.p, 16 }, "application/json")) {
		api_error(call, 415, "unsupported_media_type", NULL,
		    "The body must be JSON: Content-Type: application/json.");
		return false;
	}
	if (length > json_max(call->route)) {
		api_error(call, 413, "request_too_large", NULL,
		    "The body has %lld bytes; %lld are allowed.",
		    (long long)length, (long long)json_max(call->route));
		return false;
	}
	return true;
}

static bool
check_query(struct call *call)
{
	struct buf text = { 0 };
	bool ok = http_unescape(http_query(call->req), &text);

	if (!ok)
		api_error(call, 400, "invalid_query", NULL,
		    "The query has a '%%' without the two digits of a byte, or "
		    "a NUL.");
	buf_fini(&text);
	return ok;
}

static void
api_on_request(struct http_req *req, void *ctx)
{
	struct call *call = xcalloc(1, sizeof(*call));
	const struct api_front *front = ctx;

	call->api = front->api;
	call->req = req;
	call->refs = 1;
	call->api->calls++;
	http_set_user(req, call);
	call->route = api_route(call, front);
	if (call->route == NULL || !check_query(call) || !check_body_head(call))
		return;
	call->on_known = api_on_known;
	if (call->route->scope == NULL)
		call->route->run(call);
	else
		api_who(call);
}

static void
api_on_body(struct http_req *req, struct slice piece)
{
	struct call *call = http_user(req);

	if (call->answered || call->route == NULL)
		return;
	if (call->on_piece != NULL) {
		call->on_piece(call, piece);
	} else if (json_max(call->route) > 0) {
		if ((int64_t)(call->body.n + piece.n) > json_max(call->route))
			api_error(call, 413, "request_too_large", NULL,
			    "The body has more than %lld bytes.",
			    (long long)json_max(call->route));
		else
			buf_add(&call->body, piece.p, piece.n);
	}
}

static void
api_on_body_end(struct http_req *req)
{
	struct call *call = http_user(req);

	if (call->answered || call->route == NULL)
		return;
	if (call->on_end != NULL)
		call->on_end(call);
	else if (json_max(call->route) > 0)
		call->route->run(call);
}

static void
api_on_gone(struct http_req *req)
{
	struct call *call = http_user(req);

	call->req = NULL;
	if (call->on_gone != NULL)
		call->on_gone(call);
	call_drop(call);
}

const struct http_handler api_handler = {
	.on_request = api_on_request,
	.on_body = api_on_body,
	.on_body_end = api_on_body_end,
	.on_gone = api_on_gone,
};
