/*
 * pace_own - after a refusal: what pace.c asks of pace_refusal.c, which has
 * pace_served(), pace_steady() and pace_refused() of pace.h, too.
 */
#ifndef SCHEDULER_PACE_OWN_H
#define SCHEDULER_PACE_OWN_H

#include "pace.h"

/* Before a plan: a probe that was not refused in time is served, and a ramp
 * comes to its end. */
void pace_recover(struct pace *p, int64_t now_us);

/* The share of full speed at slot_us, (0, 1]. */
double pace_ramp(const struct pace *p, int64_t slot_us);

/* A grant for slot_us: it is the probe, if there is none yet. */
void pace_probe(struct pace *p, int64_t slot_us);

#endif
