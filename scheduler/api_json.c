#include "api_json.h"

#include <string.h>

#include <sluice/utf8.h>

json_t *
api_body(struct call *call)
{
	json_error_t why;
	json_t *doc;

	if (call->body.n == 0) {
		api_error(call, 400, "missing_body", NULL,
		    "The request needs a JSON body.");
		return NULL;
	}
	doc = json_loadb(
	    call->body.p, call->body.n, JSON_REJECT_DUPLICATES, &why);
	if (doc == NULL && json_error_code(&why) == json_error_null_character) {
		api_error(call, 400, "invalid_json", NULL,
		    "The body has \\u0000 in a text: line %d, column %d.",
		    why.line, why.column);
		return NULL;
	}
	if (doc == NULL) {
		api_error(call, 400, "invalid_json", NULL,
		    "The body is not valid JSON: line %d, column %d: %s.",
		    why.line, why.column, why.text);
		return NULL;
	}
	if (!json_is_object(doc)) {
		api_error(call, 400, "invalid_json", NULL,
		    "The body must be a JSON object.");
		json_decref(doc);
		return NULL;
	}
	return doc;
}

const char *
api_text(struct call *call, const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);

	if (v == NULL || json_is_null(v)) {
		api_error(call, 400, "missing_required_parameter", name,
		    "Missing required parameter: '%s'.", name);
		return NULL;
	}
	if (!json_is_string(v)) {
		api_error(call, 400, "invalid_type", name,
		    "'%s' must be a string.", name);
		return NULL;
	}
	return json_string_value(v);
}

bool
api_int_of(struct call *call, const json_t *v, const char *param, int64_t min,
    int64_t max, int64_t *out)
{
	if (!json_is_integer(v)) {
		api_error(call, 400, "invalid_type", param,
		    "'%s' must be an integer.", param);
		return false;
	}
	if (json_integer_value(v) < min || json_integer_value(v) > max) {
		api_error(call, 400, "invalid_value", param,
		    "'%s' must be from %lld to %lld.", param, (long long)min,
		    (long long)max);
		return false;
	}
	*out = json_integer_value(v);
	return true;
}

bool
api_int(struct call *call, const json_t *o, const char *name, const char *param,
    int64_t min, int64_t max, int64_t *out)
{
	const json_t *v = json_object_get(o, name);

	return v == NULL || json_is_null(v) ||
	    api_int_of(call, v, param, min, max, out);
}

bool
api_name(struct call *call, const char *name, const char *param)
{
	size_t n = strlen(name);

	if (n >= 1 && n <= SLC_NAME_MAX &&
	    strspn(name,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		"._-@") == n &&
	    strchr("._-@", name[0]) == NULL)
		return true;
	api_error(call, 400, "invalid_value", param,
	    "'%s' must be 1 to %d letters, digits, '.', '_', '-' or '@', and "
	    "begin with a letter or digit.",
	    param, SLC_NAME_MAX);
	return false;
}

bool
api_list(struct call *call, const json_t *v, const char *param)
{
	if (v == NULL || json_is_array(v))
		return true;
	api_error(
	    call, 400, "invalid_type", param, "'%s' must be a list.", param);
	return false;
}

bool
api_flag(struct call *call, const char *name)
{
	struct buf v = { 0 };
	bool on = http_param(call->req, name, &v) &&
	    (slice_eq(buf_slice(&v), "1") || slice_eq(buf_slice(&v), "true"));

	buf_fini(&v);
	return on;
}

bool
api_segment(
    struct call *call, const char *what, const char *param, struct buf *out)
{
	/* What cannot be a name is not one. */
	if (http_unescape(call->id, out) && utf8_ok(out->p, out->n))
		return true;
	api_error(call, 404, NULL, param, "No such %s: %.*s", what,
	    call->id.n > 100 ? 100 : (int)call->id.n, call->id.p);
	return false;
}
