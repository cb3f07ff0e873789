/*
 * upstream_doc - the document of pools and paths that POST /admin/v1/apply
 * takes, made of what people write: the options of `path add` and the lines of
 * an `apply` file have the same names.
 */
#ifndef CLI_UPSTREAM_DOC_H
#define CLI_UPSTREAM_DOC_H

#include <jansson.h>

#include "cli.h"

enum doc_kind { DOC_POOL, DOC_PATH };

/* A pool or path of that name with nothing set. */
json_t *doc_new(const char *name);

/* What the server shows of a pool or path, less what it does not take back. */
json_t *doc_of(enum doc_kind kind, const json_t *shown);

/* Is there a setting of that name: "url", "limit", "headroom", ...? */
bool doc_knows(enum doc_kind kind, const char *name);

/*
 * Set one.  "limit" adds a limit or gives one of a doc_of() another amount;
 * "no-limit" removes it; "headroom" and "reserve" hold for all limits, once
 * doc_finish() is called.  An empty value unsets.
 */
enum slc_rc doc_set(enum doc_kind kind, json_t *doc, const char *name,
    const char *value, struct slc_err *err);

/* All set: check that nothing needed is missing. */
enum slc_rc doc_finish(enum doc_kind kind, json_t *doc, struct slc_err *err);

/* Send {pools, paths, remove_...}, which is taken over, and print the changes.
 */
enum cli_exit doc_apply(struct cli *cli, json_t *whole);

#endif
