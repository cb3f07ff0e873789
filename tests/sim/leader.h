/*
 * leader - a dispatcher: the loop of scheduler/dispatcher.c around the same
 * pure core, with the store in place of the database.
 *
 * It ticks ten times a second while there is something to do.  In between it
 * sleeps: ticks that would find and change nothing are left out.
 */
#ifndef SIM_LEADER_H
#define SIM_LEADER_H

#include "sim.h"

struct dispatch;

struct leader *leader_new(struct sim *s, int id);
void leader_free(struct leader *l);
int leader_id(const struct leader *l);
bool leader_leads(const struct leader *l);
/* Its state, while it leads; for checks only. */
const struct dispatch *leader_state(const struct leader *l);

/* The store has something that a look would find. */
void leader_news(struct sim *s);

/* The process dies and comes back after a time; or it stops for a time: now,
 * or, the worst moment, between what it saw and what it decides. */
void leader_kill(struct sim *s, struct leader *l, int64_t for_us);
void leader_pause(struct sim *s, struct leader *l, int64_t for_us, bool worst);

#endif
