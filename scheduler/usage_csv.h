/*
 * usage_csv - sums of usage as RFC 4180 has tables.
 *
 * Pure.
 */
#ifndef SCHEDULER_USAGE_CSV_H
#define SCHEDULER_USAGE_CSV_H

#include <jansson.h>

#include <sluice/buf.h>

/*
 * Append a line of names and one for each object of doc's data: at (RFC 3339)
 * if per_s is not 0, what it is grouped by ("key" brings key_name), the counts,
 * money with its point.  What an object does not have is empty.
 */
void usage_csv(const json_t *doc, struct buf *out);

#endif
