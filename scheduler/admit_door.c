#include <inttypes.h>
#include <stdlib.h>

#include <sluice/buf.h>
#include <sluice/log.h>

#include "admit_own.h"

static void
admit_on_opened(struct db_result *res, void *arg)
{
	struct admit *a = arg;

	a->opening = false;
	if (db_rc(res) == SLC_OK) {
		a->door = db_int(res, 0, 0, 0);
		a->opened++;
		admit_pump(a);
	} else {
		admit_end_db(a, &a->ready);
	}
	admit_quiet(a);
}

void
admit_door_open(struct admit *a)
{
	if (a->opening || a->closing)
		return;
	a->opening = true;
	a->under_way++;
	db_run(a->db, admit_on_opened, a, STMT_DOOR_OPEN, a->name,
	    (int64_t)ADMIT_LEASE_MS);
}

uint64_t
admit_era(struct admit *a)
{
	uint64_t era = a->opened + db_losses(a->db);

	if (a->era != era)
		a->revision = 0; /* the newest may be a lower one now */
	a->era = era;
	return era;
}

static void
admit_on_beat(struct db_result *res, void *arg)
{
	struct admit *a = arg;

	if (db_rc(res) == SLC_OK && !db_bool(res, 0, 0, 0)) {
		log_warn("door.lost", "door=%" PRId64, a->door);
		a->door = 0;
		admit_door_open(a);
	}
	admit_quiet(a);
}

static void
admit_on_told(struct db_result *res, void *arg)
{
	(void)res; /* counts for people: what is lost is lost */
	admit_quiet(arg);
}

/* How many calls were refused since the last time. */
static void
tell_refused(struct admit *a)
{
	struct db_call *call = NULL;
	struct admit_known *k, *next;
	int n = 0;

	HASH_ITER (hh, a->known, k, next) {
		if (k->refused == 0 || n == ADMIT_BATCH_MAX)
			continue;
		if (call == NULL)
			call = db_call(a->db, admit_on_told, a);
		db_add(call, STMT_REFUSED, k->account, k->key, k->model,
		    k->refused, k->resource);
		k->refused = 0;
		n++;
	}
	if (call == NULL)
		return;
	a->under_way++;
	db_send(call);
}

static void
admit_on_tick(uv_timer_t *timer)
{
	struct admit *a = timer->data;

	tell_refused(a);
	if (a->door == 0)
		return;
	a->under_way++;
	db_run(a->db, admit_on_beat, a, STMT_DOOR_BEAT, a->door,
	    (int64_t)ADMIT_LEASE_MS);
}

/* Life -------------------------------------------------------------------- */

struct admit *
admit_new(uv_loop_t *loop, struct db *db, const char *name)
{
	struct admit *a = xcalloc(1, sizeof(*a));

	a->loop = loop;
	a->db = db;
	a->name = xstrdup(name);
	a->unread_end = &a->unread;
	for (size_t i = 0; i < ADMIT_LANES; i++)
		a->lanes[i].a = a;
	uv_timer_init(loop, &a->tick);
	a->tick.data = a;
	uv_timer_start(&a->tick, admit_on_tick, ADMIT_TICK_MS, ADMIT_TICK_MS);
	admit_door_open(a);
	return a;
}

static void
admit_on_tick_closed(uv_handle_t *handle)
{
	struct admit *a = handle->data;
	void (*on_closed)(void *arg) = a->on_closed;
	void *arg = a->closed_arg;

	admit_known_free(a);
	free(a->name);
	free(a);
	on_closed(arg);
}

/* What was let in and is not settled yet stays the door's for a lease: its
 * workers may still be at it. */
void
admit_quiet(struct admit *a)
{
	if (--a->under_way > 0 || !a->closing || a->closed)
		return;
	a->closed = true;
	uv_close((uv_handle_t *)&a->tick, admit_on_tick_closed);
}

void
admit_free(struct admit *a, void (*on_closed)(void *arg), void *arg)
{
	struct admit_known *k, *next;

	a->closing = true;
	a->on_closed = on_closed;
	a->closed_arg = arg;
	admit_end_db(a, &a->ready);
	HASH_ITER (hh, a->known, k, next)
		admit_end_db(a, &k->waits);
	uv_timer_stop(&a->tick);
	a->under_way++;
	tell_refused(a);
	admit_quiet(a);
}
