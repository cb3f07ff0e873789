#include "api_options.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/slc.h>
#include <sluice/spec.h>

#include "api_json.h"

enum kind {
	KIND_INT,
	KIND_BOOL,
	KIND_WORD,
	KIND_TEXT,
	KIND_MONEY,
	KIND_PRIORITY,
	KIND_DEADLINE
};

#define TIME_MAX INT64_C(253402300799) /* the year 9999 */

static const struct option {
	const char *name;
	enum kind kind;
	bool edit;
	int64_t min, max;  /* of texts: bytes */
	const char *words; /* " a b c " */
} OPTIONS[] = {
	{ "priority", KIND_PRIORITY, true, 0, 0, NULL },
	{ "max_tokens", KIND_INT, false, 1, SLC_MAX_TOKENS_MAX, NULL },
	{ "paused", KIND_BOOL, true, 0, 0, NULL },
	{ "deadline", KIND_DEADLINE, true, 0, 0, NULL },
	{ "dry_run", KIND_BOOL, false, 0, 0, NULL },
	{ "require_feasible", KIND_BOOL, false, 0, 0, NULL },
	{ "path", KIND_WORD, true, 0, 0, " auto direct cheap " },
	{ "escalate", KIND_BOOL, true, 0, 0, NULL },
	{ "max_cost", KIND_MONEY, true, 1, SPEC_PRICE_MAX, NULL },
	{ "details", KIND_BOOL, false, 0, 0, NULL },
	{ "not_before", KIND_INT, false, 1, TIME_MAX, NULL },
	{ "hours", KIND_TEXT, false, 1, SPEC_HOURS_MAX, NULL },
	{ "dedupe", KIND_BOOL, false, 0, 0, NULL },
};

static const char *const PRIORITIES[] = { "low", "normal", "high", "critical" };

/* From 1; 0: neither a number nor a word of a priority. */
static int64_t
priority_of(const json_t *v)
{
	if (json_is_integer(v))
		return json_integer_value(v);
	for (size_t i = 0; i < NITEMS(PRIORITIES); i++)
		if (json_is_string(v) &&
		    strcmp(json_string_value(v), PRIORITIES[i]) == 0)
			return (int64_t)i + 1;
	return 0;
}

static const struct option *
option_of(const char *name)
{
	for (size_t i = 0; i < NITEMS(OPTIONS); i++)
		if (strcmp(OPTIONS[i].name, name) == 0)
			return &OPTIONS[i];
	return NULL;
}

static bool
unknown(struct call *call, const char *name, const char *param)
{
	struct buf known = { 0 };

	for (size_t i = 0; i < NITEMS(OPTIONS); i++)
		buf_addf(&known, "%s%s", i > 0 ? ", " : "", OPTIONS[i].name);
	api_error(call, 400, "unknown_parameter", param,
	    "'sluice' has no member '%.64s'; it may have: %.*s.", name,
	    (int)known.n, known.p);
	buf_fini(&known);
	return false;
}

static bool
is_word(const char *words, const json_t *v)
{
	char text[66];

	if (!json_is_string(v) || json_string_length(v) > 64 ||
	    strchr(json_string_value(v), ' ') != NULL)
		return false;
	snprintf(text, sizeof(text), " %s ", json_string_value(v));
	return strstr(words, text) != NULL;
}

static bool
read_priority(struct call *call, const json_t *v, const char *param,
    json_t *out, const char *name)
{
	int64_t level = priority_of(v);

	if (level < SLC_PRIORITY_LOW || level > call->max_priority) {
		api_error(call, 400, "invalid_value", param,
		    "'%s' must be low, normal, high, critical or a number "
		    "from %d to %d, which is the most this key may use.",
		    param, SLC_PRIORITY_LOW, (int)call->max_priority);
		return false;
	}
	json_object_set_new(out, name, json_integer(level));
	return true;
}

/* To a Unix time, or "+90": seconds from now. */
static bool
read_deadline(struct call *call, const json_t *v, const char *param,
    json_t *out, const char *name)
{
	const char *text = json_string_value(v);
	struct slc_err err = { 0 };
	char at[32];
	int64_t s;

	if (json_is_integer(v) && json_integer_value(v) > 0 &&
	    json_integer_value(v) < INT64_C(100000000000)) {
		json_object_set(out, name, (json_t *)v);
		return true;
	}
	if (text == NULL ||
	    spec_window(slice_str(text), SLC_WINDOW_MIN_S, SLC_WINDOW_MAX_S, &s,
		&err) != SLC_OK) {
		api_error(call, 400, "invalid_value", param,
		    "'%s' must be a Unix time or a span from now as "
		    "\"6h\"%s%s.",
		    param, text != NULL ? ": " : "", err.text);
		return false;
	}
	snprintf(at, sizeof(at), "+%lld", (long long)s);
	json_object_set_new(out, name, json_string(at));
	return true;
}

static bool
read_option(struct call *call, const struct option *o, const json_t *v,
    const char *param, json_t *out)
{
	int64_t n = 0;

	switch (o->kind) {
	case KIND_PRIORITY:
		return read_priority(call, v, param, out, o->name);
	case KIND_DEADLINE:
		return read_deadline(call, v, param, out, o->name);
	case KIND_INT:
		if (!api_int_of(call, v, param, o->min, o->max, &n))
			return false;
		break;
	case KIND_MONEY:
		if (json_is_string(v)) {
			struct slc_err err;

			if (spec_money(slice_str(json_string_value(v)), o->max,
				&n, &err) != SLC_OK ||
			    n < o->min) {
				api_error(call, 400, "invalid_value", param,
				    "'%s' must be more than 0: \"1.50\", or a "
				    "number of millionths.",
				    param);
				return false;
			}
			json_object_set_new(out, o->name, json_integer(n));
			return true;
		}
		if (!api_int_of(call, v, param, o->min, o->max, &n))
			return false;
		break;
	case KIND_BOOL:
		if (json_is_boolean(v))
			break;
		api_error(call, 400, "invalid_type", param,
		    "'%s' must be true or false.", param);
		return false;
	case KIND_TEXT:
		if (json_is_string(v) &&
		    (int64_t)json_string_length(v) >= o->min &&
		    (int64_t)json_string_length(v) <= o->max)
			break;
		api_error(call, 400, "invalid_value", param,
		    "'%s' must be a string of %lld to %lld bytes.", param,
		    (long long)o->min, (long long)o->max);
		return false;
	case KIND_WORD:
		if (is_word(o->words, v))
			break;
		api_error(call, 400, "invalid_value", param,
		    "'%s' must be one of:%s.", param, o->words);
		return false;
	}
	json_object_set(out, o->name, (json_t *)v);
	return true;
}

bool
api_options(struct call *call, const json_t *own, enum api_options_for use,
    struct buf *out)
{
	json_t *checked = json_object(), *v;
	const char *name;
	char param[128], *text;
	bool ok = own == NULL || json_is_null(own) || json_is_object(own);
	int64_t level = SLC_PRIORITY_NORMAL;

	if (!ok)
		api_error(call, 400, "invalid_type", "sluice",
		    "'sluice' must be an object.");
	if (use == API_OPTIONS_CREATE)
		json_object_set_new(checked, "priority",
		    json_integer(level > call->max_priority ? call->max_priority
							    : level));
	json_object_foreach((json_t *)own, name, v)
	{
		const struct option *o = option_of(name);

		snprintf(param, sizeof(param), "sluice.%.100s", name);
		if (!ok)
			break;
		if (o == NULL) {
			ok = unknown(call, name, param);
		} else if (use == API_OPTIONS_EDIT && !o->edit) {
			api_error(call, 400, "invalid_value", param,
			    "'%s' cannot be changed any more.", param);
			ok = false;
		} else if (!json_is_null(v)) {
			ok = read_option(call, o, v, param, checked);
		}
	}
	text = json_dumps(checked, JSON_COMPACT);
	buf_adds(out, text);
	free(text);
	json_decref(checked);
	return ok;
}
