#include <sluice/db.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/log.h>

#include "db_conn.h"

enum {
	DB_TICK_MS = 200,
	DB_CALL_MAX_MS = 75000, /* above the roles' statement_timeout */
};

void
db_call_finish(struct db_call *call, struct db_result *res)
{
	if (call->done != NULL)
		call->done(res, call->arg);
	db_result_fini(res);
	db_call_free(call);
}

void
db_call_fail(struct db_call *call, const char *why, bool unknown)
{
	struct db_result res = {
		.rc = SLC_EDB, .status = 503, .unknown = unknown
	};

	snprintf(res.message, sizeof(res.message), "%s", why);
	db_call_finish(call, &res);
}

/* As the server would say it, but for breaking the connection instead. */
static void
fail_too_long(struct db *db)
{
	struct db_call *call, *next = db->too_long;

	db->too_long = NULL;
	while ((call = next) != NULL) {
		struct db_result res = { .rc = SLC_EIO,
			.status = 500,
			.sqlstate = "54000",
			.message = "a statement has too many bytes" };

		next = call->next;
		log_error("db.error", "sqlstate=%s message=\"%s\"",
		    res.sqlstate, res.message);
		db_call_finish(call, &res);
	}
}

void
db_send(struct db_call *call)
{
	struct db *db = call->db;

	assert(db_call_count(call) > 0);
	if (call->too_long) {
		call->next = db->too_long;
		db->too_long = call;
		return;
	}
	call->since_ms = (int64_t)uv_now(db->loop);
	call->next = NULL;
	*db->last = call;
	db->last = &call->next;
	db_pump(db);
}

void
db_check(
    struct db *db, enum stmt first, enum stmt last, db_done done, void *arg)
{
	struct db_call *call = db_call(db, done, arg);

	call->prepare_only = true;
	for (int s = first; s <= (int)last; s++) {
		struct stmt_use use = { .stmt = (enum stmt)s };

		buf_add(&call->uses, &use, sizeof(use));
	}
	db_send(call);
}

/* The pool ------------------------------------------------------------- */

static struct db_call *
db_shift(struct db *db)
{
	struct db_call *call = db->first;

	db->first = call->next;
	if (db->first == NULL)
		db->last = &db->first;
	return call;
}

void
db_pump(struct db *db)
{
	for (int i = 0; i < db->nconns && db->first != NULL; i++)
		if (db->conns[i].state == CONN_IDLE)
			conn_send(&db->conns[i], db_shift(db));
}

static void
db_on_tick_closed(uv_handle_t *handle)
{
	struct db *db = handle->data;
	void (*on_closed)(void *arg) = db->on_closed;
	void *arg = db->closed_arg;

	free(db->conns);
	free(db->dsn);
	free(db->program);
	free(db->role);
	free(db);
	if (on_closed != NULL)
		on_closed(arg);
}

static void
db_on_tick(uv_timer_t *timer)
{
	struct db *db = timer->data;
	int64_t now_ms = (int64_t)uv_now(db->loop);
	int connecting = 0;

	fail_too_long(db);
	for (int i = 0; i < db->nconns; i++) {
		struct conn *c = &db->conns[i];

		if (c->state == CONN_BUSY &&
		    now_ms - c->since_ms > DB_CALL_MAX_MS)
			conn_lost(c, "no answer");
		if (c->state == CONN_DOWN && !db->closing &&
		    now_ms >= c->retry_at_ms)
			conn_connect(c);
		connecting += c->state == CONN_CONNECTING;
	}
	while (db->first != NULL &&
	    (db->closing || now_ms - db->first->since_ms > db->wait_ms))
		db_call_fail(db_shift(db),
		    db->trouble[0] == '\0' ? "not connected" : db->trouble,
		    false);
	if (db->closing && connecting == 0)
		uv_close((uv_handle_t *)timer, db_on_tick_closed);
}

struct db *
db_open(uv_loop_t *loop, const struct db_opts *opts)
{
	struct db *db = xcalloc(1, sizeof(*db));

	assert(opts->connections >= 1 && opts->connections <= 64);
	db->loop = loop;
	db->dsn = xstrdup(opts->dsn);
	db->program = xstrdup(opts->program);
	if (opts->role != NULL && !db_dsn_names_user(opts->dsn))
		db->role = xstrdup(opts->role);
	db->wait_ms = opts->wait_ms > 0 ? opts->wait_ms : 5000;
	db->quiet_until_ms = opts->quiet_until_ms != NULL ? opts->quiet_until_ms
							  : &db->quiet_alone_ms;
	db->last = &db->first;
	db->nconns = opts->connections;
	db->conns = xcalloc((size_t)db->nconns, sizeof(*db->conns));
	for (int i = 0; i < db->nconns; i++) {
		db->conns[i].db = db;
		conn_connect(&db->conns[i]);
	}
	uv_timer_init(loop, &db->tick);
	db->tick.data = db;
	uv_timer_start(&db->tick, db_on_tick, DB_TICK_MS, DB_TICK_MS);
	return db;
}

void
db_close(struct db *db, void (*on_closed)(void *arg), void *arg)
{
	db->closing = true;
	db->on_closed = on_closed;
	db->closed_arg = arg;
	for (int i = 0; i < db->nconns; i++)
		if (db->conns[i].state >= CONN_IDLE)
			conn_lost(&db->conns[i], "closed");
	uv_timer_start(&db->tick, db_on_tick, 0, 20);
}

bool
db_up(const struct db *db)
{
	return db->up > 0;
}

uint64_t
db_losses(const struct db *db)
{
	return db->losses;
}
