#include <sluice/db.h>
#include <sluice/migrate.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "out.h"

static void
migrate_on_applied(const char *name, void *arg)
{
	json_array_append_new(arg, json_string(name));
}

enum cli_exit
cmd_migrate(struct cli *cli)
{
	json_t *names = json_array(), *name;
	struct migrate_opts opts = {
		.dsn = cli_get(cli, "database"),
		.check = cli_get(cli, "check") != NULL,
		.report = migrate_on_applied,
		.arg = names,
	};
	bool pending = false;
	struct slc_err err;
	enum slc_rc rc;
	char *text;
	size_t i;

	if (opts.dsn == NULL)
		opts.dsn = getenv("SLUICE_DATABASE");
	if (opts.dsn == NULL || opts.dsn[0] == '\0') {
		json_decref(names);
		return cli_usage(
		    cli, "--database (or SLUICE_DATABASE) is needed");
	}
	if (db_dsn_check(opts.dsn, &err) != SLC_OK) {
		json_decref(names);
		return cli_usage(cli, "%s", err.text);
	}
	rc = migrate(&opts, sql_files, &err);
	text = json_dumps(names, JSON_COMPACT);
	if (rc == SLC_OK && !out_json(cli, slice_str(text))) {
		json_array_foreach(names, i, name)
		    puts(json_string_value(name));
		if (json_array_size(names) == 0)
			cli_note(cli, "the database is up to date");
	}
	pending = opts.check && json_array_size(names) > 0;
	free(text);
	json_decref(names);
	if (rc != SLC_OK)
		return cli_fail(cli, &err);
	return pending ? CLI_ERROR : CLI_OK;
}
