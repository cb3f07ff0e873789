/*
 * chart - bars and columns of block characters, or of ASCII where a terminal
 * has no others.
 *
 * Pure.
 */
#ifndef CLI_CHART_H
#define CLI_CHART_H

#include <sluice/buf.h>

/* A share as so many cells, in eighths; below 0 and above 1 as the ends. */
void chart_bar(double share, int cells, bool ascii, struct buf *to);

struct chart {
	const double *values; /* one column each; >= 0 */
	size_t n;
	int rows;
	double top;  /* value at the upper edge; > 0 */
	double mark; /* a line at this value; <= 0 or over top: none */
	bool ascii;
};

/* A round number that is not below most, for the upper edge; 1 at least. */
double chart_top(double most);

/* The row the mark is in, counted from the top, or -1. */
int chart_mark_row(const struct chart *c);

/* One row, counted from the top; a value that is not 0 leaves a trace. */
void chart_row(const struct chart *c, int row, struct buf *to);

#endif
