#include "ledger.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/buf.h>

int64_t
ledger_width_us(int64_t window_us)
{
	int64_t width = window_us / 1200;

	return width < 5000 ? 5000 : width;
}

void
ledger_init(struct ledger *l, int64_t window_us, int64_t span_us)
{
	assert(window_us > 0 && span_us >= window_us);
	*l = (struct ledger){ .width_us = ledger_width_us(window_us),
		.span_us = span_us };
}

void
ledger_fini(struct ledger *l)
{
	free(l->cells);
	*l = (struct ledger){ 0 };
}

static int64_t
cell_of(const struct ledger *l, int64_t at_us)
{
	return at_us / l->width_us;
}

/* The cell's place, made if it is new.  New ones are nearly always the last. */
static struct ledger_cell *
find(struct ledger *l, int64_t cell)
{
	size_t i = l->n;

	while (i > l->first && l->cells[i - 1].cell >= cell)
		i--;
	if (i < l->n && l->cells[i].cell == cell)
		return &l->cells[i];
	if (l->n == l->cap) {
		if (l->first > l->cap / 2) {
			memmove(l->cells, l->cells + l->first,
			    (l->n - l->first) * sizeof(*l->cells));
			i -= l->first;
			l->n -= l->first;
			l->first = 0;
		} else {
			l->cap = l->cap == 0 ? 64 : l->cap * 2;
			l->cells =
			    xrealloc(l->cells, l->cap * sizeof(*l->cells));
		}
	}
	memmove(l->cells + i + 1, l->cells + i, (l->n - i) * sizeof(*l->cells));
	l->n++;
	l->cells[i] = (struct ledger_cell){ .cell = cell };
	return &l->cells[i];
}

void
ledger_add(struct ledger *l, int64_t at_us, int64_t units)
{
	struct ledger_cell *c;

	if (units == 0)
		return;
	c = find(l, cell_of(l, at_us));
	if (c->units + units < 0)
		units = -c->units;
	c->units += units;
	c->dirty = true;
	l->total += units;
	l->dirty = true;
}

void
ledger_expire(struct ledger *l, int64_t now_us)
{
	while (l->first < l->n &&
	    l->cells[l->first].cell * l->width_us + l->span_us <= now_us)
		l->total -= l->cells[l->first++].units;
}

int64_t
ledger_earliest(
    const struct ledger *l, int64_t amount, int64_t units, int64_t from_us)
{
	int64_t counted = l->total, at_us = from_us;

	if (units > amount)
		return LEDGER_NEVER;
	for (size_t i = l->first; i < l->n; i++) {
		int64_t free_us = l->cells[i].cell * l->width_us + l->span_us;

		if (free_us > at_us) {
			if (counted + units <= amount)
				return at_us;
			at_us = free_us;
		}
		counted -= l->cells[i].units;
	}
	return at_us;
}

/* Units that become free, and how long after from_us; beyond the last cell what
 * is free now, which has been used and has left again by then. */
static int64_t
freed(const struct ledger *l, const struct ledger_want *want, size_t i,
    int64_t room, int64_t *at_us)
{
	if (i == l->n) {
		*at_us = want->until_us - want->from_us;
		return room;
	}
	*at_us = l->cells[i].cell * l->width_us + l->span_us - want->from_us;
	return l->cells[i].units;
}

int64_t
ledger_gap(const struct ledger *l, const struct ledger_want *want)
{
	int64_t room = want->amount - ledger_used(l, want->from_us);
	int64_t need = want->units, best_us = LEDGER_NEVER, sum;
	/* What is freed from the oldest up to i, the room there is now first:
	 * its units, and their times weighed by them. */
	int64_t oldest = room, oldest_us = 0;
	size_t old = l->first;
	double moment = 0, best = INFINITY;

	if (room >= need)
		return want->from_us;
	if (room < want->spare) {
		need -= room;
		oldest = room = 0;
	}
	sum = oldest;
	for (size_t i = l->first; i < l->n + want->again; i++) {
		int64_t at_us, units = freed(l, want, i, room, &at_us);
		double idle;

		if (at_us <= 0) {
			old = i + 1;
			continue;
		}
		if (want->from_us + at_us > want->until_us)
			break;
		if (i == l->n && oldest_us == 0) {
			sum -= oldest;
			oldest = 0;
		}
		sum += units;
		moment += (double)units * (double)at_us;
		while (sum - oldest >= need && old <= i) {
			sum -= oldest;
			moment -= (double)oldest * (double)oldest_us;
			oldest = freed(l, want, old++, room, &oldest_us);
		}
		if (sum < need)
			continue;
		idle = (double)need * (double)at_us - moment +
		    (double)(sum - need) * (double)oldest_us;
		if (idle < best) {
			best = idle;
			best_us = want->from_us + at_us;
		}
		if (idle <= want->idle)
			break;
	}
	return best_us;
}

int64_t
ledger_used(const struct ledger *l, int64_t at_us)
{
	int64_t used = 0;

	for (size_t i = l->n; i > l->first; i--) {
		const struct ledger_cell *c = &l->cells[i - 1];

		if (c->cell * l->width_us + l->span_us <= at_us)
			break;
		used += c->units;
	}
	return used;
}

int64_t
ledger_between(const struct ledger *l, int64_t from_us, int64_t to_us)
{
	int64_t units = 0;

	for (size_t i = l->n; i > l->first; i--) {
		const struct ledger_cell *c = &l->cells[i - 1];
		int64_t at_us = c->cell * l->width_us;

		if (at_us < from_us)
			break;
		if (at_us < to_us)
			units += c->units;
	}
	return units;
}

void
ledger_load(struct ledger *l, int64_t cell, int64_t units)
{
	struct ledger_cell *c = find(l, cell);

	l->total += units - c->units;
	c->units = units;
	c->dirty = false;
}

const struct ledger_cell *
ledger_flush(struct ledger *l, size_t *i)
{
	if (!l->dirty)
		return NULL;
	if (*i < l->first)
		*i = l->first;
	while (*i < l->n) {
		struct ledger_cell *c = &l->cells[(*i)++];

		if (c->dirty) {
			c->dirty = false;
			return c;
		}
	}
	l->dirty = false;
	return NULL;
}
