/*
 * rule - a limit before callers as people write it, and in JSON as the server
 * has it: {model, dimension, window_s, amount, algorithm, per, ...}.
 *
 * Pure.  [MODEL:]WHAT/WINDOW=AMOUNT[:WORD]..., as "requests/1m=60:chunk".  Two
 * are the same if dimension, window, model and resource are.
 */
#ifndef CLI_RULE_H
#define CLI_RULE_H

#include <jansson.h>

#include <sluice/spec.h>

/* Only what is said stands in *out, the caller's; what is not the server adds.
 */
enum slc_rc rule_parse(const char *text, json_t **out, struct slc_err *err);

/* Add one to a list, or change the same one by what is said. */
enum slc_rc rules_set(json_t *rules, const char *text, struct slc_err *err);

/* Remove one; its amount may be left out. */
enum slc_rc rules_unset(json_t *rules, const char *text, struct slc_err *err);

/* The reverse of rule_parse(), less what goes without saying. */
void rule_text(const json_t *rule, struct buf *to);

#endif
