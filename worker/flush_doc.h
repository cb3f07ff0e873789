/*
 * flush_doc - a list of results as the statements that settle them.
 */
#ifndef WORKER_FLUSH_DOC_H
#define WORKER_FLUSH_DOC_H

#include "flush.h"

/* settle_runs(), settle_chunk() for each batch and file, settle_usage() for
 * what has ended; n results. */
void flush_doc_add(struct db_call *call, const struct flush_as *as,
    struct result *list, size_t n);
/* The runs of the results as an array literal, each once. */
void flush_doc_runs(const struct result *list, struct buf *out);
/* Is the line open in the answer of runs_open()? */
bool flush_doc_open(const struct db_result *res, const struct line *line);
/*
 * Take from a result all that came from outside; one with a text becomes an
 * error that says it could not be stored.  False: done before.
 */
bool flush_doc_spoil(struct result *r);

#endif
