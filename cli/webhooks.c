/* Webhooks: who is told when batches of an account have ended. */
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "js.h"
#include "view.h"

enum {
	SECRET_BYTES = 32,
	TEST_POLL_MS = 250,
	TEST_WAIT_MS = 40000, /* a whole try, and the worker's beat */
};

static const struct view_col hook_cols[] = {
	{ "ID", "id", VIEW_TEXT },
	{ "ACCOUNT", "account", VIEW_TEXT },
	{ "URL", "url", VIEW_TEXT },
	{ "STATUS", "status", VIEW_TEXT },
	{ "EVENTS", "events", VIEW_WORDS },
	{ "WAITING", "waiting", VIEW_COUNT },
	{ "SECRET FILE", "secret_file", VIEW_TEXT },
	{ "CREATED", "created_at", VIEW_TIME },
	{ "DISABLED", "disabled_at", VIEW_TIME },
};
static const struct view hook_list = VIEW(VIEW_LIST, hook_cols);
static const struct view hook_one = VIEW(VIEW_OBJECT, hook_cols);

static const struct view_col event_cols[] = {
	{ "EVENT", "id", VIEW_TEXT },
	{ "TYPE", "type", VIEW_TEXT },
	{ "BATCH", "batch", VIEW_TEXT },
	{ "STATE", "state", VIEW_TEXT },
	{ "TRIES", "tries", VIEW_COUNT },
	{ "HTTP", "status", VIEW_COUNT },
	{ "WHY", "why", VIEW_TEXT },
	{ "NEXT TRY", "next_at", VIEW_TIME },
};
static const struct view event_list = VIEW(VIEW_LIST, event_cols);
static const struct view event_one = VIEW(VIEW_OBJECT, event_cols);

/* The file is the worker's: it stands in its own way. */
static json_t *
absolute(const char *file)
{
	char cwd[PATH_MAX];

	if (file[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
		return json_string(file);
	return json_sprintf("%s/%s", cwd, file);
}

enum cli_exit
cmd_webhook_add(struct cli *cli)
{
	const char *account = cli_get(cli, "account"), *event;
	const char *file = cli_get(cli, "secret-file");
	json_t *events = json_array(), *body;
	size_t at = 0;

	if (account == NULL || file == NULL) {
		json_decref(events);
		return cli_usage(cli, "--account and --secret-file are needed");
	}
	while ((event = cli_next(cli, "event", &at)) != NULL)
		json_array_append_new(events,
		    strncmp(event, "batch.", 6) == 0
			? json_string(event)
			: json_sprintf("batch.%s", event));
	if (strncasecmp(cli->operand[0], "http://", 7) == 0)
		cli_note(cli,
		    "without TLS nothing is sent, unless workers run with "
		    "--webhook-schemes https,http");
	body = json_pack("{s:s, s:s, s:o}", "account", account, "url",
	    cli->operand[0], "secret_file", absolute(file));
	if (json_array_size(events) > 0)
		json_object_set(body, "events", events);
	json_decref(events);
	return view_call(cli, "POST", "/admin/v1/webhooks", body, &hook_one);
}

enum cli_exit
cmd_webhook_list(struct cli *cli)
{
	return view_call(cli, "GET", "/admin/v1/webhooks", NULL, &hook_list);
}

enum cli_exit
cmd_webhook_show(struct cli *cli)
{
	return view_show_with(
	    cli, "/admin/v1/webhooks/", &hook_one, "recent", NULL, &event_list);
}

enum cli_exit
cmd_webhook_remove(struct cli *cli)
{
	static const struct view_col cols[] = {
		{ "ID", "id", VIEW_TEXT },
		{ "DELETED", "deleted", VIEW_TEXT },
	};
	static const struct view view = VIEW(VIEW_OBJECT, cols);

	return view_call_id(
	    cli, "DELETE", "/admin/v1/webhooks/", cli->operand[0], &view);
}

/* The event as the webhook shows it now; NULL: not there.  The caller's. */
static json_t *
find_event(const json_t *hook, const char *id)
{
	json_t *event;
	size_t i;

	json_array_foreach(json_object_get(hook, "recent"), i, event)
	{
		if (strcmp(js_text(event, "id"), id) == 0)
			return json_incref(event);
	}
	return NULL;
}

/* Send one event and wait for what comes of it. */
enum cli_exit
cmd_webhook_test(struct cli *cli)
{
	struct client c = { 0 };
	struct buf path = { 0 };
	struct slc_err err;
	json_t *made = NULL, *event = NULL, *hook;
	enum slc_rc rc = client_open(&c, cli, &err);
	enum cli_exit code = CLI_OK;

	client_path("/admin/v1/webhooks/", cli->operand[0], "/test", &path);
	if (rc == SLC_OK)
		rc =
		    client_call(&c, "POST", buf_cstr(&path), NULL, &made, &err);
	client_path("/admin/v1/webhooks/", cli->operand[0], "", &path);
	for (int ms = 0; rc == SLC_OK && ms < TEST_WAIT_MS;
	     ms += TEST_POLL_MS) {
		hook = NULL;
		rc = client_call(&c, "GET", buf_cstr(&path), NULL, &hook, &err);
		json_decref(event);
		event = find_event(hook, js_text(made, "id"));
		json_decref(hook);
		if (rc != SLC_OK || strcmp(js_text(event, "state"), "due") != 0)
			break;
		nanosleep(
		    &(struct timespec){ .tv_nsec = TEST_POLL_MS * 1000000L },
		    NULL);
	}
	if (rc == SLC_OK && cli->json) {
		json_dumpf(event != NULL ? event : made, stdout, JSON_COMPACT);
		putchar('\n');
	} else if (rc == SLC_OK) {
		view_print(cli, &event_one, event);
	}
	if (rc != SLC_OK)
		code = cli_fail(cli, &err);
	else if (strcmp(js_text(event, "state"), "delivered") != 0)
		code = CLI_ERROR;
	json_decref(made);
	json_decref(event);
	buf_fini(&path);
	client_close(&c);
	return code;
}

enum cli_exit
cmd_webhook_secret(struct cli *cli)
{
	unsigned char secret[SECRET_BYTES], text[SECRET_BYTES * 2];
	struct slc_err err;

	if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret)) {
		slc_fail(&err, SLC_EIO, "random bytes: %s", strerror(errno));
		return cli_fail(cli, &err);
	}
	EVP_EncodeBlock(text, secret, SECRET_BYTES);
	printf("whsec_%s\n", (char *)text);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(text, sizeof(text));
	return CLI_OK;
}
