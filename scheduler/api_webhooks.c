/* Routes of webhooks: who is told when batches of an account have ended. */
#include <string.h>

#include "api_callers.h"

void
api_webhooks_list(struct call *call)
{
	api_query(call, STMT_WEBHOOK_LIST);
}

/* Where the worker may really go it decides itself, at the address. */
static bool
url_ok(struct call *call, const char *url)
{
	const char *host = strstr(url, "://");

	if ((strncmp(url, "https://", 8) == 0 ||
		strncmp(url, "http://", 7) == 0) &&
	    strlen(url) <= SLC_WEBHOOK_URL_MAX && host[3] != '\0' &&
	    host[3] != '/' && strpbrk(url, "#\"<>\\") == NULL &&
	    memchr(host + 3, '@', strcspn(host + 3, "/?")) == NULL) {
		for (const char *p = url; *p > 0x20 && *p < 0x7f; p++)
			if (p[1] == '\0')
				return true;
	}
	return api_wrong(call, "webhook", "", "url", "invalid_value",
	    "must be https:// with a host and maybe a path and a query, "
	    "without user or fragment");
}

static bool
webhook_ok(struct call *call, const json_t *doc)
{
	static const char *const events[] = { "batch.completed", "batch.failed",
		"batch.expired", "batch.cancelled", NULL };
	static const struct api_member members[] = {
		{ "account", MEMBER_TEXT, 1, SLC_NAME_MAX, .null = false },
		{ "url", MEMBER_TEXT, 1, SLC_WEBHOOK_URL_MAX, .null = false },
		{ "secret_file", MEMBER_TEXT, 1, SLC_FILE_NAME_MAX,
		    .null = false },
		{ "events", MEMBER_WORDS, 1, 4, .words = events },
		{ .name = NULL },
	};
	static const char *const needed[] = { "account", "url", "secret_file" };

	for (size_t i = 0; i < NITEMS(needed); i++)
		if (api_text(call, doc, needed[i]) == NULL)
			return false;
	return api_members_ok(call, doc, "", "webhook", members) &&
	    url_ok(call, json_string_value(json_object_get(doc, "url")));
}

void
api_webhooks_create(struct call *call)
{
	json_t *doc = api_body(call);

	if (doc != NULL && webhook_ok(call, doc))
		api_query(call, STMT_WEBHOOK_CREATE, buf_cstr(&call->body),
		    (int64_t)SLC_WEBHOOKS_MAX);
	json_decref(doc);
}

static void
with_one(struct call *call, enum stmt stmt)
{
	struct buf id = { 0 };

	if (api_segment(call, "webhook", "webhook_id", &id))
		api_query(call, stmt, buf_cstr(&id));
	buf_fini(&id);
}

void
api_webhooks_get(struct call *call)
{
	with_one(call, STMT_WEBHOOK_GET);
}

void
api_webhooks_remove(struct call *call)
{
	with_one(call, STMT_WEBHOOK_REMOVE);
}

void
api_webhooks_test(struct call *call)
{
	with_one(call, STMT_WEBHOOK_TEST);
}
