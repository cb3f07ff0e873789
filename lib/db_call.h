/*
 * db_call - a call while it waits: statements and their encoded parameters
 * (db.c's own).
 */
#ifndef LIB_DB_CALL_H
#define LIB_DB_CALL_H

#include <libpq-fe.h>
#include <sluice/db.h>

enum {
	DB_PARAMS_MAX = 24,
	DB_STATEMENTS_MAX = 4096, /* of one call */
	DB_STATEMENT_BYTES = 1000
	    << 20, /* PostgreSQL takes no message of 1 GB */
};

struct stmt_use {
	enum stmt stmt;
	int nparams;
	struct {
		size_t at; /* in the call's bytes */
		int n;     /* -1: null */
		int format;
		Oid type;
	} params[DB_PARAMS_MAX];
};

struct db_call {
	struct db *db;
	struct db_call *next;
	db_done done;
	void *arg;
	bool prepare_only;
	bool too_long;    /* some statement: it is not sent */
	int64_t since_ms; /* it was queued */
	struct buf bytes;
	struct buf uses; /* struct stmt_use[] */
};

size_t db_call_count(const struct db_call *call); /* statements */
void db_call_free(struct db_call *call);

#endif
