/*
 * keep - answers to lines that have the same answer each time, of accounts that
 * want them kept (sluice/kept.h).
 */
#ifndef WORKER_KEEP_H
#define WORKER_KEEP_H

#include <sluice/db.h>

#include "flush.h"
#include "work.h"

struct keep;

/* NULL: that answer is not to be kept.  Not of lines whose bodies are not at
 * hand: an upstream's own batches. */
struct keep *keep_of(const struct line *line, int status, struct slice answer);
void keep_free(struct keep *k);
size_t keep_bytes(const struct keep *k); /* NULL: 0 */

/* Put away those of a list of results.  Not in the transaction that settles
 * them: if it fails, the same is asked once more, and that is all. */
void keep_send(struct db *db, const struct result *list);

#endif
