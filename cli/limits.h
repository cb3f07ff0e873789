/*
 * limits - the list of limits in the document of a pool or path: [{model,
 * dimension, window_s, amount, headroom, reserve, stream_cost}].
 *
 * Pure.  Two limits are the same if model, dimension and window are.
 */
#ifndef CLI_LIMITS_H
#define CLI_LIMITS_H

#include <jansson.h>
#include <sys/types.h>

#include <sluice/spec.h>

/* Where the same limit stands, or -1. */
ssize_t limits_find(const json_t *limits, const struct spec_limit *l);

/* Append one that is not there yet. */
void limits_add(json_t *limits, const struct spec_limit *l);

/*
 * Add one as people write it, or give the one that the server showed (it has a
 * headroom) another amount.  Twice the same is refused.
 */
enum slc_rc limits_set(json_t *limits, const char *text, struct slc_err *err);

/* Remove one; its amount may be left out. */
enum slc_rc limits_unset(json_t *limits, const char *text, struct slc_err *err);

/* What a limit is called: "gpt-4:requests/1m". */
void limits_name(const json_t *limit, struct buf *to);

/* The reverse: a limit without an amount. */
enum slc_rc
limits_kind(const char *text, struct spec_limit *out, struct slc_err *err);

/* Set a member of all of them, or of those of one dimension. */
void limits_each(
    json_t *limits, const char *dimension, const char *member, json_t *value);

#endif
