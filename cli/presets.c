#include <stdlib.h>

#include "out.h"
#include "preset.h"
#include "view.h"

static const struct view_col list_cols[] = {
	{ "NAME", "name", VIEW_TEXT },
	{ "DIALECT", "dialect", VIEW_TEXT },
	{ "CHARGE", "charge", VIEW_TEXT },
	{ "STREAM COST", "stream_cost", VIEW_TEXT },
	{ "LIMITS", "limits", VIEW_LIMITS },
	{ "LIMITS TO GIVE", "needs", VIEW_WORDS },
	{ "AS OF", "as_of", VIEW_TEXT },
};
static const struct view list_view = VIEW(VIEW_LIST, list_cols);

static const struct view_col show_cols[] = {
	{ "name", "name", VIEW_TEXT },
	{ "about", "about", VIEW_TEXT },
	{ "source", "source", VIEW_TEXT },
	{ "as of", "as_of", VIEW_TEXT },
	{ "dialect", "dialect", VIEW_TEXT },
	{ "charge", "charge", VIEW_TEXT },
	{ "stream cost", "stream_cost", VIEW_TEXT },
	{ "headroom", "headroom", VIEW_NUMBER },
	{ "limits", "limits", VIEW_LIMITS },
	{ "limits to give", "needs", VIEW_WORDS },
};
static const struct view show_view = VIEW(VIEW_OBJECT, show_cols);

/* As JSON, or as the view has it. */
static void
print(const struct cli *cli, const struct view *view, const json_t *doc)
{
	char *text = json_dumps(doc, JSON_COMPACT | JSON_REAL_PRECISION(6));

	if (text == NULL)
		abort();
	if (!out_json(cli, slice_str(text)))
		view_print(cli, view, doc);
	free(text);
}

enum cli_exit
cmd_preset_list(struct cli *cli)
{
	struct slc_err err;
	json_t *all = NULL;

	if (preset_all(preset_files, &all, &err) != SLC_OK)
		return cli_fail(cli, &err);
	print(cli, &list_view, all);
	json_decref(all);
	return CLI_OK;
}

enum cli_exit
cmd_preset_show(struct cli *cli)
{
	const char *name = cli->operand[0];
	enum slc_rc rc;
	const json_t *preset;
	struct slc_err err;
	json_t *all = NULL;

	rc = preset_all(preset_files, &all, &err);
	preset = preset_find(all, name);
	if (rc == SLC_OK && preset == NULL)
		rc = slc_fail(&err, SLC_ENOTFOUND,
		    "there is no preset %.80s: see sluice preset list", name);
	if (rc == SLC_OK)
		print(cli, &show_view, preset);
	json_decref(all);
	return rc == SLC_OK ? CLI_OK : cli_fail(cli, &err);
}
