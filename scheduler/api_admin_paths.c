#include <sluice/utf8.h>

#include "api_config.h"
#include "api_json.h"

void
api_workers_list(struct call *call)
{
	api_query(call, STMT_WORKER_LIST);
}

void
api_pools_list(struct call *call)
{
	api_query(call, STMT_POOL_LIST);
}

void
api_paths_list(struct call *call)
{
	api_query(call, STMT_PATH_LIST);
}

void
api_paths_get(struct call *call)
{
	struct buf name = { 0 };

	/* What cannot be a name is not one. */
	if (!http_unescape(call->id, &name) || !utf8_ok(name.p, name.n))
		api_error(call, 404, NULL, "path", "No such path: %.*s",
		    call->id.n > 100 ? 100 : (int)call->id.n, call->id.p);
	else
		api_query(call, STMT_PATH_GET, buf_cstr(&name));
	buf_fini(&name);
}

static bool
flag(struct call *call, const char *name)
{
	struct buf v = { 0 };
	bool on = http_param(call->req, name, &v) &&
	    (slice_eq(buf_slice(&v), "1") || slice_eq(buf_slice(&v), "true"));

	buf_fini(&v);
	return on;
}

void
api_apply(struct call *call)
{
	json_t *doc = api_body(call);

	if (doc == NULL)
		return;
	if (api_config_ok(call, doc))
		api_query(call, STMT_CONFIG_APPLY, buf_cstr(&call->body),
		    (int)flag(call, "prune"), (int)flag(call, "dry_run"));
	json_decref(doc);
}
