/*
 * api_config - is the body of an apply one that the database may have?
 */
#ifndef SCHEDULER_API_CONFIG_H
#define SCHEDULER_API_CONFIG_H

#include <jansson.h>

#include "api.h"

/*
 * Lists of pools and paths, each with a name, settings within their bounds and
 * limits that make sense.  False: 400 answered, with what is wrong and where.
 */
bool api_config_ok(struct call *call, const json_t *doc);

#endif
