#include "../unit/unit.h"

#include <string.h>
#include <unistd.h>

#include "hostile.h"
#include "peer.h"

static const struct http_opts usual = { 0 };

static bool
is_error_answer(struct answer *a)
{
	char value[256];

	return strcmp(answer_header(a, "content-type", value),
		   "application/json") == 0 &&
	    strcmp(answer_header(a, "connection", value), "close") == 0 &&
	    strncmp(buf_cstr(&a->body), "{\"error\":{\"message\":\"", 21) ==
	    0 &&
	    strstr(buf_cstr(&a->body), "\",\"type\":\"") != NULL &&
	    strstr(buf_cstr(&a->body), ",\"param\":null,\"code\":") != NULL;
}

static bool
case_holds(const struct hostile *h, bool bytewise)
{
	struct buf rest = { 0 };
	int fd = dial();
	bool good = true;

	if (bytewise)
		say_bytewise(fd, buf_slice(&h->bytes));
	else
		say(fd, buf_slice(&h->bytes));
	for (int i = 0; i < h->answers && good; i++) {
		struct answer a;

		hear(fd, &rest, false, &a);
		good = a.whole && a.status == h->status[i] &&
		    (a.status < 400 || is_error_answer(&a));
		if (!good)
			printf("# %s: %d \"%s\"\n", h->name, a.status,
			    buf_cstr(&a.body));
		answer_fini(&a);
	}
	if (good && h->open) {
		struct answer a = exchange(fd, &rest, GET("/"));

		good = a.status == 200 && rest.n == 0;
		answer_fini(&a);
	} else if (good) {
		good = ends(fd, &rest);
	}
	close(fd);
	buf_fini(&rest);
	return good;
}

static void
hostile_requests_get_their_verdict(void)
{
	struct hostile h = { 0 };
	FILE *f = hostile_open();
	int cases = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	serve_start(&usual);
	for (; hostile_next(f, &h); cases++) {
		if (!case_holds(&h, false))
			CU_FAIL(h.name);
		if (h.bytes.n < 2000 && !case_holds(&h, true))
			CU_FAIL(h.name);
	}
	CU_ASSERT(cases > 100);
	CU_ASSERT_EQUAL(serve_stop(), 0);
	CU_ASSERT_EQUAL(tally->requests, tally->gone);
	fclose(f);
}

static void
the_handler_sees_the_request(void)
{
	static const struct {
		const char *request, *seen;
	} cases[] = {
		{ "GET /who HTTP/1.1\r\nHost: a\r\n\r\n",
		    "GET /who   - 127.0.0.1" },
		{ "DELETE /who?p=a%2Bb+c%C3%a4&q HTTP/1.1\r\nHost: a\r\n"
		  "x-thing:  t  \r\n\r\n",
		    "DELETE /who p=a%2Bb+c%C3%a4&q t a+b c\xc3\xa4 127.0.0.1" },
		{ "GET /who?p HTTP/1.1\r\nHost: a\r\n\r\n",
		    "GET /who p  - 127.0.0.1" },
		{ "GET /who?pp=1&p=&p=2 HTTP/1.1\r\nHost: a\r\n\r\n",
		    "GET /who pp=1&p=&p=2   127.0.0.1" },
		{ "GET /who?p=%0 HTTP/1.1\r\nHost: a\r\n\r\n",
		    "GET /who p=%0  - 127.0.0.1" },
		{ "GET /who?p=%gg HTTP/1.1\r\nHost: a\r\n\r\n",
		    "GET /who p=%gg  - 127.0.0.1" },
		{ "GET /who?p=a%00b HTTP/1.1\r\nHost: a\r\n\r\n",
		    "GET /who p=a%00b  - 127.0.0.1" },
		{ "GET /who?a?b=c HTTP/1.1\r\nHost: a\r\n\r\n",
		    "GET /who a?b=c  - 127.0.0.1" },
	};

	serve_start(&usual);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf rest = { 0 };
		int fd = dial();
		struct answer a = exchange(fd, &rest, cases[i].request);

		CU_ASSERT_STRING_EQUAL(buf_cstr(&a.body), cases[i].seen);
		answer_fini(&a);
		buf_fini(&rest);
		close(fd);
	}
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
pipelined_requests_are_answered_in_order(void)
{
	struct buf rest = { 0 }, all = { 0 };
	struct answer a;
	char body[16];
	int fd;

	serve_start(&usual);
	fd = dial();
	/* Each third one is answered from outside its callbacks. */
	for (int i = 0; i < 300; i++) {
		snprintf(body, sizeof(body), "%d", i);
		buf_addf(&all,
		    "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: "
		    "%zu\r\n\r\n%s" GET("/who?%d"),
		    i % 3 == 0 ? "/later" : "/", strlen(body), body, i);
	}
	say(fd, buf_slice(&all));
	for (int i = 0; i < 300; i++) {
		char seen[64];

		hear(fd, &rest, false, &a);
		CU_ASSERT_STRING_EQUAL(buf_cstr(&a.body), "hello");
		answer_fini(&a);
		hear(fd, &rest, false, &a);
		snprintf(seen, sizeof(seen), "GET /who %d  - 127.0.0.1", i);
		CU_ASSERT_STRING_EQUAL(buf_cstr(&a.body), seen);
		answer_fini(&a);
	}
	CU_ASSERT_EQUAL(tally->requests, 600);
	close(fd);
	buf_fini(&rest);
	buf_fini(&all);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
a_body_comes_in_any_pieces(void)
{
	struct buf rest = { 0 }, chunks = { 0 }, sent = { 0 };
	struct answer a;
	int fd;

	serve_start(&usual);
	fd = dial();
	buf_adds(&chunks, POST("/echo", "Transfer-Encoding: chunked\r\n", ""));
	for (int i = 1; i <= 20000; i++) {
		size_t n = (size_t)i % 7 + 1;

		buf_addf(&chunks, "%zx\r\n%.*s\r\n", n, (int)n, "abcdefg");
		buf_add(&sent, "abcdefg", n);
	}
	buf_adds(&chunks, "0\r\n\r\n");
	say(fd, buf_slice(&chunks));
	hear(fd, &rest, false, &a);
	CU_ASSERT(a.whole && a.status == 200);
	CU_ASSERT(a.body.n == sent.n && memcmp(a.body.p, sent.p, sent.n) == 0);
	answer_fini(&a);

	/* The same with one byte to a packet, which splits every line too. */
	buf_clear(&chunks);
	buf_adds(&chunks,
	    POST("/echo", "Transfer-Encoding: chunked\r\n",
		"1\r\na\r\n10\r\n0123456789abcdef\r\n"
		"0\r\nX-A: b\r\n\r\n"));
	say_bytewise(fd, buf_slice(&chunks));
	hear(fd, &rest, false, &a);
	CU_ASSERT_STRING_EQUAL(buf_cstr(&a.body), "a0123456789abcdef");
	answer_fini(&a);
	close(fd);
	buf_fini(&rest);
	buf_fini(&chunks);
	buf_fini(&sent);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

UNIT_MAIN("http framing", UNIT(hostile_requests_get_their_verdict),
    UNIT(the_handler_sees_the_request),
    UNIT(pipelined_requests_are_answered_in_order),
    UNIT(a_body_comes_in_any_pieces))
