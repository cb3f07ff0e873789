/*
 * Fuzz target: requests read in pieces are the requests read whole, and a
 * body is as long as its header says.
 *
 * The first two bytes say how long the pieces are.
 */
#include <assert.h>
#include <string.h>

#include "../../lib/http_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct seen {
	struct buf text;
	int64_t body; /* bytes of the one being read */
	int status;
};

static void
see(struct seen *seen, enum http_parse_event event, struct http_parse *p,
    struct http_head *head, struct slice piece)
{
	struct slice target, host;

	switch (event) {
	case HTTP_PARSE_HEADER:
		target = http_head_target(head);
		host = http_head_value(head, "host");
		assert(target.n > 0 && target.p[0] == '/');
		assert(head->is_http10 || host.p != NULL);
		buf_addf(&seen->text, "%s %.*s %.*s\n", head->method,
		    (int)target.n, target.p, (int)host.n,
		    host.p == NULL ? "" : host.p);
		seen->body = 0;
		break;
	case HTTP_PARSE_BODY:
		assert(piece.n > 0);
		buf_add(&seen->text, piece.p, piece.n);
		seen->body += (int64_t)piece.n;
		break;
	case HTTP_PARSE_END:
		assert(head->length == -1 || head->length == seen->body);
		http_head_fini(head);
		*head = (struct http_head){ 0 };
		buf_adds(&seen->text, "\n");
		break;
	case HTTP_PARSE_BAD:
		assert(p->fault.status >= 400 && p->fault.why != NULL);
		seen->status = p->fault.status;
		break;
	case HTTP_PARSE_MORE:
		break;
	}
}

static void
read_requests(struct slice bytes, size_t odd, size_t even, struct seen *seen)
{
	enum http_parse_event event = HTTP_PARSE_MORE;
	struct http_head head = { 0 };
	struct http_parse p;

	http_parse_init(&p);
	for (size_t i = 0; event != HTTP_PARSE_BAD && bytes.n > 0; i++) {
		size_t n = i % 2 == 0 ? even : odd;
		struct slice in, piece;

		in = (struct slice){ bytes.p, n < bytes.n ? n : bytes.n };
		bytes = (struct slice){ bytes.p + in.n, bytes.n - in.n };
		do {
			event = http_parse_next(&p, &head, &in, &piece);
			see(seen, event, &p, &head, piece);
		} while (event != HTTP_PARSE_MORE && event != HTTP_PARSE_BAD);
		assert(event == HTTP_PARSE_BAD || in.n == 0);
	}
	http_head_fini(&head);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct seen whole = { 0 }, cut = { 0 };
	struct slice bytes;

	if (n < 3)
		return 0;
	http_parse_limit(SLC_HEADERS_MAX);
	bytes = (struct slice){ (const char *)data + 2, n - 2 };
	read_requests(bytes, n, n, &whole);
	read_requests(bytes, data[0] + 1u, data[1] % 8 + 1u, &cut);
	assert(whole.status == cut.status);
	/* What came before a fault may end anywhere. */
	assert(whole.status != 0 || whole.text.n == cut.text.n);
	if (whole.status == 0 && whole.text.n > 0)
		assert(whole.text.n == cut.text.n &&
		    memcmp(whole.text.p, cut.text.p, cut.text.n) == 0);
	buf_fini(&whole.text);
	buf_fini(&cut.text);
	return 0;
}
