/* Routes of plans and accounts, and of what holds for everybody. */
#include <stdio.h>
#include <string.h>

#include "api_callers.h"

enum { WHERE_MAX = SLC_NAME_MAX + 32 };

static void
where_of(char out[WHERE_MAX], const char *what, const char *name)
{
	snprintf(out, WHERE_MAX, "%s %.*s", what, SLC_NAME_MAX, name);
}

static void
create(struct call *call, const char *what, enum stmt stmt,
    bool (*check)(struct call *call, const json_t *doc, const char *where))
{
	json_t *doc = api_body(call);
	char where[WHERE_MAX];
	const char *name;

	if (doc == NULL)
		return;
	if ((name = api_text(call, doc, "name")) != NULL &&
	    api_name(call, name, "name")) {
		where_of(where, what, name);
		if (check(call, doc, where))
			api_query(call, stmt, buf_cstr(&call->body));
	}
	json_decref(doc);
}

/* The name stands in the URL; one in the body would be another. */
static void
edit(struct call *call, const char *what, enum stmt stmt,
    bool (*check)(struct call *call, const json_t *doc, const char *where))
{
	struct buf name = { 0 };
	json_t *doc = NULL;
	char where[WHERE_MAX];

	if (api_segment(call, what, what, &name))
		doc = api_body(call);
	if (doc != NULL) {
		where_of(where, what, buf_cstr(&name));
		if (json_object_get(doc, "name") != NULL)
			api_wrong(call, where, "", "name", "invalid_value",
			    "cannot be changed; leave it out");
		else if (check(call, doc, where))
			api_query(
			    call, stmt, buf_cstr(&name), buf_cstr(&call->body));
	}
	json_decref(doc);
	buf_fini(&name);
}

static void
by_name(struct call *call, const char *what, enum stmt stmt)
{
	struct buf name = { 0 };

	if (api_segment(call, what, what, &name))
		api_query(call, stmt, buf_cstr(&name));
	buf_fini(&name);
}

void
api_plans_list(struct call *call)
{
	api_query(call, STMT_PLAN_LIST);
}

void
api_plans_create(struct call *call)
{
	create(call, "plan", STMT_PLAN_CREATE, api_plan_ok);
}

void
api_plans_get(struct call *call)
{
	by_name(call, "plan", STMT_PLAN_GET);
}

void
api_plans_edit(struct call *call)
{
	edit(call, "plan", STMT_PLAN_EDIT, api_plan_ok);
}

void
api_plans_remove(struct call *call)
{
	by_name(call, "plan", STMT_PLAN_REMOVE);
}

void
api_accounts_list(struct call *call)
{
	api_query(call, STMT_ACCOUNT_LIST);
}

void
api_accounts_create(struct call *call)
{
	create(call, "account", STMT_ACCOUNT_CREATE, api_account_ok);
}

void
api_accounts_get(struct call *call)
{
	by_name(call, "account", STMT_ACCOUNT_GET);
}

void
api_accounts_edit(struct call *call)
{
	edit(call, "account", STMT_ACCOUNT_EDIT, api_account_ok);
}

void
api_everybody_get(struct call *call)
{
	api_query(call, STMT_EVERYBODY_GET);
}

void
api_everybody_edit(struct call *call)
{
	json_t *doc = api_body(call);

	if (doc == NULL)
		return;
	if (json_object_get(doc, "limits") == NULL)
		api_wrong(call, "everybody", "", "limits",
		    "missing_required_parameter", "is needed");
	else if (api_everybody_ok(call, doc, "everybody"))
		api_query(call, STMT_EVERYBODY_EDIT, buf_cstr(&call->body));
	json_decref(doc);
}
