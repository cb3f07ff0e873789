/* Who used what, as tables and in words. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sluice/spec.h>

#include "client.h"
#include "js.h"
#include "out.h"

/* What rows are by; a column is shown if the first row has it. */
static const struct {
	const char *member, *title;
} names[] = {
	{ "account", "ACCOUNT" },
	{ "key", "KEY" },
	{ "key_name", "NAME" },
	{ "model", "MODEL" },
	{ "path", "PATH" },
	{ "kind", "KIND" },
	{ "resource", "RESOURCE" },
};

static const struct {
	const char *member, *title;
} counts[] = {
	{ "requests", "REQUESTS" },
	{ "failed", "FAILED" },
	{ "refused", "REFUSED" },
	{ "input_tokens", "TOKENS IN" },
	{ "cached_tokens", "CACHED" },
	{ "output_tokens", "TOKENS OUT" },
};

/* Amounts of money are millionths in JSON. */
static void
add_amount(struct out_table *t, const json_t *o, const char *member)
{
	char text[32];

	if (json_object_get(o, member) == NULL) {
		out_cell(t, "%s", "");
	} else if (strcmp(js_text(o, "dimension"), "money") == 0) {
		spec_money_text(js_int(o, member), text);
		out_cell(t, "%s", text);
	} else {
		out_cell(t, "%" PRId64, js_int(o, member));
	}
}

static void
add_share(struct out_table *t, const json_t *o)
{
	if (json_object_get(o, "share") == NULL)
		out_cell(t, "%s", "");
	else
		out_cell(t, "%.1f%%", js_num(o, "share") * 100);
}

static void
add_time(struct out_table *t, const json_t *o, const char *member)
{
	char text[OUT_TIME_MAX];

	out_cell(t, "%s", out_time(js_int(o, member), text));
}

static bool
any_has(const json_t *list, const char *member)
{
	const json_t *o;
	size_t i;

	json_array_foreach(
	    list, i, o) if (json_object_get(o, member) != NULL) return true;
	return false;
}

/* The columns of names, behind those that cols has. */
static size_t
name_cols(const json_t *list, struct out_col *cols, size_t n)
{
	for (size_t i = 0; i < NITEMS(names); i++)
		if (any_has(list, names[i].member))
			cols[n++] = (struct out_col){ names[i].title, false };
	return n;
}

static void
add_names(struct out_table *t, const json_t *list, const json_t *o)
{
	for (size_t i = 0; i < NITEMS(names); i++)
		if (any_has(list, names[i].member))
			out_cell(t, "%s", js_text(o, names[i].member));
}

static void
print_sums(const struct cli *cli, const json_t *doc)
{
	const json_t *list = json_object_get(doc, "data"), *o;
	bool timed = js_int(doc, "per_s") > 0;
	struct out_col cols[OUT_COLS_MAX] = { { "FROM", false } };
	size_t n = name_cols(list, cols, timed), i;
	struct out_table t;
	char money[32];

	for (i = 0; i < NITEMS(counts); i++)
		cols[n++] = (struct out_col){ counts[i].title, true };
	cols[n++] = (struct out_col){ "MONEY", true };
	out_begin(&t, cli, cols, n);
	json_array_foreach(list, i, o)
	{
		if (timed)
			add_time(&t, o, "at");
		add_names(&t, list, o);
		for (size_t k = 0; k < NITEMS(counts); k++)
			add_amount(&t, o, counts[k].member);
		spec_money_text(js_int(o, "money"), money);
		out_cell(&t, "%s", money);
	}
	out_end(&t);
	if (json_is_true(json_object_get(doc, "has_more")))
		cli_note(cli,
		    "there is more than can be shown: ask for a shorter time, "
		    "longer spans or fewer groups");
	spec_money_text(js_int(doc, "total.money"), money);
	if (json_array_size(list) > 1)
		cli_note(cli,
		    "in all %" PRId64 " requests, %" PRId64 " failed, %" PRId64
		    " refused, %" PRId64 " tokens, money %s",
		    js_int(doc, "total.requests"), js_int(doc, "total.failed"),
		    js_int(doc, "total.refused"),
		    js_int(doc, "total.input_tokens") +
			js_int(doc, "total.output_tokens"),
		    money);
}

static void
print_peak_limits(const struct cli *cli, const json_t *list)
{
	struct out_col cols[OUT_COLS_MAX] = { { "LIMIT", false },
		{ "COUNTED FOR", false } };
	size_t n = name_cols(list, cols, 2), i;
	struct out_table t;
	const json_t *o;

	cols[n++] = (struct out_col){ "USED NOW", true };
	cols[n++] = (struct out_col){ "PEAK EVER", true };
	cols[n++] = (struct out_col){ "AMOUNT", true };
	cols[n++] = (struct out_col){ "PEAK IS", true };
	if (json_array_size(list) == 0 || cli->quiet)
		return;
	puts("");
	out_begin(&t, cli, cols, n);
	json_array_foreach(list, i, o)
	{
		out_cell(&t, "%s", js_text(o, "limit"));
		out_cell(&t, "%s", js_text(o, "subject"));
		add_names(&t, list, o);
		add_amount(&t, o, "used");
		add_amount(&t, o, "peak");
		add_amount(&t, o, "amount");
		add_share(&t, o);
	}
	out_end(&t);
}

static void
print_peaks(const struct cli *cli, const json_t *doc)
{
	const json_t *list = json_object_get(doc, "data"), *o;
	struct out_col cols[OUT_COLS_MAX];
	size_t n = name_cols(list, cols, 0), i;
	struct out_table t;
	char window[32];

	cols[n++] = (struct out_col){ "MOST", false };
	cols[n++] = (struct out_col){ "PEAK", true };
	cols[n++] = (struct out_col){ "FROM", false };
	cols[n++] = (struct out_col){ "LIMIT", true };
	cols[n++] = (struct out_col){ "PEAK IS", true };
	out_begin(&t, cli, cols, n);
	json_array_foreach(list, i, o)
	{
		add_names(&t, list, o);
		spec_window_text(js_int(o, "window_s"), window);
		out_cell(&t, "%s/%s", js_text(o, "dimension"), window);
		add_amount(&t, o, "peak");
		add_time(&t, o, "at");
		add_amount(&t, o, "amount");
		add_share(&t, o);
	}
	out_end(&t);
	print_peak_limits(cli, json_object_get(doc, "limits"));
}

/* "reached at 16:40 at this pace; above 80% on 9 of 14 days" */
static void
add_forecast(const json_t *o, struct buf *to)
{
	char text[OUT_TIME_MAX];

	if (js_int(o, "used") >= js_int(o, "amount"))
		buf_adds(to, "used up");
	else if (json_object_get(o, "reached_at") != NULL)
		buf_addf(to, "at this pace reached at %s",
		    out_clock(js_num(o, "reached_at"), text));
	else
		buf_adds(to, "not reached at this pace");
	if (json_object_get(o, "ends_at") != NULL)
		buf_addf(to, ", begins anew at %s",
		    out_clock(js_num(o, "ends_at"), text));
	if (json_object_get(o, "days") != NULL)
		buf_addf(to, "; above 80%% on %" PRId64 " of %" PRId64 " day%s",
		    js_int(o, "days_above"), js_int(o, "days"),
		    js_int(o, "days") == 1 ? "" : "s");
}

static void
print_forecast(const struct cli *cli, const json_t *doc)
{
	const json_t *list = json_object_get(doc, "data"), *o;
	struct out_col cols[OUT_COLS_MAX] = { { "LIMIT", false },
		{ "COUNTED FOR", false } };
	size_t n = name_cols(list, cols, 2), i;
	struct buf said = { 0 };
	struct out_table t;

	cols[n++] = (struct out_col){ "USED", true };
	cols[n++] = (struct out_col){ "AMOUNT", true };
	cols[n++] = (struct out_col){ "LAST HOUR", true };
	cols[n++] = (struct out_col){ "FORECAST", false };
	out_begin(&t, cli, cols, n);
	json_array_foreach(list, i, o)
	{
		out_cell(&t, "%s", js_text(o, "limit"));
		out_cell(&t, "%s", js_text(o, "subject"));
		add_names(&t, list, o);
		add_amount(&t, o, "used");
		add_amount(&t, o, "amount");
		add_amount(&t, o, "pace");
		buf_clear(&said);
		add_forecast(o, &said);
		out_cell(&t, "%s", buf_cstr(&said));
	}
	out_end(&t);
	buf_fini(&said);
}

static void
write_url(const struct cli *cli, const char *what, struct buf *url)
{
	static const char *const params[] = { "by", "per", "since", "until",
		"account", "key", "model", "path", "resource" };
	struct buf one = { 0 };
	bool csv = cli_get(cli, "csv") != NULL;

	buf_addf(url, "%s/v1/usage%s?format=%s",
	    cli_get(cli, "mine") != NULL ? "" : "/admin", what,
	    csv ? "csv" : "json");
	for (size_t i = 0; i < NITEMS(params); i++) {
		const char *value = cli_own(cli, params[i]);

		if (value == NULL)
			continue;
		buf_addf(url, "&%s", params[i]);
		buf_adds(url, client_path("=", value, "", &one));
	}
	buf_fini(&one);
}

enum cli_exit
cmd_usage(struct cli *cli)
{
	static const struct {
		const char *option, *url;
		void (*print)(const struct cli *cli, const json_t *doc);
	} kinds[] = {
		{ "peak", "/peak", print_peaks },
		{ "forecast", "/forecast", print_forecast },
		{ "", "", print_sums },
	};
	const char *key = cli_own(cli, "key");
	bool csv = cli_get(cli, "csv") != NULL;
	struct client c = { 0 };
	struct buf url = { 0 };
	struct slc_err err;
	json_t *doc = NULL;
	enum slc_rc rc;
	size_t i = 0;

	while (
	    kinds[i].option[0] != '\0' && cli_get(cli, kinds[i].option) == NULL)
		i++;
	if (csv && (kinds[i].option[0] != '\0' || cli->json))
		return cli_usage(cli, "--csv goes with sums alone");
	if (key != NULL && (key[0] == '@' || strncmp(key, "sk-", 3) == 0))
		return cli_usage(cli,
		    "here --key is whose use is shown, as key_7; yours goes "
		    "before the command: sluice --key @FILE usage");
	write_url(cli, kinds[i].url, &url);
	rc = client_open(&c, cli, &err);
	if (rc == SLC_OK && csv)
		rc = client_download(&c, buf_cstr(&url), stdout, &err);
	else if (rc == SLC_OK)
		rc = client_call(&c, "GET", buf_cstr(&url), NULL, &doc, &err);
	if (rc == SLC_OK && !csv && !out_json(cli, buf_slice(&c.body)))
		kinds[i].print(cli, doc);
	json_decref(doc);
	buf_fini(&url);
	client_close(&c);
	return rc == SLC_OK ? CLI_OK : cli_fail(cli, &err);
}
