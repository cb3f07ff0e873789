#include "../unit/unit.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

static const struct http_opts usual = { 0 };

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
head_is_get_without_the_body(void)
{
	static const struct {
		const char *path, *length, *encoding;
	} cases[] = {
		{ "HEAD /now HTTP/1.1\r\nHost: a\r\n\r\n", "5", "" },
		{ "HEAD /big?n=500000 HTTP/1.1\r\nHost: a\r\n\r\n", "500000",
		    "" },
		{ "HEAD /part HTTP/1.1\r\nHost: a\r\n\r\n", "100", "" },
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

UNIT_MAIN("http answers", UNIT(answers_say_what_they_are),
    UNIT(head_is_get_without_the_body),
    UNIT(a_100_is_sent_when_the_body_is_wanted),
    UNIT(an_answer_may_come_before_the_body),
    UNIT(a_broken_answer_does_not_look_whole), UNIT(http_10_gets_no_chunks))
