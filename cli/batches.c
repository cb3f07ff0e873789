#include <inttypes.h>
#include <string.h>

#include <sluice/spec.h>

#include "batch.h"
#include "js.h"
#include "out.h"
#include "view.h"

static const struct view_col list_cols[] = {
	{ "ID", "id", VIEW_TEXT },
	{ "STATUS", "status", VIEW_TEXT },
	{ "TOTAL", "request_counts.total", VIEW_COUNT },
	{ "DONE", "request_counts.completed", VIEW_COUNT },
	{ "FAILED", "request_counts.failed", VIEW_COUNT },
	{ "MODEL", "model", VIEW_TEXT },
	{ "PRIORITY", "sluice.priority", VIEW_PRIORITY },
	{ "CREATED", "created_at", VIEW_TIME },
	{ "DEADLINE", "expires_at", VIEW_TIME },
};
static const struct view list_view = VIEW(VIEW_LIST, list_cols);

static const struct view_col show_cols[] = {
	{ "id", "id", VIEW_TEXT },
	{ "status", "status", VIEW_TEXT },
	{ "just now", "said", VIEW_TEXT },
	{ "upstream", "there", VIEW_TEXT },
	{ "endpoint", "endpoint", VIEW_TEXT },
	{ "model", "model", VIEW_TEXT },
	{ "priority", "sluice.priority", VIEW_PRIORITY },
	{ "total", "request_counts.total", VIEW_COUNT },
	{ "done", "request_counts.completed", VIEW_COUNT },
	{ "failed", "request_counts.failed", VIEW_COUNT },
	{ "duplicates", "sluice.duplicates", VIEW_COUNT },
	{ "cached", "sluice.cached", VIEW_COUNT },
	{ "input file", "input_file_id", VIEW_TEXT },
	{ "output file", "output_file_id", VIEW_TEXT },
	{ "error file", "error_file_id", VIEW_TEXT },
	{ "window", "completion_window", VIEW_TEXT },
	{ "created", "created_at", VIEW_TIME },
	{ "started", "in_progress_at", VIEW_TIME },
	{ "deadline", "expires_at", VIEW_TIME },
	{ "outlook", "outlook", VIEW_TEXT },
	{ "paused", "sluice.paused_at", VIEW_TIME },
	{ "completed", "completed_at", VIEW_TIME },
	{ "failed at", "failed_at", VIEW_TIME },
	{ "expired", "expired_at", VIEW_TIME },
	{ "cancelling", "cancelling_at", VIEW_TIME },
	{ "cancelled", "cancelled_at", VIEW_TIME },
	{ "input tokens", "usage.input_tokens", VIEW_COUNT },
	{ "output tokens", "usage.output_tokens", VIEW_COUNT },
	{ "will end", "will", VIEW_TEXT },
	{ "cost", "paid", VIEW_TEXT },
	{ "by", "ways", VIEW_TEXT },
};
static const struct view show_view = VIEW(VIEW_OBJECT, show_cols);

enum cli_exit
cmd_list(struct cli *cli)
{
	const char *after = cli_get(cli, "after");
	struct buf path = { 0 };
	int64_t limit = 20;
	struct slc_err err;
	enum cli_exit code;

	if (cli_int(cli, "limit", 1, SLC_PAGE_BATCHES_MAX, &limit, &err) !=
	    SLC_OK)
		return cli_usage(cli, "%s", err.text);
	client_path(
	    "/v1/batches?after=", after != NULL ? after : "", "", &path);
	buf_addf(&path, "&limit=%" PRId64, limit);
	code = view_call(cli, "GET", buf_cstr(&path), NULL, &list_view);
	buf_fini(&path);
	return code;
}

/* What it has cost, and by which paths its lines went. */
static void
say_cost(json_t *batch)
{
	const json_t *paths = js_at(batch, "sluice.paths"), *path;
	struct buf ways = { 0 };
	char cost[32], direct[32];
	size_t i;

	json_array_foreach(paths, i, path)
	    buf_addf(&ways, "%s%s: %" PRId64 " lines", i > 0 ? ", " : "",
		js_text(path, "path"), js_int(path, "lines"));
	if (paths != NULL)
		json_object_set_new(
		    batch, "ways", json_string(buf_cstr(&ways)));
	if (js_at(batch, "sluice.cost") != NULL) {
		spec_money_text(js_int(batch, "sluice.cost"), cost);
		spec_money_text(js_int(batch, "sluice.direct_cost"), direct);
		buf_clear(&ways);
		buf_addf(&ways, "%s (all direct: %s)", cost, direct);
		json_object_set_new(
		    batch, "paid", json_string(buf_cstr(&ways)));
	}
	buf_fini(&ways);
}

/* Its lines that are in batches of upstreams. */
static void
say_there(json_t *batch)
{
	const json_t *list = js_at(batch, "sluice.upstream");
	struct buf said = { 0 };
	char at[OUT_TIME_MAX];

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *b = json_array_get(list, i);
		const char *id = js_text(b, "batch");

		buf_addf(&said, "%s%.0f lines in ", i > 0 ? "; " : "",
		    js_num(b, "lines"));
		if (id[0] != '\0')
			buf_addf(&said, "the upstream's batch %s, ", id);
		else
			buf_adds(&said, "a batch for the upstream, ");
		buf_addf(&said, "%s since %s", js_text(b, "state"),
		    out_clock(js_num(b, "since"), at));
	}
	if (said.n > 0)
		json_object_set_new(
		    batch, "there", json_string(buf_cstr(&said)));
	buf_fini(&said);
}

enum cli_exit
cmd_show(struct cli *cli)
{
	struct client c = { 0 };
	struct slc_err err;
	struct buf said = { 0 };
	json_t *batch = NULL;
	enum slc_rc rc = client_open(&c, cli, &err);

	if (rc == SLC_OK)
		rc = batch_get(&c, cli->operand[0], &batch, &err);
	if (rc == SLC_OK && !out_json(cli, buf_slice(&c.body))) {
		batch_waits(batch, &said);
		if (said.n > 0)
			json_object_set_new(
			    batch, "said", json_string(buf_cstr(&said)));
		buf_clear(&said);
		batch_outlook(batch, &said);
		if (said.n > 0)
			json_object_set_new(
			    batch, "outlook", json_string(buf_cstr(&said)));
		say_cost(batch);
		buf_clear(&said);
		batch_forecast(js_at(batch, "sluice.outlook.forecast"), &said);
		if (said.n > 0)
			json_object_set_new(
			    batch, "will", json_string(buf_cstr(&said)));
		say_there(batch);
		view_print(cli, &show_view, batch);
		batch_say_faults(cli, batch);
	}
	buf_fini(&said);
	json_decref(batch);
	client_close(&c);
	return rc == SLC_OK ? CLI_OK : cli_fail(cli, &err);
}

enum cli_exit
cmd_watch(struct cli *cli)
{
	size_t n = (size_t)cli->noperands;
	json_t **last = xcalloc(n, sizeof(*last));
	struct client c = { 0 };
	struct slc_err err;
	enum cli_exit code;

	if (client_open(&c, cli, &err) != SLC_OK) {
		code = cli_fail(cli, &err);
		goto out;
	}
	code = batch_wait(cli, &c, cli->operand, n, cli->json, last);
	if (!cli->json) {
		json_t *list = json_pack("{s:[]}", "data");

		for (size_t i = 0; i < n; i++)
			if (last[i] != NULL)
				json_array_append(
				    json_object_get(list, "data"), last[i]);
		view_print(cli, &list_view, list);
		json_decref(list);
	}
out:
	for (size_t i = 0; i < n; i++)
		json_decref(last[i]);
	free(last);
	client_close(&c);
	return code;
}

enum cli_exit
cmd_results(struct cli *cli)
{
	const char *out = cli_get(cli, "output"), *file;
	bool errors = cli_get(cli, "errors") != NULL;
	struct client c = { 0 };
	struct slc_err err;
	json_t *batch = NULL;
	enum cli_exit code = CLI_OK;
	enum slc_rc rc = client_open(&c, cli, &err);

	if (rc == SLC_OK)
		rc = batch_get(&c, cli->operand[0], &batch, &err);
	if (rc == SLC_OK) {
		file =
		    js_text(batch, errors ? "error_file_id" : "output_file_id");
		if (!batch_final(batch, &code))
			cli_note(cli, "the batch is %s: these are not all",
			    js_text(batch, "status"));
		else if (file[0] == '\0')
			cli_note(cli, "the batch has no %s",
			    errors ? "failed lines" : "results");
		batch_say_faults(cli, batch);
		rc = batch_save(&c, file, out != NULL ? out : "-", &err);
	}
	if (rc == SLC_OK && !errors && js_int(batch, "request_counts.failed"))
		cli_note(cli,
		    "failed lines: %" PRId64
		    "; why: sluice results --errors %s, to "
		    "send them again: sluice retry %s",
		    js_int(batch, "request_counts.failed"), cli->operand[0],
		    cli->operand[0]);
	json_decref(batch);
	client_close(&c);
	if (rc != SLC_OK)
		return cli_fail(cli, &err);
	return code == CLI_ERROR ? CLI_ERROR : CLI_OK;
}
