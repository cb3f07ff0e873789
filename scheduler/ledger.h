/*
 * ledger - what one limit has granted lately, and when there is room again.
 *
 * Pure.  Times are microseconds of the database's clock, units are whatever the
 * limit counts.  Grants are kept in cells of time; each is recorded at the
 * latest moment its line may leave.  The rule: a send at s is free when all
 * grants recorded after s - span, those in the future included, and its own
 * units are at most the amount.  So no closed window of span, wherever it lies,
 * can hold more than the amount.
 */
#ifndef SCHEDULER_LEDGER_H
#define SCHEDULER_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_NEVER INT64_MAX

struct ledger_cell {
	int64_t cell; /* covers [cell * width, (cell + 1) * width) */
	int64_t units;
	bool dirty; /* differs from what was last written */
};

struct ledger {
	int64_t width_us;
	int64_t span_us; /* a grant counts until its cell's start + span */
	int64_t total;   /* units of all cells */
	struct ledger_cell *cells; /* ascending, none empty unless dirty */
	size_t first, n, cap;
	bool dirty;
};

/* A 1200th of the window, 5 ms at least; sluice.cell_us() has the same rule. */
int64_t ledger_width_us(int64_t window_us);

void ledger_init(struct ledger *l, int64_t window_us, int64_t span_us);
void ledger_fini(struct ledger *l);

/* Add units (negative: take back, never below 0) to the cell of at_us. */
void ledger_add(struct ledger *l, int64_t at_us, int64_t units);

/* Drop what no send from now_us on can meet again. */
void ledger_expire(struct ledger *l, int64_t now_us);

/*
 * The earliest time >= from_us at which units fit under amount; LEDGER_NEVER
 * when units > amount.
 */
int64_t ledger_earliest(
    const struct ledger *l, int64_t amount, int64_t units, int64_t from_us);

/*
 * Where to make room for units under amount: the time in [from_us, until_us] at
 * which they fit when smaller sends take all room but that, with the least room
 * idle before; the first at which that is at most idle (units x microseconds).
 * Room of less than spare at from_us is idle anyhow.  LEDGER_NEVER: at none;
 * until_us with again: room that is free now had better be used first.
 */
struct ledger_want {
	int64_t amount, units, spare;
	int64_t from_us, until_us;
	double idle;
	bool again; /* what is free now may be used first, and come again */
};
int64_t ledger_gap(const struct ledger *l, const struct ledger_want *want);

/* Units that count against a send at at_us. */
int64_t ledger_used(const struct ledger *l, int64_t at_us);

/* Units recorded in the cells that begin in [from_us, to_us). */
int64_t ledger_between(const struct ledger *l, int64_t from_us, int64_t to_us);

/* As written in the database: set, and no longer dirty. */
void ledger_load(struct ledger *l, int64_t cell, int64_t units);

/*
 * The next dirty cell from *i on (start with 0), marked clean; NULL when there
 * is none.
 */
const struct ledger_cell *ledger_flush(struct ledger *l, size_t *i);

#endif
