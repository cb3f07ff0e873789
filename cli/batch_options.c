#include "batch_options.h"

#include <string.h>
#include <time.h>

#include <sluice/spec.h>

/* A span from now, or a time of UTC; 0: neither. */
static int64_t
read_time(const char *text)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%SZ",
		"%Y-%m-%dT%H:%MZ", "%Y-%m-%d" };
	int64_t s;

	if (spec_window(slice_str(text), 1, SLC_WINDOW_MAX_S, &s, NULL) ==
	    SLC_OK)
		return (int64_t)time(NULL) + s;
	for (size_t i = 0; i < NITEMS(forms); i++) {
		struct tm tm = { 0 };
		const char *end = strptime(text, forms[i], &tm);

		if (end != NULL && *end == '\0')
			return timegm(&tm);
	}
	return 0;
}

enum cli_exit
batch_options(struct cli *cli, json_t *own)
{
	static const char *const paths[] = { "auto", "direct", "cheap", NULL };
	const char *path = cli_get(cli, "path");
	const char *between = cli_get(cli, "only-between");
	const char *after = cli_get(cli, "not-before");
	const char *most = cli_get(cli, "max-cost");
	struct slc_err err;
	int64_t money;

	if (most != NULL) {
		if (spec_money(slice_str(most), SPEC_PRICE_MAX, &money, &err) !=
		    SLC_OK)
			return cli_usage(cli, "--max-cost: %s", err.text);
		json_object_set_new(own, "max_cost", json_integer(money));
	}
	if (path != NULL) {
		if (spec_word(path, NULL, paths, &err) != SLC_OK)
			return cli_usage(cli, "--path: %s", err.text);
		json_object_set_new(own, "path", json_string(path));
	}
	if (cli_get(cli, "no-escalate") != NULL)
		json_object_set_new(own, "escalate", json_false());
	if (cli_get(cli, "details") != NULL)
		json_object_set_new(own, "details", json_true());
	if (after != NULL) {
		int64_t at = read_time(after);

		if (at <= 0)
			return cli_usage(cli,
			    "--not-before: \"%s\" is neither a span as 2h nor "
			    "a "
			    "time as 2026-01-31T22:00Z",
			    after);
		json_object_set_new(own, "not_before", json_integer(at));
	}
	if (between != NULL)
		json_object_set_new(own, "hours", json_string(between));
	return CLI_OK;
}
