/*
 * prices - the list of prices in the document of a path: [{model, hours,
 * input, cached_input, output}], millionths for a million tokens.
 *
 * Pure.
 */
#ifndef CLI_PRICES_H
#define CLI_PRICES_H

#include <jansson.h>

#include <sluice/spec.h>

/* A list with those that the server showed, which may be given anew. */
json_t *prices_of(const json_t *shown);

/*
 * Add one as people write it to doc's "prices", in place of one that the server
 * showed.  Twice the same model is refused.
 */
enum slc_rc prices_set(json_t *doc, const char *text, struct slc_err *err);

/* Remove the one of MODEL or MODEL@HOURS; "*" is the one that names none. */
enum slc_rc prices_unset(json_t *doc, const char *model, struct slc_err *err);

/* "0.15"; "" where a price has no such member. */
void prices_cell(const json_t *price, const char *member, char out[32]);

#endif
