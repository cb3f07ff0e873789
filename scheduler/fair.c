#include "fair.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/buf.h>

static const double class_weight[FAIR_CLASSES] = { 0, 1, 2, 4, 1 };

void
fair_fini(struct fair_book *b)
{
	for (int i = 0; i < FAIR_CLASSES; i++) {
		struct fair_class *c = &b->classes[i];

		for (size_t k = 0; k < c->naccounts; k++)
			free(c->accounts[k]);
		free(c->accounts);
		free(c->heap);
	}
	*b = (struct fair_book){ 0 };
}

/* Accounts --------------------------------------------------------------- */

/* Where the account is, or would be. */
static size_t
account_at(const struct fair_class *c, int64_t id)
{
	size_t from = 0, to = c->naccounts;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (c->accounts[mid]->id < id)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

static struct fair_account *
account_find(const struct fair_class *c, int64_t id)
{
	size_t at = account_at(c, id);

	return at < c->naccounts && c->accounts[at]->id == id ? c->accounts[at]
							      : NULL;
}

static struct fair_account *
account_make(struct fair_class *c, int64_t id)
{
	size_t at = account_at(c, id);
	struct fair_account *a;

	if (at < c->naccounts && c->accounts[at]->id == id)
		return c->accounts[at];
	if (c->naccounts == c->cap) {
		c->cap = c->cap == 0 ? 8 : c->cap * 2;
		c->accounts =
		    xrealloc(c->accounts, c->cap * sizeof(*c->accounts));
	}
	a = xcalloc(1, sizeof(*a));
	a->id = id;
	a->weight = 1;
	memmove(c->accounts + at + 1, c->accounts + at,
	    (c->naccounts - at) * sizeof(*c->accounts));
	c->accounts[at] = a;
	c->naccounts++;
	return a;
}

bool
fair_is_plain(const struct fair_class *c, const struct fair_account *a)
{
	return a->vtime <= c->vtime && !a->waits;
}

/* Who has not waited for long, and is owed and owes nothing. */
static void
class_forget(struct fair_class *c, int64_t now_us)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->naccounts; i++) {
		struct fair_account *a = c->accounts[i];

		a->waits = false;
		if (now_us - a->seen_us > FAIR_FORGET_US && fair_is_plain(c, a))
			free(a);
		else
			c->accounts[kept++] = a;
	}
	c->naccounts = kept;
}

/* The heap --------------------------------------------------------------- */

static bool
before(const struct fair_account *a, const struct fair_account *b)
{
	return a->vtime != b->vtime ? a->vtime < b->vtime : a->id < b->id;
}

static void
heap_down(struct fair_class *c, size_t i)
{
	for (;;) {
		size_t least = i, l = 2 * i + 1, r = l + 1;
		struct fair_account *a = c->heap[i];

		if (l < c->nheap && before(c->heap[l], c->heap[least]))
			least = l;
		if (r < c->nheap && before(c->heap[r], c->heap[least]))
			least = r;
		if (least == i)
			return;
		c->heap[i] = c->heap[least];
		c->heap[least] = a;
		i = least;
	}
}

/* A plan ----------------------------------------------------------------- */

void
fair_begin(struct fair_book *b, int64_t now_us)
{
	b->now_us = now_us;
	for (int i = 1; i < FAIR_CLASSES; i++) {
		b->classes[i].nheap = 0;
		b->classes[i].weights = 0;
		class_forget(&b->classes[i], now_us);
	}
}

void
fair_wants(
    struct fair_book *b, int class, int64_t account, int weight, size_t arg)
{
	struct fair_class *c = &b->classes[class];
	struct fair_account *a = account_make(c, account);

	assert(class >= 1 && class < FAIR_CLASSES && weight >= 1);
	a->weight = weight;
	a->arg = arg;
	a->back = b->now_us - a->seen_us > FAIR_AWAY_US;
	a->waits = true;
	a->seen_us = b->now_us;
	c->weights += weight;
	if (c->nheap == c->heap_cap) {
		c->heap_cap = c->heap_cap == 0 ? 8 : c->heap_cap * 2;
		c->heap = xrealloc(c->heap, c->heap_cap * sizeof(*c->heap));
	}
	c->heap[c->nheap++] = a;
}

/* Lift those who come back; vtime follows those who stayed. */
static void
class_ready(struct fair_class *c)
{
	double least = INFINITY;

	for (size_t i = 0; i < c->nheap; i++)
		if (!c->heap[i]->back)
			least = fmin(least, c->heap[i]->vtime);
	if (isinf(least))
		least = c->vtime;
	for (size_t i = 0; i < c->nheap; i++)
		if (c->heap[i]->back)
			c->heap[i]->vtime = fmax(c->heap[i]->vtime, least);
	for (size_t i = c->nheap / 2; i-- > 0;)
		heap_down(c, i);
}

void
fair_ready(struct fair_book *b)
{
	double least = INFINITY, most = 0;

	for (int i = 1; i < FAIR_CRITICAL; i++) {
		struct fair_class *c = &b->classes[i];

		most = fmax(most, c->pass);
		if (c->nheap > 0 && b->now_us - c->seen_us <= FAIR_AWAY_US)
			least = fmin(least, c->pass);
	}
	/* All come back at once: they begin alike. */
	if (isinf(least))
		least = most;
	for (int i = 1; i < FAIR_CLASSES; i++) {
		struct fair_class *c = &b->classes[i];

		class_ready(c);
		if (c->nheap == 0)
			continue;
		if (b->now_us - c->seen_us > FAIR_AWAY_US) {
			c->pass = fmax(c->pass, least);
			if (i == FAIR_CRITICAL)
				b->lead_us = 0;
		}
		c->seen_us = b->now_us;
	}
}

/* As of the plan's begin. */
static bool
any_waits(const struct fair_book *b)
{
	for (int i = 1; i < FAIR_CRITICAL; i++)
		if (b->classes[i].weights > 0)
			return true;
	return false;
}

static bool
others_wait(const struct fair_book *b)
{
	for (int i = 1; i < FAIR_CRITICAL; i++)
		if (b->classes[i].nheap > 0)
			return true;
	return false;
}

struct fair_account *
fair_next(const struct fair_book *b, int *class)
{
	int best = 0;

	if (b->classes[FAIR_CRITICAL].nheap > 0 &&
	    (b->lead_us < fmax(FAIR_BURST_US, 2 * b->last_us) ||
		!others_wait(b))) {
		*class = FAIR_CRITICAL;
		return b->classes[FAIR_CRITICAL].heap[0];
	}
	/* The higher class of two that are level. */
	for (int i = 1; i < FAIR_CRITICAL; i++)
		if (b->classes[i].nheap > 0 &&
		    (best == 0 || b->classes[i].pass <= b->classes[best].pass))
			best = i;
	*class = best;
	return best == 0 ? NULL : b->classes[best].heap[0];
}

void
fair_done(struct fair_book *b, int class)
{
	struct fair_class *c = &b->classes[class];

	assert(c->nheap > 0);
	c->heap[0] = c->heap[--c->nheap];
	if (c->nheap > 0)
		heap_down(c, 0);
}

void
fair_charge(struct fair_book *b, int class, double limit_us, int64_t tokens)
{
	struct fair_class *c = &b->classes[class];
	struct fair_account *a = c->heap[0];

	c->vtime = fmax(c->vtime, a->vtime);
	a->vtime += (double)tokens / a->weight;
	heap_down(c, 0);
	c->pass += limit_us / class_weight[class];
	if (class != FAIR_CRITICAL) {
		b->lead_us = fmax(0, b->lead_us - limit_us);
		return;
	}
	b->last_us = limit_us;
	if (others_wait(b))
		b->lead_us += limit_us;
}

void
fair_settle(struct fair_book *b, int class, int64_t account, double limit_us,
    int64_t tokens)
{
	struct fair_class *c;
	struct fair_account *a;

	if (class < 1 || class >= FAIR_CLASSES)
		return;
	c = &b->classes[class];
	a = account_find(c, account);
	if (a == NULL)
		return;
	a->vtime += (double)tokens / a->weight;
	c->pass += limit_us / class_weight[class];
	/* What was taken while nobody else waited is no lead. */
	if (b->classes[FAIR_CRITICAL].weights > 0 && any_waits(b))
		b->lead_us = fmax(0,
		    b->lead_us +
			(class == FAIR_CRITICAL ? limit_us : -limit_us));
}

double
fair_share(const struct fair_book *b, int64_t account)
{
	bool critical = b->classes[FAIR_CRITICAL].weights > 0;
	double classes = 0, share = 0;

	for (int i = 1; i < FAIR_CRITICAL; i++)
		if (b->classes[i].weights > 0)
			classes += class_weight[i];
	if (!critical && classes <= 0)
		return 1;
	for (int i = 1; i < FAIR_CLASSES; i++) {
		const struct fair_class *c = &b->classes[i];
		const struct fair_account *a = account_find(c, account);
		double part = 1;

		if (a == NULL || !a->waits)
			continue;
		if (critical && classes > 0)
			part = 0.5;
		if (i != FAIR_CRITICAL)
			part *= class_weight[i] / classes;
		share += part * a->weight / c->weights;
	}
	return share;
}

void
fair_load_class(
    struct fair_book *b, int class, double pass, double vtime, int64_t now_us)
{
	if (class < 1 || class >= FAIR_CLASSES)
		return;
	b->classes[class].pass = pass;
	b->classes[class].vtime = vtime;
	b->classes[class].seen_us = now_us;
}

void
fair_load(struct fair_book *b, int class, int64_t account, double vtime,
    int64_t now_us)
{
	struct fair_account *a;

	if (class < 1 || class >= FAIR_CLASSES)
		return;
	a = account_make(&b->classes[class], account);
	a->vtime = vtime;
	a->seen_us = now_us;
}
