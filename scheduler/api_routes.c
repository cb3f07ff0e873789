/* Which request goes where. */
#include <string.h>

#include "api.h"
#include "live.h"

static void api_healthz(struct call *call);
static void api_readyz(struct call *call);

static const struct route routes[] = {
	{ "POST", "/v1/files", "batch", API_STREAM, api_files_upload },
	{ "GET", "/v1/files", "read", API_NO_BODY, api_files_list },
	{ "GET", "/v1/files/*", "read", API_NO_BODY, api_files_get },
	{ "GET", "/v1/files/*/content", "read", API_NO_BODY,
	    api_files_content },
	{ "DELETE", "/v1/files/*", "batch", API_NO_BODY, api_files_delete },
	{ "POST", "/v1/batches", "batch", API_JSON, api_batches_create },
	{ "GET", "/v1/batches", "read", API_NO_BODY, api_batches_list },
	{ "GET", "/v1/batches/*", "read", API_NO_BODY, api_batches_get },
	{ "POST", "/v1/batches/*", "batch", API_JSON, api_batches_edit },
	{ "POST", "/v1/batches/*/cancel", "batch", API_NO_BODY,
	    api_batches_cancel },
	{ "POST", "/v1/chat/completions", "live", API_STREAM, api_live },
	{ "POST", "/v1/completions", "live", API_STREAM, api_live },
	{ "POST", "/v1/embeddings", "live", API_STREAM, api_live },
	{ "POST", "/v1/responses", "live", API_STREAM, api_live },
	{ "POST", "/v1/moderations", "live", API_STREAM, api_live },
	{ "POST", "/v1/images/generations", "live", API_STREAM, api_live },
	{ "POST", "/v1/images/edits", "live", API_STREAM, api_live },
	{ "POST", "/v1/images/variations", "live", API_STREAM, api_live },
	{ "POST", "/v1/audio/speech", "live", API_STREAM, api_live },
	{ "POST", "/v1/audio/transcriptions", "live", API_STREAM, api_live },
	{ "POST", "/v1/audio/translations", "live", API_STREAM, api_live },
	{ "GET", "/v1/models", "live", API_NO_BODY, api_models_list },
	{ "GET", "/v1/models/*", "live", API_NO_BODY, api_models_get },
	{ "GET", "/admin/v1/plans", "admin", API_NO_BODY, api_plans_list },
	{ "POST", "/admin/v1/plans", "admin", API_JSON, api_plans_create },
	{ "GET", "/admin/v1/plans/*", "admin", API_NO_BODY, api_plans_get },
	{ "POST", "/admin/v1/plans/*", "admin", API_JSON, api_plans_edit },
	{ "DELETE", "/admin/v1/plans/*", "admin", API_NO_BODY,
	    api_plans_remove },
	{ "GET", "/admin/v1/accounts", "admin", API_NO_BODY,
	    api_accounts_list },
	{ "POST", "/admin/v1/accounts", "admin", API_JSON,
	    api_accounts_create },
	{ "GET", "/admin/v1/accounts/*", "admin", API_NO_BODY,
	    api_accounts_get },
	{ "POST", "/admin/v1/accounts/*", "admin", API_JSON,
	    api_accounts_edit },
	{ "GET", "/admin/v1/keys", "admin", API_NO_BODY, api_keys_list },
	{ "POST", "/admin/v1/keys", "admin", API_JSON, api_keys_create },
	{ "GET", "/admin/v1/keys/*", "admin", API_NO_BODY, api_keys_get },
	{ "POST", "/admin/v1/keys/*", "admin", API_JSON, api_keys_edit },
	{ "DELETE", "/admin/v1/keys/*", "admin", API_NO_BODY, api_keys_revoke },
	{ "GET", "/admin/v1/limits", "admin", API_NO_BODY, api_limits_list },
	{ "POST", "/admin/v1/limits", "admin", API_JSON, api_limits_create },
	{ "GET", "/admin/v1/limits/*", "admin", API_NO_BODY, api_limits_get },
	{ "POST", "/admin/v1/limits/*", "admin", API_JSON, api_limits_edit },
	{ "DELETE", "/admin/v1/limits/*", "admin", API_NO_BODY,
	    api_limits_delete },
	{ "GET", "/admin/v1/everybody", "admin", API_NO_BODY,
	    api_everybody_get },
	{ "POST", "/admin/v1/everybody", "admin", API_JSON,
	    api_everybody_edit },
	{ "GET", "/admin/v1/webhooks", "admin", API_NO_BODY,
	    api_webhooks_list },
	{ "POST", "/admin/v1/webhooks", "admin", API_JSON,
	    api_webhooks_create },
	{ "GET", "/admin/v1/webhooks/*", "admin", API_NO_BODY,
	    api_webhooks_get },
	{ "DELETE", "/admin/v1/webhooks/*", "admin", API_NO_BODY,
	    api_webhooks_remove },
	{ "POST", "/admin/v1/webhooks/*/test", "admin", API_NO_BODY,
	    api_webhooks_test },
	{ "GET", "/admin/v1/workers", "admin", API_NO_BODY, api_workers_list },
	{ "GET", "/admin/v1/pools", "admin", API_NO_BODY, api_pools_list },
	{ "GET", "/admin/v1/paths", "admin", API_NO_BODY, api_paths_list },
	{ "GET", "/admin/v1/paths/*", "admin", API_NO_BODY, api_paths_get },
	{ "POST", "/admin/v1/apply", "admin", API_CONFIG, api_apply },
	{ "GET", "/v1/usage", "read", API_NO_BODY, api_usage_mine },
	{ "GET", "/v1/usage/peak", "read", API_NO_BODY, api_usage_peak_mine },
	{ "GET", "/v1/usage/forecast", "read", API_NO_BODY,
	    api_usage_forecast_mine },
	{ "GET", "/admin/v1/usage", "admin", API_NO_BODY, api_usage_all },
	{ "GET", "/admin/v1/usage/peak", "admin", API_NO_BODY,
	    api_usage_peak_all },
	{ "GET", "/admin/v1/usage/forecast", "admin", API_NO_BODY,
	    api_usage_forecast_all },
	{ "GET", "/healthz", NULL, API_NO_BODY, api_healthz },
	{ "GET", "/readyz", NULL, API_NO_BODY, api_readyz },
};

static void
api_healthz(struct call *call)
{
	api_json(call, 200, SLICE("{\"status\":\"ok\"}"));
}

static void
api_readyz(struct call *call)
{
	if (call->api->draining)
		api_error(call, 503, "draining", NULL, "Being stopped.");
	else if (!db_up(call->api->db))
		api_error(call, 503, "database_unavailable", NULL,
		    "The database is not available.");
	else
		api_json(call, 200, SLICE("{\"status\":\"ready\"}"));
}

/* Does path match? "*" takes one segment that is not empty. */
static bool
match(const char *pattern, struct slice path, struct slice *id)
{
	const char *star = strchr(pattern, '*');
	size_t before, after, len;

	if (star == NULL)
		return slice_eq(path, pattern);
	before = (size_t)(star - pattern);
	after = strlen(star + 1);
	if (path.n <= before + after || memcmp(path.p, pattern, before) != 0 ||
	    memcmp(path.p + path.n - after, star + 1, after) != 0)
		return false;
	len = path.n - before - after;
	*id = (struct slice){ path.p + before, len };
	return memchr(id->p, '/', len) == NULL;
}

/* Is the route one of this listener? */
static bool
serves(const struct api_front *front, const struct route *route)
{
	if (route->scope == NULL)
		return true;
	return strncmp(route->pattern, "/admin/", 7) == 0 ? front->admin
							  : front->callers;
}

const struct route *
api_route(struct call *call, const struct api_front *front)
{
	struct slice path = http_path(call->req);
	const char *method = http_method(call->req);
	struct buf allow = { 0 };

	for (size_t i = 0; i < NITEMS(routes); i++) {
		if (!serves(front, &routes[i]) ||
		    !match(routes[i].pattern, path, &call->id))
			continue;
		if (strcmp(routes[i].method, method) == 0) {
			buf_fini(&allow);
			return &routes[i];
		}
		buf_addf(
		    &allow, "%s%s", allow.n > 0 ? ", " : "", routes[i].method);
	}
	if (allow.n > 0) {
		http_set(call->req, "Allow", "%s", buf_cstr(&allow));
		api_error(call, 405, "method_not_allowed", NULL,
		    "Not allowed method for this URL: use %s.",
		    buf_cstr(&allow));
	} else {
		api_error(call, 404, "unknown_url", NULL,
		    "Unknown request URL: %s %.*s. A base URL ends in /v1, as "
		    "in http://HOST:PORT/v1; paths have no slash at the end.",
		    http_method(call->req), path.n > 200 ? 200 : (int)path.n,
		    path.p);
	}
	buf_fini(&allow);
	return NULL;
}
