#include <inttypes.h>
#include <stdlib.h>

#include <sluice/buf.h>
#include <sluice/log.h>

#include "admit_own.h"

static void read_next(struct admit *a);

static struct admit_counter *
counter_use(struct admit *a, const struct admit_limit *l)
{
	struct admit_counter *c;
	struct buf id = { 0 };

	buf_addf(&id, "%" PRId32 " %s", l->id, l->subject);
	HASH_FIND(hh, a->counters, id.p, id.n, c);
	if (c == NULL) {
		c = xcalloc(1, sizeof(*c));
		c->id = id.p; /* moved */
		HASH_ADD_KEYPTR(hh, a->counters, c->id, id.n, c);
		id = (struct buf){ 0 };
	}
	c->refs++;
	buf_fini(&id);
	return c;
}

static void
counter_drop(struct admit *a, struct admit_counter *c)
{
	if (--c->refs > 0)
		return;
	HASH_DEL(a->counters, c);
	free(c->id);
	free(c);
}

/* NULL: not what door_limits() says. */
static struct admit_read *
read_new(struct admit *a, struct slice json)
{
	struct admit_read *r = xcalloc(1, sizeof(*r));

	if (!admit_limits_read(json, &r->limits)) {
		free(r);
		return NULL;
	}
	r->refs = 1;
	r->era = a->reading_era;
	r->counters = xcalloc(r->limits.n + 1, sizeof(*r->counters));
	for (size_t i = 0; i < r->limits.n; i++)
		r->counters[i] = counter_use(a, &r->limits.v[i]);
	return r;
}

void
admit_read_drop(struct admit *a, struct admit_read *r)
{
	if (r == NULL || --r->refs > 0)
		return;
	for (size_t i = 0; i < r->limits.n; i++)
		counter_drop(a, r->counters[i]);
	free(r->counters);
	admit_limits_fini(&r->limits);
	free(r);
}

static void
known_free(struct admit *a, struct admit_known *k)
{
	HASH_DEL(a->known, k);
	admit_read_drop(a, k->read);
	free(k->id);
	free(k->model);
	free(k->resource);
	free(k);
}

void
admit_known_free(struct admit *a)
{
	struct admit_known *k, *next;

	HASH_ITER (hh, a->known, k, next)
		known_free(a, k);
}

/* Callers may name models at will: what nobody waits for goes. */
static void
make_room(struct admit *a)
{
	struct admit_known *k, *next;

	if (HASH_COUNT(a->known) < ADMIT_KNOWN_MAX)
		return;
	HASH_ITER (hh, a->known, k, next)
		if (k->uses == 0 && !k->asked && k->refused == 0)
			known_free(a, k);
}

struct admit_known *
admit_known(struct admit *a, const struct admit_ask *ask)
{
	struct admit_known *k;
	struct buf id = { 0 };

	buf_addf(&id, "%" PRId64 " %s %s", ask->key, ask->resource, ask->model);
	HASH_FIND(hh, a->known, id.p, id.n, k);
	if (k != NULL) {
		buf_fini(&id);
		return k;
	}
	make_room(a);
	k = xcalloc(1, sizeof(*k));
	k->account = ask->account;
	k->key = ask->key;
	k->model = xstrdup(ask->model);
	k->resource = xstrdup(ask->resource);
	k->id = id.p; /* moved */
	HASH_ADD_KEYPTR(hh, a->known, k->id, id.n, k);
	return k;
}

/* What was read for k is there, or it cannot be had: r NULL. */
static void
known_resolve(struct admit *a, struct admit_known *k, struct admit_read *r)
{
	static const struct admit_answer no_model = {
		.verdict = ADMIT_NO_MODEL,
	};
	struct admit_queue waits = k->waits;
	struct admit_wait *w;

	k->asked = false;
	k->waits = (struct admit_queue){ 0 };
	admit_read_drop(a, k->read);
	k->read = NULL;
	if (r == NULL) {
		admit_end_db(a, &waits);
		return;
	}
	if (r->limits.served) {
		k->read = r;
		while ((w = admit_pop(&waits)) != NULL)
			admit_enlist(a, w);
		return;
	}
	/* Not kept: a path that comes to serve it is no news to callers. */
	while ((w = admit_pop(&waits)) != NULL)
		admit_end(a, w, &no_model);
	admit_read_drop(a, r);
}

static void
admit_on_read(struct db_result *res, void *arg)
{
	struct admit *a = arg;
	size_t n = a->nreading;
	struct admit_known *list[ADMIT_LOAD_MAX];
	struct admit_read *read[ADMIT_LOAD_MAX] = { 0 };

	for (size_t i = 0; i < n; i++) {
		list[i] = a->reading[i];
		if (db_rc(res) != SLC_OK)
			continue;
		read[i] = read_new(a, db_slice(res, (int)i, 0, 0));
		if (read[i] == NULL)
			log_error("door.limits", "key=%" PRId64, list[i]->key);
		else if (read[i]->era == admit_era(a) &&
		    read[i]->limits.revision > a->revision)
			a->revision = read[i]->limits.revision;
	}
	a->nreading = 0;
	for (size_t i = 0; i < n; i++)
		known_resolve(a, list[i], read[i]);
	read_next(a);
	admit_pump(a);
	admit_quiet(a);
}

static void
read_next(struct admit *a)
{
	struct db_call *call;
	struct admit_known *k;

	if (a->nreading > 0 || a->unread == NULL)
		return;
	a->reading_era = admit_era(a);
	call = db_call(a->db, admit_on_read, a);
	while ((k = a->unread) != NULL && a->nreading < ADMIT_LOAD_MAX) {
		a->unread = k->next;
		if (a->unread == NULL)
			a->unread_end = &a->unread;
		a->reading[a->nreading++] = k;
		db_add(call, STMT_DOOR_LIMITS, k->account, k->key, k->model,
		    k->resource);
	}
	a->under_way++;
	db_send(call);
}

bool
admit_is_current(struct admit *a, const struct admit_read *r)
{
	return r->era == admit_era(a) && r->limits.revision == a->revision;
}

void
admit_enlist(struct admit *a, struct admit_wait *w)
{
	struct admit_known *k = w->known;

	if (w->read != NULL)
		a->open--;
	admit_read_drop(a, w->read);
	w->read = NULL;
	if (k->read != NULL && admit_is_current(a, k->read)) {
		w->read = k->read;
		w->read->refs++;
		a->open++;
		admit_push(&a->ready, w);
		return;
	}
	admit_push(&k->waits, w);
	if (!k->asked) {
		k->asked = true;
		k->next = NULL;
		*a->unread_end = k;
		a->unread_end = &k->next;
	}
	read_next(a);
}
