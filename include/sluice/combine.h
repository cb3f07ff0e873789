/*
 * combine - which requests may share an upstream call, and what of them must be
 * the same.
 *
 * Pure.  An embedding of one text, or one prompt: everything else of their
 * bodies is equal, byte for byte, and the call has the texts in a list.
 */
#ifndef SLUICE_COMBINE_H
#define SLUICE_COMBINE_H

#include <sluice/slc.h>

/*
 * May a request with this body (a JSON object) share a call?  Then *value is
 * its text, a JSON string as it stands in body.
 */
bool
combine_value(struct slice body, const char *endpoint, struct slice *value);

/* Of what must be the same; never 0. */
int32_t combine_hash(struct slice body, struct slice value);

/* The bodies differ in their values alone. */
bool combine_same(struct slice body, struct slice value, struct slice other,
    struct slice other_value);

#endif
