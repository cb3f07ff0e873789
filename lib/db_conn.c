#include "db_conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/log.h>

enum {
	DB_RETRY_MIN_MS = 100,
	DB_RETRY_MAX_MS = 2000,
	DB_LOG_MS = 30000, /* a database that stays away is told so often */
};

static void conn_on_poll(uv_poll_t *poll, int status, int events);

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

void
conn_lost(struct conn *c, const char *why)
{
	struct db *db = c->db;
	struct db_call *call = c->call;

	db->losses += c->state >= CONN_IDLE;
	snprintf(db->trouble, sizeof(db->trouble), "%s", why);
	if (!db->closing && (int64_t)uv_now(db->loop) >= *db->quiet_until_ms) {
		log_warn("db.lost", "why=\"%s\"", db->trouble);
		*db->quiet_until_ms = (int64_t)uv_now(db->loop) + DB_LOG_MS;
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
		db_call_fail(call, db->trouble, true);
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

/* Starting again costs libuv two system calls, also when nothing differs. */
static void
conn_poll(struct conn *c, int events)
{
	if (events != c->polling)
		uv_poll_start(c->poll, events, conn_on_poll);
	c->polling = events;
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
		c->polling = 0;
		conn_poll(c, UV_READABLE);
		PQsetNoticeReceiver(c->pg, conn_on_notice, NULL);
		conn_set(c, CONN_IDLE);
		c->retry_ms = 0;
		*db->quiet_until_ms = 0;
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

void
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
	conn_poll(c, left > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE);
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

void
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
	db_call_finish(call, &res);
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
