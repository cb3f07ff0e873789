#include "db_value.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/log.h>

/* Type numbers of pg_type.dat; they never change. */
enum {
	OID_BOOL = 16,
	OID_BYTEA = 17,
	OID_INT8 = 20,
	OID_INT2 = 21,
	OID_INT4 = 23,
	OID_TEXT = 25,
	OID_FLOAT8 = 701,
	OID_INT2S = 1005,
	OID_INT4S = 1007,
	OID_TEXTS = 1009,
	OID_INT8S = 1016,
};

static void
put_be32(struct buf *b, uint32_t v)
{
	v = htobe32(v);
	buf_add(b, &v, sizeof(v));
}

/* Integers go as text: the function's parameter may be any integer type. */
void
db_put_int(struct db_value *v, int64_t i)
{
	buf_addf(v->bytes, "%lld", (long long)i);
}

void
db_put_double(struct db_value *v, double f)
{
	buf_addf(v->bytes, "%.17g", f);
	v->type = OID_FLOAT8;
}

void
db_put_bool(struct db_value *v, int t)
{
	buf_adds(v->bytes, t ? "t" : "f");
	v->type = OID_BOOL;
}

void
db_put_text(struct db_value *v, struct slice s)
{
	v->null = s.p == NULL;
	buf_add(v->bytes, s.p, s.n);
}

void
db_put_bytea(struct db_value *v, struct slice s)
{
	v->null = s.p == NULL;
	v->format = 1;
	v->type = OID_BYTEA;
	buf_add(v->bytes, s.p, s.n);
}

/* One-dimensional array: dimensions, has-null flag, type, length, lower bound.
 */
static void
put_array_head(struct db_value *v, Oid element, size_t n)
{
	v->format = 1;
	put_be32(v->bytes, n > 0 ? 1 : 0);
	put_be32(v->bytes, 0);
	put_be32(v->bytes, element);
	if (n > 0) {
		put_be32(v->bytes, (uint32_t)n);
		put_be32(v->bytes, 1);
	}
}

void
db_put_int4s(struct db_value *v, const int32_t *p, size_t n)
{
	v->type = OID_INT4S;
	v->null = p == NULL;
	if (p == NULL)
		return;
	put_array_head(v, OID_INT4, n);
	for (size_t i = 0; i < n; i++) {
		put_be32(v->bytes, 4);
		put_be32(v->bytes, (uint32_t)p[i]);
	}
}

void
db_put_int2s(struct db_value *v, const int16_t *p, size_t n)
{
	v->type = OID_INT2S;
	v->null = p == NULL;
	if (p == NULL)
		return;
	put_array_head(v, OID_INT2, n);
	for (size_t i = 0; i < n; i++) {
		uint16_t be = htobe16((uint16_t)p[i]);

		put_be32(v->bytes, 2);
		buf_add(v->bytes, &be, sizeof(be));
	}
}

void
db_put_int8s(struct db_value *v, const int64_t *p, size_t n)
{
	v->type = OID_INT8S;
	v->null = p == NULL;
	if (p == NULL)
		return;
	put_array_head(v, OID_INT8, n);
	for (size_t i = 0; i < n; i++) {
		uint64_t be = htobe64((uint64_t)p[i]);

		put_be32(v->bytes, sizeof(be));
		buf_add(v->bytes, &be, sizeof(be));
	}
}

void
db_put_texts(struct db_value *v, const struct slice *p, size_t n)
{
	v->type = OID_TEXTS;
	v->null = p == NULL;
	if (p == NULL)
		return;
	put_array_head(v, OID_TEXT, n);
	for (size_t i = 0; i < n; i++) {
		put_be32(v->bytes, (uint32_t)p[i].n);
		buf_add(v->bytes, p[i].p, p[i].n);
	}
}

/* Results -------------------------------------------------------------- */

static void
copy_field(char *out, size_t size, const PGresult *pg, int field)
{
	const char *s = PQresultErrorField(pg, field);

	snprintf(out, size, "%s", s == NULL ? "" : s);
}

/* SLnnn is sluice.refuse(); what is left is the server's state or our fault. */
static void
result_fail(struct db_result *res, const PGresult *pg)
{
	/* Classes that pass: no connection, stopped, short of something, read-
	 * only, deadlock, locked, a broken disk. */
	static const char *const gone[] = { "08", "57", "53", "25", "40", "55",
		"58" };

	copy_field(res->sqlstate, sizeof(res->sqlstate), pg, PG_DIAG_SQLSTATE);
	copy_field(
	    res->message, sizeof(res->message), pg, PG_DIAG_MESSAGE_PRIMARY);
	if (strncmp(res->sqlstate, "SL", 2) == 0) {
		copy_field(
		    res->code, sizeof(res->code), pg, PG_DIAG_MESSAGE_DETAIL);
		copy_field(
		    res->param, sizeof(res->param), pg, PG_DIAG_MESSAGE_HINT);
		res->status = atoi(res->sqlstate + 2);
		res->rc = res->status == 503 ? SLC_EDB
		    : res->status == 404     ? SLC_ENOTFOUND
		    : res->status == 409     ? SLC_ECONFLICT
		    : res->status == 410     ? SLC_ELOST
					     : SLC_EINPUT;
		return;
	}
	res->rc = SLC_EIO;
	res->status = 500;
	for (size_t i = 0; i < NITEMS(gone); i++)
		if (db_is_class(res, gone[i])) {
			res->rc = SLC_EDB;
			res->status = 503;
		}
	log_error("db.error", "sqlstate=%s message=\"%s\" where=\"%.300s\"",
	    res->sqlstate, res->message,
	    PQresultErrorField(pg, PG_DIAG_CONTEXT) == NULL
		? ""
		: PQresultErrorField(pg, PG_DIAG_CONTEXT));
}

void
db_result_add(struct db_result *res, PGresult *pg)
{
	ExecStatusType status = PQresultStatus(pg);

	res->pg = xrealloc(res->pg, (size_t)(res->n + 1) * sizeof(*res->pg));
	res->pg[res->n++] = pg;
	if (res->rc == SLC_OK && status != PGRES_TUPLES_OK &&
	    status != PGRES_COMMAND_OK)
		result_fail(res, pg);
}

void
db_result_fini(struct db_result *res)
{
	for (int i = 0; i < res->n; i++)
		PQclear(res->pg[i]);
	free(res->pg);
	*res = (struct db_result){ 0 };
}

enum slc_rc
db_rc(const struct db_result *res)
{
	return res->rc;
}

int
db_status(const struct db_result *res)
{
	return res->rc == SLC_OK ? 200 : res->status;
}

const char *
db_message(const struct db_result *res)
{
	return res->message;
}

const char *
db_code(const struct db_result *res)
{
	return res->code;
}

const char *
db_param(const struct db_result *res)
{
	return res->param;
}

bool
db_is(const struct db_result *res, const char *sqlstate)
{
	return strcmp(res->sqlstate, sqlstate) == 0;
}

bool
db_is_class(const struct db_result *res, const char *class_)
{
	return strncmp(res->sqlstate, class_, 2) == 0;
}

bool
db_unknown(const struct db_result *res)
{
	return res->unknown;
}

int
db_rows(const struct db_result *res, int s)
{
	return s < res->n ? PQntuples(res->pg[s]) : 0;
}

bool
db_null(const struct db_result *res, int s, int row, int col)
{
	return PQgetisnull(res->pg[s], row, col);
}

static int64_t
int_at(const char *p, size_t n)
{
	uint16_t v2;
	uint32_t v4;
	uint64_t v8;

	switch (n) {
	case 1:
		return *p;
	case 2:
		memcpy(&v2, p, 2);
		return (int16_t)be16toh(v2);
	case 4:
		memcpy(&v4, p, 4);
		return (int32_t)be32toh(v4);
	case 8:
		memcpy(&v8, p, 8);
		return (int64_t)be64toh(v8);
	default:
		assert(!"an integer column");
		return 0;
	}
}

int64_t
db_int(const struct db_result *res, int s, int row, int col)
{
	if (db_null(res, s, row, col))
		return 0;
	return int_at(PQgetvalue(res->pg[s], row, col),
	    (size_t)PQgetlength(res->pg[s], row, col));
}

bool
db_bool(const struct db_result *res, int s, int row, int col)
{
	return db_int(res, s, row, col) != 0;
}

struct slice
db_slice(const struct db_result *res, int s, int row, int col)
{
	if (db_null(res, s, row, col))
		return (struct slice){ 0 };
	return (struct slice){ PQgetvalue(res->pg[s], row, col),
		(size_t)PQgetlength(res->pg[s], row, col) };
}

size_t
db_ints(const struct db_result *res, int s, int row, int col, struct buf *out,
    int32_t missing)
{
	struct slice a = db_slice(res, s, row, col);
	size_t n;

	if (a.n < 20) /* null or no dimension */
		return 0;
	n = (size_t)int_at(a.p + 12, 4);
	a.p += 20;
	for (size_t i = 0; i < n; i++) {
		int32_t len = (int32_t)int_at(a.p, 4);
		int32_t v =
		    len < 0 ? missing : (int32_t)int_at(a.p + 4, (size_t)len);

		buf_add(out, &v, sizeof(v));
		a.p += 4 + (len < 0 ? 0 : len);
	}
	return n;
}
