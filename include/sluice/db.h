/*
 * db - PostgreSQL on a libuv loop: a few connections, calls that queue for one.
 *
 * A call is one transaction: one statement or several, sent together in one
 * pipeline and committed together.  It is either done whole or not at all; when
 * the connection breaks on the way nobody knows which, and SLC_EDB says so.
 * Statements come from queue.h, are unnamed and keep no session state, so that
 * a transaction pooler may stand between.
 */
#ifndef SLUICE_DB_H
#define SLUICE_DB_H

#include <sluice/buf.h>
#include <sluice/queue.h>
#include <sluice/slc.h>
#include <uv.h>

struct db;
struct db_call;
struct db_result;

struct db_opts {
	const char *dsn;     /* libpq's: keywords or a postgresql:// URL */
	const char *program; /* application_name */
	const char *role;    /* user, when the dsn names none; may be NULL */
	int connections;     /* 1..64 */
	int64_t wait_ms;     /* a call waits so long for a connection [5000] */
	/* What several of one database share, so that the log says once that
	 * it is away; starts as 0 and outlives them.  NULL: one by itself. */
	int64_t *quiet_until_ms;
};

/* Once at the start: libpq's own words quote what it cannot read, which may be
 * part of a password. */
enum slc_rc db_dsn_check(const char *dsn, struct slc_err *err);
/* It says as whom; else a role may be put into it. */
bool db_dsn_names_user(const char *dsn);

/* Connects in the background, and again when a connection is lost. */
struct db *db_open(uv_loop_t *loop, const struct db_opts *opts);

/* Waiting calls fail; those sent are abandoned with their connections. */
void db_close(struct db *db, void (*on_closed)(void *arg), void *arg);

bool db_up(const struct db *db); /* at least one connection works */

/* Connections that worked and were lost, so far.  What the database said before
 * may have been undone: another server may be there, which lacks the last of
 * it. */
uint64_t db_losses(const struct db *db);

/* Called with the outcome, once for each call, never from inside db_send(). */
typedef void (*db_done)(struct db_result *res, void *arg);

struct db_call *db_call(struct db *db, db_done done, void *arg);

/*
 * Add a statement; its parameters follow as queue.h's types letters say:
 *   i int64_t (widened ints: cast!)   f double   s const char * (NULL: null)
 *   S struct slice (p NULL: null)     b struct slice as bytea (p NULL: null)
 *   t bool as int                     a const int32_t *, size_t (p NULL: null)
 *   h const int16_t *, size_t         x const struct slice *, size_t: text[]
 *   d like s, but a date              u const char *: 32 hex digits of a uuid
 *   l const int64_t *, size_t: bigint[]
 * All are copied.  A call with more than a gigabyte in one statement fails with
 * SQLSTATE 54000.
 */
void db_add(struct db_call *call, enum stmt stmt, ...);
void db_send(struct db_call *call);

/* db_call, db_add, db_send in one for a single statement. */
#define db_run(db, done, arg, ...)                           \
	do {                                                 \
		struct db_call *c_ = db_call(db, done, arg); \
		db_add(c_, __VA_ARGS__);                     \
		db_send(c_);                                 \
	} while (0)

/* Prepare statements first..last without running them: a misspelt one fails. */
void db_check(
    struct db *db, enum stmt first, enum stmt last, db_done done, void *arg);

/*
 * SLC_OK, or what happened.  Errors raised by sluice.refuse() carry an HTTP
 * status, a code and a parameter; others have status 503 (gone, try again) or
 * 500 (a mistake of ours, logged).
 */
enum slc_rc db_rc(const struct db_result *res);
int db_status(const struct db_result *res);
const char *db_message(const struct db_result *res);
const char *db_code(const struct db_result *res);  /* "" when none */
const char *db_param(const struct db_result *res); /* "" when none */
bool db_is(const struct db_result *res, const char *sqlstate);
/* The first two characters of its SQLSTATE. */
bool db_is_class(const struct db_result *res, const char *class_);
/* Nobody knows whether it committed: the connection broke after it was sent. */
bool db_unknown(const struct db_result *res);

/* Rows and values of statement s (from 0) of the call; valid in the callback.
 */
int db_rows(const struct db_result *res, int s);
bool db_null(const struct db_result *res, int s, int row, int col);
int64_t db_int(const struct db_result *res, int s, int row, int col);
bool db_bool(const struct db_result *res, int s, int row, int col);
struct slice db_slice(const struct db_result *res, int s, int row, int col);
/* Elements of an int[] or smallint[]; NULL elements read as missing.  Appends
 * to out, whose bytes are int32_t; returns their number. */
size_t db_ints(const struct db_result *res, int s, int row, int col,
    struct buf *out, int32_t missing);

#endif
