#include "api_callers.h"
#include "api_config.h"

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

	if (api_segment(call, "path", "path", &name))
		api_query(call, STMT_PATH_GET, buf_cstr(&name));
	buf_fini(&name);
}

void
api_apply(struct call *call)
{
	json_t *doc = api_body(call);

	if (doc == NULL)
		return;
	if (api_config_ok(call, doc) && api_callers_ok(call, doc))
		api_query(call, STMT_CONFIG_APPLY, buf_cstr(&call->body),
		    (int)api_flag(call, "prune"),
		    (int)api_flag(call, "dry_run"));
	json_decref(doc);
}
