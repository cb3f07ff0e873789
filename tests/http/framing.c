#include "../unit/unit.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostile.h"
#include "peer.h"

static const struct http_opts usual = { 0 };

/* Send one request, hear one answer, on an open connection. */
static struct answer
exchange(int fd, struct buf *rest, const char *request)
{
	struct answer a;

	says(fd, request);
	hear(fd, rest, strncmp(request, "HEAD", 4) == 0, &a);
	return a;
}

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
answers_say_what_they_are(void)
{
	char value[256], id[256];
	struct buf rest = { 0 };
	struct answer a;
	int fd;

	serve_start(&usual);
	fd = dial();
	a = exchange(fd, &rest, GET("/now"));
	CU_ASSERT_STRING_EQUAL(buf_cstr(&a.body), "hello");
	CU_ASSERT(strncmp(buf_cstr(&a.head), "HTTP/1.1 200 OK\r\n", 17) == 0);
	CU_ASSERT_STRING_EQUAL(
	    answer_header(&a, "content-type", value), "text/plain");
	CU_ASSERT_STRING_EQUAL(answer_header(&a, "content-length", value), "5");
	CU_ASSERT_STRING_EQUAL(answer_header(&a, "connection", value), "");
	CU_ASSERT_STRING_EQUAL(
	    answer_header(&a, "openai-processing-ms", value), "0");
	answer_header(&a, "date", value);
	CU_ASSERT_EQUAL(strlen(value), 29);
	CU_ASSERT_STRING_EQUAL(value + 25, " GMT");
	answer_header(&a, "x-request-id", id);
	CU_ASSERT_EQUAL(strlen(id), 36);
	CU_ASSERT_EQUAL(strspn(id + 4, "0123456789abcdef"), 32);
	CU_ASSERT_EQUAL(strncmp(id, "req_", 4), 0);
	answer_fini(&a);

	/* More requests than one draw of random bytes is enough for. */
	for (int i = 0; i < 300; i++) {
		a = exchange(fd, &rest, GET("/now"));
		CU_ASSERT_STRING_NOT_EQUAL(
		    answer_header(&a, "x-request-id", value), id);
		answer_fini(&a);
	}

	a = exchange(fd, &rest, GET("/error"));
	CU_ASSERT_EQUAL(a.status, 401);
	CU_ASSERT_STRING_EQUAL(buf_cstr(&a.body),
	    "{\"error\":{\"message\":\"a \\\"bad\\\" key\",\"type\":"
	    "\"invalid_request_error\",\"param\":\"key\",\"code\":"
	    "\"invalid_api_key\"}}");
	answer_fini(&a);

	/* A value cannot end its line. */
	a = exchange(fd, &rest, POST("/count", "Content-Length: 3\r\n", "abc"));
	CU_ASSERT_STRING_EQUAL(buf_cstr(&a.body), "3");
	CU_ASSERT_STRING_EQUAL(
	    answer_header(&a, "x-note", value), "line??end: x");
	CU_ASSERT_STRING_EQUAL(answer_header(&a, "end", value), "");
	answer_fini(&a);

	a = exchange(fd, &rest,
	    "GET /now HTTP/1.0\r\n"
	    "Connection: keep-alive\r\n\r\n");
	CU_ASSERT_STRING_EQUAL(
	    answer_header(&a, "connection", value), "keep-alive");
	answer_fini(&a);
	close(fd);
	buf_fini(&rest);
	CU_ASSERT_EQUAL(serve_stop(), 0);
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
head_is_get_without_the_body(void)
{
	static const struct {
		const char *path, *length, *encoding;
	} cases[] = {
		{ "HEAD /now HTTP/1.1\r\nHost: a\r\n\r\n", "5", "" },
		{ "HEAD /big?n=500000 HTTP/1.1\r\nHost: a\r\n\r\n", "500000",
		    "" },
		{ "HEAD /big?n=500000&chunked=1 HTTP/1.1\r\nHost: a\r\n\r\n",
		    "", "chunked" },
	};
	struct buf rest = { 0 };
	char value[256];
	int fd;

	serve_start(&usual);
	fd = dial();
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct answer a = exchange(fd, &rest, cases[i].path);

		CU_ASSERT_EQUAL(a.status, 200);
		CU_ASSERT_STRING_EQUAL(
		    answer_header(&a, "content-length", value),
		    cases[i].length);
		CU_ASSERT_STRING_EQUAL(
		    answer_header(&a, "transfer-encoding", value),
		    cases[i].encoding);
		answer_fini(&a);
		a = exchange(
		    fd, &rest, "HEAD /who HTTP/1.1\r\nHost: a\r\n\r\n");
		CU_ASSERT_STRING_EQUAL(
		    answer_header(&a, "x-method", value), "GET");
		answer_fini(&a);
		/* Had a body come, it would stand before this answer. */
		a = exchange(fd, &rest, GET("/who"));
		CU_ASSERT_STRING_EQUAL(
		    buf_cstr(&a.body), "GET /who   - 127.0.0.1");
		answer_fini(&a);
	}
	close(fd);
	buf_fini(&rest);
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

static void
a_100_is_sent_when_the_body_is_wanted(void)
{
#define EXPECT "Expect: 100-continue\r\nContent-Length: 3\r\n"
	struct buf rest = { 0 };
	struct answer a;
	char value[256];
	int fd;

	serve_start(&usual);
	fd = dial();
	a = exchange(fd, &rest, POST("/count", EXPECT, ""));
	CU_ASSERT_EQUAL(a.status, 100);
	answer_fini(&a);
	a = exchange(fd, &rest, "abc");
	CU_ASSERT_STRING_EQUAL(buf_cstr(&a.body), "3");
	answer_fini(&a);

	/* Not while the handler makes up its mind. */
	says(fd, POST("/stop", EXPECT, ""));
	CU_ASSERT(reaches(&tally->paused, 1));
	CU_ASSERT(recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT) < 0);
	serve_signal(SIGUSR1);
	hear(fd, &rest, false, &a);
	CU_ASSERT_EQUAL(a.status, 100);
	answer_fini(&a);
	a = exchange(fd, &rest, "abc");
	CU_ASSERT_STRING_EQUAL(buf_cstr(&a.body), "3");
	answer_fini(&a);

	/* Not when the answer is there first; who knows what follows then? */
	a = exchange(fd, &rest, POST("/error", EXPECT, ""));
	CU_ASSERT_EQUAL(a.status, 401);
	CU_ASSERT_STRING_EQUAL(answer_header(&a, "connection", value), "close");
	answer_fini(&a);
	CU_ASSERT(ends(fd, &rest));
	close(fd);
	buf_fini(&rest);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
an_answer_may_come_before_the_body(void)
{
	enum { LONG = 8 << 20 };
	struct buf rest = { 0 }, body = { 0 };
	struct answer a;
	int fd;

	serve_start(&usual);
	fd = dial();
	/* A short rest is skipped. */
	a = exchange(fd, &rest, POST("/error", "Content-Length: 5\r\n", ""));
	CU_ASSERT_EQUAL(a.status, 401);
	answer_fini(&a);
	a = exchange(fd, &rest, "hello" GET("/"));
	CU_ASSERT_EQUAL(a.status, 200);
	answer_fini(&a);
	/* Also when the handler has paused the request. */
	a = exchange(
	    fd, &rest, POST("/late", "Content-Length: 5\r\n", "hello"));
	CU_ASSERT_EQUAL(a.status, 200);
	answer_fini(&a);
	a = exchange(fd, &rest, GET("/"));
	CU_ASSERT_EQUAL(a.status, 200);
	answer_fini(&a);
	/* No word of these bodies, but of the two that are empty. */
	CU_ASSERT_EQUAL(tally->pieces, 0);
	CU_ASSERT_EQUAL(tally->bodies, 2);

	/* After a long one the peer still gets to see the answer. */
	buf_reserve(&body, LONG);
	memset(body.p, 'x', LONG);
	body.n = LONG;
	says(fd, POST("/error", "Content-Length: 8388608\r\n", ""));
	CU_ASSERT(say(fd, buf_slice(&body)));
	hear(fd, &rest, false, &a);
	CU_ASSERT_EQUAL(a.status, 401);
	CU_ASSERT(a.whole);
	answer_fini(&a);
	CU_ASSERT(ends(fd, &rest));
	CU_ASSERT_EQUAL(tally->pieces, 0);
	close(fd);
	buf_fini(&rest);
	buf_fini(&body);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
a_broken_answer_does_not_look_whole(void)
{
	static const char *const requests[] = {
		GET("/part"),
		GET("/part?chunked"),
		"GET /part?chunked HTTP/1.0\r\n\r\n",
	};

	serve_start(&usual);
	for (size_t i = 0; i < NITEMS(requests); i++) {
		struct buf rest = { 0 };
		int fd = dial();
		struct answer a = exchange(fd, &rest, requests[i]);

		CU_ASSERT_FALSE(a.whole);
		CU_ASSERT(ends(fd, &rest));
		answer_fini(&a);
		buf_fini(&rest);
		close(fd);
	}
	CU_ASSERT_EQUAL(ask(GET("/")), 200);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
http_10_gets_no_chunks(void)
{
	struct buf rest = { 0 };
	struct answer a;
	char value[256];
	int fd;

	serve_start(&usual);
	fd = dial();
	a = exchange(fd, &rest,
	    "GET /big?n=100000&chunked=1 HTTP/1.0\r\n"
	    "Connection: keep-alive\r\n\r\n");
	CU_ASSERT_STRING_EQUAL(
	    answer_header(&a, "transfer-encoding", value), "");
	CU_ASSERT_STRING_EQUAL(answer_header(&a, "connection", value), "close");
	CU_ASSERT(a.whole);
	CU_ASSERT_EQUAL(a.body.n, 100000);
	answer_fini(&a);
	close(fd);
	buf_fini(&rest);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

UNIT_MAIN("http framing", UNIT(hostile_requests_get_their_verdict),
    UNIT(answers_say_what_they_are), UNIT(the_handler_sees_the_request),
    UNIT(head_is_get_without_the_body),
    UNIT(pipelined_requests_are_answered_in_order),
    UNIT(a_body_comes_in_any_pieces),
    UNIT(a_100_is_sent_when_the_body_is_wanted),
    UNIT(an_answer_may_come_before_the_body),
    UNIT(a_broken_answer_does_not_look_whole), UNIT(http_10_gets_no_chunks))
