#include "out.h"

#include <assert.h>
#include <inttypes.h>
#include <langinfo.h>
#include <libsmartcols/libsmartcols.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sluice/utf8.h>

/* C1 controls, and marks that change the direction of what follows. */
static bool
is_unsafe(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;

	if (n == 2)
		return u[0] == 0xc2 && u[1] < 0xa0;
	return n == 3 && u[0] == 0xe2 &&
	    ((u[1] == 0x80 && (u[2] >= 0xa8 && u[2] <= 0xae)) ||
		(u[1] == 0x80 && (u[2] == 0x8e || u[2] == 0x8f)) ||
		(u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9));
}

void
out_clean(struct buf *to, struct slice s)
{
	for (size_t i = 0; i < s.n;) {
		size_t n = utf8_length(s.p + i, s.n - i);
		unsigned char c = (unsigned char)s.p[i];

		if (n == 0 || c < 0x20 || c == 0x7f || is_unsafe(s.p + i, n))
			for (n = n == 0 ? 1 : n; n > 0; n--)
				buf_addf(
				    to, "\\x%02x", (unsigned char)s.p[i++]);
		else
			for (; n > 0; n--)
				buf_addc(to, s.p[i++]);
	}
}

void
out_begin(struct out_table *t, const struct cli *cli,
    const struct out_col *cols, size_t ncols)
{
	assert(ncols <= OUT_COLS_MAX);
	*t = (struct out_table){ .cli = cli, .cols = cols, .ncols = ncols };
}

void
out_cell(struct out_table *t, const char *fmt, ...)
{
	struct slice raw;
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	raw = (struct slice){ text, (size_t)n };
	out_clean(&t->cells, raw);
	buf_addc(&t->cells, '\0');
	t->ncells++;
	free(text);
}

static void
print_plain(const struct out_table *t)
{
	size_t shown = t->cli->quiet ? 1 : t->ncols;
	const char *cell = t->cells.p;

	for (size_t i = 0; i < shown && !t->cli->quiet; i++)
		printf("%s%c", t->cols[i].title, i + 1 < shown ? '\t' : '\n');
	for (size_t i = 0; i < t->ncells; i++, cell += strlen(cell) + 1) {
		size_t col = i % t->ncols;

		if (col < shown)
			printf("%s%c", cell, col + 1 < shown ? '\t' : '\n');
	}
}

static void
print_terminal(const struct out_table *t)
{
	struct libscols_table *table = scols_new_table();
	struct libscols_line *line = NULL;
	const char *cell = t->cells.p;

	if (table == NULL)
		abort();
	for (size_t i = 0; i < t->ncols; i++)
		scols_table_new_column(table, t->cols[i].title, 0,
		    t->cols[i].right ? SCOLS_FL_RIGHT : 0);
	for (size_t i = 0; i < t->ncells; i++, cell += strlen(cell) + 1) {
		if (i % t->ncols == 0)
			line = scols_table_new_line(table, NULL);
		if (line == NULL ||
		    scols_line_set_data(line, i % t->ncols, cell) != 0)
			abort();
	}
	/* The cells are clean already, and would be escaped twice. */
	scols_table_enable_noencoding(table, 1);
	/* A cut id is of no use: rather let the terminal fold the line. */
	scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
	scols_print_table(table);
	scols_unref_table(table);
}

void
out_end(struct out_table *t)
{
	assert(t->ncells % t->ncols == 0);
	if (isatty(STDOUT_FILENO) && !t->cli->quiet && t->ncells > 0)
		print_terminal(t);
	else
		print_plain(t);
	buf_fini(&t->cells);
}

bool
out_json(const struct cli *cli, struct slice text)
{
	struct buf safe = { 0 };

	if (!cli->json)
		return false;
	if (text.n > 0 && text.p[text.n - 1] == '\n')
		text.n--;
	/* In JSON such a character may as well be written as an escape. */
	for (size_t i = 0; i < text.n;) {
		size_t n = utf8_length(text.p + i, text.n - i);
		unsigned char *u = (unsigned char *)text.p + i;

		if (isatty(STDOUT_FILENO) && is_unsafe(text.p + i, n))
			buf_addf(&safe, "\\u%04x",
			    n == 2 ? (u[0] & 0x1fU) << 6 | (u[1] & 0x3fU)
				   : (u[0] & 0x0fU) << 12 |
				    (u[1] & 0x3fU) << 6 | (u[2] & 0x3fU));
		else
			buf_add(&safe, text.p + i, n == 0 ? 1 : n);
		i += n == 0 ? 1 : n;
	}
	printf("%s\n", buf_cstr(&safe));
	fflush(stdout);
	buf_fini(&safe);
	return true;
}

bool
out_ascii(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
}

const char *
out_time(int64_t at, char to[OUT_TIME_MAX])
{
	time_t t = (time_t)at;
	struct tm tm;

	if (at == 0)
		strcpy(to, "-");
	else if (isatty(STDOUT_FILENO))
		strftime(to, OUT_TIME_MAX, "%Y-%m-%d %H:%M:%S",
		    localtime_r(&t, &tm));
	else
		strftime(
		    to, OUT_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	return to;
}

const char *
out_clock(double at, char to[OUT_TIME_MAX])
{
	/* What is to come is not said to come earlier. */
	time_t t = (time_t)ceil(at);
	struct tm tm;

	if (!isatty(STDOUT_FILENO) || llabs(t - time(NULL)) > 43200)
		return out_time((int64_t)t, to);
	strftime(to, OUT_TIME_MAX, "%H:%M:%S", localtime_r(&t, &tm));
	return to;
}

const char *
out_count(double n, char to[OUT_TIME_MAX])
{
	const char *unit = "kmg";

	if (n < 9999.5) {
		snprintf(to, OUT_TIME_MAX, n < 999.5 ? "%.3g" : "%.0f", n);
		return to;
	}
	for (n /= 1000; n >= 999.95 && unit[1] != '\0'; unit++)
		n /= 1000;
	snprintf(to, OUT_TIME_MAX, "%.3g%c", n, *unit);
	return to;
}

const char *
out_span(int64_t s, char to[OUT_TIME_MAX])
{
	if (s < 60)
		snprintf(to, OUT_TIME_MAX, "%" PRId64 "s", s);
	else if (s < 600)
		snprintf(to, OUT_TIME_MAX, "%" PRId64 "m%02ds", s / 60,
		    (int)(s % 60));
	else if (s < 3600)
		snprintf(to, OUT_TIME_MAX, "%" PRId64 "m", s / 60);
	else if (s < 86400)
		snprintf(to, OUT_TIME_MAX, "%" PRId64 "h%02dm", s / 3600,
		    (int)(s / 60 % 60));
	else
		snprintf(to, OUT_TIME_MAX, "%" PRId64 "d%02dh", s / 86400,
		    (int)(s / 3600 % 24));
	return to;
}

const char *
out_size(int64_t bytes, char to[OUT_TIME_MAX])
{
	static const char *const units[] = { "KiB", "MiB", "GiB" };
	double v = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(to, OUT_TIME_MAX, "%" PRId64 " B", bytes);
		return to;
	}
	for (; v >= 1024 && i + 1 < NITEMS(units); i++)
		v /= 1024;
	snprintf(to, OUT_TIME_MAX, "%.1f %s", v, units[i]);
	return to;
}
