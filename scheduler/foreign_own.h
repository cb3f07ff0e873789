/*
 * foreign_own - what foreign.c asks of foreign_reset.c, which has
 * foreign_reset_name() of foreign.h, too.
 */
#ifndef SCHEDULER_FOREIGN_OWN_H
#define SCHEDULER_FOREIGN_OWN_H

#include "foreign.h"

enum { FOREIGN_FIXED_PART = 10 /* of the window: so long an instant stays */ };

/* If the count began anew since the call before, which of the instants was
 * that?  For every reading, one without a reset, too. */
void foreign_learn_fall(
    struct foreign *f, const struct pace *p, int64_t used, int64_t sent_us);

/*
 * What does "reset" mean, and where does the window end?  used: units of the
 * limit, by what is said.  True when it is known to be fixed from here on.
 */
bool foreign_learn_reset(struct foreign *f, const struct pace *p,
    const struct dialect_reading *said, int64_t used, int64_t sent_us,
    int64_t answered_us);

#endif
