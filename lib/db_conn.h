/*
 * db_conn - one connection of a pool: it is made, carries a call at a time, and
 * is made again (db.c's own).
 */
#ifndef LIB_DB_CONN_H
#define LIB_DB_CONN_H

#include <libpq-fe.h>
#include <uv.h>

#include "db_call.h"
#include "db_value.h"

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
	int polling;     /* for these events */
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
	struct db_call *too_long; /* to be told so at the next tick */
	char trouble[200];
	int64_t *quiet_until_ms, quiet_alone_ms; /* of the log */
	uint64_t losses;
	bool closing;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

/* Down, and its time has come: connect, in a thread of the pool. */
void conn_connect(struct conn *c);
/* Idle: send a call, which is the connection's until it is finished. */
void conn_send(struct conn *c, struct db_call *call);
/* Up or connecting: down, and its call fails with an outcome that is not known.
 */
void conn_lost(struct conn *c, const char *why);

/* Of db.c: give the calls that wait to the connections that are idle. */
void db_pump(struct db *db);
/* The call's owner is told; the call and what res holds are freed. */
void db_call_finish(struct db_call *call, struct db_result *res);
/* The same, with SLC_EDB.  unknown: it may have happened all the same. */
void db_call_fail(struct db_call *call, const char *why, bool unknown);

#endif
