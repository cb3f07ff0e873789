/*
 * clock - the time that ledgers live in: the database's, without its jumps.
 *
 * Pure.  A window is as long as it is: when the database's clock is set, or
 * another machine's takes its place, the ledgers must not move with it.  Each
 * reading of it is compared with our own monotonic time; what it jumped is made
 * up for by an offset, which is kept in the database.
 */
#ifndef SCHEDULER_CLOCK_H
#define SCHEDULER_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* What a reading may differ by without being a jump. */
#define CLOCK_JUMP_US INT64_C(300000)

struct clock {             /* zeroed: the database's time as it is */
	int64_t offset_us; /* plan time = database time + offset */
	bool changed;      /* the offset, since it was last written */
	bool known;        /* the three below */
	int64_t read_us;   /* the database's time at the last reading */
	int64_t asked_us, heard_us; /* our monotonic time around it */
};

/*
 * The plan's time of a reading of the database's clock that was asked for and
 * heard at these monotonic times.  *jumped_us is what it jumped since the last
 * one, 0: nothing.
 */
int64_t clock_read(struct clock *c, int64_t read_us, int64_t asked_us,
    int64_t heard_us, int64_t *jumped_us);

#endif
