#include <sluice/migrate.h>

#include <libpq-fe.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/buf.h>
#include <sluice/db.h>

enum { MIGRATE_CHECKSUM = 64, MIGRATE_PG_MIN = 150000 };

/*
 * The lock comes before the first look, so that of two at once the second finds
 * what the first has done.  A statement of ours that waits for a busy table
 * would hold up everybody behind it: better fail and be run again.
 */
static const char begin[] = "begin isolation level read committed;"
			    "set local client_min_messages = warning;"
			    "set local search_path = '';"
			    "set local lock_timeout = '20s';"
			    "set local statement_timeout = 0;"
			    "select pg_catalog.pg_advisory_xact_lock(7165903);";

static const char ledger[] = "create schema if not exists sluice;"
			     "create table if not exists sluice.migration ("
			     "name text primary key, checksum text not null,"
			     "applied_at timestamptz not null default now())";

/*
 * Fill err from what PostgreSQL says; file and text place it, if given. SLC_EDB
 * is a lost connection; what has an SQLSTATE is not helped by trying again.
 */
static enum slc_rc
fail(const PGresult *res, const char *file, const char *text,
    struct slc_err *err)
{
	const char *what = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
	const char *at = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
	char place[96] = "";

	if (file != NULL && at != NULL) {
		int line = 1, column = 1;

		/* PostgreSQL counts characters, not bytes. */
		for (long left = atol(at) - 1; left > 0 && *text != '\0';
		     text++) {
			if ((*text & 0xc0) == 0x80)
				continue;
			column = *text == '\n' ? 1 : column + 1;
			line += *text == '\n';
			left--;
		}
		snprintf(
		    place, sizeof(place), "%s:%d:%d: ", file, line, column);
	} else if (file != NULL) {
		snprintf(place, sizeof(place), "%s: ", file);
	}
	if (what == NULL)
		what = PQresultErrorMessage(res);
	return slc_fail(err,
	    PQresultErrorField(res, PG_DIAG_SQLSTATE) != NULL ? SLC_EIO
							      : SLC_EDB,
	    "%s%s%s%s%s", place, what, hint != NULL ? " (" : "",
	    hint != NULL ? hint : "", hint != NULL ? ")" : "");
}

/* Run statements without parameters. */
static enum slc_rc
run(PGconn *pg, const char *text, const char *file, struct slc_err *err)
{
	PGresult *res = PQexec(pg, text);
	ExecStatusType status = PQresultStatus(res);
	enum slc_rc rc = SLC_OK;

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		rc = fail(res, file, text, err);
	PQclear(res);
	return rc;
}

/* Run one statement; its rows, if wanted, are to be cleared by the caller. */
static enum slc_rc
query(PGconn *pg, const char *text, int n, const char *const *values,
    PGresult **rows, struct slc_err *err)
{
	PGresult *res = PQexecParams(pg, text, n, NULL, values, NULL, NULL, 0);
	enum slc_rc rc = SLC_OK;

	if (PQresultStatus(res) != PGRES_TUPLES_OK &&
	    PQresultStatus(res) != PGRES_COMMAND_OK)
		rc = fail(res, NULL, NULL, err);
	if (rc == SLC_OK && rows != NULL)
		*rows = res;
	else
		PQclear(res);
	return rc;
}

/* The first line of libpq's message: it may try several hosts, one a line. */
static enum slc_rc
connect_to(const char *dsn, PGconn **pg, struct slc_err *err)
{
	const char *const names[] = { "dbname", "fallback_application_name",
		"connect_timeout", "client_encoding", NULL };
	const char *const values[] = { dsn, "sluice migrate", "10", "UTF8",
		NULL };
	const char *encoding;

	if (db_dsn_check(dsn, err) != SLC_OK)
		return SLC_EINPUT;
	*pg = PQconnectdbParams(names, values, 1);
	if (PQstatus(*pg) != CONNECTION_OK) {
		const char *why = PQerrorMessage(*pg);

		return slc_fail(
		    err, SLC_EDB, "%.*s", (int)strcspn(why, "\n"), why);
	}
	if (PQserverVersion(*pg) < MIGRATE_PG_MIN)
		return slc_fail(err, SLC_ECONFLICT,
		    "PostgreSQL %d or newer is needed, this is %s",
		    MIGRATE_PG_MIN / 10000,
		    PQparameterStatus(*pg, "server_version"));
	encoding = PQparameterStatus(*pg, "server_encoding");
	if (encoding == NULL || strcmp(encoding, "UTF8") != 0)
		return slc_fail(err, SLC_ECONFLICT,
		    "the database's encoding must be UTF8, not %s",
		    encoding != NULL ? encoding : "unknown");
	return SLC_OK;
}

static void
sha256_hex(const char *text, char out[MIGRATE_CHECKSUM + 1])
{
	unsigned char hash[EVP_MAX_MD_SIZE] = { 0 };

	EVP_Digest(text, strlen(text), hash, NULL, EVP_sha256(), NULL);
	for (size_t i = 0; i < MIGRATE_CHECKSUM / 2; i++)
		snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

/* The checksum a file was applied with; NULL when it never was. */
static const char *
applied(const PGresult *done, const char *name)
{
	for (int i = 0; i < PQntuples(done); i++)
		if (strcmp(PQgetvalue(done, i, 0), name) == 0)
			return PQgetvalue(done, i, 1);
	return NULL;
}

static enum slc_rc
refuse_newer(
    const PGresult *done, const struct embedded *files, struct slc_err *err)
{
	for (int i = 0; i < PQntuples(done); i++) {
		const char *name = PQgetvalue(done, i, 0);
		const struct embedded *f = files;

		while (f->name != NULL && strcmp(f->name, name) != 0)
			f++;
		if (f->name == NULL)
			return slc_fail(err, SLC_ECONFLICT,
			    "the database is newer than this program: it has "
			    "%s, which the program does not know",
			    name);
	}
	return SLC_OK;
}

static enum slc_rc
apply(PGconn *pg, const struct migrate_opts *opts, const struct embedded *f,
    const char *checksum, struct slc_err *err)
{
	const char *const row[] = { f->name, checksum };
	enum slc_rc rc = SLC_OK;

	if (!opts->check)
		rc = run(pg, f->text, f->name, err);
	if (!opts->check && rc == SLC_OK)
		rc = query(pg,
		    "insert into sluice.migration (name, checksum) "
		    "values ($1, $2) on conflict (name) do update "
		    "set checksum = excluded.checksum, applied_at = now()",
		    2, row, NULL, err);
	if (rc == SLC_OK && opts->report != NULL)
		opts->report(f->name, opts->arg);
	return rc;
}

static enum slc_rc
apply_all(PGconn *pg, const struct migrate_opts *opts,
    const struct embedded *files, const PGresult *done, struct slc_err *err)
{
	bool changed = false;
	enum slc_rc rc = refuse_newer(done, files, err);

	for (const struct embedded *f = files; rc == SLC_OK && f->name != NULL;
	     f++) {
		const char *was = applied(done, f->name);
		char is[MIGRATE_CHECKSUM + 1];
		bool once = strncmp(f->text, "-- migrate: once\n", 17) == 0;

		sha256_hex(f->text, is);
		if (once && was != NULL && strcmp(was, is) != 0)
			return slc_fail(err, SLC_ECONFLICT,
			    "%s is not the file that made this database (it "
			    "is applied once and must never change): the "
			    "program was built from altered sources",
			    f->name);
		if (was == NULL || strcmp(was, is) != 0)
			changed = true;
		else if (once || !changed)
			continue;
		rc = apply(pg, opts, f, is, err);
	}
	return rc;
}

enum slc_rc
migrate(const struct migrate_opts *opts, const struct embedded *files,
    struct slc_err *err)
{
	PGresult *done = NULL;
	PGconn *pg = NULL;
	enum slc_rc rc = connect_to(opts->dsn, &pg, err);

	if (rc == SLC_OK)
		rc = run(pg, begin, NULL, err);
	if (rc == SLC_OK)
		rc = run(pg, ledger, NULL, err);
	if (rc == SLC_OK)
		rc = query(pg, "select name, checksum from sluice.migration", 0,
		    NULL, &done, err);
	if (rc == SLC_OK)
		rc = apply_all(pg, opts, files, done, err);
	if (rc == SLC_OK)
		rc = run(pg, opts->check ? "rollback" : "commit", NULL, err);
	PQclear(done);
	PQfinish(pg);
	return rc;
}

static enum slc_rc
make_key(PGconn *pg, const char *account, const char *hash, const char *hint,
    bool *made, struct slc_err *err)
{
	const char *const values[] = { hash, account, hint };
	PGresult *known = NULL;
	enum slc_rc rc = query(pg, "select from sluice.api_key where hash = $1",
	    1, values, &known, err);

	*made = rc == SLC_OK && PQntuples(known) == 0;
	PQclear(known);
	if (!*made)
		return rc;
	rc = query(pg,
	    "insert into sluice.account (name) values ($1) "
	    "on conflict (name) do nothing",
	    1, &account, NULL, err);
	if (rc == SLC_OK)
		rc = query(pg,
		    "select sluice.key_create($2, 'admin', $1, $3, "
		    "'{batch,live,read,admin}', '{}')",
		    3, values, NULL, err);
	return rc;
}

enum slc_rc
migrate_admin_key(const char *dsn, const char *account, const struct key *key,
    bool *made, struct slc_err *err)
{
	char hash[2 + 2 * KEY_HASH + 1] = "\\x";
	PGconn *pg = NULL;
	enum slc_rc rc = connect_to(dsn, &pg, err);

	*made = false;
	for (size_t i = 0; i < KEY_HASH; i++)
		snprintf(hash + 2 + 2 * i, 3, "%02x", key->hash[i]);
	if (rc == SLC_OK)
		rc = run(pg, begin, NULL, err);
	if (rc == SLC_OK)
		rc = make_key(pg, account, hash, key->hint, made, err);
	if (rc == SLC_OK)
		rc = run(pg, "commit", NULL, err);
	PQfinish(pg);
	return rc;
}
