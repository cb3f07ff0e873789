#include <string.h>

#include <sluice/utf8.h>

#include "api.h"

void
api_files_list(struct call *call)
{
	struct buf purpose = { 0 }, order = { 0 };
	int64_t limit;
	char after[33];
	bool has_after, has_purpose, desc = true;

	if (!api_page(call, SLC_PAGE_FILES_MAX, SLC_PAGE_FILES_MAX, "file-",
		"File", &limit, after, &has_after))
		return;
	if (http_param(call->req, "order", &order)) {
		desc = slice_eq(buf_slice(&order), "desc");
		if (!desc && !slice_eq(buf_slice(&order), "asc")) {
			api_error(call, 400, "invalid_value", "order",
			    "'order' must be \"asc\" or \"desc\".");
			goto out;
		}
	}
	has_purpose = http_param(call->req, "purpose", &purpose);
	if (!utf8_ok(purpose.p, purpose.n)) {
		api_error(call, 400, "invalid_value", "purpose",
		    "'purpose' must be valid UTF-8.");
		goto out;
	}
	api_query(call, STMT_FILE_LIST, call->account,
	    has_purpose ? buf_cstr(&purpose) : NULL, has_after ? after : NULL,
	    limit, (int)desc);
out:
	buf_fini(&purpose);
	buf_fini(&order);
}

void
api_files_get(struct call *call)
{
	char id[33];

	if (api_id(call, call->id, "file-", "File", "file_id", id))
		api_query(call, STMT_FILE_GET, call->account, id);
}

void
api_files_delete(struct call *call)
{
	char id[33];

	if (api_id(call, call->id, "file-", "File", "file_id", id))
		api_query(call, STMT_FILE_DELETE, call->account, id);
}
