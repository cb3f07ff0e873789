#include <string.h>
#include <unistd.h>

#include <sluice/spec.h>

#include "chart.h"
#include "client.h"
#include "js.h"
#include "out.h"
#include "path_now.h"
#include "prices.h"
#include "view.h"

enum { SHOW_BAR = 10 };

static const struct view_col show_cols[] = {
	{ "name", "name", VIEW_TEXT },
	{ "pool", "pool", VIEW_TEXT },
	{ "url", "url", VIEW_TEXT },
	{ "secret file", "secret_file", VIEW_TEXT },
	{ "ca file", "ca_file", VIEW_TEXT },
	{ "models", "models", VIEW_WORDS },
	{ "kind", "kind", VIEW_TEXT },
	{ "suffix", "suffix", VIEW_TEXT },
	{ "dialect", "dialect", VIEW_TEXT },
	{ "charge", "charge", VIEW_TEXT },
	{ "http2", "http2", VIEW_TEXT },
	{ "attempts", "attempts", VIEW_COUNT },
	{ "connect timeout", "connect_ms", VIEW_MS },
	{ "idle timeout", "idle_ms", VIEW_MS },
	{ "timeout", "whole_ms", VIEW_MS },
	{ "answer max", "answer_max", VIEW_SIZE },
	{ "poll", "poll_ms", VIEW_MS },
	{ "linger", "linger_ms", VIEW_MS },
	{ "combine", "combine", VIEW_COUNT },
	{ "health", "health", VIEW_TEXT },
	{ "because", "why", VIEW_TEXT },
	{ "tried again", "retry_at", VIEW_TIME },
	{ "just now", "said", VIEW_TEXT },
	{ "open calls", "in_flight", VIEW_COUNT },
	{ "live calls", "live_in_flight", VIEW_COUNT },
	{ "slots, last minute", "slots", VIEW_COUNT },
	{ "lines handed out", "now.out", VIEW_COUNT },
	{ "lines waiting", "now.waiting", VIEW_COUNT },
};
static const struct view show_view = VIEW(VIEW_OBJECT, show_cols);

/* One limit as a table's line; "" in a column that has nothing to say. */
struct cell {
	const char *title;
	bool right;
	void (*add)(const json_t *limit, struct buf *to);
};

static void
add_name(const json_t *limit, struct buf *to)
{
	buf_adds(to, js_text(limit, "name"));
}

static void
add_of(const json_t *limit, struct buf *to)
{
	buf_adds(to, js_text(limit, "of"));
}

static void
add_full(const json_t *limit, struct buf *to)
{
	double amount = js_num(limit, "amount");
	double share = amount > 0 ? js_num(limit, "used") / amount : 1;

	if (isatty(STDOUT_FILENO))
		chart_bar(share, SHOW_BAR, out_ascii(), to);
	else
		buf_addf(to, "%.0f%%", share * 100);
}

static void
add_number(const json_t *limit, const char *member, struct buf *to)
{
	if (js_num(limit, member) != 0)
		buf_addf(to, "%.10g", js_num(limit, member));
}

static void
add_used(const json_t *limit, struct buf *to)
{
	buf_addf(to, "%.0f", js_num(limit, "used"));
}

static void
add_amount(const json_t *limit, struct buf *to)
{
	buf_addf(to, "%.0f", js_num(limit, "amount"));
}

static void
add_configured(const json_t *limit, struct buf *to)
{
	buf_addf(to, "%.0f", js_num(limit, "configured"));
}

static void
add_foreign(const json_t *limit, struct buf *to)
{
	add_number(limit, "foreign", to);
}

static void
add_ladder(const json_t *limit, struct buf *to)
{
	add_number(limit, "ladder", to);
}

static void
add_headroom(const json_t *limit, struct buf *to)
{
	add_number(limit, "headroom", to);
}

static void
add_reserve(const json_t *limit, struct buf *to)
{
	add_number(limit, "reserve", to);
}

static void
add_stream(const json_t *limit, struct buf *to)
{
	if (strcmp(js_text(limit, "stream_cost"), "chunk") == 0)
		buf_adds(to, "each chunk");
}

static void
add_paused(const json_t *limit, struct buf *to)
{
	double until = js_num(limit, "paused_until");
	char text[OUT_TIME_MAX];

	if (until > 0)
		buf_adds(to, out_clock(until, text));
}

static void
add_why(const json_t *limit, struct buf *to)
{
	buf_adds(to, js_text(limit, "why"));
}

static const struct cell cells[] = {
	{ "LIMIT", false, add_name },
	{ "OF", false, add_of },
	{ "FULL", false, add_full },
	{ "USED", true, add_used },
	{ "MAY USE", true, add_amount },
	{ "LIMIT IS", true, add_configured },
	{ "HEADROOM", true, add_headroom },
	{ "RESERVE", true, add_reserve },
	{ "STREAM COST", false, add_stream },
	{ "FOREIGN", true, add_foreign },
	{ "STEP", true, add_ladder },
	{ "PAUSED UNTIL", false, add_paused },
	{ "BECAUSE", false, add_why },
};

/* On a terminal a column that is empty throughout is left out. */
static bool
column_shown(const struct cell *cell, const json_t *limits)
{
	struct buf text = { 0 };
	bool shown = !isatty(STDOUT_FILENO);

	for (size_t i = 0; !shown && i < json_array_size(limits); i++) {
		cell->add(json_array_get(limits, i), &text);
		shown = text.n > 0;
	}
	buf_fini(&text);
	return shown;
}

static void
print_limits(const struct cli *cli, const json_t *path)
{
	struct out_col cols[NITEMS(cells)];
	const struct cell *shown[NITEMS(cells)];
	json_t *limits = path_now_limits(path);
	struct buf text = { 0 };
	struct out_table t;
	size_t n = 0;

	for (size_t i = 0; i < NITEMS(cells); i++)
		if (column_shown(&cells[i], limits)) {
			cols[n] =
			    (struct out_col){ cells[i].title, cells[i].right };
			shown[n++] = &cells[i];
		}
	if (json_array_size(limits) > 0) {
		puts("");
		out_begin(&t, cli, cols, n);
		for (size_t i = 0; i < json_array_size(limits); i++)
			for (size_t k = 0; k < n; k++) {
				buf_clear(&text);
				shown[k]->add(json_array_get(limits, i), &text);
				out_cell(&t, "%s", buf_cstr(&text));
			}
		out_end(&t);
	}
	buf_fini(&text);
	json_decref(limits);
}

static void
add_reading(struct out_table *t, const json_t *reading)
{
	char window[32] = "", at[OUT_TIME_MAX];
	const char *meaning = js_text(reading, "meaning");

	if (js_int(reading, "window_s") > 0)
		spec_window_text(js_int(reading, "window_s"), window);
	out_cell(
	    t, "%s%s%s", js_text(reading, "dim"), window[0] ? "/" : "", window);
	if (json_object_get(reading, "reset_in_s") != NULL)
		out_cell(t, "%.0f of %.0f left, reset in %.3g s%s%s%s",
		    js_num(reading, "remaining"), js_num(reading, "limit"),
		    js_num(reading, "reset_in_s"), meaning[0] ? " (" : "",
		    meaning, meaning[0] ? ")" : "");
	else
		out_cell(t, "%.0f of %.0f left", js_num(reading, "remaining"),
		    js_num(reading, "limit"));
	out_cell(t, "%s", js_text(reading, "from"));
	out_cell(t, "%s", out_clock(js_num(reading, "at"), at));
}

static void
add_learned(struct out_table *t, const char *what, const char *from,
    const char *fmt, double value)
{
	out_cell(t, "%s", what);
	out_cell(t, fmt, value);
	out_cell(t, "%s", from);
	out_cell(t, "%s", "");
}

/* What its answers taught, and which header said so. */
static void
print_learned(const struct cli *cli, const json_t *learned)
{
	static const struct out_col cols[] = { { "LEARNED", false },
		{ "VALUE", false }, { "FROM", false }, { "AT", false } };
	static const struct {
		const char *member, *title;
	} times[] = {
		{ "late_ms", "leaves late" },
		{ "jitter_ms", "jitter on the way" },
		{ "slack_ms", "slack of a window" },
	};
	const json_t *readings = json_object_get(learned, "readings");
	const json_t *concurrency = json_object_get(learned, "concurrency");
	struct out_table t;

	out_begin(&t, cli, cols, NITEMS(cols));
	if (js_text(learned, "dialect")[0] != '\0') {
		out_cell(&t, "dialect");
		out_cell(&t, "%s", js_text(learned, "dialect"));
		out_cell(&t, "its answers");
		out_cell(&t, "%s", "");
	}
	for (size_t i = 0; i < json_array_size(readings); i++)
		add_reading(&t, json_array_get(readings, i));
	if (json_is_object(concurrency))
		add_learned(&t, "concurrent", js_text(concurrency, "why"),
		    "%.0f", js_num(concurrency, "limit"));
	for (size_t i = 0; i < NITEMS(times); i++)
		if (json_object_get(learned, times[i].member) != NULL)
			add_learned(&t, times[i].title, "what was measured",
			    "%.0f ms", js_num(learned, times[i].member));
	if (t.ncells > 0) {
		puts("");
		out_end(&t);
	}
}

static void
print_models(const struct cli *cli, const json_t *models)
{
	static const struct out_col cols[] = { { "MODEL", false },
		{ "ANSWERS", true }, { "BYTES A TOKEN", true },
		{ "OUTPUT TOKENS", true }, { "LATENCY", true } };
	struct out_table t;

	if (json_array_size(models) == 0)
		return;
	puts("");
	out_begin(&t, cli, cols, NITEMS(cols));
	for (size_t i = 0; i < json_array_size(models); i++) {
		const json_t *m = json_array_get(models, i);

		out_cell(&t, "%s", js_text(m, "model"));
		out_cell(&t, "%.0f", js_num(m, "answers"));
		out_cell(&t, "%.3g", js_num(m, "bytes_per_token"));
		out_cell(&t, "%.0f", js_num(m, "output_tokens"));
		out_cell(&t, "%.0f ms", js_num(m, "latency_ms"));
	}
	out_end(&t);
}

static void
print_prices(const struct cli *cli, const json_t *prices)
{
	static const struct out_col cols[] = { { "PRICE OF", false },
		{ "INPUT", true }, { "CACHED", true }, { "OUTPUT", true } };
	static const char *const members[] = { "input", "cached_input",
		"output" };
	char text[32];
	struct out_table t;

	if (json_array_size(prices) == 0)
		return;
	puts("");
	out_begin(&t, cli, cols, NITEMS(cols));
	for (size_t i = 0; i < json_array_size(prices); i++) {
		const json_t *price = json_array_get(prices, i);

		out_cell(&t, "%s%s%s", js_text(price, "model"),
		    js_text(price, "hours")[0] != '\0' ? "@" : "",
		    js_text(price, "hours"));
		for (size_t k = 0; k < NITEMS(members); k++) {
			prices_cell(price, members[k], text);
			out_cell(&t, "%s", text);
		}
	}
	out_end(&t);
}

/* The upstream's own batches that lines of ours are in, and the last ones. */
static void
print_batches(const struct cli *cli, const json_t *batches)
{
	static const struct out_col cols[] = { { "UPSTREAM'S BATCH", false },
		{ "MODEL", false }, { "STATE", false }, { "LINES", true },
		{ "DONE", true }, { "SINCE", false }, { "BECAUSE", false } };
	char at[OUT_TIME_MAX];
	struct out_table t;

	if (json_array_size(batches) == 0)
		return;
	puts("");
	out_begin(&t, cli, cols, NITEMS(cols));
	for (size_t i = 0; i < json_array_size(batches); i++) {
		const json_t *b = json_array_get(batches, i);
		bool over = strcmp(js_text(b, "state"), "cleaned") == 0 ||
		    strcmp(js_text(b, "state"), "settled") == 0;
		double since = js_num(b,
		    js_num(b, "running_at") > 0 ? "running_at" : "created_at");

		out_cell(&t, "%s", js_text(b, "batch"));
		out_cell(&t, "%s", js_text(b, "model"));
		out_cell(&t, "%s", js_text(b, over ? "status" : "state"));
		out_cell(&t, "%.0f", js_num(b, "lines"));
		out_cell(&t, "%.0f", js_num(b, "done"));
		out_cell(&t, "%s", out_clock(since, at));
		out_cell(&t, "%s", js_text(b, "why"));
	}
	out_end(&t);
}

static void
print_path(const struct cli *cli, json_t *path)
{
	const json_t *learned = json_object_get(path, "learned");
	const json_t *sends = js_at(path, "now.sends");
	struct buf said = { 0 };
	int64_t slots = 0;

	for (size_t i = 0; i < json_array_size(sends); i++)
		slots += json_integer_value(json_array_get(sends, i));
	if (sends != NULL)
		json_object_set_new(path, "slots", json_integer(slots));
	if (path_now_binds(path, &said))
		json_object_set_new(path, "said", json_string(buf_cstr(&said)));
	else if (js_at(path, "now") != NULL)
		json_object_set_new(
		    path, "said", json_string("no limit holds it back"));
	view_print(cli, &show_view, path);
	if (!cli->quiet) {
		print_limits(cli, path);
		print_prices(cli, json_object_get(path, "prices"));
		print_learned(cli, learned);
		print_models(cli, json_object_get(learned, "models"));
		print_batches(cli, json_object_get(path, "batches"));
	}
	buf_fini(&said);
}

enum cli_exit
cmd_path_show(struct cli *cli)
{
	struct buf url = { 0 };
	struct client c = { 0 };
	struct slc_err err;
	json_t *path = NULL;
	enum slc_rc rc = client_open(&c, cli, &err);

	client_path("/admin/v1/paths/", cli->operand[0], "", &url);
	if (rc == SLC_OK)
		rc = client_call(&c, "GET", buf_cstr(&url), NULL, &path, &err);
	if (rc == SLC_OK && !out_json(cli, buf_slice(&c.body)))
		print_path(cli, path);
	json_decref(path);
	buf_fini(&url);
	client_close(&c);
	return rc == SLC_OK ? CLI_OK : cli_fail(cli, &err);
}
