/*
 * migrate - bring a database to this program's tables and functions.
 *
 * Blocking: for the command line and tests, never on a loop.
 */
#ifndef SLUICE_MIGRATE_H
#define SLUICE_MIGRATE_H

#include <sluice/key.h>
#include <sluice/slc.h>
#include <sluice/embedded.h>

struct migrate_opts {
	const char *dsn; /* of the owner: libpq's keywords or URL */
	bool check;      /* only report what would be applied */
	void (*report)(const char *name, void *arg); /* may be NULL */
	void *arg;
};

/*
 * Apply what is missing, all in one transaction under a lock: two at once are
 * safe, a second time is a no-op.  Files marked "migrate: once" are applied
 * once and must not have changed since.  Those marked "migrate: on change" are
 * applied again when their text differs, and so are those after them, which may
 * build on it.  SLC_ECONFLICT: the database is newer than the program, or a
 * "once" file is not the one that was applied.  report is called for each file
 * applied.
 */
enum slc_rc migrate(const struct migrate_opts *opts,
    const struct embedded *files, struct slc_err *err);

/*
 * See to it that the key is one of the operator's: unless it is known, make it,
 * with all scopes, for the account of that name, which is made too if need be.
 */
enum slc_rc migrate_admin_key(const char *dsn, const char *account,
    const struct key *key, bool *made, struct slc_err *err);

#endif
