#include "api_config.h"

#include <string.h>

#include <sluice/dialect.h>
#include <sluice/spec.h>

#include "api_json.h"

/* Members of a path that may be missing or null. */
static bool
types_ok(struct call *call, const json_t *path, const char *where)
{
	static const char *const texts[] = { "pool", "secret_file", "ca_file" };
	const json_t *v = json_object_get(path, "http2");

	if (v != NULL && !json_is_null(v) && !json_is_boolean(v)) {
		api_error(call, 400, "invalid_type", "http2",
		    "%s: 'http2' must be true or false.", where);
		return false;
	}
	for (size_t i = 0; i < NITEMS(texts); i++) {
		v = json_object_get(path, texts[i]);
		if (v == NULL || json_is_null(v) || json_is_string(v))
			continue;
		api_error(call, 400, "invalid_type", texts[i],
		    "%s: '%s' must be a string.", where, texts[i]);
		return false;
	}
	return true;
}

/* Of a pool or a path: '@' is for accounts and keys. */
static bool
place_name_ok(struct call *call, const char *name, const char *param)
{
	if (!api_name(call, name, param))
		return false;
	if (strchr(name, '@') == NULL)
		return true;
	api_error(call, 400, "invalid_value", param,
	    "'%s' of a pool or path must not have an '@'.", param);
	return false;
}

static bool
share_ok(
    struct call *call, const json_t *limit, const char *name, const char *where)
{
	const json_t *v = json_object_get(limit, name);

	if (v == NULL || json_is_null(v) ||
	    (json_is_number(v) && json_number_value(v) >= 0 &&
		json_number_value(v) <= 0.99))
		return true;
	api_error(call, 400, "invalid_value", name,
	    "%s: '%s' must be a share from 0 to 0.99.", where, name);
	return false;
}

/* A member that may be missing, else is one of the words. */
static bool
word_ok(struct call *call, const json_t *o, const char *name, const char *param,
    const char *where, const char *first, const char *const *words)
{
	const json_t *v = json_object_get(o, name);
	struct slc_err err;

	if (v == NULL || json_is_null(v))
		return true;
	if (spec_word(json_is_string(v) ? json_string_value(v) : "", first,
		words, &err) == SLC_OK)
		return true;
	api_error(call, 400, "invalid_value", param, "%s: '%s': %s.", where,
	    name, err.text);
	return false;
}

static bool
limit_ok(struct call *call, const json_t *limit, const char *where)
{
	static const char *const dimensions[] = { "requests", "tokens",
		"input_tokens", "output_tokens", "concurrent",
		"enqueued_requests", "enqueued_tokens" };
	const char *dimension =
	    json_string_value(json_object_get(limit, "dimension"));
	const json_t *model = json_object_get(limit, "model");
	int64_t window = 0, amount = 0;
	bool known = false;

	for (size_t i = 0; dimension != NULL && i < NITEMS(dimensions); i++)
		known |= strcmp(dimension, dimensions[i]) == 0;
	if (!known) {
		api_error(call, 400, "invalid_value", "limits.dimension",
		    "%s: a limit's 'dimension' must be requests, tokens, "
		    "input_tokens, output_tokens, concurrent, "
		    "enqueued_requests or enqueued_tokens.",
		    where);
		return false;
	}
	if (!api_int(call, limit, "window_s", "limits.window_s", 0,
		SPEC_LIMIT_WINDOW_MAX_S, &window) ||
	    !api_int(call, limit, "amount", "limits.amount", 1,
		INT64_C(1000000000000), &amount))
		return false;
	if (strcmp(dimension, "requests") != 0 &&
	    json_object_get(limit, "stream_cost") != NULL &&
	    !json_is_null(json_object_get(limit, "stream_cost"))) {
		api_error(call, 400, "invalid_value", "limits.stream_cost",
		    "%s: 'stream_cost' is for limits of requests.", where);
		return false;
	}
	if (amount == 0 ||
	    (strcmp(dimension, "concurrent") == 0 ||
		strncmp(dimension, "enqueued_", 9) == 0) != (window == 0)) {
		api_error(call, 400, "invalid_value", "limits",
		    "%s: a limit needs an 'amount', and a 'window_s' "
		    "unless it is concurrent or of what is enqueued.",
		    where);
		return false;
	}
	if (model != NULL && !json_is_null(model) &&
	    (!json_is_string(model) || json_string_length(model) == 0 ||
		json_string_length(model) > SLC_MODEL_MAX)) {
		api_error(call, 400, "invalid_value", "limits.model",
		    "%s: a limit's 'model' must be a pattern of 1 to %d bytes.",
		    where, SLC_MODEL_MAX);
		return false;
	}
	return share_ok(call, limit, "headroom", where) &&
	    share_ok(call, limit, "reserve", where) &&
	    word_ok(call, limit, "stream_cost", "limits.stream_cost", where,
		NULL, spec_stream_costs);
}

static bool
limits_ok(struct call *call, const json_t *owner, const char *where)
{
	json_t *v;
	size_t i;

	if (!api_list(call, json_object_get(owner, "limits"), "limits"))
		return false;
	json_array_foreach(json_object_get(owner, "limits"), i,
	    v) if (!limit_ok(call, v, where)) return false;
	return true;
}

static bool
models_ok(struct call *call, const json_t *models, const char *where)
{
	json_t *v;
	size_t i;
	bool ok =
	    json_array_size(models) >= 1 && json_array_size(models) <= 100;

	json_array_foreach(models, i, v) ok = ok &&
	    json_string_length(v) >= 1 &&
	    json_string_length(v) <= SLC_MODEL_MAX;
	if (!ok)
		api_error(call, 400, "invalid_value", "models",
		    "%s: 'models' must be a list of 1 to 100 names or "
		    "patterns.",
		    where);
	return ok;
}

static bool
prices_ok(struct call *call, const json_t *path, const char *where)
{
	static const char *const members[] = { "input", "cached_input",
		"output" };
	const json_t *prices = json_object_get(path, "prices"), *price, *model,
		     *hours;
	int64_t unused;
	size_t i;

	if (!api_list(call, prices, "prices"))
		return false;
	json_array_foreach(prices, i, price)
	{
		model = json_object_get(price, "model");
		if (!json_is_object(price) ||
		    (model != NULL &&
			(json_string_length(model) < 1 ||
			    json_string_length(model) > SPEC_MODEL_MAX))) {
			api_error(call, 400, "invalid_value", "prices",
			    "%s: a price must be an object, its 'model' a "
			    "string of 1 to %d bytes.",
			    where, SPEC_MODEL_MAX);
			return false;
		}
		hours = json_object_get(price, "hours");
		if (hours != NULL && !json_is_null(hours) &&
		    (!json_is_string(hours) ||
			json_string_length(hours) > SPEC_HOURS_MAX)) {
			api_error(call, 400, "invalid_value", "prices",
			    "%s: 'hours' of a price must be a string of up to "
			    "%d bytes.",
			    where, SPEC_HOURS_MAX);
			return false;
		}
		for (size_t k = 0; k < NITEMS(members); k++)
			if (!api_int(call, price, members[k], "prices", 0,
				SPEC_PRICE_MAX, &unused))
				return false;
	}
	return true;
}

static bool
suffix_ok(struct call *call, const json_t *path, const char *where)
{
	const json_t *suffix = json_object_get(path, "suffix");
	struct slc_err err;

	if (suffix == NULL || json_is_null(suffix))
		return true;
	if (json_is_string(suffix) &&
	    spec_suffix(json_string_value(suffix), &err) == SLC_OK)
		return true;
	api_error(call, 400, "invalid_value", "suffix", "%s: 'suffix': %s.",
	    where, json_is_string(suffix) ? err.text : "must be a string");
	return false;
}

/* A whole URL of a call has been given for that of the API. */
static bool
url_ends_in_endpoint(struct slice url)
{
	static const char *const ends[] = { "/completions", "/embeddings",
		"/responses", "/moderations", "/batches", "/files", "/models" };

	while (url.n > 0 && url.p[url.n - 1] == '/')
		url.n--;
	for (size_t i = 0; i < NITEMS(ends); i++) {
		size_t n = strlen(ends[i]);

		if (url.n > n && memcmp(url.p + url.n - n, ends[i], n) == 0)
			return true;
	}
	return false;
}

static bool
path_ok(struct call *call, const json_t *path, const char *where)
{
	static const struct {
		const char *name;
		int64_t min, max;
	} numbers[] = {
		{ "attempts", 1, 20 },
		{ "connect_ms", 100, 120000 },
		{ "idle_ms", 1000, 3600000 },
		{ "whole_ms", 1000, 7200000 },
		{ "answer_max", 1024, 268435456 },
		{ "poll_ms", 100, 3600000 },
		{ "linger_ms", 0, 3600000 },
		{ "combine", 1, SLC_COMBINE_MAX },
	};
	const char *url = api_text(call, path, "url");
	int64_t unused;

	if (url == NULL || !types_ok(call, path, where))
		return false;
	if ((strncmp(url, "http://", 7) != 0 &&
		strncmp(url, "https://", 8) != 0) ||
	    strlen(url) > 2000 || strpbrk(url, " \t\r\n#?@\"<>\\") != NULL ||
	    strstr(url, "://")[3] == '\0') {
		api_error(call, 400, "invalid_value", "url",
		    "%s: 'url' must be http:// or https:// with a host and "
		    "maybe a path, without user, query or fragment.",
		    where);
		return false;
	}
	if (url_ends_in_endpoint(slice_str(url))) {
		api_error(call, 400, "invalid_value", "url",
		    "%s: 'url' is where the API is, as https://HOST/v1; what "
		    "comes behind /v1 is each line's own.",
		    where);
		return false;
	}
	for (size_t i = 0; i < NITEMS(numbers); i++)
		if (!api_int(call, path, numbers[i].name, numbers[i].name,
			numbers[i].min, numbers[i].max, &unused))
			return false;
	return suffix_ok(call, path, where) &&
	    word_ok(call, path, "kind", "kind", where, NULL, spec_kinds) &&
	    word_ok(call, path, "dialect", "dialect", where, "auto",
		dialect_names) &&
	    word_ok(
		call, path, "charge", "charge", where, NULL, spec_charges) &&
	    models_ok(call, json_object_get(path, "models"), where) &&
	    limits_ok(call, path, where) && prices_ok(call, path, where);
}

/* Each pool or path: named, and what it holds in order. */
static bool
list_ok(struct call *call, const json_t *list, const char *kind,
    bool (*check)(struct call *call, const json_t *item, const char *where))
{
	char where[SLC_NAME_MAX + 16];
	const char *name, *pool;
	json_t *v;
	size_t i;

	snprintf(where, sizeof(where), "%ss", kind);
	if (!api_list(call, list, where))
		return false;
	json_array_foreach(list, i, v)
	{
		if ((name = api_text(call, v, "name")) == NULL ||
		    !place_name_ok(call, name, "name"))
			return false;
		pool = json_string_value(json_object_get(v, "pool"));
		if (pool != NULL && !place_name_ok(call, pool, "pool"))
			return false;
		snprintf(where, sizeof(where), "%s %s", kind, name);
		if (!check(call, v, where))
			return false;
	}
	return true;
}

bool
api_config_ok(struct call *call, const json_t *doc)
{
	return api_list(call, json_object_get(doc, "remove_paths"),
		   "remove_paths") &&
	    api_list(
		call, json_object_get(doc, "remove_pools"), "remove_pools") &&
	    list_ok(call, json_object_get(doc, "pools"), "pool", limits_ok) &&
	    list_ok(call, json_object_get(doc, "paths"), "path", path_ok);
}
