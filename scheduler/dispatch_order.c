#include "dispatch_order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch_offer.h"

void
dispatch_order_fini(struct dispatch *d)
{
	for (size_t i = 0; i < d->nmodels; i++) {
		fair_fini(&d->models[i]->own);
		free(d->models[i]->name);
		free(d->models[i]->flows);
		free(d->models[i]);
	}
	for (size_t i = 0; i < d->nbooks; i++) {
		fair_fini(d->books[i]);
		free(d->books[i]);
	}
	if (d->turns != NULL) {
		free(d->turns->list);
		free(d->turns->lifted);
		free(d->turns->open);
		free(d->turns);
	}
	free(d->models);
	free(d->books);
	free(d->owners);
}

void
dispatch_order_stale(struct dispatch *d)
{
	if (d->turns != NULL)
		d->turns->stale = true;
}

/* The order of lanes ----------------------------------------------------- */

static int
compare(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

static int64_t
book_id(const struct dispatch_lane *lane)
{
	return lane->of->book == NULL ? INT64_MIN : lane->of->book->id;
}

static int
by_turn(const void *a, const void *b)
{
	const struct dispatch_lane *x = *(struct dispatch_lane *const *)a;
	const struct dispatch_lane *y = *(struct dispatch_lane *const *)b;
	int by = compare(book_id(x), book_id(y));

	if (by == 0)
		by = compare(y->priority, x->priority);
	if (by == 0)
		by = compare(x->account, y->account);
	if (by == 0)
		by = compare(x->start, y->start);
	return by != 0 ? by : compare(x->id, y->id);
}

static int
by_deadline(const void *a, const void *b)
{
	const struct dispatch_lane *x = *(struct dispatch_lane *const *)a;
	const struct dispatch_lane *y = *(struct dispatch_lane *const *)b;
	int by = compare(book_id(x), book_id(y));

	if (by == 0)
		by = compare(x->account, y->account);
	if (by == 0)
		by = compare(x->deadline_us, y->deadline_us);
	return by != 0 ? by : compare(x->id, y->id);
}

/* What the lane needs when it gets all that its account may have. */
static void
lane_reckon(struct dispatch_lane *lane, int64_t now_us)
{
	const struct dispatch_queue *q =
	    lane->fresh.first < lane->fresh.n ? &lane->fresh : &lane->again;
	double lines =
	    lane->lines_left + (double)(lane->again.n - lane->again.first);
	double per_s = 0, share;
	size_t alike;

	lane->danger = lane->late = false;
	if (q->first == q->n || lane->of->book == NULL)
		return;
	alike = dispatch_lines_alike(&q->lines[q->first], q->n - q->first);
	for (size_t i = 0; i < lane->of->nflows; i++)
		per_s += dispatch_lines_s(lane->of->flows[i], lane,
		    &q->lines[q->first], alike, now_us);
	share = fair_share(lane->of->book, lane->account);
	lane->need_s = lines / fmax(per_s * share, 1e-6);
}

static int
start_step(double in_us)
{
	return in_us <= 1e6 ? 0
			    : (int)(DISPATCH_START_STEPS * log2(in_us / 1e6));
}

/* Of one account's lanes, by deadline: who is in danger, who cannot be helped.
 * All that are due before one in danger go before it. */
static void
account_reckon(struct dispatch_lane **lanes, size_t n, int64_t now_us)
{
	double sum_us = 0;
	size_t lifted = 0;

	for (size_t i = 0; i < n; i++) {
		struct dispatch_lane *l = lanes[i];
		double left_us = (double)(l->deadline_us - now_us);
		double need_us = l->need_s * 1e6;

		l->late = sum_us + need_us > left_us;
		if (!l->late)
			sum_us += need_us;
		if (!l->late && dispatch_lane_has(l) &&
		    sum_us * 1.1 + DISPATCH_SPARE_US >= left_us)
			lifted = i + 1;
		/* Who is late begins now, and holds up none that must. */
		l->start = l->late
		    ? 0
		    : start_step(left_us - need_us * 1.1 - DISPATCH_SPARE_US);
	}
	for (size_t i = 0; i < lifted; i++)
		lanes[i]->danger = !lanes[i]->late;
}

static void
reckon(struct dispatch *d, int64_t now_us)
{
	struct dispatch_turns *t = d->turns;
	size_t first = 0;

	t->reckoned_us = now_us;
	for (size_t i = 0; i < d->nlanes; i++)
		lane_reckon(d->lanes[i], now_us);
	if (d->nlanes > 1)
		qsort(d->lanes, d->nlanes, sizeof(*d->lanes), by_deadline);
	t->nlifted = 0;
	for (size_t i = 1; i <= d->nlanes; i++) {
		if (i < d->nlanes &&
		    d->lanes[i]->account == d->lanes[first]->account &&
		    book_id(d->lanes[i]) == book_id(d->lanes[first]))
			continue;
		account_reckon(d->lanes + first, i - first, now_us);
		first = i;
	}
	if (t->lifted_cap < d->nlanes) {
		t->lifted_cap = d->nlanes;
		t->lifted =
		    xrealloc(t->lifted, t->lifted_cap * sizeof(*t->lifted));
	}
	for (size_t i = 0; i < d->nlanes; i++)
		if (d->lanes[i]->danger)
			t->lifted[t->nlifted++] = d->lanes[i];
	dispatch_books_drop(d, now_us);
}

/* The lanes in danger that go in the turn's stead: they are together. */
static void
turn_lifts(const struct dispatch_turns *o, struct dispatch_turn *t)
{
	for (size_t i = 0; i < o->nlifted; i++) {
		const struct dispatch_lane *l = o->lifted[i];

		if (l->account != t->account || l->of->book != t->book)
			continue;
		if (t->nlift++ == 0)
			t->lift = i;
	}
}

static void
make_turns(struct dispatch *d)
{
	struct dispatch_turns *o = d->turns;

	o->stale = false;
	o->n = 0;
	if (d->nlanes > 1)
		qsort(d->lanes, d->nlanes, sizeof(*d->lanes), by_turn);
	for (size_t i = 0; i < d->nlanes; i++) {
		const struct dispatch_lane *l = d->lanes[i];
		struct dispatch_turn *t = o->n > 0 ? &o->list[o->n - 1] : NULL;

		if (l->of->book == NULL)
			continue;
		if (t != NULL && t->book == l->of->book &&
		    t->class == l->priority && t->account == l->account) {
			t->n++;
			continue;
		}
		if (o->n == o->cap) {
			o->cap = o->cap == 0 ? 16 : o->cap * 2;
			o->list = xrealloc(o->list, o->cap * sizeof(*o->list));
		}
		t = &o->list[o->n++];
		*t = (struct dispatch_turn){ .book = l->of->book,
			.class = l->priority,
			.account = l->account,
			.weight = l->weight,
			.first = i,
			.n = 1 };
		turn_lifts(o, t);
	}
}

/* A plan ----------------------------------------------------------------- */

/* Some path may take a line of it, as far as its health goes. */
static bool
model_works(const struct dispatch_model *m, int64_t now_us)
{
	for (size_t i = 0; i < m->nflows; i++)
		if (m->flows[i]->paused_us <= now_us &&
		    (m->flows[i]->path->breaker.health != BREAKER_DOWN ||
			m->flows[i]->path->breaker.until_us <= now_us))
			return true;
	return false;
}

/* The limits of its caller let a line of the lane go now. */
static bool
shapes_allow(const struct dispatch_lane *lane, int64_t now_us)
{
	for (size_t i = 0; i < lane->nshapes; i++)
		if (pace_earliest(
			&lane->shapes[i]->pace, 1, now_us + DISPATCH_LEAD_US) >
		    now_us + DISPATCH_HORIZON_US) {
			lane->shapes[i]->waited = true;
			return false;
		}
	return true;
}

/* Who cannot go for reasons of its own does not wait for its turn, and is not
 * owed any. */
static bool
turn_waits(
    const struct dispatch *d, const struct dispatch_turn *t, int64_t now_us)
{
	for (size_t i = t->first; i < t->first + t->n; i++)
		if (dispatch_lane_has(d->lanes[i]) &&
		    model_works(d->lanes[i]->of, now_us) &&
		    shapes_allow(d->lanes[i], now_us))
			return true;
	return false;
}

static void
find_shapes(struct dispatch *d, struct dispatch_lane *lane)
{
	lane->nshapes = 0;
	for (size_t i = 0; i < lane->nshape_ids; i++) {
		struct dispatch_rate *r = dispatch_rate(d, lane->shape_ids[i]);

		if (r != NULL)
			lane->shapes[lane->nshapes++] = r;
	}
}

static void
open_book(struct dispatch_turns *o, struct fair_book *b, int64_t now_us)
{
	if (o->nopen == o->open_cap) {
		o->open_cap = o->open_cap == 0 ? 16 : o->open_cap * 2;
		o->open = xrealloc(o->open, o->open_cap * sizeof(*o->open));
	}
	o->open[o->nopen++] = b;
	b->last_lines = b->lines;
	b->lines = 0;
	fair_begin(b, now_us);
}

void
dispatch_order_begin(struct dispatch *d, int64_t now_us)
{
	struct dispatch_turns *o = d->turns;

	if (o == NULL) {
		o = d->turns = xcalloc(1, sizeof(*o));
		o->stale = true;
	}
	for (size_t i = 0; i < d->nlanes; i++)
		find_shapes(d, d->lanes[i]);
	o->stale |= dispatch_books_find(d, now_us);
	if (o->stale || now_us - o->reckoned_us >= DISPATCH_RECKON_US) {
		reckon(d, now_us);
		make_turns(d);
	}
	for (size_t i = 0; i < d->nlanes; i++) {
		struct dispatch_lane *lane = d->lanes[i];

		lane->over = lane->starved = false;
		lane->at = lane->again.first;
		lane->end = lane->again.n;
		lane->kept = 0;
		lane->move = 0;
		lane->run = NULL;
	}
	o->nopen = o->next = 0;
	for (size_t i = 0; i < o->n; i++) {
		struct dispatch_turn *t = &o->list[i];

		/* Turns of one book stand together. */
		if (i == 0 || t->book != t[-1].book)
			open_book(o, t->book, now_us);
		t->at = 0;
		if (turn_waits(d, t, now_us))
			fair_wants(t->book, t->class, t->account, t->weight, i);
	}
	for (size_t i = 0; i < o->nopen; i++)
		fair_ready(o->open[i]);
}

struct dispatch_turn *
dispatch_order_next(struct dispatch *d)
{
	struct dispatch_turns *o = d->turns;

	while (o->nopen > 0) {
		size_t i = o->next < o->nopen ? o->next : 0;
		const struct fair_account *a;
		int class;

		a = fair_next(o->open[i], &class);
		if (a != NULL) {
			o->next = i + 1;
			return &o->list[a->arg];
		}
		o->open[i] = o->open[--o->nopen];
	}
	return NULL;
}

static bool
model_blocked(const struct dispatch_model *m)
{
	for (size_t i = 0; i < m->nflows; i++)
		if (!m->flows[i]->blocked)
			return false;
	return m->nflows > 0;
}

static bool
lane_goes(struct dispatch_lane *lane)
{
	if (!lane->over && model_blocked(lane->of))
		lane->over = true;
	/* Another of its caller's waits: it keeps its place. */
	for (size_t i = 0; !lane->over && i < lane->nshapes; i++)
		lane->over = lane->shapes[i]->waited;
	return !lane->over;
}

struct dispatch_lane *
dispatch_order_lane(struct dispatch *d, struct dispatch_turn *t)
{
	for (size_t i = t->lift; i < t->lift + t->nlift; i++)
		if (lane_goes(d->turns->lifted[i]))
			return d->turns->lifted[i];
	for (; t->at < t->n; t->at++)
		if (lane_goes(d->lanes[t->first + t->at]))
			return d->lanes[t->first + t->at];
	return NULL;
}
