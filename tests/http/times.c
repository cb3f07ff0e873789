#include "../unit/unit.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

/* A limit that is to be hit, and the least that must have passed by then. */
enum { SHORT_MS = 400, LEAST_MS = SHORT_MS * 3 / 4, MOST_MS = SHORT_MS * 8 };

static const struct http_opts short_times = {
	.header_ms = SHORT_MS,
	.body_grace_ms = SHORT_MS,
	.body_min_bps = 10000,
	.stall_ms = SHORT_MS,
	.idle_ms = SHORT_MS,
};

static char filler[4096];

static bool
speaks(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* Send n bytes of filler each tick until the server says something. */
static int64_t
drip(int fd, size_t n, int tick_ms, int64_t most_ms)
{
	int64_t start_ms = clock_ms();

	memset(filler, 'x', sizeof(filler));
	while (!speaks(fd, tick_ms) && clock_ms() - start_ms < most_ms)
		say(fd, (struct slice){ filler, n });
	return clock_ms() - start_ms;
}

/* The answer is that one, and the connection ends with it; 0: no answer. */
static bool
ends_with(int fd, int status)
{
	struct buf rest = { 0 };
	struct answer a;
	bool good;

	hear(fd, &rest, false, &a);
	good = a.status == status && ends(fd, &rest);
	if (!good)
		printf("# status %d\n", a.status);
	answer_fini(&a);
	buf_fini(&rest);
	close(fd);
	return good;
}

static bool
is_about(int64_t ms)
{
	bool good = ms >= LEAST_MS && ms <= MOST_MS;

	if (!good)
		printf("# after %lld ms\n", (long long)ms);
	return good;
}

/* Until another connection has been cut off, twice: that long is long enough.
 */
static void
let_limits_pass(void)
{
	for (int i = 0; i < 2; i++) {
		int fd = dial();

		says(fd, "GET");
		CU_ASSERT(ends_with(fd, 408));
	}
}

static void
a_slow_header_is_cut_off(void)
{
	int fd;

	serve_start(&short_times);
	fd = dial();
	says(fd, "GET / HTTP/1.1\r\nX-A: ");
	CU_ASSERT(is_about(drip(fd, 1, 20, MOST_MS)));
	CU_ASSERT(ends_with(fd, 408));
	CU_ASSERT_EQUAL(tally->requests, 0);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
a_slow_body_is_cut_off(void)
{
	static const char head[] =
	    POST("/count", "Content-Length: 100000000\r\n", "");
	int64_t start_ms;
	int fd;

	serve_start(&short_times);
	fd = dial();
	says(fd, head);
	CU_ASSERT(is_about(drip(fd, 1, 20, MOST_MS)));
	CU_ASSERT(ends_with(fd, 408));

	/* A fast start buys no more than the grace. */
	fd = dial();
	says(fd, head);
	for (int i = 0; i < 100; i++)
		say(fd, (struct slice){ filler, sizeof(filler) });
	start_ms = clock_ms();
	CU_ASSERT(speaks(fd, MOST_MS));
	CU_ASSERT(is_about(clock_ms() - start_ms));
	CU_ASSERT(ends_with(fd, 408));
	CU_ASSERT(reaches(&tally->gone, 2));

	/* Fast enough lives as long as it likes. */
	fd = dial();
	says(fd, head);
	CU_ASSERT(drip(fd, 1000, 20, 3 * SHORT_MS) >= 3 * SHORT_MS);
	CU_ASSERT_EQUAL(tally->gone, 2);
	close(fd);
	CU_ASSERT(reaches(&tally->gone, 3));
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
nobody_pays_for_our_own_waiting(void)
{
	struct buf rest = { 0 };
	struct answer a;
	int fd, next;

	serve_start(&short_times);
	/* The handler has paused the body, of which one half is not sent. */
	fd = dial();
	says(fd, POST("/stop", "Content-Length: 10\r\n", "hello"));
	/* The next request waits for the answer to the first. */
	next = dial();
	says(next, GET("/wait") "GET / HTTP/1.1\r\nHost: ");
	CU_ASSERT(reaches(&tally->requests, 2));
	let_limits_pass();
	serve_signal(SIGUSR1);
	says(fd, "world");
	hear(fd, &rest, false, &a);
	CU_ASSERT_STRING_EQUAL(buf_cstr(&a.body), "10");
	answer_fini(&a);
	hear(next, &rest, false, &a);
	CU_ASSERT_EQUAL(a.status, 200);
	answer_fini(&a);
	says(next, "a\r\n\r\n");
	hear(next, &rest, false, &a);
	CU_ASSERT_EQUAL(a.status, 200);
	answer_fini(&a);
	close(fd);
	close(next);
	buf_fini(&rest);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
nobody_pays_for_a_deaf_loop(void)
{
	struct buf rest = { 0 };
	struct answer a;
	int fd, blocker;

	serve_start(&short_times);
	fd = dial();
	says(fd, "GET / HTTP/1.1\r\nHost: a\r\n");
	CU_ASSERT_EQUAL(ask(GET("/")), 200);
	blocker = dial();
	says(blocker, GET("/block"));
	CU_ASSERT(reaches(&tally->blocked, 1));
	says(fd, "\r\n");
	hear(fd, &rest, false, &a);
	CU_ASSERT_EQUAL(a.status, 200);
	answer_fini(&a);
	buf_fini(&rest);
	close(fd);
	close(blocker);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
idle_connections_are_closed_without_a_word(void)
{
	struct buf rest = { 0 };
	struct answer a;
	int64_t start_ms = clock_ms();
	int fd, fresh;

	serve_start(&short_times);
	fresh = dial();
	fd = dial();
	says(fd, GET("/"));
	hear(fd, &rest, false, &a);
	answer_fini(&a);
	CU_ASSERT(ends(fd, &rest));
	CU_ASSERT(is_about(clock_ms() - start_ms));
	CU_ASSERT(ends(fresh, &rest));
	CU_ASSERT(is_about(clock_ms() - start_ms));
	close(fd);
	close(fresh);
	buf_fini(&rest);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
a_peer_that_takes_nothing_is_dropped(void)
{
	char piece[16 << 10];
	int64_t start_ms, gone_ms = 0;
	int fd, slow;

	serve_start(&short_times);
	/* One that takes a little now and then is not. */
	slow = dial();
	says(slow, GET("/big?n=100000000"));
	CU_ASSERT(reaches(&tally->stalled, 1));
	fd = dial();
	says(fd, GET("/big?n=100000000"));
	CU_ASSERT(reaches(&tally->stalled, 2));
	start_ms = clock_ms();
	while (clock_ms() - start_ms < 3 * SHORT_MS || tally->gone == 0) {
		CU_ASSERT(recv(slow, piece, sizeof(piece), 0) > 0);
		poll(NULL, 0, 5);
		if (tally->gone == 0)
			gone_ms = clock_ms() - start_ms;
	}
	CU_ASSERT_EQUAL(tally->gone, 1);
	CU_ASSERT(is_about(gone_ms));
	CU_ASSERT_EQUAL(tally->stalled, 1);
	close(fd);
	close(slow);
	CU_ASSERT(reaches(&tally->gone, 2));
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
a_peer_that_leaves_is_noticed(void)
{
	static const struct {
		const char *when, *request;
		bool reset;
	} cases[] = {
		{ "the handler waits", GET("/wait"), false },
		{ "the handler waits, reset", GET("/wait"), true },
		{ "a further request waits", GET("/wait") GET("/"), false },
		{ "the body is paused",
		    POST("/stop", "Content-Length: 9\r\n", "hello"), false },
		{ "the paused body is whole",
		    POST("/stop", "Content-Length: 5\r\n", "hello"), false },
		{ "the body is arriving",
		    POST("/count", "Content-Length: 9\r\n", "hello"), false },
		{ "the answer is stuck", GET("/big?n=100000000"), true },
	};
	static const struct http_opts usual = { 0 };
	struct linger now = { .l_onoff = 1 };

	serve_start(&usual);
	for (int i = 0; i < (int)NITEMS(cases); i++) {
		int fd = dial();

		says(fd, cases[i].request);
		CU_ASSERT(reaches(&tally->requests, i + 1));
		if (cases[i].reset)
			setsockopt(
			    fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		CU_ASSERT_EQUAL(tally->gone, i);
		close(fd);
		if (!reaches(&tally->gone, i + 1))
			CU_FAIL(cases[i].when);
	}
	CU_ASSERT_EQUAL(tally->requests, tally->gone);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

/* It leaves while its answer, made in another's callback, is on its way. */
static void
a_peer_may_leave_just_then(void)
{
	static const struct http_opts usual = { 0 };
	int waits, other;

	serve_start(&usual);
	waits = dial();
	other = dial();
	says(waits, GET("/wait"));
	CU_ASSERT(reaches(&tally->requests, 1));
	/* Stopped, it finds both events when it goes on, in this order. */
	serve_signal(SIGSTOP);
	says(other, GET("/release"));
	close(waits);
	serve_signal(SIGCONT);
	CU_ASSERT(reaches(&tally->gone, 2));
	CU_ASSERT_EQUAL(ask(GET("/")), 200);
	close(other);
	CU_ASSERT_EQUAL(serve_stop(), 0);
	CU_ASSERT_EQUAL(tally->gone, 3);
}

static void
closing_lets_requests_finish(void)
{
	static const struct http_opts usual = { 0 };
	struct buf rest = { 0 };
	struct answer a;
	char value[256];
	int idle, waits, half;

	serve_start(&usual);
	idle = dial();
	says(idle, GET("/"));
	hear(idle, &rest, false, &a);
	answer_fini(&a);
	waits = dial();
	says(waits, GET("/wait") GET("/"));
	half = dial();
	says(half, "GET / HTTP/1.1\r\n");
	CU_ASSERT(reaches(&tally->requests, 2));
	serve_signal(SIGTERM);
	CU_ASSERT(ends(idle, &rest));
	CU_ASSERT_EQUAL(dial(), -1);

	says(half, "Host: a\r\n\r\n");
	hear(half, &rest, false, &a);
	CU_ASSERT_EQUAL(a.status, 200);
	CU_ASSERT_STRING_EQUAL(answer_header(&a, "connection", value), "close");
	answer_fini(&a);
	CU_ASSERT(ends(half, &rest));

	serve_signal(SIGUSR1);
	hear(waits, &rest, false, &a);
	CU_ASSERT_EQUAL(a.status, 200);
	CU_ASSERT_STRING_EQUAL(answer_header(&a, "connection", value), "close");
	answer_fini(&a);
	/* The request behind it is not begun. */
	CU_ASSERT(ends(waits, &rest));
	close(idle);
	close(half);
	close(waits);
	CU_ASSERT_EQUAL(serve_wait(), 0);
	CU_ASSERT_EQUAL(tally->requests, 3);
	CU_ASSERT_EQUAL(tally->gone, 3);
	buf_fini(&rest);
}

static void
closing_does_not_wait_for_ever(void)
{
	static const struct http_opts usual = { 0 };
	int waits, stuck;

	serve_start(&usual);
	waits = dial();
	says(waits, GET("/wait"));
	stuck = dial();
	says(stuck, GET("/big?n=100000000"));
	CU_ASSERT(reaches(&tally->requests, 2));
	CU_ASSERT_EQUAL(serve_stop(), 0);
	CU_ASSERT_EQUAL(tally->gone, 2);
	close(waits);
	close(stuck);
}

UNIT_MAIN("http times", UNIT(a_slow_header_is_cut_off),
    UNIT(a_slow_body_is_cut_off), UNIT(nobody_pays_for_our_own_waiting),
    UNIT(nobody_pays_for_a_deaf_loop),
    UNIT(idle_connections_are_closed_without_a_word),
    UNIT(a_peer_that_takes_nothing_is_dropped),
    UNIT(a_peer_that_leaves_is_noticed), UNIT(a_peer_may_leave_just_then),
    UNIT(closing_lets_requests_finish), UNIT(closing_does_not_wait_for_ever))
