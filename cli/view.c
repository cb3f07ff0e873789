#include "view.h"

#include <inttypes.h>
#include <string.h>

#include "js.h"
#include "limits.h"
#include "out.h"
#include "rule.h"

static const char *const priorities[] = {
	[SLC_PRIORITY_LOW] = "low",
	[SLC_PRIORITY_NORMAL] = "normal",
	[SLC_PRIORITY_HIGH] = "high",
	[SLC_PRIORITY_CRITICAL] = "critical",
};

void
view_limit(const json_t *limit, struct buf *to)
{
	int64_t amount = js_int(limit, "amount");
	const char *unit = "kmg";
	char letter[2] = "";

	for (; amount > 0 && amount % 1000 == 0 && *unit != '\0'; unit++) {
		amount /= 1000;
		letter[0] = *unit;
	}
	limits_name(limit, to);
	buf_addf(to, "=%" PRId64 "%s", amount, letter);
}

static void
add_value(struct buf *to, const json_t *object, const struct view_col *col)
{
	const json_t *value = js_at(object, col->member), *item;
	int64_t n = json_integer_value(value);
	char text[OUT_TIME_MAX];
	size_t i;

	switch (col->kind) {
	case VIEW_TEXT:
		if (json_is_string(value))
			buf_adds(to, json_string_value(value));
		else if (json_is_boolean(value))
			buf_adds(to, json_is_true(value) ? "yes" : "no");
		break;
	case VIEW_COUNT:
		buf_addf(to, "%" PRId64, n);
		break;
	case VIEW_NUMBER:
		buf_addf(to, "%g", json_number_value(value));
		break;
	case VIEW_SIZE:
		buf_adds(to, out_size(n, text));
		break;
	case VIEW_MS:
		buf_adds(to, out_span(n / 1000, text));
		break;
	case VIEW_TIME:
		buf_adds(to, out_time(n, text));
		break;
	case VIEW_PRIORITY:
		if (n >= SLC_PRIORITY_LOW && n <= SLC_PRIORITY_CRITICAL)
			buf_adds(to, priorities[n]);
		break;
	case VIEW_WORDS:
		json_array_foreach(value, i, item)
		    buf_addf(to, "%s%s", i > 0 ? "," : "",
			json_is_string(item) ? json_string_value(item) : "");
		break;
	case VIEW_LIMITS:
		json_array_foreach(value, i, item)
		{
			if (i > 0)
				buf_addc(to, ' ');
			view_limit(item, to);
		}
		break;
	case VIEW_RULES:
		json_array_foreach(value, i, item)
		{
			if (i > 0)
				buf_addc(to, ' ');
			rule_text(item, to);
		}
		break;
	case VIEW_SPAN:
		buf_adds(to, out_span(n, text));
		break;
	}
}

static void
print_list(const struct cli *cli, const struct view *view, const json_t *doc)
{
	struct out_col cols[OUT_COLS_MAX];
	struct out_table t;
	struct buf value = { 0 };
	const json_t *object;
	size_t i;

	for (i = 0; i < view->ncols; i++)
		cols[i] = (struct out_col){ view->cols[i].title,
			view->cols[i].kind == VIEW_COUNT ||
			    view->cols[i].kind == VIEW_SIZE };
	out_begin(&t, cli, cols, view->ncols);
	json_array_foreach(json_object_get(doc, "data"), i,
	    object) for (size_t k = 0; k < view->ncols; k++)
	{
		buf_clear(&value);
		add_value(&value, object, &view->cols[k]);
		out_cell(&t, "%s", buf_cstr(&value));
	}
	out_end(&t);
	buf_fini(&value);
}

/* What an object does not have is left out. */
static void
print_object(const struct cli *cli, const struct view *view, const json_t *doc)
{
	static const struct out_col cols[] = { { "FIELD", false },
		{ "VALUE", false } };
	struct buf value = { 0 };
	struct out_table t;

	if (cli->quiet) {
		out_clean(
		    &value, slice_str(js_text(doc, view->cols[0].member)));
		puts(buf_cstr(&value));
		buf_fini(&value);
		return;
	}
	out_begin(&t, cli, cols, NITEMS(cols));
	for (size_t i = 0; i < view->ncols; i++) {
		if (js_at(doc, view->cols[i].member) == NULL)
			continue;
		buf_clear(&value);
		add_value(&value, doc, &view->cols[i]);
		out_cell(&t, "%s", view->cols[i].title);
		out_cell(&t, "%s", buf_cstr(&value));
	}
	out_end(&t);
	buf_fini(&value);
}

void
view_print(const struct cli *cli, const struct view *view, const json_t *doc)
{
	if (view->shape == VIEW_LIST)
		print_list(cli, view, doc);
	else
		print_object(cli, view, doc);
}

enum cli_exit
view_call(struct cli *cli, const char *method, const char *path, json_t *body,
    const struct view *view)
{
	struct client c = { 0 };
	struct slc_err err;
	json_t *doc = NULL;
	enum slc_rc rc = client_open(&c, cli, &err);

	if (rc == SLC_OK)
		rc = client_call(&c, method, path, body, &doc, &err);
	if (rc == SLC_OK && !out_json(cli, buf_slice(&c.body)) && view != NULL)
		view_print(cli, view, doc);
	if (rc == SLC_OK && json_is_true(json_object_get(doc, "has_more")))
		cli_note(cli, "there are more: sluice %s --after %s",
		    cli->cmd->name, js_text(doc, "last_id"));
	json_decref(doc);
	json_decref(body);
	client_close(&c);
	return rc == SLC_OK ? CLI_OK : cli_fail(cli, &err);
}

enum cli_exit
view_call_id(struct cli *cli, const char *method, const char *prefix,
    const char *id, const struct view *view)
{
	struct buf path = { 0 };
	enum cli_exit code = view_call(
	    cli, method, client_path(prefix, id, "", &path), NULL, view);

	buf_fini(&path);
	return code;
}

enum cli_exit
view_show_with(struct cli *cli, const char *prefix, const struct view *view,
    const char *member, void (*each)(json_t *item), const struct view *below)
{
	struct client c = { 0 };
	struct buf path = { 0 };
	struct slc_err err;
	json_t *doc = NULL, *items, *item;
	enum slc_rc rc = client_open(&c, cli, &err);
	size_t i;

	client_path(prefix, cli->operand[0], "", &path);
	if (rc == SLC_OK)
		rc = client_call(&c, "GET", buf_cstr(&path), NULL, &doc, &err);
	if (rc == SLC_OK && !out_json(cli, buf_slice(&c.body))) {
		view_print(cli, view, doc);
		items = json_object_get(doc, member);
		json_array_foreach(items, i, item)
		{
			if (each != NULL)
				each(item);
		}
		if (!cli->quiet && json_array_size(items) > 0) {
			json_t *whole = json_pack("{s:O}", "data", items);

			puts("");
			view_print(cli, below, whole);
			json_decref(whole);
		}
	}
	json_decref(doc);
	buf_fini(&path);
	client_close(&c);
	return rc == SLC_OK ? CLI_OK : cli_fail(cli, &err);
}
