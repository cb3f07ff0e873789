/*
 * http_head - what the header of a request says, and whether it may.
 *
 * Pure.  http_parse.c fills it; the checks are those of RFC 9112 and 9110 that
 * decide where a request ends and whom it is for.
 */
#ifndef LIB_HTTP_HEAD_H
#define LIB_HTTP_HEAD_H

#include <sluice/buf.h>
#include <sluice/slc.h>

enum {
	HTTP_TARGET_MAX = 8 << 10, /* bytes of a request's target: 414 */
	HTTP_FIELDS_MAX = 256,     /* header lines: 431 */
};

/* Zeroed is ready to use. */
struct http_head {
	struct buf text;         /* the request line, then names and values */
	struct buf fields;       /* of struct http_field, offsets into text */
	size_t target, target_n; /* in text */
	const char *method;      /* "GET" for a HEAD too */
	int64_t length; /* of the body; 0 when there is none, -1 chunked */
	bool valued;    /* the last field has its name */
	bool is_head;   /* HEAD: the answer has no body */
	bool is_http10;
	bool expects_continue; /* the peer waits for a 100 to send the body */
};

/* Why a request is refused: status 0 if it is not. */
struct http_fault {
	int status;
	const char *why;
};

void http_head_fini(struct http_head *h);

/* Read the request line, which is all of text. */
struct http_fault http_head_line(struct http_head *h);

/* Names and values come in pieces, in order; false: one field too many. */
bool http_head_add_name(struct http_head *h, const char *s, size_t n);
void http_head_add_value(struct http_head *h, const char *s, size_t n);

/* All fields are there: read those that matter here. */
struct http_fault http_head_check(struct http_head *h);

struct slice http_head_target(const struct http_head *h);

/* The first header of that name, without outer blanks; p NULL if absent. */
struct slice http_head_value(const struct http_head *h, const char *name);

/* The header line of that number, from 0; false: there are not so many. */
bool http_head_at(const struct http_head *h, size_t number, struct slice *name,
    struct slice *value);

#endif
