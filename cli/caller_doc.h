/*
 * caller_doc - the documents of plans, accounts, keys, named limits and of
 * everybody's limits, made of what people write: options of commands and lines
 * of an `apply` file have the same names.
 */
#ifndef CLI_CALLER_DOC_H
#define CLI_CALLER_DOC_H

#include <jansson.h>

#include "cli.h"

enum caller_kind {
	CALLER_PLAN,
	CALLER_ACCOUNT,
	CALLER_KEY,
	CALLER_LIMIT, /* a named one */
	CALLER_EVERYBODY,
	CALLER_KINDS
};

/* Is there a setting of that name: "dialect", "limit", "requests", ...? */
bool caller_knows(enum caller_kind kind, const char *name);

/*
 * Set one in a document, which begins as {}.  For lists that an edit adds to
 * or takes from, the document must have what the server showed: caller_keep().
 */
enum slc_rc caller_set(enum caller_kind kind, json_t *doc, const char *name,
    const char *value, struct slc_err *err);

/* Copy a list ("limits", "keys", "models") that the setting works on from what
 * the server showed, unless it is there. */
void caller_keep(
    enum caller_kind kind, json_t *doc, const char *name, const json_t *shown);

/* All set: expand what stands for several things. */
enum slc_rc
caller_finish(enum caller_kind kind, json_t *doc, struct slc_err *err);

/* A time to come: "90d" from now, "2027-01-31" (UTC), "never" (0). */
enum slc_rc
caller_time(const char *text, int64_t now, int64_t *out, struct slc_err *err);

#endif
