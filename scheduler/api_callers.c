#include "api_callers.h"

#include <stdio.h>
#include <string.h>

#include <sluice/spec.h>

static const char *const scopes[] = { "batch", "live", "read", "admin", NULL };
static const char *const dialects[] = { "account", "priority", "chunks",
	"relay", "openai", "ietf", NULL };

#define LIMITS                                       \
	{                                            \
		"limits", MEMBER_LIST, .null = false \
	}
#define PRIORITY(may_be_null)                                  \
	{                                                      \
		"max_priority", MEMBER_INT, SLC_PRIORITY_LOW,  \
		    SLC_PRIORITY_CRITICAL, .null = may_be_null \
	}
#define PLAN                                                       \
	{                                                          \
		"plan", MEMBER_TEXT, 1, SLC_NAME_MAX, .null = true \
	}
#define NAME                                                        \
	{                                                           \
		"name", MEMBER_TEXT, 1, SLC_NAME_MAX, .null = false \
	}

static const char *
text_or(const json_t *o, const char *name, const char *otherwise)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL ? s : otherwise;
}

/* Limits ------------------------------------------------------------------- */

static bool
limit_ok(struct call *call, const json_t *limit, const char *where)
{
	static const char *const dimensions[] = { "requests", "tokens",
		"input_tokens", "output_tokens", "money", "concurrent",
		"enqueued_requests", "enqueued_tokens", NULL };
	static const char *const resources[] = { "*", "chat", "embeddings",
		"moderations", "images", "audio", NULL };
	static const char *const algorithms[] = { "sliding", "fixed",
		"anchored", "bucket", NULL };
	static const char *const pers[] = { "key", "account", "all", "attached",
		NULL };
	static const char *const actions[] = { "reject", "shape", NULL };
	static const char *const applies[] = { "live", "batch", "both", NULL };
	static const struct api_member members[] = {
		{ "model", MEMBER_TEXT, 1, SLC_MODEL_MAX, .null = false },
		{ "each_model", MEMBER_YES, .null = false },
		{ "resource", MEMBER_WORD, .words = resources },
		{ "each_resource", MEMBER_YES, .null = false },
		{ "dimension", MEMBER_WORD, .words = dimensions },
		{ "window_s", MEMBER_INT, 0, SPEC_LIMIT_WINDOW_MAX_S,
		    .null = false },
		{ "amount", MEMBER_INT, 0, SLC_CALLER_AMOUNT_MAX,
		    .null = false },
		{ "algorithm", MEMBER_WORD, .words = algorithms },
		{ "zone", MEMBER_TEXT, 1, SLC_ZONE_MAX, .null = false },
		{ "per", MEMBER_WORD, .words = pers },
		{ "action", MEMBER_WORD, .words = actions },
		{ "applies", MEMBER_WORD, .words = applies },
		{ "stream_cost", MEMBER_WORD, .words = spec_stream_costs },
		{ .name = NULL },
	};
	const char *dimension;
	bool has_window;

	if (!api_members_ok(call, limit, "limits.", where, members))
		return false;
	dimension = text_or(limit, "dimension", NULL);
	if (dimension == NULL)
		return api_wrong(call, where, "limits.", "dimension",
		    "missing_required_parameter",
		    "is needed: requests, tokens, concurrent, ...");
	if (json_object_get(limit, "amount") == NULL)
		return api_wrong(call, where, "limits.", "amount",
		    "missing_required_parameter", "is needed");
	has_window = json_integer_value(json_object_get(limit, "window_s")) > 0;
	if (has_window ==
	    (strcmp(dimension, "concurrent") == 0 ||
		strncmp(dimension, "enqueued", 8) == 0))
		return api_wrong(call, where, "limits.", "window_s",
		    "invalid_value",
		    has_window ? "is 0 for what has no window"
			       : "must be 1 or more seconds");
	if (strcmp(dimension, "requests") != 0 &&
	    strcmp(text_or(limit, "stream_cost", "once"), "once") != 0)
		return api_wrong(call, where, "limits.", "stream_cost",
		    "invalid_value", "is for limits of requests");
	if (strcmp(text_or(limit, "zone", "UTC"), "UTC") != 0 &&
	    strcmp(text_or(limit, "algorithm", "fixed"), "fixed") != 0)
		return api_wrong(call, where, "limits.", "zone",
		    "invalid_value",
		    "is for windows of the calendar, algorithm \"fixed\"");
	if (strcmp(text_or(limit, "resource", "*"), "*") != 0 &&
	    json_is_true(json_object_get(limit, "each_resource")))
		return api_wrong(call, where, "limits.", "each_resource",
		    "invalid_value", "goes with the resource \"*\"");
	return true;
}

static bool
same_limit(const json_t *a, const json_t *b)
{
	return strcmp(text_or(a, "dimension", ""),
		   text_or(b, "dimension", "")) == 0 &&
	    strcmp(text_or(a, "model", "*"), text_or(b, "model", "*")) == 0 &&
	    strcmp(text_or(a, "resource", "*"), text_or(b, "resource", "*")) ==
	    0 &&
	    json_integer_value(json_object_get(a, "window_s")) ==
	    json_integer_value(json_object_get(b, "window_s"));
}

bool
api_caller_limits_ok(struct call *call, const json_t *doc, const char *where)
{
	const json_t *list = json_object_get(doc, "limits"), *limit;
	size_t i;

	if (json_array_size(list) > SLC_CALLER_LIMITS_MAX) {
		api_error(call, 400, "invalid_value", "limits",
		    "%s: 'limits' has %zu; %d are allowed.", where,
		    json_array_size(list), SLC_CALLER_LIMITS_MAX);
		return false;
	}
	json_array_foreach(list, i, limit)
	{
		if (!limit_ok(call, limit, where))
			return false;
		for (size_t k = 0; k < i; k++)
			if (same_limit(limit, json_array_get(list, k)))
				return api_wrong(call, where, "", "limits",
				    "invalid_value",
				    "has two of the same dimension, window, "
				    "model and resource");
	}
	return true;
}

/* What there is -------------------------------------------------------------
 */

bool
api_plan_ok(struct call *call, const json_t *doc, const char *where)
{
	static const struct api_member members[] = { NAME,
		{ "dialect", MEMBER_WORD, .words = dialects }, PRIORITY(false),
		LIMITS, { .name = NULL } };

	if (strchr(text_or(doc, "name", ""), '@') != NULL)
		return api_wrong(call, where, "", "name", "invalid_value",
		    "of a plan must not have an '@'");
	return api_members_ok(call, doc, "", where, members) &&
	    api_caller_limits_ok(call, doc, where);
}

bool
api_account_ok(struct call *call, const json_t *doc, const char *where)
{
	static const struct api_member members[] = { NAME, PLAN, PRIORITY(true),
		{ "weight", MEMBER_INT, 1, SLC_WEIGHT_MAX, .null = false },
		{ "cache", MEMBER_YES, .null = false }, LIMITS,
		{ .name = NULL } };

	return api_members_ok(call, doc, "", where, members) &&
	    api_caller_limits_ok(call, doc, where);
}

bool
api_key_ok(struct call *call, const json_t *doc, const char *where)
{
	static const struct api_member members[] = { NAME, PLAN, PRIORITY(true),
		{ "account", MEMBER_TEXT, 1, SLC_NAME_MAX, .null = false },
		{ "scopes", MEMBER_WORDS, 1, 8, .words = scopes },
		{ "expires_at", MEMBER_INT, 0, SLC_EXPIRES_MAX, .null = true },
		LIMITS, { .name = NULL } };
	const char *name = text_or(doc, "name", NULL);

	return api_members_ok(call, doc, "", where, members) &&
	    (name == NULL || api_name(call, name, "name")) &&
	    api_caller_limits_ok(call, doc, where);
}

bool
api_everybody_ok(struct call *call, const json_t *doc, const char *where)
{
	static const struct api_member members[] = { LIMITS, { .name = NULL } };

	return api_members_ok(call, doc, "", where, members) &&
	    api_caller_limits_ok(call, doc, where);
}

bool
api_limit_name_ok(struct call *call, const char *name)
{
	size_t n = strlen(name);

	if (n >= SLC_LIMIT_NAME_MIN && n <= SLC_LIMIT_NAME_MAX &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n)
		return true;
	api_error(call, 400, "invalid_value", "name",
	    "The 'name' of a limit must be %d to %d of a-z, 0-9 and '-'.",
	    SLC_LIMIT_NAME_MIN, SLC_LIMIT_NAME_MAX);
	return false;
}

bool
api_named_ok(struct call *call, const json_t *doc, const char *where)
{
	static const struct api_member members[] = { NAME, LIMITS,
		{ "keys", MEMBER_TEXTS, 1, SLC_NAME_MAX, .null = false },
		{ "models", MEMBER_TEXTS, 1, SLC_MODEL_MAX, .null = false },
		{ .name = NULL } };
	const json_t *list = json_object_get(doc, "limits"), *limit;
	size_t i;

	if (!api_members_ok(call, doc, "", where, members) ||
	    !api_caller_limits_ok(call, doc, where))
		return false;
	if (list != NULL && json_array_size(list) == 0)
		return api_wrong(call, where, "", "limits", "invalid_value",
		    "needs one of requests or of tokens, or both");
	json_array_foreach(list, i, limit)
	{
		const char *dimension = text_or(limit, "dimension", "");

		if (strcmp(dimension, "requests") != 0 &&
		    strcmp(dimension, "tokens") != 0)
			return api_wrong(call, where, "limits.", "dimension",
			    "invalid_value",
			    "of a named limit must be requests or tokens");
		for (size_t k = 0; k < i; k++)
			if (strcmp(dimension,
				text_or(json_array_get(list, k), "dimension",
				    "")) == 0)
				return api_wrong(call, where, "", "limits",
				    "invalid_value",
				    "has one threshold of requests and one of "
				    "tokens at most");
	}
	return true;
}

static bool
list_ok(struct call *call, const json_t *doc, const char *member,
    const char *kind, bool named,
    bool (*check)(struct call *call, const json_t *item, const char *where))
{
	char where[SLC_NAME_MAX + 16];
	const json_t *list = json_object_get(doc, member), *item;
	const char *name;
	size_t i;

	if (list == NULL)
		return true;
	if (!json_is_array(list)) {
		api_error(call, 400, "invalid_type", member,
		    "'%s' must be a list.", member);
		return false;
	}
	json_array_foreach(list, i, item)
	{
		if ((name = api_text(call, item, "name")) == NULL ||
		    !(named ? api_limit_name_ok(call, name)
			    : api_name(call, name, "name")))
			return false;
		snprintf(where, sizeof(where), "%s %s", kind, name);
		if (!check(call, item, where))
			return false;
	}
	return true;
}

bool
api_callers_ok(struct call *call, const json_t *doc)
{
	static const struct api_member removals[] = {
		{ "remove_plans", MEMBER_TEXTS, 1, SLC_NAME_MAX,
		    .null = false },
		{ "remove_limits", MEMBER_TEXTS, 1, SLC_NAME_MAX,
		    .null = false },
	};
	const json_t *everybody = json_object_get(doc, "everybody");

	for (size_t i = 0; i < NITEMS(removals); i++) {
		const json_t *v = json_object_get(doc, removals[i].name);
		struct buf should = { 0 };
		bool ok = true;

		if (v != NULL)
			api_complain(v, &removals[i], &should);
		if (should.n > 0)
			ok = api_wrong(call, "apply", "", removals[i].name,
			    "invalid_value", buf_cstr(&should));
		buf_fini(&should);
		if (!ok)
			return false;
	}
	return list_ok(call, doc, "plans", "plan", false, api_plan_ok) &&
	    list_ok(call, doc, "accounts", "account", false, api_account_ok) &&
	    list_ok(call, doc, "named_limits", "limit", true, api_named_ok) &&
	    (everybody == NULL ||
		api_everybody_ok(call, everybody, "everybody"));
}
