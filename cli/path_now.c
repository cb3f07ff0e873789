#include "path_now.h"

#include <string.h>

#include "js.h"
#include "limits.h"
#include "out.h"

/* What is said just now of a limit; NULL: nothing. */
static const json_t *
find_said(const json_t *path, const json_t *limit, const char *of)
{
	const json_t *list = js_at(path, "now.limits");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *said = json_array_get(list, i);

		if (strcmp(js_text(said, "of"), of) == 0 &&
		    strcmp(js_text(said, "model"), js_text(limit, "model")) ==
			0 &&
		    strcmp(js_text(said, "dimension"),
			js_text(limit, "dimension")) == 0 &&
		    js_int(said, "window_s") == js_int(limit, "window_s"))
			return said;
	}
	return NULL;
}

static void
add_limits(json_t *to, const json_t *path, const json_t *limits, const char *of)
{
	static const char *const said_of[] = { "amount", "used", "live",
		"foreign", "ladder", "per_s", "paused_until", "why" };
	struct buf name = { 0 };

	for (size_t i = 0; i < json_array_size(limits); i++) {
		const json_t *shown = json_array_get(limits, i);
		const json_t *said = find_said(path, shown, of);
		json_t *limit = json_copy((json_t *)(uintptr_t)shown);
		double share = (1 - js_num(shown, "headroom")) *
		    (1 - js_num(shown, "reserve"));

		buf_clear(&name);
		limits_name(shown, &name);
		json_object_set_new(
		    limit, "name", json_string(buf_cstr(&name)));
		json_object_set_new(limit, "of", json_string(of));
		json_object_set_new(
		    limit, "configured", json_integer(js_int(shown, "amount")));
		json_object_set_new(limit, "amount",
		    json_integer(
			(json_int_t)(js_num(shown, "amount") * share + 1e-6)));
		json_object_set(
		    limit, "why", json_object_get(shown, "paused_why"));
		for (size_t k = 0; said != NULL && k < NITEMS(said_of); k++)
			if (json_object_get(said, said_of[k]) != NULL)
				json_object_set(limit, said_of[k],
				    json_object_get(said, said_of[k]));
		json_array_append_new(to, limit);
	}
	buf_fini(&name);
}

json_t *
path_now_limits(const json_t *path)
{
	json_t *list = json_array();

	add_limits(list, path, json_object_get(path, "limits"), "path");
	add_limits(list, path, json_object_get(path, "pool_limits"), "pool");
	return list;
}

void
path_now_waits(
    const json_t *binds, const char *limit, const char *whose, struct buf *to)
{
	const char *why = js_text(binds, "why");
	char at[OUT_TIME_MAX];

	buf_addf(to, "waits for %s of %s", limit, whose);
	if (js_num(binds, "amount") > 0)
		buf_addf(to, ": %.0f of %.0f used", js_num(binds, "used"),
		    js_num(binds, "amount"));
	if (js_num(binds, "until") > 0)
		buf_addf(to, ", next slot %s",
		    out_clock(js_num(binds, "until"), at));
	/* A pause has a reason; that it is full has just been said. */
	if (why[0] != '\0' &&
	    (js_num(binds, "used") < js_num(binds, "amount") ||
		js_num(binds, "amount") == 0))
		buf_addf(to, " (%s)", why);
}

bool
path_now_binds(const json_t *path, struct buf *to)
{
	const json_t *binds = js_at(path, "now.binds");
	const char *model = js_text(binds, "model");
	struct buf limit = { 0 }, whose = { 0 };
	bool pool = strcmp(js_text(binds, "of"), "pool") == 0;

	if (!json_is_object(binds))
		return false;
	if (model[0] != '\0' && strcmp(model, "*") != 0)
		buf_addf(&limit, "%s:", model);
	buf_adds(&limit, js_text(binds, "limit"));
	buf_addf(&whose, "%s %s", pool ? "pool" : "path",
	    js_text(path, pool ? "pool" : "name"));
	path_now_waits(binds, buf_cstr(&limit), buf_cstr(&whose), to);
	buf_fini(&limit);
	buf_fini(&whose);
	return true;
}
