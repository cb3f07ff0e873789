#include <inttypes.h>
#include <stdio.h>

#include "batch.h"
#include "view.h"

static const struct view_col list_cols[] = {
	{ "ID", "id", VIEW_TEXT },
	{ "PURPOSE", "purpose", VIEW_TEXT },
	{ "STATUS", "status", VIEW_TEXT },
	{ "LINES", "sluice.lines", VIEW_COUNT },
	{ "BYTES", "bytes", VIEW_COUNT },
	{ "NAME", "filename", VIEW_TEXT },
	{ "CREATED", "created_at", VIEW_TIME },
	{ "EXPIRES", "expires_at", VIEW_TIME },
};
static const struct view list_view = VIEW(VIEW_LIST, list_cols);

static const struct view_col show_cols[] = {
	{ "id", "id", VIEW_TEXT },
	{ "name", "filename", VIEW_TEXT },
	{ "purpose", "purpose", VIEW_TEXT },
	{ "status", "status", VIEW_TEXT },
	{ "details", "status_details", VIEW_TEXT },
	{ "lines", "sluice.lines", VIEW_COUNT },
	{ "bytes", "bytes", VIEW_COUNT },
	{ "sha256", "sluice.sha256", VIEW_TEXT },
	{ "created", "created_at", VIEW_TIME },
	{ "expires", "expires_at", VIEW_TIME },
};
static const struct view show_view = VIEW(VIEW_OBJECT, show_cols);

static const struct view_col deleted_cols[] = {
	{ "id", "id", VIEW_TEXT },
	{ "deleted", "deleted", VIEW_TEXT },
};
static const struct view deleted_view = VIEW(VIEW_OBJECT, deleted_cols);

enum cli_exit
cmd_files_list(struct cli *cli)
{
	const char *after = cli_get(cli, "after");
	const char *purpose = cli_get(cli, "purpose");
	struct buf path = { 0 }, filter = { 0 };
	int64_t limit = 100;
	struct slc_err err;
	enum cli_exit code;

	if (cli_int(cli, "limit", 1, SLC_PAGE_FILES_MAX, &limit, &err) !=
	    SLC_OK)
		return cli_usage(cli, "%s", err.text);
	client_path("/v1/files?after=", after != NULL ? after : "", "", &path);
	buf_addf(&path, "&limit=%" PRId64, limit);
	if (purpose != NULL)
		buf_adds(&path, client_path("&purpose=", purpose, "", &filter));
	code = view_call(cli, "GET", buf_cstr(&path), NULL, &list_view);
	buf_fini(&path);
	buf_fini(&filter);
	return code;
}

enum cli_exit
cmd_files_show(struct cli *cli)
{
	return view_call_id(
	    cli, "GET", "/v1/files/", cli->operand[0], &show_view);
}

enum cli_exit
cmd_files_delete(struct cli *cli)
{
	enum cli_exit code = CLI_OK;

	for (int i = 0; i < cli->noperands && code == CLI_OK; i++)
		code = view_call_id(cli, "DELETE", "/v1/files/",
		    cli->operand[i], &deleted_view);
	return code;
}

enum cli_exit
cmd_files_content(struct cli *cli)
{
	const char *out = cli_get(cli, "output");
	struct client c = { 0 };
	struct slc_err err;
	enum slc_rc rc = client_open(&c, cli, &err);

	if (rc == SLC_OK)
		rc = batch_save(
		    &c, cli->operand[0], out != NULL ? out : "-", &err);
	client_close(&c);
	return rc == SLC_OK ? CLI_OK : cli_fail(cli, &err);
}
