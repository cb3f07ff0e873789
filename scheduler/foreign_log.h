/*
 * foreign_log - when others' units came, as far as counts tell, and so when
 * they leave a window that slides.
 *
 * Pure.  A count of the window tells no times; but what came between two counts
 * is their difference and what left meanwhile, which is what came a window
 * before.  At first that is unknown and taken as even.  Counts are off by one
 * now and then, and such errors would come again with each window: a share of
 * what is remembered is therefore taken as even, too.
 */
#ifndef SCHEDULER_FOREIGN_LOG_H
#define SCHEDULER_FOREIGN_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum {
	FOREIGN_LOG_PART = 120, /* of the window: a cell */
	FOREIGN_LOG_CELLS = 128,
};

struct foreign_log { /* zeroed knows nothing */
	int64_t window_us;
	int64_t at_us;                   /* of the newest count; 0: none */
	double units;                    /* it */
	double cells[FOREIGN_LOG_CELLS]; /* units that came, by time */
};

/* The window that ends at at_us holds so many.  Counts that are no newer than
 * the last one are ignored; after a gap of a window all begins anew. */
void foreign_log_count(
    struct foreign_log *l, int64_t window_us, int64_t at_us, double units);

/*
 * Units that will come between the newest count and to_us: at the window's
 * rate, or, when it has clearly changed, at the one of lately, which is trusted
 * for as long as it has been seen: without calls there are no more counts, and
 * a chance must not keep us from calling.
 */
double foreign_log_coming(const struct foreign_log *l, int64_t to_us);

/* Units a microsecond in the last 8th of the window, with all its chance. */
double foreign_log_lately(const struct foreign_log *l);

/* Units that leave the window between the newest count and to_us. */
double foreign_log_leaving(const struct foreign_log *l, int64_t to_us);

/* The variance of foreign_log_leaving(). */
double foreign_log_doubt(const struct foreign_log *l, int64_t to_us);

#endif
