/*
 * dispatch_doc - parts of the documents of dispatch_json.h: what members hold,
 * and lists that are left out when nothing is in them.
 *
 * Pure.  A member that is absent or of another type is 0, "" or false.
 */
#ifndef SCHEDULER_DISPATCH_DOC_H
#define SCHEDULER_DISPATCH_DOC_H

#include "dispatch_json.h"

static inline int64_t
get_int(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);

	return json_is_integer(v) ? json_integer_value(v) : 0;
}

static inline double
get_real(const json_t *o, const char *name)
{
	return json_number_value(json_object_get(o, name));
}

static inline const char *
get_text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s == NULL ? "" : s;
}

static inline bool
get_bool(const json_t *o, const char *name)
{
	return json_is_true(json_object_get(o, name));
}

/* The database's time as ours; 0 stays "never". */
static inline int64_t
get_time(const struct dispatch *d, const json_t *o, const char *name)
{
	return dispatch_time(d, get_int(o, name));
}

static inline json_t *
load(struct slice text, struct slc_err *err)
{
	json_error_t why;
	json_t *doc = json_loadb(text.p, text.n, 0, &why);

	if (doc == NULL)
		slc_fail(err, SLC_EIO, "the database's document: %s", why.text);
	return doc;
}

/* The next item of a list goes here: the first one opens it. */
void doc_item(struct buf *out, const char *list, bool *open);
void doc_close(struct buf *out, bool open);

/* dispatch_write_runs.c: the lists of a plan */
void dispatch_write_runs(const struct dispatch *d,
    const struct dispatch_plan *plan, struct buf *out);

#endif
