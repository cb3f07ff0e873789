/*
 * check - what must hold, looked at with every event.
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "store.h"
#include "upstream.h"

struct check *check_new(struct sim *s);
void check_free(struct check *c);

struct world;

/* A dispatcher has read a look and is about to plan. */
void check_world(struct sim *s, const struct leader *l, const struct world *w);
/* A run was committed, seats were. */
void check_granted(struct sim *s, const struct st_run *run);
void check_seats(struct sim *s, int32_t limit);
/* A call leaves: when its slot was, and for how long. */
void check_sent(
    struct sim *s, struct up_call *call, int64_t slot_us, int64_t keep_us);
/* The upstream spoils it; it is done with it. */
void check_fault(struct sim *s, const struct up_call *call);
void check_ended(struct sim *s, const struct up_call *call);
/* It is at the upstream, which counts it. */
void check_arrived(struct sim *s, const struct up_call *call);
/* So many units of a limit were charged just now. */
void check_charged(struct sim *s, size_t limit, int64_t units);
void check_refused(struct sim *s, size_t limit);
/* The observation that tells of refusals has this id. */
void check_told(struct sim *s, int64_t seen, int64_t until_us);
void check_result(
    struct sim *s, const struct st_lane *lane, const struct st_close *c);
/* A lost worker's run is taken from it. */
void check_orphans(struct sim *s, const struct st_run *run);
/* Something that is no steady state happens now. */
void check_disturbed(struct sim *s);
/* Nothing is out, nothing is to be told: the books must agree. */
void check_idle(struct sim *s);
void check_end(struct sim *s);

#endif
