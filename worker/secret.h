/*
 * secret - files that only the worker reads.
 */
#ifndef WORKER_SECRET_H
#define WORKER_SECRET_H

#include <sluice/buf.h>

enum {
	SECRET_MAX = 4096, /* bytes of a file */
};

/*
 * Read a small plain file, whole; NULL, or why it cannot be.  out is wiped
 * first, and empty after a failure.  mtime_ns may be NULL.
 */
const char *secret_read(const char *file, struct buf *out, int64_t *mtime_ns);
void secret_wipe(struct buf *secret);

#endif
