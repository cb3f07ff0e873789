#include "http_parse.h"

#include <string.h>

static enum http_parse_event
bad(struct http_parse *p, int status, const char *why)
{
	p->fault = (struct http_fault){ status, why };
	return HTTP_PARSE_BAD;
}

static void
take(struct slice *in, size_t n)
{
	in->p += n;
	in->n -= n;
}

/*
 * The gate around the library, for every byte that is not body: CR only before
 * LF, no other control byte, no line that begins with a blank (folding), and
 * among chunks no LF without its CR.  The library can check some of this, but
 * Debian builds it with those checks left out.
 */
static bool
lines_ok(struct http_parse *p, const char *s, size_t n)
{
	unsigned char prev = p->prev;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < 0x20 && c != '\t' && c != '\r' && c != '\n')
			return false;
		if (c == 0x7f || (prev == '\r' && c != '\n'))
			return false;
		if (prev == '\n' && (c == ' ' || c == '\t'))
			return false;
		if (c == '\n' && prev != '\r' && p->stage == HTTP_PARSE_CHUNKS)
			return false;
		prev = c;
	}
	p->prev = prev;
	return true;
}

static int
lib_on_field(http_parser *lib, const char *at, size_t n)
{
	struct http_parse *p = lib->data;

	if (p->stage != HTTP_PARSE_FIELDS) /* a trailer: checked, not kept */
		return 0;
	if (http_head_add_name(p->head, at, n))
		return 0;
	bad(p, 431, "too many headers");
	return -1;
}

static int
lib_on_value(http_parser *lib, const char *at, size_t n)
{
	struct http_parse *p = lib->data;

	if (p->stage == HTTP_PARSE_FIELDS)
		http_head_add_value(p->head, at, n);
	return 0;
}

/* The library stops at each event, so that nobody is called from inside it. */
static int
lib_on_header(http_parser *lib)
{
	struct http_parse *p = lib->data;

	p->event = HTTP_PARSE_HEADER;
	http_parser_pause(lib, 1);
	return 0;
}

static int
lib_on_body(http_parser *lib, const char *at, size_t n)
{
	struct http_parse *p = lib->data;

	p->event = HTTP_PARSE_BODY;
	p->piece = (struct slice){ at, n };
	http_parser_pause(lib, 1);
	return 0;
}

static int
lib_on_chunk_end(http_parser *lib)
{
	struct http_parse *p = lib->data;

	if (lib->flags & F_TRAILING)
		return 0;
	p->chunk_ended = true;
	http_parser_pause(lib, 1);
	return 0;
}

static int
lib_on_end(http_parser *lib)
{
	struct http_parse *p = lib->data;

	p->ended = true;
	http_parser_pause(lib, 1);
	return 0;
}

static const struct http_parser_settings lib_settings = {
	.on_header_field = lib_on_field,
	.on_header_value = lib_on_value,
	.on_headers_complete = lib_on_header,
	.on_body = lib_on_body,
	.on_chunk_complete = lib_on_chunk_end,
	.on_message_complete = lib_on_end,
};

/* Feed the library to its next stop; false, with the fault, if it refuses. */
static bool
lib_feed(struct http_parse *p, const char *s, size_t n, size_t *used)
{
	p->event = HTTP_PARSE_MORE;
	p->piece = (struct slice){ 0 };
	p->chunk_ended = false;
	*used = http_parser_execute(&p->lib, &lib_settings, s, n);
	switch (HTTP_PARSER_ERRNO(&p->lib)) {
	case HPE_OK:
		return true;
	case HPE_PAUSED:
		http_parser_pause(&p->lib, 0);
		return true;
	case HPE_CB_header_field:
		return false;
	case HPE_HEADER_OVERFLOW:
		bad(p, 431, "the headers are too large");
		return false;
	default:
		bad(p, 400, http_errno_description(p->lib.http_errno));
		return false;
	}
}

static enum http_parse_event
take_line(struct http_parse *p, struct slice *in)
{
	struct buf *text = &p->head->text;
	size_t n, used, room = HTTP_TARGET_MAX + 64 - text->n;
	const char *lf;

	/* RFC 9112, 2.2: an empty line before a request is ignored. */
	while (text->n == 0 && in->n > 0 && (*in->p == '\r' || *in->p == '\n'))
		take(in, 1);
	lf = memchr(in->p, '\n', in->n);
	n = lf == NULL ? in->n : (size_t)(lf - in->p) + 1;
	if (!lines_ok(p, in->p, n < room ? n : room))
		return bad(p, 400, "bad byte in the request line");
	if (n > room)
		return bad(p, 414, "the target is too long");
	buf_add(text, in->p, n);
	take(in, n);
	if (lf == NULL)
		return HTTP_PARSE_MORE;
	p->fault = http_head_line(p->head);
	if (p->fault.status != 0 || !lib_feed(p, text->p, text->n, &used))
		return HTTP_PARSE_BAD;
	p->stage = HTTP_PARSE_FIELDS;
	return HTTP_PARSE_MORE;
}

/* Where a header or a body ends, the library stops before its last byte. */
static bool
take_last(struct http_parse *p, struct slice *in)
{
	size_t used;

	if (!lib_feed(p, in->p, 1, &used))
		return false;
	take(in, 1);
	return true;
}

static enum http_parse_event
take_fields(struct http_parse *p, struct slice *in)
{
	const struct http_head *h = p->head;
	size_t used;
	bool whole;

	if (!lib_feed(p, in->p, in->n, &used))
		return HTTP_PARSE_BAD;
	whole = p->event == HTTP_PARSE_HEADER;
	if (!lines_ok(p, in->p, used + whole))
		return bad(p, 400, "bad byte in the headers");
	take(in, used);
	if (!whole)
		return HTTP_PARSE_MORE;
	p->fault = http_head_check(p->head);
	if (p->fault.status != 0)
		return HTTP_PARSE_BAD;
	/* What the library and we do not read alike is refused. */
	if ((h->length == -1) != ((p->lib.flags & F_CHUNKED) != 0) ||
	    (h->length > 0 && (uint64_t)h->length != p->lib.content_length))
		return bad(p, 400, "the length is not clear");
	p->keep_alive = http_should_keep_alive(&p->lib);
	p->stage = h->length == -1 ? HTTP_PARSE_CHUNKS : HTTP_PARSE_LENGTH;
	return take_last(p, in) ? HTTP_PARSE_HEADER : HTTP_PARSE_BAD;
}

static enum http_parse_event
take_length(struct http_parse *p, struct slice *in)
{
	struct slice piece;
	size_t used;

	if (!lib_feed(p, in->p, in->n, &used))
		return HTTP_PARSE_BAD;
	piece = p->piece;
	take(in, used);
	if (http_body_is_final(&p->lib) && !take_last(p, in))
		return HTTP_PARSE_BAD;
	p->piece = piece;
	return piece.n > 0 ? HTTP_PARSE_BODY : HTTP_PARSE_MORE;
}

static enum http_parse_event
take_chunks(struct http_parse *p, struct slice *in)
{
	const char *start = in->p;
	size_t used;
	bool ok = true;

	if (!lib_feed(p, in->p, in->n, &used))
		return HTTP_PARSE_BAD;
	take(in, used);
	if (p->piece.n > 0) {
		ok = lines_ok(p, start, (size_t)(p->piece.p - start));
		start = p->piece.p + p->piece.n;
	}
	ok = ok && lines_ok(p, start, (size_t)(in->p - start));
	/* The library takes any two bytes for the CRLF after a chunk. */
	if (!ok || (p->chunk_ended && p->prev != '\n'))
		return bad(p, 400, "bad chunk");
	return p->piece.n > 0 ? HTTP_PARSE_BODY : HTTP_PARSE_MORE;
}

enum http_parse_event
http_parse_next(struct http_parse *p, struct http_head *head, struct slice *in,
    struct slice *piece)
{
	static enum http_parse_event (*const stages[])(
	    struct http_parse * p, struct slice * in) = {
		[HTTP_PARSE_LINE] = take_line,
		[HTTP_PARSE_FIELDS] = take_fields,
		[HTTP_PARSE_LENGTH] = take_length,
		[HTTP_PARSE_CHUNKS] = take_chunks,
	};
	enum http_parse_event event = HTTP_PARSE_MORE;

	if (p->fault.status != 0)
		return HTTP_PARSE_BAD;
	p->head = head;
	while (event == HTTP_PARSE_MORE && !p->ended && in->n > 0)
		event = stages[p->stage](p, in);
	if (event == HTTP_PARSE_MORE && p->ended) {
		http_parse_init(p);
		return HTTP_PARSE_END;
	}
	*piece = p->piece;
	return event;
}

void
http_parse_init(struct http_parse *p)
{
	*p = (struct http_parse){ .prev = '\n', .lib.data = p };
	http_parser_init(&p->lib, HTTP_REQUEST);
}

void
http_parse_limit(size_t bytes)
{
	http_parser_set_max_header_size((uint32_t)bytes);
}
