/*
 * api_json - read members of a small JSON body and complain by name.
 */
#ifndef SCHEDULER_API_JSON_H
#define SCHEDULER_API_JSON_H

#include <jansson.h>

#include "api.h"

/* The body as an object, or NULL with a 400 answered.  The caller's to free. */
json_t *api_body(struct call *call);

/* A member that must be (present and) a string; NULL: answered. */
const char *api_text(struct call *call, const json_t *o, const char *name);
/* A number within bounds.  False: answered. */
bool api_int_of(struct call *call, const json_t *v, const char *param,
    int64_t min, int64_t max, int64_t *out);
/* Absent or null: *out stays.  False: answered. */
bool api_int(struct call *call, const json_t *o, const char *name,
    const char *param, int64_t min, int64_t max, int64_t *out);
/*
 * Names of accounts, keys, pools, paths: 1 to SLC_NAME_MAX letters, digits and
 * . _ - @, from a letter or digit on.  False: answered.
 */
bool api_name(struct call *call, const char *name, const char *param);
/* Absent or a list.  False: answered. */
bool api_list(struct call *call, const json_t *v, const char *param);
/* ?name=1 or true */
bool api_flag(struct call *call, const char *name);
/* The segment of "*", decoded; false: answered with 404 "No such what". */
bool api_segment(
    struct call *call, const char *what, const char *param, struct buf *out);

#endif
