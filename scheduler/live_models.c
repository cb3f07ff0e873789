#include <string.h>

#include "live.h"

void
api_models_list(struct call *call)
{
	api_query(call, STMT_MODEL_LIST);
}

void
api_models_get(struct call *call)
{
	struct buf id = { 0 };

	if (!http_unescape(call->id, &id) || id.n > SLC_MODEL_MAX)
		api_error(call, 404, "model_not_found", "model",
		    "There is no such model.");
	else
		api_query(call, STMT_MODEL_GET, buf_cstr(&id));
	buf_fini(&id);
}
