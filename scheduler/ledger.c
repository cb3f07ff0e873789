#include "ledger.h"

#include <assert.h>
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
