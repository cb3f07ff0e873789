/* Routes of named limits. */
#include <stdio.h>
#include <string.h>

#include "api_callers.h"

enum { WHERE_MAX = SLC_LIMIT_NAME_MAX + 32 };

void
api_limits_list(struct call *call)
{
	api_query(call, STMT_NAMED_LIST);
}

void
api_limits_create(struct call *call)
{
	json_t *doc = api_body(call);
	char where[WHERE_MAX];
	const char *name;

	if (doc == NULL)
		return;
	if ((name = api_text(call, doc, "name")) != NULL &&
	    api_limit_name_ok(call, name)) {
		snprintf(where, sizeof(where), "limit %s", name);
		if (json_object_get(doc, "limits") == NULL)
			api_wrong(call, where, "", "limits",
			    "missing_required_parameter",
			    "needs one of requests or of tokens, or both");
		else if (api_named_ok(call, doc, where))
			api_query(
			    call, STMT_NAMED_CREATE, buf_cstr(&call->body));
	}
	json_decref(doc);
}

void
api_limits_get(struct call *call)
{
	struct buf name = { 0 };

	if (api_segment(call, "limit", "limit", &name))
		api_query(call, STMT_NAMED_GET, buf_cstr(&name));
	buf_fini(&name);
}

void
api_limits_edit(struct call *call)
{
	struct buf name = { 0 };
	json_t *doc = NULL;
	char where[WHERE_MAX];

	if (api_segment(call, "limit", "limit", &name))
		doc = api_body(call);
	if (doc != NULL) {
		snprintf(where, sizeof(where), "limit %.*s", SLC_LIMIT_NAME_MAX,
		    buf_cstr(&name));
		if (json_object_get(doc, "name") != NULL)
			api_wrong(call, where, "", "name", "invalid_value",
			    "cannot be changed; leave it out");
		else if (api_named_ok(call, doc, where))
			api_query(call, STMT_NAMED_EDIT, buf_cstr(&name),
			    buf_cstr(&call->body));
	}
	json_decref(doc);
	buf_fini(&name);
}

void
api_limits_delete(struct call *call)
{
	struct buf name = { 0 };

	if (api_segment(call, "limit", "limit", &name))
		api_query(call, STMT_NAMED_DELETE, buf_cstr(&name));
	buf_fini(&name);
}
