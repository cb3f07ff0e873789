#include "path_frame.h"

#include <math.h>
#include <string.h>

#include "chart.h"
#include "js.h"
#include "out.h"
#include "path_now.h"

enum {
	FRAME_SECONDS = 60,
	FRAME_BAR_MIN = 8,
	FRAME_BAR_MAX = 40,
	FRAME_ROWS_MAX = 8,
	FRAME_SCALE = 7,   /* columns of the scale beside a chart */
	FRAME_BESIDE = 44, /* of what stands beside a bar */
	FRAME_FIXED = 8,   /* lines of a path besides limits and chart */
};
#define BOLD  "\x1b[1m"
#define PLAIN "\x1b[0m"

static void
add_clean(struct buf *to, const char *text)
{
	out_clean(to, slice_str(text));
}

static void
add_head(const json_t *path, struct buf *to)
{
	char at[OUT_TIME_MAX];

	buf_adds(to, BOLD);
	add_clean(to, js_text(path, "name"));
	buf_adds(to, PLAIN "  ");
	add_clean(to, js_text(path, "health"));
	if (js_text(path, "why")[0] != '\0') {
		buf_adds(to, ": ");
		add_clean(to, js_text(path, "why"));
	}
	if (js_num(path, "retry_at") > 0)
		buf_addf(to, ", tried again %s",
		    out_clock(js_num(path, "retry_at"), at));
	buf_adds(to, "  ");
	add_clean(to, js_text(path, "url"));
	if (js_num(path, "now.at") > 0)
		buf_addf(
		    to, "  %s", out_clock(floor(js_num(path, "now.at")), at));
	buf_addc(to, '\n');
}

/* How many calls may be open at once; 0: nothing limits them. */
static double
seats(const json_t *limits)
{
	double least = 0;

	for (size_t i = 0; i < json_array_size(limits); i++) {
		const json_t *l = json_array_get(limits, i);

		if (strcmp(js_text(l, "dimension"), "concurrent") == 0 &&
		    strcmp(js_text(l, "model"), "*") == 0 &&
		    (least == 0 || js_num(l, "amount") < least))
			least = js_num(l, "amount");
	}
	return least;
}

static void
add_state(const json_t *path, const json_t *limits, struct buf *to)
{
	char text[OUT_TIME_MAX];
	struct buf said = { 0 };

	if (js_at(path, "now") == NULL) {
		buf_adds(to, "no news from a dispatcher for ten seconds\n\n");
		return;
	}
	if (path_now_binds(path, &said)) {
		buf_adds(to, BOLD);
		add_clean(to, buf_cstr(&said));
		buf_adds(to, PLAIN);
	} else {
		buf_adds(to, "no limit holds it back");
	}
	buf_fini(&said);
	buf_addf(to, "\nin flight %.0f", js_num(path, "now.in_flight"));
	if (seats(limits) > 0)
		buf_addf(to, " of %s seats", out_count(seats(limits), text));
	if (js_at(path, "now.live_out") != NULL)
		buf_addf(to, ", live %s",
		    out_count(js_num(path, "now.live_out"), text));
	buf_addf(
	    to, ", handed out %s", out_count(js_num(path, "now.out"), text));
	buf_addf(to, ", waiting %s lines\n",
	    out_count(js_num(path, "now.waiting"), text));
}

static bool
is_binding(const json_t *path, const json_t *limit)
{
	const json_t *binds = js_at(path, "now.binds");
	const char *model = js_text(binds, "model"), *name;

	if (!json_is_object(binds) ||
	    strcmp(js_text(binds, "of"), js_text(limit, "of")) != 0 ||
	    strcmp(model, js_text(limit, "model")) != 0)
		return false;
	name = js_text(limit, "name");
	if (strcmp(model, "*") != 0)
		name += strlen(model) + 1;
	return strcmp(name, js_text(binds, "limit")) == 0;
}

static void
add_limit(const json_t *path, const json_t *limit, const struct path_frame *f,
    int name_width, struct buf *to)
{
	double used = js_num(limit, "used"), amount = js_num(limit, "amount");
	int bar = f->width - name_width - FRAME_BESIDE;
	char a[OUT_TIME_MAX], b[OUT_TIME_MAX], both[2 * OUT_TIME_MAX];
	struct buf name = { 0 };

	add_clean(&name, js_text(limit, "name"));
	if (strcmp(js_text(limit, "of"), "pool") == 0)
		buf_adds(&name, " (pool)");
	bar = bar < FRAME_BAR_MIN ? FRAME_BAR_MIN : bar;
	bar = bar > FRAME_BAR_MAX ? FRAME_BAR_MAX : bar;
	buf_addf(to, "%s%-*s  ", is_binding(path, limit) ? "> " : "  ",
	    name_width, buf_cstr(&name));
	chart_bar(amount > 0 ? used / amount : 1, bar, f->ascii, to);
	snprintf(both, sizeof(both), "%s/%s", out_count(used, a),
	    out_count(amount, b));
	buf_addf(to, "  %-11s", both);
	if (js_num(limit, "per_s") > 0 && js_int(limit, "window_s") > 0)
		buf_addf(to, "  %s/s", out_count(js_num(limit, "per_s"), a));
	if (js_num(limit, "live") > 0)
		buf_addf(to, "  live %s", out_count(js_num(limit, "live"), a));
	if (js_num(limit, "foreign") > 0)
		buf_addf(
		    to, "  foreign %s", out_count(js_num(limit, "foreign"), a));
	if (js_num(limit, "ladder") > 0)
		buf_addf(to, "  step %.0f", js_num(limit, "ladder"));
	if (js_num(limit, "paused_until") > 0)
		buf_addf(to, "  paused until %s",
		    out_clock(js_num(limit, "paused_until"), a));
	if (js_text(limit, "why")[0] != '\0') {
		buf_adds(to, "  ");
		add_clean(to, js_text(limit, "why"));
	}
	buf_addc(to, '\n');
	buf_fini(&name);
}

static void
add_limits(const json_t *path, const json_t *limits, const struct path_frame *f,
    struct buf *to)
{
	int width = 0;

	for (size_t i = 0; i < json_array_size(limits); i++) {
		const json_t *l = json_array_get(limits, i);
		int n = (int)strlen(js_text(l, "name")) +
		    (strcmp(js_text(l, "of"), "pool") == 0 ? 7 : 0);

		width = n > width ? n : width;
	}
	for (size_t i = 0; i < json_array_size(limits); i++)
		add_limit(path, json_array_get(limits, i), f, width, to);
}

/*
 * The limit whose rate is marked: the one that binds, if it counts requests,
 * else the tightest that does; NULL: none.
 */
static const json_t *
marked_limit(const json_t *path, const json_t *limits)
{
	const json_t *least = NULL;

	for (size_t i = 0; i < json_array_size(limits); i++) {
		const json_t *l = json_array_get(limits, i);

		if (strcmp(js_text(l, "dimension"), "requests") != 0 ||
		    js_num(l, "per_s") <= 0)
			continue;
		if (is_binding(path, l))
			return l;
		if (least == NULL ||
		    js_num(l, "per_s") < js_num(least, "per_s"))
			least = l;
	}
	return least;
}

/* Sends in second i of the last minute; of them live ones. */
static double
sends_at(const json_t *path, size_t i, double *live)
{
	const json_t *lines = js_at(path, "now.sends");
	const json_t *calls = js_at(path, "now.live_sends");

	*live = json_number_value(json_array_get(calls, i));
	return json_number_value(json_array_get(lines, i)) + *live;
}

static void
add_axis(const struct chart *c, bool ascii, struct buf *to)
{
	buf_addf(to, "%*d %s", FRAME_SCALE - 2, 0, ascii ? "+" : "└");
	for (size_t i = 0; i < c->n; i++)
		buf_adds(to, ascii ? "-" : "─");
	buf_addf(to, "\n%*s-%zu s%*s\n", FRAME_SCALE, "", c->n, (int)c->n - 5,
	    "now");
}

static void
add_chart(const json_t *path, const json_t *limits, const struct path_frame *f,
    int rows, bool axis, struct buf *to)
{
	const json_t *sends = js_at(path, "now.sends");
	const json_t *limit = marked_limit(path, limits);
	size_t all = json_array_size(sends);
	double values[FRAME_SECONDS], most = 0, live = 0;
	char text[OUT_TIME_MAX];
	struct chart c = { .values = values, .ascii = f->ascii, .rows = rows };

	c.n = all > FRAME_SECONDS ? FRAME_SECONDS : all;
	if (f->width < FRAME_SCALE + (int)c.n)
		c.n = f->width > FRAME_SCALE + 10
		    ? (size_t)(f->width - FRAME_SCALE)
		    : 10;
	if (all < c.n || all == 0)
		return;
	for (size_t i = 0; i < c.n; i++) {
		values[i] = sends_at(path, all - c.n + i, &live);
		most = fmax(most, values[i]);
	}
	c.mark = js_num(limit, "per_s");
	c.top = chart_top(fmax(most, c.mark));
	buf_addf(to, "sends a second: %.0f, most %.0f", values[c.n - 1], most);
	if (js_at(path, "now.live_sends") != NULL)
		buf_addf(to, ", live %.0f", live);
	if (limit != NULL) {
		buf_addf(to, "; %s %s by ", f->ascii ? "---" : "┄┄┄",
		    out_count(c.mark, text));
		add_clean(to, js_text(limit, "name"));
	}
	buf_addc(to, '\n');
	for (int row = 0; row < rows; row++) {
		if (row == 0)
			buf_addf(to, "%*.4g ", FRAME_SCALE - 2, c.top);
		else
			buf_addf(to, "%*s ", FRAME_SCALE - 2, "");
		buf_adds(to, f->ascii ? "|" : "│");
		chart_row(&c, row, to);
		buf_addc(to, '\n');
	}
	if (axis)
		add_axis(&c, f->ascii, to);
}

static void
add_path(
    const json_t *path, const struct path_frame *f, int height, struct buf *to)
{
	json_t *limits = path_now_limits(path);
	int rows = height - FRAME_FIXED - (int)json_array_size(limits);

	rows = rows > FRAME_ROWS_MAX ? FRAME_ROWS_MAX : rows;
	add_head(path, to);
	add_state(path, limits, to);
	buf_addc(to, '\n');
	add_limits(path, limits, f, to);
	buf_addc(to, '\n');
	/* Where there is no room for more, one row and nothing under it. */
	add_chart(path, limits, f, rows < 1 ? 1 : rows, rows >= 1, to);
	json_decref(limits);
}

/* Keep the first lines, and say that there are more. */
static void
cut(struct buf *text, int lines)
{
	size_t n = 0;

	for (size_t i = 0; i < text->n; i++) {
		if (text->p[i] != '\n')
			continue;
		if (--lines == 1)
			n = i + 1;
		if (lines < 0) {
			text->n = n;
			buf_adds(text,
			    "(more: a taller terminal, or one "
			    "NAME)\n");
			return;
		}
	}
}

void
path_frame(const json_t *shown, const struct path_frame *frame, struct buf *to)
{
	const json_t *list = json_object_get(shown, "data");
	int n = list != NULL ? (int)json_array_size(list) : 1;
	int height = frame->height - (frame->trouble != NULL);

	if (frame->trouble != NULL) {
		buf_adds(to, BOLD);
		add_clean(to, frame->trouble);
		buf_adds(to, PLAIN "\n");
	}
	if (list == NULL && shown != NULL)
		add_path(shown, frame, height, to);
	for (int i = 0; list != NULL && i < n; i++)
		add_path(
		    json_array_get(list, (size_t)i), frame, height / n, to);
	if (list != NULL && n == 0)
		buf_adds(to, "there are no paths: sluice path add\n");
	cut(to, frame->height);
}

void
path_frame_line(const json_t *path, struct buf *to)
{
	static const char *const counts[] = { "in_flight", "out", "waiting" };
	const json_t *sends = js_at(path, "now.sends");
	const json_t *binds = js_at(path, "now.binds");
	json_t *limits = path_now_limits(path);
	char at[OUT_TIME_MAX];

	add_clean(to, js_text(path, "name"));
	buf_addf(to, " health=%s", js_text(path, "health"));
	if (js_at(path, "now") == NULL)
		buf_adds(to, " now=unknown");
	if (json_array_size(sends) > 0) {
		double live,
		    n = sends_at(path, json_array_size(sends) - 1, &live);

		buf_addf(to, " sends=%.0f", n);
		if (js_at(path, "now.live_sends") != NULL)
			buf_addf(to, " live_sends=%.0f live=%.0f", live,
			    js_num(path, "now.live_out"));
	}
	for (size_t i = 0; js_at(path, "now") != NULL && i < NITEMS(counts);
	     i++)
		buf_addf(to, " %s=%.0f", counts[i],
		    js_num(json_object_get(path, "now"), counts[i]));
	for (size_t i = 0; i < json_array_size(limits); i++) {
		const json_t *l = json_array_get(limits, i);

		if (is_binding(path, l)) {
			buf_adds(to, " binds=");
			add_clean(to, js_text(l, "name"));
		}
	}
	if (json_is_object(binds) && js_num(binds, "until") > 0)
		buf_addf(
		    to, " until=%s", out_clock(js_num(binds, "until"), at));
	for (size_t i = 0; i < json_array_size(limits); i++) {
		const json_t *l = json_array_get(limits, i);

		buf_addc(to, ' ');
		add_clean(to, js_text(l, "name"));
		buf_addf(to, "%s=%.0f/%.0f",
		    strcmp(js_text(l, "of"), "pool") ? "" : "(pool)",
		    js_num(l, "used"), js_num(l, "amount"));
	}
	json_decref(limits);
}
