/*
 * state - the directory of a local `sluice up`, and from it, from flags and
 * from the environment: which server, with which key.
 *
 *   lock        held by the `up` that runs      url         while it is ready
 *   admin.key   mode 0600                       port        sluiced's, while up
 *   pg, run     the database, its socket        *.log       of the programs
 *   postgres.conf, hba.conf, ident.conf
 */
#ifndef CLI_STATE_H
#define CLI_STATE_H

#include "cli.h"

/* The directory, whether it is there or not: to is cleared first. */
void state_dir(const struct cli *cli, struct buf *to);

/* dir/name; to is cleared first. */
const char *state_path(const char *dir, const char *name, struct buf *to);

/* A small text file without the white space around it; to is cleared first. */
enum slc_rc state_read(const char *path, struct buf *to, struct slc_err *err);

/* Write by way of a temporary file, so that readers see all or nothing. */
enum slc_rc state_write(
    const char *path, const char *text, unsigned mode, struct slc_err *err);

/*
 * The server's URL without a slash at the end, and the key to show it.  The key
 * of the state directory goes only to the server of that directory.
 */
enum slc_rc state_server(const struct cli *cli, struct buf *url,
    struct buf *key, struct slc_err *err);

#endif
