#include <sluice/db.h>

#include <libpq-fe.h>
#include <string.h>

enum slc_rc
db_dsn_check(const char *dsn, struct slc_err *err)
{
	PQconninfoOption *options = PQconninfoParse(dsn, NULL);
	/* Without either it is the name of a database. */
	bool ok = options != NULL ||
	    (strchr(dsn, '=') == NULL && strstr(dsn, "://") == NULL);

	/* An @ or / in a password that should be %40 or %2F: what follows it
	 * is taken for a host or a port, and those are quoted, too. */
	for (const PQconninfoOption *o = options;
	     o != NULL && o->keyword != NULL; o++) {
		if (o->val == NULL)
			continue;
		if (strcmp(o->keyword, "port") == 0)
			ok &= strspn(o->val, "0123456789, ") == strlen(o->val);
		if (strcmp(o->keyword, "host") == 0)
			ok &= strchr("/@", o->val[0]) != NULL ||
			    strchr(o->val, '@') == NULL;
	}
	PQconninfoFree(options);
	if (ok)
		return SLC_OK;
	return slc_fail(err, SLC_EINPUT,
	    "--database (or SLUICE_DATABASE) is neither a PostgreSQL URL nor "
	    "keywords; is a special character of its password not written "
	    "as %%XX, or not quoted?");
}

bool
db_dsn_names_user(const char *dsn)
{
	PQconninfoOption *options = PQconninfoParse(dsn, NULL);
	bool named = false;

	for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL;
	     o++)
		if (strcmp(o->keyword, "user") == 0 && o->val != NULL)
			named = true;
	PQconninfoFree(options);
	return named;
}
