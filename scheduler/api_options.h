/*
 * api_options - the `sluice` object of a batch: Sluice's own options.
 *
 * One table has all members: name, type, bounds, and whether it may still be
 * changed once the batch is there.  What is checked goes to SQL as JSON under
 * the same names (sluice.batch_create(), sluice.batch_edit()).
 */
#ifndef SCHEDULER_API_OPTIONS_H
#define SCHEDULER_API_OPTIONS_H

#include <jansson.h>

#include "api.h"

enum api_options_for { API_OPTIONS_CREATE, API_OPTIONS_EDIT };

/*
 * Check own (NULL: none) and append it to out as a JSON object.  A priority is
 * a number or a word, at most call->max_priority; when none is given, a new
 * batch has normal or what is allowed.  An unknown member is an error.  False:
 * the call has been answered.
 */
bool api_options(struct call *call, const json_t *own, enum api_options_for use,
    struct buf *out);

#endif
