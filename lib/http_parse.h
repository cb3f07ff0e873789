/*
 * http_parse - HTTP/1.x requests out of bytes, strictly.
 *
 * Pure.  libhttp-parser splits header lines and undoes chunked; what it lets
 * through although RFC 9112 forbids it is refused here, because a message two
 * programs read differently is how a request is smuggled past a proxy.
 *
 * Bytes go in as they arrive, events come out one at a time:
 *
 *   (HEADER BODY* END)*   and BAD at any point, after which nothing is read.
 */
#ifndef LIB_HTTP_PARSE_H
#define LIB_HTTP_PARSE_H

#include <http_parser.h>

#include "http_head.h"

enum http_parse_event {
	HTTP_PARSE_MORE,   /* all bytes are taken */
	HTTP_PARSE_HEADER, /* the header is whole and sound */
	HTTP_PARSE_BODY,   /* *piece: some of the body, inside the input */
	HTTP_PARSE_END,    /* the request is whole */
	HTTP_PARSE_BAD,    /* see fault; answer it and close */
};

enum http_parse_stage {
	HTTP_PARSE_LINE,
	HTTP_PARSE_FIELDS,
	HTTP_PARSE_LENGTH,
	HTTP_PARSE_CHUNKS,
};

struct http_parse {
	struct http_parser lib;
	struct http_head *head; /* the caller's, for the length of a call */
	struct slice piece;
	struct http_fault fault;
	enum http_parse_stage stage;
	enum http_parse_event event;
	bool chunk_ended;
	bool ended;         /* HTTP_PARSE_END is still to be told */
	bool keep_alive;    /* the peer will send further requests */
	unsigned char prev; /* the last byte that was not body */
};

/* Ready for the first request of a connection. */
void http_parse_init(struct http_parse *p);

/*
 * Take bytes from the front of *in up to the next event.  head belongs to the
 * request being read: zeroed at its first byte, the same one until its end.
 */
enum http_parse_event http_parse_next(struct http_parse *p,
    struct http_head *head, struct slice *in, struct slice *piece);

/*
 * Bytes that the header of a request, or the extension of one chunk, or the
 * trailers may have; above: 431.  Holds for the whole process.
 */
void http_parse_limit(size_t bytes);

#endif
