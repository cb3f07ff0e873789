/*
 * foreign - what others use of a limit on the same account, and how the
 * upstream counts, as far as its answers tell.
 *
 * Pure.  "Remaining" holds for the moment a call was let in, seconds before its
 * answer is here: it is compared with our own grants up to the call's sending,
 * and what is missing is others'.  How much they will use until it matters is
 * predicted from their rate, with some deviations of a Poisson stream on top.
 *
 * What "reset" means is learned, never assumed:
 *
 *   to full  it is the time in which what is missing flows back: a bucket
 *   fixed    it is an instant that stays until it has passed, and then the
 *            count starts anew: a window with known bounds, so that only the
 *            time up to its end is uncertain
 *   sliding  it moves with every call
 */
#ifndef SCHEDULER_FOREIGN_H
#define SCHEDULER_FOREIGN_H

#include "pace.h"

#include <sluice/dialect.h>

enum {
	FOREIGN_SIGMA = 3,       /* where any moment counts */
	FOREIGN_SIGMA_FIXED = 2, /* where only a window's end does */
	FOREIGN_SAMPLES = 10,
	FOREIGN_MOVES = 3,
	FOREIGN_SPAN_PART = 4, /* of the window: so long must it look like it */
};

enum foreign_reset {
	FOREIGN_UNKNOWN,
	FOREIGN_TO_FULL,
	FOREIGN_FIXED,
	FOREIGN_SLIDING,
};

struct foreign { /* zeroed knows nothing */
	enum foreign_reset reset;
	int full, fixed; /* readings in a row that look like it */
	int sliding;     /* instants in a row that did not stay */
	int64_t full_us; /* the first of them came */
	bool rolled;     /* at an instant's end the count fell, as it should */
	int64_t peak;    /* of used since the last window's end */
	int64_t end_us;  /* the instant that they tell, or a window later */
	/* the newest call whose answer told something */
	int64_t sent_us;
	int64_t used;    /* of the limit then, by everybody */
	int64_t units;   /* of it others', in the window it stood in */
	double rate;     /* others' units per microsecond */
	double weight;   /* of rate: time it was learned over, us, fading */
	int64_t seen_us; /* units were last more than noise */
};

/* One reading of the limit that p paces; limit and remaining are known. */
void foreign_seen(struct foreign *f, const struct pace *p,
    const struct dialect_reading *said, int64_t sent_us, int64_t answered_us);

/* Before a plan: what p should keep free. */
void foreign_room(const struct foreign *f, const struct pace *p, int64_t now_us,
    struct pace_others *out);

/* Others use the limit: a refusal may be theirs. */
bool foreign_active(const struct foreign *f, int64_t now_us);

const char *foreign_reset_name(enum foreign_reset r); /* NULL: not known */

#endif
