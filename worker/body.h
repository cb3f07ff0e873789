/*
 * body - what is sent for a call: the lines' bytes, with what path, batch and
 * company put into them.
 */
#ifndef WORKER_BODY_H
#define WORKER_BODY_H

#include "work.h"

/*
 * Does line i of the call have what the first one has, but for its text?  (The
 * planner compares hashes.)  Fills the texts of both.
 */
bool body_fits(const struct line *first, size_t i, struct slice *first_value,
    struct slice *value);

/* The body as it came, or with line->values and what the path and the batch put
 * into it; lives until body_fini(). */
struct slice body_make(struct line *line);
void body_fini(struct line *line);

/* Lines whose texts are in it. */
size_t body_lines(const struct line *line);

#endif
