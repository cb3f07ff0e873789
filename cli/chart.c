#include "chart.h"

#include <math.h>

enum { CHART_EIGHTHS = 8 };

static const char *const lower[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇",
	"█" };
static const char *const left[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉",
	"█" };

void
chart_bar(double share, int cells, bool ascii, struct buf *to)
{
	double filled = share > 0 ? share * cells * CHART_EIGHTHS : 0;
	int eighths = filled < cells * CHART_EIGHTHS ? (int)filled
						     : cells * CHART_EIGHTHS;
	int i = 0;

	/* What is used at all is seen. */
	if (share > 0 && eighths == 0)
		eighths = 1;
	for (; i < eighths / CHART_EIGHTHS; i++)
		buf_adds(to, ascii ? "#" : left[CHART_EIGHTHS]);
	if (eighths % CHART_EIGHTHS > 0) {
		buf_adds(to,
		    ascii ? (eighths % CHART_EIGHTHS >= CHART_EIGHTHS / 2 ? "#"
									  : ".")
			  : left[eighths % CHART_EIGHTHS]);
		i++;
	}
	for (; i < cells; i++)
		buf_adds(to, ascii ? "." : "·");
}

double
chart_top(double most)
{
	static const double steps[] = { 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8,
		10 };
	double unit = 1;

	while (unit * 10 < most)
		unit *= 10;
	for (size_t i = 0; i < NITEMS(steps); i++)
		if (steps[i] * unit >= most)
			return steps[i] * unit;
	return most; /* not a number */
}

int
chart_mark_row(const struct chart *c)
{
	int row;

	if (!(c->mark > 0 && c->mark <= c->top))
		return -1;
	/* One on the edge of two rows belongs to the lower. */
	row = c->rows - (int)ceil(c->mark / c->top * c->rows);
	return row < 0 ? 0 : row;
}

void
chart_row(const struct chart *c, int row, struct buf *to)
{
	const char *line = c->ascii ? "-" : "┄";
	bool marked = row == chart_mark_row(c);
	int below = (c->rows - 1 - row) * CHART_EIGHTHS;

	for (size_t i = 0; i < c->n; i++) {
		double high = c->values[i] / c->top * c->rows * CHART_EIGHTHS;
		int eighths = (int)lround(fmin(high, 1e6));

		if (c->values[i] > 0 && eighths == 0)
			eighths = 1;
		eighths -= below;
		if (eighths > CHART_EIGHTHS)
			eighths = CHART_EIGHTHS;
		if (eighths <= 0)
			buf_adds(to, marked ? line : " ");
		else if (c->ascii)
			buf_adds(to, eighths > CHART_EIGHTHS / 2 ? "#" : ".");
		else
			buf_adds(to, lower[eighths]);
	}
}
