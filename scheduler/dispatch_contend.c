#include "dispatch_order.h"

#include <stdlib.h>

#define OWN_BOOK INT64_MAX

struct fair_book *
dispatch_book(struct dispatch *d, int64_t id, int64_t now_us)
{
	struct fair_book *b;

	for (size_t i = 0; i < d->nbooks; i++)
		if (d->books[i]->id == id)
			return d->books[i];
	b = xcalloc(1, sizeof(*b));
	b->id = id;
	b->now_us = now_us;
	d->books = xrealloc(d->books, (d->nbooks + 1) * sizeof(*d->books));
	d->books[d->nbooks++] = b;
	return b;
}

void
dispatch_books_drop(struct dispatch *d, int64_t now_us)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->nbooks; i++) {
		struct fair_book *b = d->books[i];

		if (b->now_us > now_us - DISPATCH_BOOK_US) {
			d->books[kept++] = b;
			continue;
		}
		for (size_t k = 0; k < d->nmodels; k++)
			if (d->models[k]->book == b)
				d->models[k]->book = NULL;
		fair_fini(b);
		free(b);
	}
	d->nbooks = kept;
}

static size_t
root_of(const struct dispatch *d, size_t model)
{
	while (d->models[model]->joins != model)
		model = d->models[model]->joins;
	return model;
}

/* The model contends for what others do: one book for all of them. */
static void
join(struct dispatch *d, size_t model, size_t *joins, int64_t key)
{
	size_t a = root_of(d, model), b;

	if (*joins == 0)
		*joins = model + 1;
	b = root_of(d, *joins - 1);
	if (d->models[b]->key < d->models[a]->key) {
		size_t swap = a;

		a = b;
		b = swap;
	}
	d->models[b]->joins = a;
	if (key < d->models[a]->key)
		d->models[a]->key = key;
}

static void
join_flow(struct dispatch *d, size_t model, const struct dispatch_flow *f,
    int64_t since_us)
{
	for (size_t i = 0; i < f->nrates; i++)
		if (f->rates[i]->contended_us > since_us)
			join(d, model, &f->rates[i]->joins, f->rates[i]->id);
	for (size_t i = 0; i < f->nseats; i++)
		if (f->seats[i]->contended_us > since_us)
			join(d, model, &f->seats[i]->joins, f->seats[i]->id);
	if (f->path->contended_us > since_us)
		join(d, model, &f->path->joins, -f->path_id);
}

bool
dispatch_books_find(struct dispatch *d, int64_t now_us)
{
	bool changed = false;

	for (size_t i = 0; i < d->nmodels; i++)
		d->models[i]->waits = false;
	for (size_t i = 0; i < d->nlanes; i++)
		d->lanes[i]->of->waits |= dispatch_lane_has(d->lanes[i]);
	for (size_t i = 0; i < d->npaths; i++)
		d->paths[i]->joins = 0;
	for (size_t i = 0; i < d->nrates; i++)
		d->rates[i]->joins = 0;
	for (size_t i = 0; i < d->nseats; i++)
		d->seats[i]->joins = 0;
	for (size_t i = 0; i < d->nmodels; i++) {
		struct dispatch_model *m = d->models[i];

		m->joins = i;
		m->key = OWN_BOOK;
		if (m->waits)
			dispatch_model_resolve(d, m);
	}
	for (size_t i = 0; i < d->nmodels; i++)
		for (size_t k = 0;
		     d->models[i]->waits && k < d->models[i]->nflows; k++)
			join_flow(d, i, d->models[i]->flows[k],
			    now_us - DISPATCH_CONTEND_US);
	for (size_t i = 0; i < d->nmodels; i++) {
		struct dispatch_model *m = d->models[i];
		int64_t key = d->models[root_of(d, i)]->key;
		struct fair_book *book;

		if (!m->waits)
			continue;
		book =
		    key == OWN_BOOK ? &m->own : dispatch_book(d, key, now_us);
		changed |= book != m->book;
		m->book = book;
	}
	return changed;
}
