/*
 * foreign - what others use of a limit on the same account, and how the
 * upstream counts, as far as its answers tell.
 *
 * Pure.  "Remaining" holds for the moment a call was let in, seconds before its
 * answer is here: it is compared with our own grants up to the call's sending,
 * and what is missing is others'.  (Some gateways write it when the answer
 * leaves; which of the two makes the steadier sums is taken.)  How much others
 * will use until it matters is predicted from their rate, with some deviations
 * of a Poisson stream on top; it is never more than what the account was seen
 * to use beyond our own.
 *
 * What "reset" means is learned, never assumed:
 *
 *   to full  it is the time in which what is missing flows back: a bucket
 *   fixed    it is an instant that stays until it has passed, and then the
 *            count starts anew: a window with known bounds, so that only the
 *            time up to its end is uncertain
 *   sliding  it moves with every call
 *
 * A count that stays to the unit while our own calls come and go is an old one
 * told again: it is as of when it was first told, and no news.
 */
#ifndef SCHEDULER_FOREIGN_H
#define SCHEDULER_FOREIGN_H

#include "foreign_log.h"
#include "pace.h"

#include <sluice/dialect.h>

enum {
	FOREIGN_SIGMA_FULL = 3,  /* of a bucket */
	FOREIGN_SIGMA_FIXED = 3, /* where only a window's end does */
	FOREIGN_SAMPLES = 10,
	FOREIGN_MOVES = 3,
	FOREIGN_SPAN_PART = 4, /* of the window: so long must it look like it */
	FOREIGN_SPARE_PART = 20,   /* of the limit: what may go unseen */
	FOREIGN_STUCK_PART = 10,   /* of it: so much no count sleeps through, */
	FOREIGN_STUCK_MIN = 2,     /* or more than so many units */
	FOREIGN_AHEAD_US = 500000, /* so far ahead calls are planned */
};
#define FOREIGN_SIGMA 2.5 /* where any moment counts */

enum foreign_reset {
	FOREIGN_UNKNOWN,
	FOREIGN_TO_FULL,
	FOREIGN_FIXED,
	FOREIGN_SLIDING,
};

/* The instant that a reset means, counted from the call or from its answer. */
struct foreign_instant {
	int stays;        /* readings that agree on it */
	int strays;       /* the last ones that do not */
	int64_t stray_us; /* the first of these */
	int64_t since_us; /* the first that agreed */
	int moves;        /* times that it did not stay long, in a row */
	bool rolled;      /* at its end the count fell, as it should */
	int64_t peak;     /* of used since then */
	int64_t end_us;   /* the instant, or a window later */
	double wobble_us; /* how far readings are from it */
};

struct foreign_most {
	int64_t used;   /* by everybody */
	int64_t own;    /* of it */
	int64_t others; /* most of them, when that was */
};

struct foreign { /* zeroed knows nothing */
	enum foreign_reset reset;
	int full;        /* readings in a row that look like it */
	int64_t full_us; /* the first of them came */
	struct foreign_instant sent, answered;
	bool by_sending;  /* the first is right */
	int64_t end_us;   /* of a fixed window, as calls are counted in it */
	int64_t later_us; /* it may be so much later, if that is the answer's */
	int took;
	double took_us, took_wobble_us; /* so many answers, to come */
	int falls; /* of the count at the first, less those elsewhere */
	int64_t heard_us, heard_used; /* the last reading, for falls */
	int64_t newest_us; /* the call sent last whose answer was heard */
	/* the same, but for those at a window's end */
	int64_t sent_us;
	int64_t used;  /* of the limit then, by everybody */
	int64_t units; /* of it others', in the window it stood in */
	/* the sum for the call's sending, and for its answer; how they waver */
	int64_t sent_units, late_units;
	double wavers, late_wavers;
	int compared;
	bool late;         /* the answer's is right */
	bool raw_of_late;  /* the one below is it */
	bool raw_of_fixed; /* in a window with known bounds */
	int64_t raw_units; /* of the last reading, below 0 too */
	/* The same count again and again: its first, with our own units and
	 * others' then. */
	int64_t same_used, same_own, same_units;
	bool stuck;             /* it is no news */
	int64_t trusted_us;     /* it is, until then, for one was refused */
	struct foreign_log log; /* of a window that slides */
	double rate;            /* others' units per microsecond */
	double weight;   /* of rate: time it was learned over, us, fading */
	int64_t seen_us; /* units were last more than noise */
	/* in this window's time, since most_us, and in the ones before */
	struct foreign_most most, most_was, most_older;
	int64_t most_us;
	int most_known; /* windows' times that are over */
};

/* One reading of the limit that p paces; limit and remaining are known. */
void foreign_seen(struct foreign *f, const struct pace *p,
    const struct dialect_reading *said, int64_t sent_us, int64_t answered_us);

/* Before a plan: what p should keep free. */
void foreign_room(const struct foreign *f, const struct pace *p, int64_t now_us,
    struct pace_others *out);

/* A call was refused: others may be what keeps a count full.  Before it is
 * asked whether the refusal may be theirs. */
void foreign_refused(struct foreign *f, const struct pace *p, int64_t now_us);

/* Others use the limit: a refusal may be theirs. */
bool foreign_active(const struct foreign *f, int64_t now_us);

const char *foreign_reset_name(enum foreign_reset r); /* NULL: not known */

#endif
