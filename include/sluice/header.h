/*
 * header - find a field in a block of HTTP headers as it was received.
 *
 * Pure.
 */
#ifndef SLUICE_HEADER_H
#define SLUICE_HEADER_H

#include <sluice/slc.h>

/* The first value of that name (any case), trimmed; p NULL: not there. */
struct slice header_find(struct slice headers, const char *name);

/* The next line of the block and what follows it, both trimmed; false at its
 * end.  Lines without a colon are skipped. */
bool header_next(struct slice *rest, struct slice *name, struct slice *value);

#endif
