#include <sluice/db.h>

#include <assert.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/log.h>

#include "db_call.h"
#include "db_value.h"

enum {
	DB_RETRY_MIN_MS = 100,
	DB_RETRY_MAX_MS = 2000,
	DB_TICK_MS = 200,
	DB_LOG_MS = 30000, /* a database that stays away is told so often */
	DB_CALL_MAX_MS = 75000, /* above the roles' statement_timeout */
};

enum conn_state {
	CONN_DOWN,
	CONN_CONNECTING,
	CONN_IDLE,
	CONN_BUSY,
	CONN_STATES
};

struct conn {
	struct db *db;
	enum conn_state state;
	PGconn *pg;
	uv_poll_t *poll; /* a fresh one for each socket */
	uv_work_t work;
	char *trouble; /* of a connect that failed, from the thread */
	struct db_call *call;
	struct db_result res; /* of call, as it arrives */
	int64_t since_ms;     /* the call was sent */
	int64_t retry_at_ms;
	int64_t retry_ms;
};

struct db {
	uv_loop_t *loop;
	uv_timer_t tick;
	char *dsn, *program, *role;
	int64_t wait_ms;
	int nconns, up;
	struct conn *conns;
	struct db_call *first, **last;
	int waiting;
	struct db_call *too_long; /* to be told so at the next tick */
	char trouble[200];
	int64_t log_at_ms;
	bool closing;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

static void db_pump(struct db *db);
static void conn_on_poll(uv_poll_t *poll, int status, int events);

static void
call_finish(struct db_call *call, struct db_result *res)
{
	if (call->done != NULL)
		call->done(res, call->arg);
	db_result_fini(res);
	db_call_free(call);
}

static void
call_fail(struct db_call *call, const char *why, bool unknown)
{
	struct db_result res = {
		.rc = SLC_EDB, .status = 503, .unknown = unknown
	};

	snprintf(res.message, sizeof(res.message), "%s", why);
	call_finish(call, &res);
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
		call_finish(call, &res);
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
	db->waiting++;
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

/* Connections ---------------------------------------------------------- */

static void
conn_set(struct conn *c, enum conn_state next)
{
	static const unsigned legal[CONN_STATES] = {
		[CONN_DOWN] = 1u << CONN_CONNECTING,
		[CONN_CONNECTING] = 1u << CONN_IDLE | 1u << CONN_DOWN,
		[CONN_IDLE] = 1u << CONN_BUSY | 1u << CONN_DOWN,
		[CONN_BUSY] = 1u << CONN_IDLE | 1u << CONN_DOWN,
	};
	bool was_up = c->state >= CONN_IDLE;

	assert(legal[c->state] & 1u << next);
	c->state = next;
	c->db->up += (next >= CONN_IDLE) - was_up;
}

static void
conn_on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static void
conn_drop(struct conn *c)
{
	if (c->poll != NULL) {
		uv_poll_stop(c->poll);
		uv_close((uv_handle_t *)c->poll, conn_on_poll_closed);
		c->poll = NULL;
	}
	/* A connection with an abandoned call is closed, never handed on. */
	PQfinish(c->pg);
	c->pg = NULL;
}

static void
conn_lost(struct conn *c, const char *why)
{
	struct db *db = c->db;
	struct db_call *call = c->call;

	snprintf(db->trouble, sizeof(db->trouble), "%s", why);
	if (!db->closing &&
	    (c->state >= CONN_IDLE ||
		(int64_t)uv_now(db->loop) >= db->log_at_ms)) {
		log_warn("db.lost", "why=\"%s\"", db->trouble);
		db->log_at_ms = (int64_t)uv_now(db->loop) + DB_LOG_MS;
	}
	conn_drop(c);
	conn_set(c, CONN_DOWN);
	c->call = NULL;
	db_result_fini(&c->res);
	c->retry_ms = c->retry_ms == 0 ? DB_RETRY_MIN_MS : c->retry_ms * 2;
	if (c->retry_ms > DB_RETRY_MAX_MS)
		c->retry_ms = DB_RETRY_MAX_MS;
	c->retry_at_ms = (int64_t)uv_now(db->loop) + c->retry_ms;
	if (call != NULL)
		call_fail(call, db->trouble, true);
}

/* In a thread of the pool: name resolution and the handshake may block. */
static void
conn_on_work(uv_work_t *work)
{
	struct conn *c = work->data;
	const char *keys[] = { "dbname", "application_name", "connect_timeout",
		"tcp_user_timeout", "client_encoding", "user", NULL };
	const char *values[] = { c->db->dsn, c->db->program, "10", "20000",
		"UTF8", c->db->role, NULL };

	c->pg = PQconnectdbParams(keys, values, 1);
	if (PQstatus(c->pg) != CONNECTION_OK) {
		c->trouble = xstrdup(PQerrorMessage(c->pg));
		PQfinish(c->pg);
		c->pg = NULL;
	}
}

/* Functions of sql/ warn of what an operator should know. */
static void
conn_on_notice(void *arg, const PGresult *res)
{
	const char *level =
	    PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	(void)arg;
	if (level != NULL && text != NULL && strcmp(level, "WARNING") == 0)
		log_warn("db.warning", "text=\"%s\"", text);
}

static void
conn_on_worked(uv_work_t *work, int status)
{
	struct conn *c = work->data;
	struct db *db = c->db;

	(void)status;
	if (c->pg != NULL && PQsetnonblocking(c->pg, 1) == 0 &&
	    PQenterPipelineMode(c->pg) == 1) {
		c->poll = xcalloc(1, sizeof(*c->poll));
		c->poll->data = c;
		uv_poll_init(db->loop, c->poll, PQsocket(c->pg));
		uv_poll_start(c->poll, UV_READABLE, conn_on_poll);
		PQsetNoticeReceiver(c->pg, conn_on_notice, NULL);
		conn_set(c, CONN_IDLE);
		c->retry_ms = 0;
		log_debug("db.connected", "pid=%d", PQbackendPID(c->pg));
	} else {
		char *nl;

		if (c->trouble != NULL &&
		    (nl = strchr(c->trouble, '\n')) != NULL)
			*nl = '\0';
		conn_lost(c, c->trouble == NULL ? "no memory" : c->trouble);
	}
	free(c->trouble);
	c->trouble = NULL;
	if (db->closing && c->state != CONN_DOWN) {
		conn_drop(c);
		conn_set(c, CONN_DOWN);
	}
	db_pump(db);
}

static void
conn_connect(struct conn *c)
{
	conn_set(c, CONN_CONNECTING);
	c->work.data = c;
	uv_queue_work(c->db->loop, &c->work, conn_on_work, conn_on_worked);
}

/* Send what libpq holds; ask to be told when the socket takes more. */
static bool
conn_flush(struct conn *c)
{
	int left = PQflush(c->pg);

	if (left < 0)
		return false;
	uv_poll_start(c->poll,
	    left > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE, conn_on_poll);
	return true;
}

static bool
conn_send_one(
    struct conn *c, const struct db_call *call, const struct stmt_use *use)
{
	const char *values[DB_PARAMS_MAX];
	int lengths[DB_PARAMS_MAX], formats[DB_PARAMS_MAX];
	Oid types[DB_PARAMS_MAX];

	if (call->prepare_only)
		return PQsendPrepare(c->pg, "", queue_stmts[use->stmt].text, 0,
			   NULL) == 1;
	for (int i = 0; i < use->nparams; i++) {
		values[i] = use->params[i].n < 0
		    ? NULL
		    : call->bytes.p + use->params[i].at;
		lengths[i] = use->params[i].n < 0 ? 0 : use->params[i].n;
		formats[i] = use->params[i].format;
		types[i] = use->params[i].type;
	}
	return PQsendQueryParams(c->pg, queue_stmts[use->stmt].text,
		   use->nparams, types, values, lengths, formats, 1) == 1;
}

static void
conn_send(struct conn *c, struct db_call *call)
{
	const struct stmt_use *uses = (const struct stmt_use *)call->uses.p;

	bool sent = true;

	c->call = call;
	c->since_ms = (int64_t)uv_now(c->db->loop);
	conn_set(c, CONN_BUSY);
	for (size_t i = 0; sent && i < db_call_count(call); i++)
		sent = conn_send_one(c, call, &uses[i]);
	/* A failure waits for the tick: db_send() calls nobody back. */
	if (!sent || PQpipelineSync(c->pg) != 1 || !conn_flush(c))
		c->since_ms = INT64_MIN / 2;
}

/*
 * All results of the call are there.  A connection to a server that was made
 * read-only or is being stopped is of no use: it goes.
 */
static void
conn_done(struct conn *c)
{
	struct db_call *call = c->call;
	struct db_result res = c->res;

	c->call = NULL;
	c->res = (struct db_result){ 0 };
	conn_set(c, CONN_IDLE);
	if (strncmp(res.sqlstate, "57P", 3) == 0 || db_is(&res, "25006"))
		conn_lost(c, res.message);
	call_finish(call, &res);
}

static void
conn_read(struct conn *c)
{
	if (PQconsumeInput(c->pg) != 1) {
		conn_lost(c, PQerrorMessage(c->pg));
		return;
	}
	/* When idle: a notice, or word that the server stops. */
	while (c->state == CONN_BUSY && !PQisBusy(c->pg)) {
		PGresult *pg = PQgetResult(c->pg);

		if (pg == NULL) { /* the end of one statement */
			if (PQstatus(c->pg) != CONNECTION_OK)
				conn_lost(c, PQerrorMessage(c->pg));
		} else if (PQresultStatus(pg) == PGRES_PIPELINE_SYNC) {
			PQclear(pg);
			conn_done(c);
		} else {
			db_result_add(&c->res, pg);
		}
	}
}

static void
conn_on_poll(uv_poll_t *poll, int status, int events)
{
	struct conn *c = poll->data;

	if (status < 0) {
		conn_lost(c, uv_strerror(status));
	} else {
		if (events & UV_READABLE)
			conn_read(c);
		/* The connection may have gone, or be in other hands, by now.
		 */
		if (c->poll == poll && events & UV_WRITABLE && !conn_flush(c))
			conn_lost(c, PQerrorMessage(c->pg));
	}
	db_pump(c->db);
}

/* The pool ------------------------------------------------------------- */

static struct db_call *
db_shift(struct db *db)
{
	struct db_call *call = db->first;

	db->first = call->next;
	if (db->first == NULL)
		db->last = &db->first;
	db->waiting--;
	return call;
}

static void
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
		call_fail(db_shift(db),
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

int
db_waiting(const struct db *db)
{
	return db->waiting;
}

const char *
db_trouble(const struct db *db)
{
	return db->trouble;
}
