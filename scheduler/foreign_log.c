#include "foreign_log.h"

#include <math.h>
#include <stddef.h>

enum { LATELY_PART = 8 };
/* Of what is remembered of a window before; the rest is taken as even. */
#define REMEMBERED 0.9
/* The variance of a difference of two counts that is nobody's use. */
#define COUNT_VARIANCE 1.0
/* Deviations of a Poisson stream that are a change. */
#define CHANGED 3.0

static int64_t
width_us(const struct foreign_log *l)
{
	int64_t width = l->window_us / FOREIGN_LOG_PART;

	return width > 0 ? width : 1;
}

static size_t
cell_at(const struct foreign_log *l, int64_t at_us)
{
	return (size_t)(at_us / width_us(l)) % FOREIGN_LOG_CELLS;
}

/* Units that came in (from_us, to_us], each cell's as if evenly. */
static double
came(const struct foreign_log *l, int64_t from_us, int64_t to_us)
{
	int64_t width = width_us(l);
	double units = 0;

	for (int64_t at = from_us; at < to_us;) {
		int64_t end = (at / width + 1) * width;

		if (end > to_us)
			end = to_us;
		units += l->cells[cell_at(l, at)] * (double)(end - at) /
		    (double)width;
		at = end;
	}
	return units;
}

/*
 * The newest cell is divided by its whole width like the others: it is filled
 * in full, as if what came so far went on, and corrected with each count.
 */
static void
put(struct foreign_log *l, int64_t from_us, int64_t to_us, double units)
{
	int64_t width = width_us(l);

	for (int64_t at = from_us; at < to_us;) {
		int64_t begin = at / width * width, end = begin + width;
		double *cell = &l->cells[cell_at(l, at)];
		double before = at > begin ? *cell : 0, part;

		if (end > to_us)
			end = to_us;
		part = units * (double)(end - at) / (double)(to_us - from_us);
		*cell = before * (double)(at - begin) / (double)width + part;
		*cell *= (double)width / (double)(end - begin);
		at = end;
	}
}

void
foreign_log_count(
    struct foreign_log *l, int64_t window_us, int64_t at_us, double units)
{
	int64_t was_us = l->at_us;
	double even, left;

	if (at_us <= was_us && l->window_us == window_us)
		return;
	if (was_us == 0 || l->window_us != window_us ||
	    at_us - was_us >= window_us) {
		*l = (struct foreign_log){ .window_us = window_us };
		put(l, at_us - window_us, at_us, units);
	} else {
		even = l->units * (double)(at_us - was_us) / (double)window_us;
		left = came(l, was_us - window_us, at_us - window_us);
		put(l, was_us, at_us,
		    units - l->units + REMEMBERED * left +
			(1 - REMEMBERED) * even);
	}
	l->at_us = at_us;
	l->units = units;
}

double
foreign_log_lately(const struct foreign_log *l)
{
	int64_t part_us = l->window_us / LATELY_PART;
	double units;

	if (part_us == 0)
		return 0;
	/* What came of late is in the count, if it came at all. */
	units = fmin(came(l, l->at_us - part_us, l->at_us), l->units);
	return fmax(units, 0) / (double)part_us;
}

double
foreign_log_coming(const struct foreign_log *l, int64_t to_us)
{
	double part_us = (double)(l->window_us / LATELY_PART);
	double us = (double)(to_us - l->at_us), even, more;

	if (l->units <= 0 || part_us <= 0 || us <= 0)
		return 0;
	even = l->units / (double)l->window_us;
	more = foreign_log_lately(l) - even;
	if (fabs(more) * part_us <
	    CHANGED * sqrt(even * part_us + COUNT_VARIANCE))
		more = 0;
	return even * us + more * fmin(us, part_us);
}

double
foreign_log_leaving(const struct foreign_log *l, int64_t to_us)
{
	if (l->at_us == 0 || to_us <= l->at_us)
		return 0;
	if (to_us > l->at_us + l->window_us)
		to_us = l->at_us + l->window_us;
	return came(l, l->at_us - l->window_us, to_us - l->window_us);
}

double
foreign_log_doubt(const struct foreign_log *l, int64_t to_us)
{
	double mean, all = 1 - REMEMBERED * REMEMBERED;

	if (l->at_us == 0 || to_us <= l->at_us)
		return 0;
	mean = fmax(l->units, 0) * (double)(to_us - l->at_us) /
	    (double)l->window_us;
	return fmin(mean,
	    ((1 - REMEMBERED) * (1 - REMEMBERED) * mean + COUNT_VARIANCE) /
		all);
}
