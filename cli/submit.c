#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sluice/spec.h>

#include "batch.h"
#include "batch_options.h"
#include "js.h"
#include "out.h"
#include "source.h"

enum { SUBMIT_TRIES = 6 };

enum cli_exit
submit_options(struct cli *cli, json_t *batch)
{
	const char *within = cli_get(cli, "within"), *pair;
	const char *level = cli_get(cli, "priority");
	const char *cap = cli_get(cli, "max-tokens");
	json_t *metadata = json_object();
	struct slc_err err;
	int64_t s, tokens = 0;
	enum cli_exit code;
	size_t at = 0;

	json_object_set_new(batch, "metadata", metadata);
	if (cli_get(cli, "output") != NULL && cli_get(cli, "wait") == NULL)
		return cli_usage(cli, "--output needs --wait");
	if (within != NULL &&
	    spec_window(slice_str(within), SLC_WINDOW_MIN_S, SLC_WINDOW_MAX_S,
		&s, &err) != SLC_OK)
		return cli_usage(cli, "--within: %s", err.text);
	json_object_set_new(batch, "completion_window",
	    json_string(within != NULL ? within : "24h"));
	if (level != NULL && cli_priority(level) == 0)
		return cli_usage(cli,
		    "--priority: \"%s\" is none of low, normal, high, critical "
		    "or 1..4",
		    level);
	if (cap != NULL &&
	    spec_amount(slice_str(cap), SLC_MAX_TOKENS_MAX, &tokens, &err) !=
		SLC_OK)
		return cli_usage(cli, "--max-tokens: %s", err.text);
	json_object_set_new(batch, "sluice",
	    json_pack("{s:o*,s:o*,s:o*,s:o*}", "priority",
		level != NULL ? json_integer(cli_priority(level)) : NULL,
		"max_tokens", cap != NULL ? json_integer(tokens) : NULL,
		"require_feasible",
		cli_get(cli, "require-feasible") != NULL ? json_true() : NULL,
		"dedupe", cli_get(cli, "dedupe") != NULL ? json_true() : NULL));
	code = batch_options(cli, json_object_get(batch, "sluice"));
	if (code != CLI_OK)
		return code;
	while ((pair = cli_next(cli, "metadata", &at)) != NULL) {
		const char *eq = strchr(pair, '=');

		if (eq == NULL || eq == pair ||
		    json_object_setn_new(metadata, pair, (size_t)(eq - pair),
			json_string(eq + 1)) != 0)
			return cli_usage(
			    cli, "--metadata: \"%s\" is not KEY=VALUE", pair);
	}
	return CLI_OK;
}

enum slc_rc
submit_file(struct cli *cli, struct client *c, json_t *options, json_t **batch,
    struct slc_err *err)
{
	const char *path = cli->operand[0],
		   *endpoint = cli_get(cli, "endpoint");
	struct buf url = { 0 };
	struct source source;
	json_t *file = NULL;
	char size[OUT_TIME_MAX];
	enum slc_rc rc = source_open(&source, cli, path, &url, err);

	if (rc == SLC_OK && endpoint == NULL && url.n == 0)
		rc = slc_fail(err, SLC_EINPUT,
		    "%s: line 1 has no \"url\"; name the endpoint, as in "
		    "--endpoint /v1/chat/completions",
		    path);
	if (rc == SLC_OK)
		rc = client_upload(c, &source.client, &file, err);
	source_close(&source);
	if (rc != SLC_OK)
		goto out;
	cli_note(cli, "uploaded %s: %" PRId64 " lines, %s", js_text(file, "id"),
	    js_int(file, "sluice.lines"),
	    out_size(js_int(file, "bytes"), size));
	json_object_set_new(
	    options, "input_file_id", json_string(js_text(file, "id")));
	json_object_set_new(options, "endpoint",
	    json_string(endpoint != NULL ? endpoint : buf_cstr(&url)));
	rc = client_call(c, "POST", "/v1/batches", options, batch, err);
out:
	json_decref(file);
	buf_fini(&url);
	return rc;
}

void
submit_forget(struct client *c, const json_t *options)
{
	const char *id = js_text(options, "input_file_id");
	struct buf path = { 0 };
	struct slc_err err;
	json_t *gone = NULL;

	if (id[0] == '\0')
		return;
	if (client_call(c, "DELETE", client_path("/v1/files/", id, "", &path),
		NULL, &gone, &err) != SLC_OK)
		cli_note(c->cli, "%s could not be removed: %s", id, err.text);
	json_decref(gone);
	buf_fini(&path);
}

/* Results to OUT, failed lines, if any, to OUT.errors.jsonl; one of an earlier
 * run goes. */
static enum slc_rc
save(
    struct client *c, const json_t *batch, const char *out, struct slc_err *err)
{
	struct buf path = { 0 };
	enum slc_rc rc =
	    batch_save(c, js_text(batch, "output_file_id"), out, err);

	buf_addf(&path, "%s.errors.jsonl", out);
	if (rc == SLC_OK && js_at(batch, "error_file_id") != NULL) {
		rc = batch_save(c, js_text(batch, "error_file_id"),
		    strcmp(out, "-") == 0 ? "/dev/stderr" : buf_cstr(&path),
		    err);
		if (rc == SLC_OK && strcmp(out, "-") != 0)
			cli_note(c->cli, "failed lines: %s", buf_cstr(&path));
	} else if (rc == SLC_OK && strcmp(out, "-") != 0 &&
	    unlink(buf_cstr(&path)) == 0) {
		cli_note(c->cli, "%s, of an earlier run, is removed",
		    buf_cstr(&path));
	}
	buf_fini(&path);
	return rc;
}

/* Wait for the end and fetch what it brought. */
static enum cli_exit
wait_and_save(struct cli *cli, struct client *c, json_t **batch)
{
	const char *out = cli_get(cli, "output");
	char *id = xstrdup(js_text(*batch, "id"));
	struct slc_err err;
	json_t *last = NULL;
	enum cli_exit code = batch_wait(cli, c, &id, 1, false, &last);
	enum cli_exit final;

	free(id);
	if (last != NULL) {
		json_decref(*batch);
		*batch = last;
	}
	/* A batch that failed has no results, not even none. */
	if (out == NULL || !batch_final(*batch, &final) || final == CLI_ERROR ||
	    save(c, *batch, out, &err) == SLC_OK)
		return code;
	code = cli_fail(cli, &err);
	cli_note(cli, "to fetch them: sluice results %s -o FILE",
	    js_text(*batch, "id"));
	return code;
}

/* That it will not be done in time.  What goes wrong in asking is not said. */
static void
warn(const struct cli *cli, struct client *c, const char *id)
{
	json_t *batch = NULL;
	struct slc_err err;

	if (batch_get(c, id, &batch, &err) == SLC_OK)
		batch_say_outlook(cli, batch);
	json_decref(batch);
}

enum cli_exit
submit_run(struct cli *cli, struct client *c, json_t *options)
{
	const char *output = cli_get(cli, "output");
	bool stdout_free = output == NULL || strcmp(output, "-") != 0;
	json_t *batch = NULL;
	struct slc_err err;
	enum cli_exit code = CLI_OK;

	c->tries = SUBMIT_TRIES;
	if (submit_file(cli, c, options, &batch, &err) != SLC_OK) {
		code = cli_fail(cli, &err);
		if (c->status >= 400 && c->status < 500)
			submit_forget(c, options);
		goto out;
	}
	if (!cli->json && stdout_free) {
		printf("%s\n", js_text(batch, "id"));
		fflush(stdout);
	}
	if (batch_final(batch, &code)) {
		cli_note(cli, "%s failed:", js_text(batch, "id"));
		batch_say_faults(cli, batch);
		goto said;
	}
	warn(cli, c, js_text(batch, "id"));
	if (cli_get(cli, "wait") != NULL) {
		code = wait_and_save(cli, c, &batch);
	} else {
		cli_note(cli, "to wait for it: sluice watch %s",
		    js_text(batch, "id"));
	}
said:
	if (cli->json && stdout_free) {
		char *text = json_dumps(batch, JSON_COMPACT);

		out_json(cli, slice_str(text));
		free(text);
	}
out:
	json_decref(batch);
	return code;
}

enum cli_exit
cmd_submit(struct cli *cli)
{
	json_t *options = json_object();
	const char *output = cli_get(cli, "output");
	struct client c = { 0 };
	struct slc_err err;
	enum cli_exit code = submit_options(cli, options);

	if (code == CLI_OK &&
	    ((output != NULL &&
		 batch_can_save(output, cli->operand[0], &err) != SLC_OK) ||
		client_open(&c, cli, &err) != SLC_OK))
		code = cli_fail(cli, &err);
	if (code == CLI_OK)
		code = submit_run(cli, &c, options);
	json_decref(options);
	client_close(&c);
	return code;
}
