#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "js.h"
#include "out.h"

/* What the server made of it, in words. */
static void
say(const struct cli *cli, const json_t *batch)
{
	const json_t *own = json_object_get(batch, "sluice");
	char deadline[OUT_TIME_MAX];

	cli_note(cli, "%s: priority %" PRId64 ", deadline %s%s",
	    js_text(batch, "id"), js_int(own, "priority"),
	    out_time(js_int(batch, "expires_at"), deadline),
	    js_at(own, "paused_at") != NULL ? ", paused" : "");
	batch_say_outlook(cli, batch);
}

static void
say_status(const struct cli *cli, const json_t *batch)
{
	cli_note(
	    cli, "%s is %s", js_text(batch, "id"), js_text(batch, "status"));
}

/* Post body (consumed; NULL: none) to the first n batches; each is tried, also
 * after one that was refused. */
static enum cli_exit
post_each(struct cli *cli, int n, const char *tail, json_t *body,
    void (*tell)(const struct cli *cli, const json_t *batch))
{
	struct client c = { 0 };
	struct buf path = { 0 };
	enum cli_exit code = CLI_OK;
	struct slc_err err;
	json_t *batch;
	enum slc_rc rc = client_open(&c, cli, &err);

	if (rc != SLC_OK)
		code = cli_fail(cli, &err);
	for (int i = 0;
	     i < n && code != CLI_AWAY && code != CLI_AUTH && c.key.n > 0;
	     i++) {
		client_path("/v1/batches/", cli->operand[i], tail, &path);
		rc = client_call(
		    &c, "POST", buf_cstr(&path), body, &batch, &err);
		if (rc != SLC_OK) {
			code = cli_fail(cli, &err);
			continue;
		}
		if (!out_json(cli, buf_slice(&c.body)))
			printf("%s\n", js_text(batch, "id"));
		tell(cli, batch);
		json_decref(batch);
	}
	json_decref(body);
	buf_fini(&path);
	client_close(&c);
	return code;
}

/* Change one member of their sluice object. */
static enum cli_exit
edit(struct cli *cli, int n, const char *member, json_t *value)
{
	return post_each(
	    cli, n, "", json_pack("{s:{s:o}}", "sluice", member, value), say);
}

enum cli_exit
cmd_cancel(struct cli *cli)
{
	return post_each(cli, cli->noperands, "/cancel", NULL, say_status);
}

enum cli_exit
cmd_pause(struct cli *cli)
{
	return edit(cli, cli->noperands, "paused", json_true());
}

enum cli_exit
cmd_resume(struct cli *cli)
{
	return edit(cli, cli->noperands, "paused", json_false());
}

enum cli_exit
cmd_reprioritise(struct cli *cli)
{
	const char *level = cli->operand[cli->noperands - 1];

	if (cli_priority(level) == 0)
		return cli_usage(cli,
		    "\"%s\" is none of low, normal, high, critical or 1..4",
		    level);
	return edit(cli, cli->noperands - 1, "priority",
	    json_integer(cli_priority(level)));
}

enum cli_exit
cmd_deadline(struct cli *cli)
{
	enum { UNIX_DIGITS = 10 };
	const char *when = cli->operand[cli->noperands - 1];
	bool at = strlen(when) >= UNIX_DIGITS &&
	    strspn(when, "0123456789") == strlen(when);

	return edit(cli, cli->noperands - 1, "deadline",
	    at ? json_integer(strtoll(when, NULL, 10)) : json_string(when));
}
