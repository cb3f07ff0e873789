/*
 * path_now - how a path stands just now, out of what the server shows of it:
 * its limits with what the dispatcher says of each, and what binds in words.
 */
#ifndef CLI_PATH_NOW_H
#define CLI_PATH_NOW_H

#include "client.h"

/*
 * The limits of a path and of its pool: what the server shows of each, and
 * over it what is said just now.  Each has name ("gpt-4:requests/1m"), of
 * ("path", "pool"), configured, amount (what may be used), used; some have
 * live (of used, by live calls), foreign, ladder, per_s, paused_until, why. The
 * caller's.
 */
json_t *path_now_limits(const json_t *path);

/*
 * "waits for requests/1m of path main: 595 of 600 used, next slot 14:02:11".
 * binds has used, amount, until and why.
 */
void path_now_waits(
    const json_t *binds, const char *limit, const char *whose, struct buf *to);

/* The same of what binds a path; false when nothing does. */
bool path_now_binds(const json_t *path, struct buf *to);

#endif
