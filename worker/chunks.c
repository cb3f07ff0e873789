#include "chunks.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct chunk_wait {
	struct chunk_wait *next;
	chunk_ready ready;
	void *arg;
};

struct chunks {
	struct db *db;
	struct chunk *newest;
	size_t bytes;
};

static int32_t
at(const struct buf *b, int index)
{
	assert(index >= 1 && (size_t)index * sizeof(int32_t) <= b->n);
	return ((const int32_t *)b->p)[index - 1];
}

struct slice
chunk_custom_id(const struct chunk *chunk, int index)
{
	return (struct slice){ chunk->bytes.p + at(&chunk->id_at, index),
		(size_t)at(&chunk->id_len, index) };
}

struct slice
chunk_body(const struct chunk *chunk, int index)
{
	return (struct slice){ chunk->bytes.p + at(&chunk->body_at, index),
		(size_t)at(&chunk->body_len, index) };
}

size_t
chunk_model_quote(const struct chunk *chunk, int index)
{
	return (size_t)(at(&chunk->model_at, index) +
	    at(&chunk->model_len, index) - 1 - at(&chunk->body_at, index));
}

struct chunks *
chunks_new(struct db *db)
{
	struct chunks *c = xcalloc(1, sizeof(*c));

	c->db = db;
	return c;
}

static void
chunk_free(struct chunk *k)
{
	k->owner->bytes -= k->bytes.n;
	buf_fini(&k->bytes);
	buf_fini(&k->id_at);
	buf_fini(&k->id_len);
	buf_fini(&k->body_at);
	buf_fini(&k->body_len);
	buf_fini(&k->model_at);
	buf_fini(&k->model_len);
	free(k);
}

/* Forget unused chunks, oldest first, until the rest fits; failed ones all. */
static void
trim(struct chunks *c)
{
	struct chunk **at_ = &c->newest, **oldest, *k;

	while ((k = *at_) != NULL) {
		if (k->users == 0 && k->failed) {
			*at_ = k->next;
			chunk_free(k);
		} else {
			at_ = &k->next;
		}
	}
	while (c->bytes > CHUNKS_BYTES_MAX) {
		oldest = NULL;
		for (at_ = &c->newest; *at_ != NULL; at_ = &(*at_)->next)
			if ((*at_)->users == 0)
				oldest = at_;
		if (oldest == NULL)
			return;
		k = *oldest;
		*oldest = k->next;
		chunk_free(k);
	}
}

void
chunks_free(struct chunks *c)
{
	for (struct chunk *k = c->newest; k != NULL; k = c->newest) {
		assert(k->users == 0);
		c->newest = k->next;
		chunk_free(k);
	}
	free(c);
}

static void
tell(struct chunk *k)
{
	struct chunk_wait *w = k->waiting, *next, *first = NULL;

	k->waiting = NULL;
	for (; w != NULL; w = next) { /* in the order they came */
		next = w->next;
		w->next = first;
		first = w;
	}
	for (w = first; w != NULL; w = next) {
		next = w->next;
		w->ready(k, w->arg);
		free(w);
	}
}

static void
chunk_on_read(struct db_result *res, void *arg)
{
	struct chunk *k = arg;
	struct chunks *c = k->owner;
	bool ok = db_rc(res) == SLC_OK && db_rows(res, 0) == 1;

	if (ok) {
		struct slice bytes = db_slice(res, 0, 0, 0);

		buf_add(&k->bytes, bytes.p, bytes.n);
		k->lines = db_ints(res, 0, 0, 1, &k->id_at, 0);
		db_ints(res, 0, 0, 2, &k->id_len, 0);
		db_ints(res, 0, 0, 3, &k->body_at, 0);
		db_ints(res, 0, 0, 4, &k->body_len, 0);
		db_ints(res, 0, 0, 5, &k->model_at, 0);
		db_ints(res, 0, 0, 6, &k->model_len, 0);
		c->bytes += k->bytes.n;
	}
	k->loaded = ok;
	k->failed = !ok;
	tell(k);
	chunk_drop(k);
}

void
chunks_hold(struct chunks *c, struct slice day, int64_t id, struct chunk **held,
    chunk_ready ready, void *arg)
{
	struct chunk_wait *wait;
	struct chunk **at_, *k;

	for (at_ = &c->newest; (k = *at_) != NULL; at_ = &k->next)
		if (k->id == id && !k->failed)
			break;
	if (k != NULL) {
		*at_ = k->next;
	} else {
		k = xcalloc(1, sizeof(*k));
		k->owner = c;
		k->id = id;
		k->users = 1; /* while it loads */
		snprintf(k->day, sizeof(k->day), "%.*s", (int)day.n, day.p);
		db_run(c->db, chunk_on_read, k, STMT_RUN_CHUNK, k->day, k->id);
	}
	k->next = c->newest;
	c->newest = k;
	k->users++;
	*held = k;
	if (k->loaded) {
		ready(k, arg);
		return;
	}
	wait = xcalloc(1, sizeof(*wait));
	wait->ready = ready;
	wait->arg = arg;
	wait->next = k->waiting;
	k->waiting = wait;
}

void
chunk_drop(struct chunk *k)
{
	struct chunks *c = k->owner;

	assert(k->users > 0);
	if (--k->users == 0)
		trim(c);
}
