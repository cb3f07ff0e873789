/*
 * js - reading the server's JSON: members that are not there, or of another
 * type, read as "" and 0.  A name may lead inwards: "request_counts.total".
 */
#ifndef CLI_JS_H
#define CLI_JS_H

#include <jansson.h>

#include <sluice/buf.h>

json_t *js_at(const json_t *object, const char *name); /* borrowed or NULL */
const char *js_text(const json_t *object, const char *name);
int64_t js_int(const json_t *object, const char *name);
double js_num(const json_t *object, const char *name); /* or an integer */

#endif
