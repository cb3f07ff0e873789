/*
 * db_value - values to and from PostgreSQL's binary format (db.c's own).
 */
#ifndef LIB_DB_VALUE_H
#define LIB_DB_VALUE_H

#include <libpq-fe.h>
#include <sluice/db.h>

struct db_result {
	enum slc_rc rc;
	int status;
	bool unknown;
	char sqlstate[6];
	char message[400];
	char code[64];
	char param[64];
	PGresult **pg; /* one for each statement */
	int n;
};

/* A parameter: its bytes are appended, the rest says what they are. */
struct db_value {
	struct buf *bytes;
	bool null;
	int format; /* 1: binary */
	Oid type;   /* 0: the server infers it */
};

void db_put_int(struct db_value *v, int64_t i);
void db_put_double(struct db_value *v, double f);
void db_put_bool(struct db_value *v, int t);
void db_put_text(struct db_value *v, struct slice s);
void db_put_bytea(struct db_value *v, struct slice s);
void db_put_int4s(struct db_value *v, const int32_t *p, size_t n);
void db_put_int2s(struct db_value *v, const int16_t *p, size_t n);
void db_put_int8s(struct db_value *v, const int64_t *p, size_t n);
void db_put_texts(struct db_value *v, const struct slice *p, size_t n);

/* Take over pg as the result of the next statement. */
void db_result_add(struct db_result *res, PGresult *pg);
void db_result_fini(struct db_result *res);

#endif
