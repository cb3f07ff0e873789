#include "limits.h"

#include <string.h>

#include "js.h"

ssize_t
limits_find(const json_t *limits, const struct spec_limit *l)
{
	for (size_t i = 0; i < json_array_size(limits); i++) {
		const json_t *limit = json_array_get(limits, i);

		if (strcmp(js_text(limit, "model"), l->model) == 0 &&
		    strcmp(js_text(limit, "dimension"), l->dimension) == 0 &&
		    js_int(limit, "window_s") == l->window_s)
			return (ssize_t)i;
	}
	return -1;
}

void
limits_add(json_t *limits, const struct spec_limit *l)
{
	json_array_append_new(limits,
	    json_pack("{s:s, s:s, s:i, s:I}", "model", l->model, "dimension",
		l->dimension, "window_s", (int)l->window_s, "amount",
		(json_int_t)l->amount));
}

enum slc_rc
limits_set(json_t *limits, const char *text, struct slc_err *err)
{
	json_t *limit;
	struct spec_limit l;
	enum slc_rc rc = spec_limit(text, &l, err);
	ssize_t at;

	if (rc != SLC_OK)
		return rc;
	at = limits_find(limits, &l);
	if (at < 0) {
		limits_add(limits, &l);
		return SLC_OK;
	}
	limit = json_array_get(limits, (size_t)at);
	/* One from the server has a headroom already, one from here not yet. */
	if (json_object_get(limit, "headroom") == NULL)
		return slc_fail(err, SLC_EINPUT,
		    "\"%.80s\": that limit is given twice", text);
	json_object_set_new(limit, "amount", json_integer(l.amount));
	return SLC_OK;
}

enum slc_rc
limits_kind(const char *text, struct spec_limit *out, struct slc_err *err)
{
	struct buf whole = { 0 };
	enum slc_rc rc;

	buf_addf(&whole, "%s=1", text);
	rc = spec_limit(buf_cstr(&whole), out, err);
	buf_fini(&whole);
	return rc;
}

enum slc_rc
limits_unset(json_t *limits, const char *text, struct slc_err *err)
{
	struct spec_limit l;
	enum slc_rc rc = strchr(text, '=') != NULL ? spec_limit(text, &l, err)
						   : limits_kind(text, &l, err);
	ssize_t at;

	if (rc != SLC_OK)
		return rc;
	at = limits_find(limits, &l);
	if (at < 0)
		return slc_fail(
		    err, SLC_ENOTFOUND, "there is no limit %.80s", text);
	json_array_remove(limits, (size_t)at);
	return SLC_OK;
}

void
limits_each(
    json_t *limits, const char *dimension, const char *member, json_t *value)
{
	for (size_t i = 0; i < json_array_size(limits); i++) {
		json_t *limit = json_array_get(limits, i);

		if (dimension == NULL ||
		    strcmp(js_text(limit, "dimension"), dimension) == 0)
			json_object_set(limit, member, value);
	}
}

void
limits_name(const json_t *limit, struct buf *to)
{
	const char *model = js_text(limit, "model");
	int64_t window_s = js_int(limit, "window_s");
	char window[32] = "";

	if (window_s > 0)
		spec_window_text(window_s, window);
	buf_addf(to, "%s%s%s%s%s", strcmp(model, "*") ? model : "",
	    strcmp(model, "*") ? ":" : "", js_text(limit, "dimension"),
	    window_s > 0 ? "/" : "", window);
}
