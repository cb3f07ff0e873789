/* Plans, accounts, keys, named limits: what an operator gives to callers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "caller_doc.h"
#include "js.h"
#include "out.h"
#include "view.h"

static const struct view_col plan_cols[] = {
	{ "NAME", "name", VIEW_TEXT },
	{ "DIALECT", "dialect", VIEW_TEXT },
	{ "PRIORITY TO", "max_priority", VIEW_PRIORITY },
	{ "LIMITS", "limits", VIEW_RULES },
	{ "ACCOUNTS", "accounts", VIEW_WORDS },
	{ "KEYS", "keys", VIEW_WORDS },
};

static const struct view_col account_cols[] = {
	{ "NAME", "name", VIEW_TEXT },
	{ "PLAN", "plan", VIEW_TEXT },
	{ "PRIORITY TO", "max_priority", VIEW_PRIORITY },
	{ "WEIGHT", "weight", VIEW_COUNT },
	{ "CACHE", "cache", VIEW_TEXT },
	{ "LIMITS", "limits", VIEW_RULES },
	{ "CREATED", "created_at", VIEW_TIME },
};

static const struct view_col key_cols[] = {
	{ "ID", "id", VIEW_TEXT },
	{ "ACCOUNT", "account", VIEW_TEXT },
	{ "NAME", "name", VIEW_TEXT },
	{ "KEY", "hint", VIEW_TEXT },
	{ "SCOPES", "scopes", VIEW_WORDS },
	{ "PLAN", "plan", VIEW_TEXT },
	{ "PRIORITY TO", "max_priority", VIEW_PRIORITY },
	{ "LIMITS", "limits", VIEW_RULES },
	{ "CREATED", "created_at", VIEW_TIME },
	{ "EXPIRES", "expires_at", VIEW_TIME },
	{ "REVOKED", "revoked_at", VIEW_TIME },
};

static const struct view_col limit_cols[] = {
	{ "NAME", "name", VIEW_TEXT },
	{ "STATUS", "status", VIEW_TEXT },
	{ "LIMIT", "limits", VIEW_RULES },
	{ "MODELS", "models", VIEW_WORDS },
	{ "KEYS", "keys", VIEW_WORDS },
	{ "USED NOW", "said", VIEW_WORDS },
};

static const struct view_col everybody_cols[] = {
	{ "LIMITS", "limits", VIEW_RULES },
};

static const struct thing {
	const char *path;
	struct view list, one;
} things[CALLER_KINDS] = {
	[CALLER_PLAN] = { "/admin/v1/plans", VIEW(VIEW_LIST, plan_cols),
	    VIEW(VIEW_OBJECT, plan_cols) },
	[CALLER_ACCOUNT] = { "/admin/v1/accounts",
	    VIEW(VIEW_LIST, account_cols), VIEW(VIEW_OBJECT, account_cols) },
	[CALLER_KEY] = { "/admin/v1/keys", VIEW(VIEW_LIST, key_cols),
	    VIEW(VIEW_OBJECT, key_cols) },
	[CALLER_LIMIT] = { "/admin/v1/limits", VIEW(VIEW_LIST, limit_cols),
	    VIEW(VIEW_OBJECT, limit_cols) },
	[CALLER_EVERYBODY] = { "/admin/v1/everybody",
	    VIEW(VIEW_LIST, everybody_cols),
	    VIEW(VIEW_OBJECT, everybody_cols) },
};

/* Of each attachment of a named limit: "gpt-5 requests 12/50". */
static void
say_used(json_t *limit)
{
	json_t *said = json_array(), *used;
	size_t i;

	json_array_foreach(json_object_get(limit, "used"), i, used)
	{
		const char *key = js_text(used, "key");
		char n[OUT_TIME_MAX], of[OUT_TIME_MAX];
		struct buf text = { 0 };

		buf_addf(&text, "%s %s %s/%s",
		    key[0] != '\0' ? key : js_text(used, "model"),
		    js_text(used, "dimension"),
		    out_count((double)js_int(used, "used"), n),
		    out_count((double)js_int(used, "amount"), of));
		json_array_append_new(said, json_string(buf_cstr(&text)));
		buf_fini(&text);
	}
	json_object_set_new(limit, "said", said);
}

/* Call; print what comes, as JSON or as the view has it. */
static enum cli_exit
call(struct cli *cli, const char *method, const char *path, json_t *body,
    const struct view *view)
{
	struct client c = { 0 };
	struct slc_err err;
	json_t *doc = NULL, *item;
	enum slc_rc rc = client_open(&c, cli, &err);
	size_t i;

	if (rc == SLC_OK)
		rc = client_call(&c, method, path, body, &doc, &err);
	if (rc == SLC_OK && !out_json(cli, buf_slice(&c.body))) {
		if (json_object_get(doc, "used") != NULL)
			say_used(doc);
		json_array_foreach(json_object_get(doc, "data"), i,
		    item) if (json_object_get(item, "used") != NULL)
		    say_used(item);
		view_print(cli, view, doc);
	}
	json_decref(doc);
	json_decref(body);
	client_close(&c);
	return rc == SLC_OK ? CLI_OK : cli_fail(cli, &err);
}

static enum cli_exit
list(struct cli *cli, enum caller_kind kind)
{
	return call(cli, "GET", things[kind].path, NULL, &things[kind].list);
}

/* The path of the one that the operand names; to is the caller's. */
static const char *
path_of(const struct cli *cli, enum caller_kind kind, struct buf *to)
{
	struct buf prefix = { 0 };

	if (cli->noperands == 0)
		return things[kind].path;
	buf_addf(&prefix, "%s/", things[kind].path);
	client_path(buf_cstr(&prefix), cli->operand[0], "", to);
	buf_fini(&prefix);
	return buf_cstr(to);
}

static enum cli_exit
with_one(struct cli *cli, const char *method, enum caller_kind kind)
{
	struct buf path = { 0 };
	enum cli_exit code = call(
	    cli, method, path_of(cli, kind, &path), NULL, &things[kind].one);

	buf_fini(&path);
	return code;
}

/* All options that are settings; shown: what there was, or NULL. */
static enum slc_rc
set_options(const struct cli *cli, enum caller_kind kind, json_t *doc,
    const json_t *shown, struct slc_err *err)
{
	enum slc_rc rc = SLC_OK;

	for (size_t i = 0; i < cli->ngiven && rc == SLC_OK; i++) {
		const char *name = cli->given[i].name;

		if (!cli->given[i].own || !caller_knows(kind, name))
			continue;
		if (shown != NULL)
			caller_keep(kind, doc, name, shown);
		rc = caller_set(kind, doc, name, cli->given[i].value, err);
	}
	return rc == SLC_OK ? caller_finish(kind, doc, err) : rc;
}

static enum cli_exit
add(struct cli *cli, enum caller_kind kind)
{
	json_t *doc = json_pack("{s:s}", "name", cli->operand[0]);
	struct slc_err err;

	if (set_options(cli, kind, doc, NULL, &err) != SLC_OK) {
		json_decref(doc);
		return cli_usage(cli, "%s", err.text);
	}
	return call(cli, "POST", things[kind].path, doc, &things[kind].one);
}

/* Keys are shown by id; who detaches one may have written its name. */
static void
name_keys(struct cli *cli, const json_t *shown)
{
	const json_t *names = json_object_get(shown, "key_names");

	for (size_t i = 0; i < cli->ngiven; i++)
		for (size_t k = 0; k < json_array_size(names); k++)
			if (strcmp(cli->given[i].name, "no-key") == 0 &&
			    strcmp(cli->given[i].value,
				json_string_value(json_array_get(names, k))) ==
				0)
				cli->given[i].value =
				    json_string_value(json_array_get(
					json_object_get(shown, "keys"), k));
}

static enum cli_exit
edit(struct cli *cli, enum caller_kind kind)
{
	struct buf path = { 0 };
	struct client c = { 0 };
	json_t *shown = NULL, *doc = json_object();
	struct slc_err err;
	enum cli_exit code;
	enum slc_rc rc = client_open(&c, cli, &err);

	path_of(cli, kind, &path);
	if (path.n == 0)
		buf_adds(&path, things[kind].path);
	if (rc == SLC_OK)
		rc =
		    client_call(&c, "GET", buf_cstr(&path), NULL, &shown, &err);
	name_keys(cli, shown);
	if (rc == SLC_OK)
		rc = set_options(cli, kind, doc, shown, &err);
	client_close(&c);
	if (rc != SLC_OK) {
		code = rc == SLC_EINPUT ? cli_usage(cli, "%s", err.text)
					: cli_fail(cli, &err);
	} else if (json_object_size(doc) == 0) {
		code = cli_usage(cli, "nothing is given to change");
	} else {
		code = call(cli, "POST", buf_cstr(&path), json_incref(doc),
		    &things[kind].one);
	}
	json_decref(shown);
	json_decref(doc);
	buf_fini(&path);
	return code;
}

/* clang-format off */
enum cli_exit cmd_plan_add(struct cli *cli) { return add(cli, CALLER_PLAN); }
enum cli_exit cmd_plan_edit(struct cli *cli) { return edit(cli, CALLER_PLAN); }
enum cli_exit cmd_plan_list(struct cli *cli) { return list(cli, CALLER_PLAN); }
enum cli_exit cmd_plan_show(struct cli *cli) { return with_one(cli, "GET", CALLER_PLAN); }
enum cli_exit cmd_account_create(struct cli *cli) { return add(cli, CALLER_ACCOUNT); }
enum cli_exit cmd_account_edit(struct cli *cli) { return edit(cli, CALLER_ACCOUNT); }
enum cli_exit cmd_account_list(struct cli *cli) { return list(cli, CALLER_ACCOUNT); }
enum cli_exit cmd_account_show(struct cli *cli) { return with_one(cli, "GET", CALLER_ACCOUNT); }
enum cli_exit cmd_key_edit(struct cli *cli) { return edit(cli, CALLER_KEY); }
enum cli_exit cmd_key_list(struct cli *cli) { return list(cli, CALLER_KEY); }
enum cli_exit cmd_limit_create(struct cli *cli) { return add(cli, CALLER_LIMIT); }
enum cli_exit cmd_limit_edit(struct cli *cli) { return edit(cli, CALLER_LIMIT); }
enum cli_exit cmd_limit_list(struct cli *cli) { return list(cli, CALLER_LIMIT); }
enum cli_exit cmd_everybody_show(struct cli *cli) { return with_one(cli, "GET", CALLER_EVERYBODY); }
enum cli_exit cmd_everybody_edit(struct cli *cli) { return edit(cli, CALLER_EVERYBODY); }
/* clang-format on */

static enum cli_exit
remove_one(struct cli *cli, enum caller_kind kind)
{
	static const struct view_col cols[] = {
		{ "NAME", "name", VIEW_TEXT },
		{ "DELETED", "deleted", VIEW_TEXT },
	};
	static const struct view view = VIEW(VIEW_OBJECT, cols);
	struct buf path = { 0 };
	enum cli_exit code =
	    call(cli, "DELETE", path_of(cli, kind, &path), NULL, &view);

	buf_fini(&path);
	return code;
}

enum cli_exit
cmd_plan_remove(struct cli *cli)
{
	return remove_one(cli, CALLER_PLAN);
}

enum cli_exit
cmd_limit_delete(struct cli *cli)
{
	char line[16] = "";

	if (cli_get(cli, "yes") != NULL)
		return remove_one(cli, CALLER_LIMIT);
	if (!isatty(STDIN_FILENO))
		return cli_usage(cli, "there is nobody to ask; say --yes");
	fputs("Delete the limit? Its keys and models are free of it at once. "
	      "[y/N] ",
	    stderr);
	if (fgets(line, sizeof(line), stdin) == NULL ||
	    (line[0] != 'y' && line[0] != 'Y')) {
		cli_note(cli, "nothing was deleted");
		return CLI_OK;
	}
	return remove_one(cli, CALLER_LIMIT);
}
