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

#endif
