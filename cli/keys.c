/* Keys, and how full limits are; and who works. */
#include <stdio.h>
#include <string.h>

#include "caller_doc.h"
#include "js.h"
#include "out.h"
#include "rule.h"
#include "view.h"

static const struct view_col key_cols[] = {
	{ "ID", "id", VIEW_TEXT },
	{ "ACCOUNT", "account", VIEW_TEXT },
	{ "NAME", "name", VIEW_TEXT },
	{ "KEY", "hint", VIEW_TEXT },
	{ "SCOPES", "scopes", VIEW_WORDS },
	{ "PLAN", "plan", VIEW_TEXT },
	{ "PRIORITY TO", "max_priority", VIEW_PRIORITY },
	{ "OWN LIMITS", "limits", VIEW_RULES },
	{ "CREATED", "created_at", VIEW_TIME },
	{ "EXPIRES", "expires_at", VIEW_TIME },
	{ "REVOKED", "revoked_at", VIEW_TIME },
	{ "BATCHES PAUSED", "batches_paused", VIEW_COUNT },
	{ "BATCHES CANCELLED", "batches_cancelled", VIEW_COUNT },
};
static const struct view key_one = VIEW(VIEW_OBJECT, key_cols);

static const struct view_col met_cols[] = {
	{ "LIMIT", "said", VIEW_TEXT },
	{ "FROM", "source", VIEW_TEXT },
	{ "USED", "used", VIEW_COUNT },
	{ "OF", "amount", VIEW_COUNT },
	{ "EMPTY IN", "reset_s", VIEW_SPAN },
};
static const struct view met_list = VIEW(VIEW_LIST, met_cols);

static const struct view_col used_cols[] = {
	{ "KEY", "key", VIEW_TEXT },
	{ "MODEL", "model", VIEW_TEXT },
	{ "WHAT", "dimension", VIEW_TEXT },
	{ "USED", "used", VIEW_COUNT },
	{ "OF", "amount", VIEW_COUNT },
	{ "EMPTY IN", "reset_s", VIEW_SPAN },
};
static const struct view used_list = VIEW(VIEW_LIST, used_cols);

static const struct view_col limit_cols[] = {
	{ "NAME", "name", VIEW_TEXT },
	{ "STATUS", "status", VIEW_TEXT },
	{ "LIMIT", "limits", VIEW_RULES },
	{ "MODELS", "models", VIEW_WORDS },
	{ "KEYS", "keys", VIEW_WORDS },
	{ "KEY NAMES", "key_names", VIEW_WORDS },
	{ "CREATED", "created_at", VIEW_TIME },
};
static const struct view limit_one = VIEW(VIEW_OBJECT, limit_cols);

static const struct view_col worker_cols[] = {
	{ "ID", "id", VIEW_TEXT },
	{ "NAME", "name", VIEW_TEXT },
	{ "STATE", "state", VIEW_TEXT },
	{ "OPEN", "in_flight", VIEW_COUNT },
	{ "MAX", "max_in_flight", VIEW_COUNT },
	{ "STARTED", "started_at", VIEW_TIME },
	{ "SEEN", "beat_at", VIEW_TIME },
};
static const struct view worker_list = VIEW(VIEW_LIST, worker_cols);

enum cli_exit
cmd_worker_list(struct cli *cli)
{
	return view_call(cli, "GET", "/admin/v1/workers", NULL, &worker_list);
}

static void
say_rule(json_t *item)
{
	struct buf said = { 0 };

	rule_text(item, &said);
	json_object_set_new(item, "said", json_string(buf_cstr(&said)));
	buf_fini(&said);
}

enum cli_exit
cmd_key_show(struct cli *cli)
{
	return view_show_with(cli, "/admin/v1/keys/", &key_one, "limits_met",
	    say_rule, &met_list);
}

enum cli_exit
cmd_limit_show(struct cli *cli)
{
	return view_show_with(
	    cli, "/admin/v1/limits/", &limit_one, "used", say_rule, &used_list);
}

enum cli_exit
cmd_key_revoke(struct cli *cli)
{
	struct buf path = { 0 };
	enum cli_exit code;

	client_path("/admin/v1/keys/", cli->operand[0],
	    cli_get(cli, "cancel-batches") != NULL ? "?cancel_batches=1" : "",
	    &path);
	code = view_call(cli, "DELETE", buf_cstr(&path), NULL, &key_one);
	buf_fini(&path);
	return code;
}

/* The key alone goes to stdout, so that KEY=$(sluice key create ...) works. */
enum cli_exit
cmd_key_create(struct cli *cli)
{
	const char *account = cli_get(cli, "account");
	json_t *body, *doc = NULL;
	struct client c = { 0 };
	struct slc_err err;
	enum slc_rc rc = SLC_OK;

	if (account == NULL)
		return cli_usage(cli, "--account is needed");
	body = json_pack("{s:s}", "account", account);
	for (size_t i = 0; i < cli->ngiven && rc == SLC_OK; i++)
		if (caller_knows(CALLER_KEY, cli->given[i].name))
			rc = caller_set(CALLER_KEY, body, cli->given[i].name,
			    cli->given[i].value, &err);
	if (rc != SLC_OK) {
		json_decref(body);
		return cli_usage(cli, "%s", err.text);
	}
	/* Who is to administer must be named as such. */
	if (json_object_get(body, "scopes") == NULL)
		json_object_set_new(body, "scopes",
		    json_pack("[sss]", "batch", "live", "read"));
	rc = client_open(&c, cli, &err);
	if (rc == SLC_OK)
		rc =
		    client_call(&c, "POST", "/admin/v1/keys", body, &doc, &err);
	if (rc == SLC_OK && !out_json(cli, buf_slice(&c.body))) {
		printf("%s\n", js_text(doc, "key"));
		cli_note(cli, "%s, a key of %s: shown this once, kept nowhere",
		    js_text(doc, "id"), js_text(doc, "account"));
	}
	json_decref(body);
	json_decref(doc);
	client_close(&c);
	return rc == SLC_OK ? CLI_OK : cli_fail(cli, &err);
}
