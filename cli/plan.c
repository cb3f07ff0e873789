#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/spec.h>

#include "batch.h"
#include "js.h"
#include "out.h"

static void
print_paths(const struct cli *cli, const json_t *paths)
{
	static const struct out_col cols[] = { { "BY", false },
		{ "KIND", false }, { "COST", true }, { "TAKES", true },
		{ "ENDS", false }, { "BINDS", false } };
	struct out_table t;
	char money[32], text[OUT_TIME_MAX];
	const json_t *path;
	size_t i;

	out_begin(&t, cli, cols, NITEMS(cols));
	json_array_foreach(paths, i, path)
	{
		spec_money_text(js_int(path, "cost"), money);
		out_cell(&t, "%s", js_text(path, "path"));
		out_cell(&t, "%s%s", js_text(path, "kind"),
		    js_at(path, "serves_all") != NULL ? ", not all models"
						      : "");
		out_cell(&t, "%s", money);
		out_cell(&t, "%s",
		    js_at(path, "need_s") != NULL
			? out_span(js_int(path, "need_s"), text)
			: "");
		out_cell(&t, "%s",
		    js_at(path, "ends_at") != NULL
			? out_clock((double)js_int(path, "ends_at"), text)
			: "");
		out_cell(&t, "%s", js_text(path, "limit"));
	}
	out_end(&t);
}

static void
print_plan(const struct cli *cli, const json_t *plan)
{
	const json_t *routed = js_at(plan, "routed"), *name;
	struct buf said = { 0 };
	char count[3][OUT_TIME_MAX];
	size_t i;

	printf("%s lines, about %s tokens in, %s out\n",
	    out_count((double)js_int(plan, "lines"), count[0]),
	    out_count((double)js_int(plan, "input_tokens"), count[1]),
	    out_count((double)js_int(plan, "output_tokens"), count[2]));
	batch_forecast(routed, &said);
	printf("ends %s\n", buf_cstr(&said));
	buf_clear(&said);
	json_array_foreach(js_at(routed, "paths"), i, name)
	{
		buf_adds(&said, i > 0 ? ", " : "");
		out_clean(&said, slice_str(json_string_value(name)));
	}
	printf("goes by %s", buf_cstr(&said));
	if (js_at(routed, "direct_part") != NULL)
		printf(
		    " (%.0f %% direct)", 100 * js_num(routed, "direct_part"));
	buf_clear(&said);
	out_clean(&said, slice_str(js_text(routed, "limit")));
	if (said.n > 0)
		printf("; %s binds%s", buf_cstr(&said),
		    json_is_true(js_at(routed, "hurried"))
			? ", and is spent faster for the deadline"
			: "");
	puts("\n");
	print_paths(cli, js_at(plan, "paths"));
	buf_fini(&said);
}

enum cli_exit
cmd_plan(struct cli *cli)
{
	json_t *options = json_object(), *plan = NULL;
	struct client c = { 0 };
	struct slc_err err;
	enum cli_exit code = submit_options(cli, options);
	enum slc_rc rc;

	if (code != CLI_OK)
		goto out;
	json_object_set_new(
	    json_object_get(options, "sluice"), "dry_run", json_true());
	rc = client_open(&c, cli, &err);
	if (rc == SLC_OK)
		rc = submit_file(cli, &c, options, &plan, &err);
	if (rc != SLC_OK) {
		code = cli_fail(cli, &err);
	} else if (js_at(plan, "errors") != NULL) {
		batch_say_faults(cli, plan);
		code = CLI_ERROR;
	} else if (cli->json) {
		char *text = json_dumps(plan, JSON_COMPACT);

		out_json(cli, slice_str(text));
		free(text);
	} else {
		print_plan(cli, plan);
	}
	if (c.key.n > 0)
		submit_forget(&c, options);
out:
	json_decref(plan);
	json_decref(options);
	client_close(&c);
	return code;
}
