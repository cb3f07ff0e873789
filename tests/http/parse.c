#include "../unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "../../lib/http_parse.h"
#include "hostile.h"

enum { MARK = '\x1e' }; /* ends what is written of a request */

/*
 * The requests in bytes as text: what each asks, its body if it is whole, its
 * status.  first bytes are fed at once, then each at a time.
 */
static void
trace(struct slice bytes, size_t first, size_t each, struct buf *out)
{
	struct http_head head = { 0 };
	struct http_parse p;
	struct buf body = { 0 };
	enum http_parse_event event = HTTP_PARSE_MORE;
	bool keep_alive = true;
	size_t n = first;

	buf_clear(out);
	http_parse_init(&p);
	while (event != HTTP_PARSE_BAD && keep_alive && bytes.n > 0) {
		struct slice in, piece;
		char *copy;

		n = n > bytes.n ? bytes.n : n;
		/* A copy of its own size shows reads past its end. */
		copy = malloc(n);
		memcpy(copy, bytes.p, n);
		in = (struct slice){ copy, n };
		do {
			struct slice target;

			event = http_parse_next(&p, &head, &in, &piece);
			switch (event) {
			case HTTP_PARSE_HEADER:
				target = http_head_target(&head);
				keep_alive = p.keep_alive;
				buf_addf(out, "%s %.*s %lld:", head.method,
				    (int)target.n, target.p,
				    (long long)head.length);
				break;
			case HTTP_PARSE_BODY:
				CU_ASSERT(piece.n > 0);
				buf_add(&body, piece.p, piece.n);
				break;
			case HTTP_PARSE_END:
				http_head_fini(&head);
				head = (struct http_head){ 0 };
				buf_add(out, body.p, body.n);
				buf_addf(out, " 200%c", MARK);
				buf_clear(&body);
				break;
			case HTTP_PARSE_BAD:
				buf_addf(out, " %d%c", p.fault.status, MARK);
				break;
			case HTTP_PARSE_MORE:
				break;
			}
		} while (event != HTTP_PARSE_MORE && event != HTTP_PARSE_BAD &&
		    (keep_alive || event != HTTP_PARSE_END));
		free(copy);
		bytes = (struct slice){ bytes.p + n, bytes.n - n };
		n = each;
		keep_alive = keep_alive || event == HTTP_PARSE_MORE;
	}
	http_head_fini(&head);
	buf_fini(&body);
}

/* The statuses that end the lines of a trace, as the case wants them. */
static bool
has_verdict(const struct hostile *h, const char *text)
{
	const char *line = text, *end;

	for (int i = 0; i < h->answers; i++) {
		if (h->status[i] == 100)
			continue;
		end = strchr(line, MARK);
		if (end == NULL || end - line < 3 ||
		    atoi(end - 3) != h->status[i])
			return false;
		line = end + 1;
	}
	return *line == '\0';
}

static void
verdicts_do_not_depend_on_how_bytes_arrive(void)
{
	struct buf whole = { 0 }, cut = { 0 };
	struct hostile h = { 0 };
	FILE *f = hostile_open();
	int cases = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	http_parse_limit(SLC_HEADERS_MAX);
	for (; hostile_next(f, &h); cases++) {
		struct slice bytes = buf_slice(&h.bytes);
		/* Some hundred cuts of a long one are enough. */
		size_t step = 1 + bytes.n / 500;

		trace(bytes, bytes.n, 1, &whole);
		if (!has_verdict(&h, buf_cstr(&whole))) {
			printf("# %s: %.200s\n", h.name, buf_cstr(&whole));
			CU_FAIL("wrong verdict");
		}
		for (size_t i = 0; i < bytes.n; i += step) {
			trace(bytes, i > 0 ? i : 1, i > 0 ? bytes.n : 1, &cut);
			if (strcmp(buf_cstr(&whole), buf_cstr(&cut)) == 0)
				continue;
			printf("# %s, cut at %zu: %.200s\n", h.name, i,
			    buf_cstr(&cut));
			CU_FAIL("another verdict when cut");
		}
	}
	CU_ASSERT(cases > 100);
	buf_fini(&whole);
	buf_fini(&cut);
	fclose(f);
}

static void
headers_are_found(void)
{
	static const char text[] = "POST /a?b=c HTTP/1.0\r\nX-One:\t1 \r\n"
				   "x-two:\r\nX-One: 2\r\nContent-Length: 7\r\n"
				   "Connection: Keep-Alive\r\n\r\n";
	struct slice piece, in = SLICE(text);
	struct http_head head = { 0 };
	struct http_parse p;

	http_parse_init(&p);
	CU_ASSERT_EQUAL_FATAL(
	    http_parse_next(&p, &head, &in, &piece), HTTP_PARSE_HEADER);
	CU_ASSERT(slice_eq(http_head_target(&head), "/a?b=c"));
	CU_ASSERT(slice_eq(http_head_value(&head, "x-oNE"), "1"));
	CU_ASSERT(slice_eq(http_head_value(&head, "x-two"), ""));
	CU_ASSERT_PTR_NOT_NULL(http_head_value(&head, "x-two").p);
	CU_ASSERT_PTR_NULL(http_head_value(&head, "x-three").p);
	CU_ASSERT_EQUAL(head.length, 7);
	CU_ASSERT(head.is_http10 && p.keep_alive && !head.is_head);
	CU_ASSERT_EQUAL(in.n, 0);
	CU_ASSERT_EQUAL(
	    http_parse_next(&p, &head, &in, &piece), HTTP_PARSE_MORE);
	http_head_fini(&head);
}

UNIT_MAIN("http parse", UNIT(verdicts_do_not_depend_on_how_bytes_arrive),
    UNIT(headers_are_found))
