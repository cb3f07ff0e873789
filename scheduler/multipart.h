/*
 * multipart - a push parser for multipart/form-data (RFC 7578, RFC 2046).
 *
 * Pure.  Bytes go in as they arrive, in pieces of any size (a delimiter may be
 * cut anywhere); parts come out through callbacks, their bodies in pieces.
 * Memory is bounded by MULTIPART_HEADER_MAX.
 */
#ifndef SCHEDULER_MULTIPART_H
#define SCHEDULER_MULTIPART_H

#include <sluice/buf.h>
#include <sluice/slc.h>

enum {
	MULTIPART_HEADER_MAX = 4096, /* bytes of one part's headers */
	MULTIPART_BOUNDARY_MAX = 70, /* RFC 2046, 5.1.1 */
	MULTIPART_PARTS_MAX = 16,
};

struct multipart_part {
	struct slice name;     /* decoded: %22, %0D, %0A (WHATWG form-data) */
	struct slice filename; /* p == NULL when the part has none */
	struct slice type;     /* p == NULL when the part has none */
};

/* A callback that does not return SLC_OK ends the parse with that result. */
struct multipart_handler {
	enum slc_rc (*on_part)(
	    void *ctx, const struct multipart_part *part, struct slc_err *err);
	enum slc_rc (*on_data)(
	    void *ctx, struct slice piece, struct slc_err *err);
	enum slc_rc (*on_part_end)(void *ctx, struct slc_err *err);
};

struct multipart;

/* content_type is the header's value; SLC_EINPUT if it names no boundary. */
enum slc_rc multipart_new(struct multipart **out, struct slice content_type,
    const struct multipart_handler *handler, void *ctx, struct slc_err *err);
void multipart_free(struct multipart *m);
enum slc_rc
multipart_feed(struct multipart *m, struct slice bytes, struct slc_err *err);
/* The body is over: SLC_EINPUT unless the closing delimiter was seen. */
enum slc_rc multipart_end(struct multipart *m, struct slc_err *err);

#endif
