/* Accounts, keys, and who works: what an operator sees of the people. */
#include <stdio.h>
#include <string.h>

#include "js.h"
#include "out.h"
#include "view.h"

static const struct view_col account_cols[] = {
	{ "NAME", "name", VIEW_TEXT },
	{ "CREATED", "created_at", VIEW_TIME },
};
static const struct view account_list = VIEW(VIEW_LIST, account_cols);
static const struct view account_one = VIEW(VIEW_OBJECT, account_cols);

static const struct view_col key_cols[] = {
	{ "ID", "id", VIEW_TEXT },
	{ "ACCOUNT", "account", VIEW_TEXT },
	{ "NAME", "name", VIEW_TEXT },
	{ "KEY", "hint", VIEW_TEXT },
	{ "SCOPES", "scopes", VIEW_WORDS },
	{ "CREATED", "created_at", VIEW_TIME },
	{ "EXPIRES", "expires_at", VIEW_TIME },
	{ "REVOKED", "revoked_at", VIEW_TIME },
};
static const struct view key_list = VIEW(VIEW_LIST, key_cols);
static const struct view key_one = VIEW(VIEW_OBJECT, key_cols);

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
cmd_account_create(struct cli *cli)
{
	return view_call(cli, "POST", "/admin/v1/accounts",
	    json_pack("{s:s}", "name", cli->operand[0]), &account_one);
}

enum cli_exit
cmd_account_list(struct cli *cli)
{
	return view_call(cli, "GET", "/admin/v1/accounts", NULL, &account_list);
}

enum cli_exit
cmd_key_list(struct cli *cli)
{
	return view_call(cli, "GET", "/admin/v1/keys", NULL, &key_list);
}

enum cli_exit
cmd_key_revoke(struct cli *cli)
{
	return view_call_id(
	    cli, "DELETE", "/admin/v1/keys/", cli->operand[0], &key_one);
}

enum cli_exit
cmd_worker_list(struct cli *cli)
{
	return view_call(cli, "GET", "/admin/v1/workers", NULL, &worker_list);
}

/* The key alone goes to stdout, so that KEY=$(sluice key create ...) works. */
enum cli_exit
cmd_key_create(struct cli *cli)
{
	const char *account = cli_get(cli, "account"), *name, *scope;
	json_t *scopes, *body, *doc = NULL;
	struct client c = { 0 };
	struct slc_err err;
	size_t at = 0;
	enum slc_rc rc;

	if (account == NULL)
		return cli_usage(cli, "--account is needed");
	name = cli_get(cli, "name") != NULL ? cli_get(cli, "name") : "key";
	/* Who is to administer must be named as such. */
	scopes = cli_get(cli, "scope") != NULL
	    ? json_array()
	    : json_pack("[sss]", "batch", "live", "read");
	while ((scope = cli_next(cli, "scope", &at)) != NULL)
		json_array_append_new(scopes, json_string(scope));
	body = json_pack("{s:s, s:s, s:o}", "account", account, "name", name,
	    "scopes", scopes);
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
