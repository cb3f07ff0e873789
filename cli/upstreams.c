#include <string.h>

#include "client.h"
#include "js.h"
#include "out.h"
#include "upstream_doc.h"
#include "view.h"

static const struct view_col path_cols[] = {
	{ "NAME", "name", VIEW_TEXT },
	{ "POOL", "pool", VIEW_TEXT },
	{ "HEALTH", "health", VIEW_TEXT },
	{ "OPEN", "in_flight", VIEW_COUNT },
	{ "URL", "url", VIEW_TEXT },
	{ "MODELS", "models", VIEW_WORDS },
	{ "LIMITS", "limits", VIEW_LIMITS },
	{ "POOL LIMITS", "pool_limits", VIEW_LIMITS },
};
static const struct view path_list = VIEW(VIEW_LIST, path_cols);

static const struct view_col pool_cols[] = {
	{ "NAME", "name", VIEW_TEXT },
	{ "PATHS", "paths", VIEW_WORDS },
	{ "LIMITS", "limits", VIEW_LIMITS },
};
static const struct view pool_list = VIEW(VIEW_LIST, pool_cols);

enum cli_exit
cmd_path_list(struct cli *cli)
{
	return view_call(cli, "GET", "/admin/v1/paths", NULL, &path_list);
}

enum cli_exit
cmd_pool_list(struct cli *cli)
{
	return view_call(cli, "GET", "/admin/v1/pools", NULL, &pool_list);
}

/* The pool or path that there is, as the server shows it; *out NULL: none. */
static enum slc_rc
look_up(struct cli *cli, enum doc_kind kind, const char *name, json_t **out,
    struct slc_err *err)
{
	struct client c = { 0 };
	const json_t *item;
	json_t *list = NULL;
	size_t i;
	enum slc_rc rc = client_open(&c, cli, err);

	*out = NULL;
	if (rc == SLC_OK)
		rc = client_call(&c, "GET",
		    kind == DOC_PATH ? "/admin/v1/paths" : "/admin/v1/pools",
		    NULL, &list, err);
	json_array_foreach(json_object_get(list, "data"), i,
	    item) if (strcmp(js_text(item, "name"), name) == 0) *out =
	    doc_of(kind, item);
	json_decref(list);
	client_close(&c);
	return rc;
}

/* Set what the options say; removals only where there is something. */
static enum slc_rc
set_options(const struct cli *cli, enum doc_kind kind, json_t *doc,
    bool removes, struct slc_err *err)
{
	enum slc_rc rc = SLC_OK;

	for (size_t i = 0; i < cli->ngiven && rc == SLC_OK; i++) {
		const char *option = cli->given[i].name;

		if (doc_knows(kind, option) ||
		    (removes && strncmp(option, "no-", 3) == 0))
			rc = doc_set(
			    kind, doc, option, cli->given[i].value, err);
	}
	return rc;
}

static enum cli_exit
add_or_edit(struct cli *cli, enum doc_kind kind, bool adds)
{
	const char *name = cli->operand[0];
	const char *what = kind == DOC_PATH ? "path" : "pool";
	struct slc_err err;
	json_t *doc = doc_new(name);
	/* Words that are wrong in themselves need no server to say so. */
	enum slc_rc rc = set_options(cli, kind, doc, false, &err);

	if (rc == SLC_OK && adds)
		rc = doc_finish(kind, doc, &err);
	json_decref(doc);
	if (rc != SLC_OK)
		return cli_usage(cli, "%s", err.text);
	rc = look_up(cli, kind, name, &doc, &err);
	if (rc == SLC_OK && adds && doc != NULL)
		rc = slc_fail(&err, SLC_ECONFLICT,
		    "there is a %s %s already; change it with sluice %s edit",
		    what, name, what);
	else if (rc == SLC_OK && !adds && doc == NULL)
		rc = slc_fail(
		    &err, SLC_ENOTFOUND, "there is no %s %s", what, name);
	if (rc == SLC_OK && doc == NULL)
		doc = doc_new(name);
	if (rc == SLC_OK)
		rc = set_options(cli, kind, doc, true, &err);
	if (rc == SLC_OK)
		rc = doc_finish(kind, doc, &err);
	if (rc == SLC_OK)
		return doc_apply(cli,
		    json_pack(
			"{s:[o]}", kind == DOC_PATH ? "paths" : "pools", doc));
	json_decref(doc);
	return cli_fail(cli, &err);
}

enum cli_exit
cmd_path_add(struct cli *cli)
{
	return add_or_edit(cli, DOC_PATH, true);
}

enum cli_exit
cmd_path_edit(struct cli *cli)
{
	return add_or_edit(cli, DOC_PATH, false);
}

enum cli_exit
cmd_pool_add(struct cli *cli)
{
	return add_or_edit(cli, DOC_POOL, true);
}

enum cli_exit
cmd_pool_edit(struct cli *cli)
{
	return add_or_edit(cli, DOC_POOL, false);
}

enum cli_exit
cmd_path_remove(struct cli *cli)
{
	return doc_apply(
	    cli, json_pack("{s:[s]}", "remove_paths", cli->operand[0]));
}

enum cli_exit
cmd_pool_remove(struct cli *cli)
{
	return doc_apply(
	    cli, json_pack("{s:[s]}", "remove_pools", cli->operand[0]));
}
