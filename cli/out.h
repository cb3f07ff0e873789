/*
 * out - what a command prints: tables on a terminal, TSV in a pipe, JSON as the
 * server sent it; and progress on stderr.
 *
 * Text that others wrote never reaches the terminal raw: control characters,
 * bytes that are not UTF-8 and marks that turn the writing direction are
 * escaped.
 */
#ifndef CLI_OUT_H
#define CLI_OUT_H

#include "cli.h"

enum { OUT_COLS_MAX = 16, OUT_TIME_MAX = 32 };

/* Append s with everything escaped that could do more than show. */
void out_clean(struct buf *to, struct slice s);

struct out_col {
	const char *title;
	bool right; /* numbers */
};

/* A table in the making: cells from left to right, line by line. */
struct out_table {
	const struct cli *cli;
	const struct out_col *cols;
	size_t ncols;
	struct buf cells; /* each ends with a NUL */
	size_t ncells;
};

void out_begin(struct out_table *t, const struct cli *cli,
    const struct out_col *cols, size_t ncols);
void out_cell(struct out_table *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints and frees.  With --quiet the first column only, without a title. */
void out_end(struct out_table *t);

/* One JSON document and a newline, if --json; false otherwise. */
bool out_json(const struct cli *cli, struct slice text);

/* Does the terminal lack block characters? */
bool out_ascii(void);

/* Unix seconds: local time on a terminal, UTC in a pipe; "-" for 0. */
const char *out_time(int64_t at, char to[OUT_TIME_MAX]);

/* The same of what is near: on a terminal "14:02:11" if within half a day. */
const char *out_clock(double at, char to[OUT_TIME_MAX]);

/* Counts in few letters: "0.25", "9999", "61.2k", "1.3m". */
const char *out_count(double n, char to[OUT_TIME_MAX]);

/* Seconds as "40s", "12m", "3h05m", "2d04h". */
const char *out_span(int64_t s, char to[OUT_TIME_MAX]);

/* Bytes as "512 B", "12.3 MiB". */
const char *out_size(int64_t bytes, char to[OUT_TIME_MAX]);

#endif
