/*
 * jscan - is it JSON (RFC 8259), and where in its bytes is what we need?
 *
 * Pure.  No tree is built and nothing recurs: a request or an answer of any
 * shape costs its length in time and a fixed stack in memory, and what is
 * forwarded stays the bytes that came.
 */
#ifndef SLUICE_JSCAN_H
#define SLUICE_JSCAN_H

#include <sluice/buf.h>
#include <sluice/slc.h>

enum jscan_kind {
	JSCAN_ABSENT,
	JSCAN_OBJECT,
	JSCAN_ARRAY,
	JSCAN_STRING,
	JSCAN_NUMBER,
	JSCAN_TRUE,
	JSCAN_FALSE,
	JSCAN_NULL,
};

/*
 * A member to look for: its name, and the index in the same table of the object
 * it is a member of, or -1 for the outermost object.  Parents come first.
 */
struct jscan_want {
	const char *name;
	int parent;
};

enum { JSCAN_WANTS_MAX = 32 };

struct jscan_found {
	enum jscan_kind kind;
	struct slice text; /* as it stands: strings with quotes and escapes */
};

struct jscan_fault {
	size_t at; /* offset of the first byte that is wrong */
	char text[120];
};

/*
 * Check that text is one JSON value, nested at most depth deep, in UTF-8, with
 * white space around it allowed, and fill found[0..nwants).  A wanted member
 * that stands twice is an error: two readers could see two values.  Returns the
 * kind of the value, JSCAN_ABSENT with fault filled when it is not JSON.
 */
enum jscan_kind
jscan(struct slice text, int depth, const struct jscan_want *wants, int nwants,
    struct jscan_found *found, struct jscan_fault *fault);

/*
 * Append the characters of a string that jscan() accepted.  False if it
 * holds U+0000 or half a surrogate pair, which no text type of ours can hold.
 */
bool jscan_unquote(struct slice string, struct buf *out);

/* An integer in 0..max without fraction or exponent; false otherwise. */
bool jscan_int(const struct jscan_found *f, int64_t max, int64_t *out);

/*
 * What an object or array holds, one after the other; container is its text, of
 * something that jscan() accepted.  *name (as it stands, with quotes) is of an
 * object's members alone.  False: that was all.
 */
struct jscan_rest {
	const char *p, *end;
	bool object;
};
struct jscan_rest jscan_inside(struct slice container);
bool jscan_each(
    struct jscan_rest *rest, struct slice *name, struct jscan_found *out);

#endif
