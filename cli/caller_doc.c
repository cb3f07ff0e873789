#include "caller_doc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sluice/embedded.h>
#include <sluice/spec.h>

#include "js.h"
#include "preset.h"
#include "rule.h"

enum { EXPIRES_MAX_S = 3650 * 86400 };

#define OF(kind) (1u << (kind))
enum {
	OF_LIMITED = OF(CALLER_PLAN) | OF(CALLER_ACCOUNT) | OF(CALLER_KEY) |
	    OF(CALLER_EVERYBODY),
	OF_RANKED = OF(CALLER_PLAN) | OF(CALLER_ACCOUNT) | OF(CALLER_KEY),
	OF_PLANNED = OF(CALLER_ACCOUNT) | OF(CALLER_KEY),
};

enum set_kind {
	SET_TEXT, /* empty or "none": null */
	SET_PRIORITY,
	SET_COUNT,
	SET_YES,
	SET_LIMIT,
	SET_NO_LIMIT,
	SET_WHAT, /* a threshold of a named limit */
	SET_NO_WHAT,
	SET_ITEM,
	SET_NO_ITEM,
	SET_TIME,
};

static const struct setting {
	const char *name, *member;
	enum set_kind kind;
	unsigned of;
} settings[] = {
	{ "dialect", "dialect", SET_TEXT, OF(CALLER_PLAN) },
	{ "preset", "preset", SET_TEXT, OF(CALLER_PLAN) },
	{ "plan", "plan", SET_TEXT, OF_PLANNED },
	{ "name", "name", SET_TEXT, OF(CALLER_KEY) },
	{ "max-priority", "max_priority", SET_PRIORITY, OF_RANKED },
	{ "weight", "weight", SET_COUNT, OF(CALLER_ACCOUNT) },
	{ "cache", "cache", SET_YES, OF(CALLER_ACCOUNT) },
	{ "expires", "expires_at", SET_TIME, OF(CALLER_KEY) },
	{ "scope", "scopes", SET_ITEM, OF(CALLER_KEY) },
	{ "limit", "limits", SET_LIMIT, OF_LIMITED },
	{ "no-limit", "limits", SET_NO_LIMIT, OF_LIMITED },
	{ "requests", "limits", SET_WHAT, OF(CALLER_LIMIT) },
	{ "tokens", "limits", SET_WHAT, OF(CALLER_LIMIT) },
	{ "no-requests", "limits", SET_NO_WHAT, OF(CALLER_LIMIT) },
	{ "no-tokens", "limits", SET_NO_WHAT, OF(CALLER_LIMIT) },
	{ "algorithm", "algorithm", SET_TEXT, OF(CALLER_LIMIT) },
	{ "zone", "zone", SET_TEXT, OF(CALLER_LIMIT) },
	{ "key", "keys", SET_ITEM, OF(CALLER_LIMIT) },
	{ "no-key", "keys", SET_NO_ITEM, OF(CALLER_LIMIT) },
	{ "model", "models", SET_ITEM, OF(CALLER_LIMIT) },
	{ "no-model", "models", SET_NO_ITEM, OF(CALLER_LIMIT) },
};

/* How the limits of a preset count before callers, by its dialect. */
static const struct counting {
	const char *dialect, *per, *algorithm;
	bool each_resource; /* in the shortest window of requests */
} countings[] = {
	{ "account", "account", "fixed", false },
	{ "priority", "key", "fixed", true },
	{ "chunks", "key", "anchored", false },
	{ "relay", "key", "sliding", false },
	{ "openai", "account", "bucket", false },
};

static const struct setting *
find(enum caller_kind kind, const char *name)
{
	for (size_t i = 0; i < NITEMS(settings); i++)
		if ((settings[i].of & OF(kind)) != 0 &&
		    strcmp(settings[i].name, name) == 0)
			return &settings[i];
	return NULL;
}

bool
caller_knows(enum caller_kind kind, const char *name)
{
	return find(kind, name) != NULL;
}

static json_t *
list_of(json_t *doc, const char *member)
{
	json_t *list = json_object_get(doc, member);

	if (list == NULL) {
		list = json_array();
		json_object_set_new(doc, member, list);
	}
	return list;
}

/* Which list of what there is a setting works on; NULL: none. */
static const char *
works_on(const struct setting *s)
{
	switch (s->kind) {
	case SET_LIMIT:
	case SET_NO_LIMIT:
	case SET_WHAT:
	case SET_NO_WHAT:
		return s->member;
	case SET_ITEM:
	case SET_NO_ITEM:
		/* Scopes are given whole. */
		return s->of == OF(CALLER_LIMIT) ? s->member : NULL;
	case SET_TEXT:
		return s->of == OF(CALLER_LIMIT) ? "limits" : NULL;
	default:
		return NULL;
	}
}

void
caller_keep(
    enum caller_kind kind, json_t *doc, const char *name, const json_t *shown)
{
	const char *member = works_on(find(kind, name));

	if (member != NULL && json_object_get(doc, member) == NULL)
		json_object_set_new(doc, member,
		    json_deep_copy(json_object_get(shown, member)));
}

enum slc_rc
caller_time(const char *text, int64_t now, int64_t *out, struct slc_err *err)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%d", &tm);
	int64_t s;

	if (strcmp(text, "never") == 0) {
		*out = 0;
		return SLC_OK;
	}
	if (end != NULL && *end == '\0') {
		*out = timegm(&tm);
		return SLC_OK;
	}
	if (spec_window(slice_str(text), 1, EXPIRES_MAX_S, &s, NULL) != SLC_OK)
		return slc_fail(err, SLC_EINPUT,
		    "\"%.40s\" is not a time to come: write 90d, 2027-01-31 or "
		    "never",
		    text);
	*out = now + s;
	return SLC_OK;
}

/* The limits of one dimension, of a named limit: at most one. */
static bool
drop_what(json_t *limits, const char *dimension, json_t **was)
{
	for (size_t i = 0; i < json_array_size(limits); i++) {
		json_t *limit = json_array_get(limits, i);

		if (strcmp(js_text(limit, "dimension"), dimension) != 0)
			continue;
		if (was != NULL)
			*was = json_incref(limit);
		json_array_remove(limits, i);
		return true;
	}
	return false;
}

/* "50/1d": 50 in each day. */
static enum slc_rc
set_what(
    json_t *doc, const char *dimension, const char *value, struct slc_err *err)
{
	json_t *limits = list_of(doc, "limits"), *was = NULL, *rule = NULL;
	const char *slash = strchr(value, '/');
	struct buf text = { 0 };
	enum slc_rc rc;

	if (slash == NULL)
		return slc_fail(err, SLC_EINPUT,
		    "\"%.40s\" has no period: write 50/1d, 1m/1h or 100/5m",
		    value);
	buf_addf(&text, "%s/%s=%.*s", dimension, slash + 1,
	    (int)(slash - value), value);
	rc = rule_parse(buf_cstr(&text), &rule, err);
	buf_fini(&text);
	if (rc != SLC_OK)
		return rc;
	/* An edit keeps how it counts. */
	if (drop_what(limits, dimension, &was)) {
		json_object_update(was, rule);
		json_decref(rule);
		rule = was;
	}
	json_array_append_new(limits, rule);
	return SLC_OK;
}

static enum slc_rc
drop_item(json_t *list, const char *value, struct slc_err *err)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(json_string_value(json_array_get(list, i)), value) ==
		    0) {
			json_array_remove(list, i);
			return SLC_OK;
		}
	return slc_fail(err, SLC_ENOTFOUND, "it is not on \"%.80s\"", value);
}

static enum slc_rc
set_yes(json_t *doc, const char *member, const char *value, struct slc_err *err)
{
	bool yes = strcmp(value, "yes") == 0 || value[0] == '\0';

	if (!yes && strcmp(value, "no") != 0)
		return slc_fail(
		    err, SLC_EINPUT, "\"%.40s\" is not yes or no", value);
	json_object_set_new(doc, member, json_boolean(yes));
	return SLC_OK;
}

static enum slc_rc
set(json_t *doc, const struct setting *s, const char *value,
    struct slc_err *err)
{
	bool none = value[0] == '\0' || strcmp(value, "none") == 0;
	int64_t n = 0;
	enum slc_rc rc;

	switch (s->kind) {
	case SET_TEXT:
		json_object_set_new(
		    doc, s->member, none ? json_null() : json_string(value));
		return SLC_OK;
	case SET_PRIORITY:
		if (!none && cli_priority(value) == 0)
			return slc_fail(err, SLC_EINPUT,
			    "\"%.40s\" is none of low, normal, high, critical, "
			    "1..4 or none",
			    value);
		json_object_set_new(doc, s->member,
		    none ? json_null() : json_integer(cli_priority(value)));
		return SLC_OK;
	case SET_COUNT:
		if (!slice_int(slice_str(value), SLC_WEIGHT_MAX, &n) || n < 1)
			return slc_fail(err, SLC_EINPUT,
			    "\"%.40s\" is not a number from 1 to %d", value,
			    SLC_WEIGHT_MAX);
		json_object_set_new(doc, s->member, json_integer(n));
		return SLC_OK;
	case SET_YES:
		return set_yes(doc, s->member, value, err);
	case SET_LIMIT:
		return rules_set(list_of(doc, s->member), value, err);
	case SET_NO_LIMIT:
		return rules_unset(list_of(doc, s->member), value, err);
	case SET_WHAT:
		return set_what(doc, s->name, value, err);
	case SET_NO_WHAT:
		if (!drop_what(list_of(doc, s->member), s->name + 3, NULL))
			return slc_fail(err, SLC_ENOTFOUND,
			    "there is no limit of %s", s->name + 3);
		return SLC_OK;
	case SET_ITEM:
		json_array_append_new(
		    list_of(doc, s->member), json_string(value));
		return SLC_OK;
	case SET_NO_ITEM:
		return drop_item(list_of(doc, s->member), value, err);
	case SET_TIME:
		rc = caller_time(value, time(NULL), &n, err);
		if (rc == SLC_OK)
			json_object_set_new(doc, s->member,
			    n == 0 ? json_null() : json_integer(n));
		return rc;
	}
	return SLC_OK;
}

enum slc_rc
caller_set(enum caller_kind kind, json_t *doc, const char *name,
    const char *value, struct slc_err *err)
{
	struct slc_err why;
	enum slc_rc rc = set(doc, find(kind, name), value, &why);

	return rc == SLC_OK ? rc : slc_fail(err, rc, "%s: %s", name, why.text);
}

/* The limits of an upstream become those before callers. */
static enum slc_rc
count_as(json_t *doc, const char *stream_cost, struct slc_err *err)
{
	const char *dialect = js_text(doc, "dialect");
	json_t *limits = json_object_get(doc, "limits"), *limit;
	size_t k = 0, i;

	while (
	    k < NITEMS(countings) && strcmp(countings[k].dialect, dialect) != 0)
		k++;
	if (k == NITEMS(countings))
		return slc_fail(err, SLC_EINPUT,
		    "its dialect, %.40s, is none that plans speak", dialect);
	json_array_foreach(limits, i, limit)
	{
		json_t *full = json_pack("{s:s}", "per", countings[k].per);
		bool requests =
		    strcmp(js_text(limit, "dimension"), "requests") == 0;

		if (js_int(limit, "window_s") > 0)
			json_object_set_new(full, "algorithm",
			    json_string(countings[k].algorithm));
		if (requests && stream_cost[0] != '\0')
			json_object_set_new(
			    full, "stream_cost", json_string(stream_cost));
		if (requests && countings[k].each_resource &&
		    js_int(limit, "window_s") == 60)
			json_object_set_new(full, "each_resource", json_true());
		/* What was said by hand wins. */
		json_object_update(full, limit);
		json_array_set_new(limits, i, full);
	}
	return SLC_OK;
}

static enum slc_rc
expand_preset(json_t *doc, struct slc_err *err)
{
	static const char *const not_ours[] = { "preset", "charge",
		"stream_cost", "headroom" };
	const char *name = js_text(doc, "preset");
	const json_t *preset;
	json_t *all = NULL;
	struct slc_err why;
	enum slc_rc rc;

	rc = preset_all(preset_files, &all, err);
	preset = preset_find(all, name);
	if (rc == SLC_OK && preset == NULL)
		rc = slc_fail(err, SLC_EINPUT,
		    "there is no preset %.80s: see sluice preset list", name);
	list_of(doc, "limits");
	if (rc == SLC_OK)
		rc = preset_expand(preset, doc, err);
	if (rc == SLC_OK &&
	    count_as(doc, js_text(doc, "stream_cost"), &why) != SLC_OK)
		rc = slc_fail(
		    err, SLC_EINPUT, "preset %.60s: %s", name, why.text);
	for (size_t i = 0; i < NITEMS(not_ours); i++)
		json_object_del(doc, not_ours[i]);
	json_decref(all);
	return rc;
}

enum slc_rc
caller_finish(enum caller_kind kind, json_t *doc, struct slc_err *err)
{
	static const char *const of_all[] = { "algorithm", "zone" };

	if (kind == CALLER_PLAN && json_object_get(doc, "preset") != NULL)
		return expand_preset(doc, err);
	for (size_t i = 0; kind == CALLER_LIMIT && i < NITEMS(of_all); i++) {
		json_t *value = json_object_get(doc, of_all[i]), *limit;
		size_t k;

		if (value != NULL)
			json_array_foreach(json_object_get(doc, "limits"), k,
			    limit) json_object_set(limit, of_all[i], value);
		json_object_del(doc, of_all[i]);
	}
	return SLC_OK;
}
