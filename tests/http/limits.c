#include "../unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "peer.h"

static const struct http_opts usual = { .max_connections = 5000,
	.max_per_address = 5000 };

/* Whether the new connection is served, or told that there are too many. */
static int
status_of(int fd)
{
	struct buf rest = { 0 };
	struct answer a;
	char value[256];
	int status;

	says(fd, GET("/"));
	hear(fd, &rest, false, &a);
	status = a.status;
	if (status == 503) {
		CU_ASSERT_STRING_EQUAL(
		    answer_header(&a, "retry-after", value), "1");
		CU_ASSERT_STRING_EQUAL(
		    answer_header(&a, "connection", value), "close");
		CU_ASSERT(ends(fd, &rest));
	}
	answer_fini(&a);
	buf_fini(&rest);
	return status;
}

/* A connection that is served, as soon as one is. */
static int
admitted(void)
{
	int64_t end_ms = clock_ms() + PEER_PATIENCE_MS;
	int fd = dial();

	while (status_of(fd) != 200 && clock_ms() < end_ms) {
		close(fd);
		fd = dial();
	}
	return fd;
}

static void
connections_are_capped(void)
{
	static const struct http_opts caps[] = {
		{ .max_connections = 3 },
		{ .max_per_address = 3 },
	};

	for (size_t i = 0; i < NITEMS(caps); i++) {
		int fd[4];

		serve_start(&caps[i]);
		for (int k = 0; k < 3; k++)
			fd[k] = admitted();
		/* One more is told so; the others do not notice. */
		for (int k = 0; k < 3; k++) {
			fd[3] = dial();
			CU_ASSERT_EQUAL(status_of(fd[3]), 503);
			CU_ASSERT_EQUAL(status_of(fd[k]), 200);
			close(fd[3]);
			/* One that leaves makes room, for one. */
			close(fd[k]);
			fd[k] = admitted();
		}
		for (int k = 0; k < 3; k++)
			close(fd[k]);
		CU_ASSERT_EQUAL(serve_stop(), 0);
	}
}

static void
a_flood_is_turned_away(void)
{
	static const struct http_opts one = { .max_connections = 1 };
	enum { FLOOD = 200 };
	struct buf rest = { 0 };
	int fd[FLOOD], first, refused = 0;

	serve_start(&one);
	first = dial();
	CU_ASSERT_EQUAL(status_of(first), 200);
	for (int i = 0; i < FLOOD; i++)
		fd[i] = dial();
	for (int i = 0; i < FLOOD; i++) {
		struct answer a;

		hear(fd[i], &rest, false, &a);
		CU_ASSERT(a.status == 503 || a.status == 0);
		refused += a.status == 503;
		answer_fini(&a);
		buf_clear(&rest);
	}
	/* Politeness has its limit, while those told first have not left. */
	CU_ASSERT(refused >= 64 && refused < FLOOD);
	for (int i = 0; i < FLOOD; i++)
		close(fd[i]);
	CU_ASSERT_EQUAL(status_of(first), 200);
	close(first);
	buf_fini(&rest);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
no_descriptor_left_is_survived(void)
{
	enum { CONNS = 100 };
	struct rlimit old, few;
	int fd[CONNS];
	double cpu_s;

	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = 40;
	setrlimit(RLIMIT_NOFILE, &few);
	serve_start(&usual);
	setrlimit(RLIMIT_NOFILE, &old);
	for (int i = 0; i < CONNS; i++)
		fd[i] = dial();
	CU_ASSERT_EQUAL(status_of(fd[0]), 200);
	cpu_s = serve_cpu_s();
	poll(NULL, 0, 500);
	CU_ASSERT(serve_cpu_s() - cpu_s < 0.1);
	for (int i = 0; i < CONNS; i++)
		close(fd[i]);
	CU_ASSERT_EQUAL(ask(GET("/")), 200);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
a_unix_socket_serves_too(void)
{
	char dir[] = "/tmp/sluice-http-XXXXXX", path[64], where[80];
	struct http_opts opts = { .listen = where };
	struct buf rest = { 0 };
	struct answer a;
	struct stat st;
	int fd;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	snprintf(where, sizeof(where), "unix:%s", path);
	serve_start(&opts);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0660);
	fd = dial_unix(path);
	says(fd, GET("/who"));
	hear(fd, &rest, false, &a);
	CU_ASSERT_STRING_EQUAL(buf_cstr(&a.body), "GET /who   - unix");
	answer_fini(&a);

	/* A second server does not take it away from the first. */
	{
		struct slc_err err = { 0 };
		uv_loop_t loop;

		uv_loop_init(&loop);
		CU_ASSERT_PTR_NULL(http_listen(&loop, &opts, NULL, NULL, &err));
		CU_ASSERT_EQUAL(err.rc, SLC_EIO);
		uv_run(&loop, UV_RUN_DEFAULT);
		CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	}
	says(fd, GET("/"));
	hear(fd, &rest, false, &a);
	CU_ASSERT_EQUAL(a.status, 200);
	answer_fini(&a);
	close(fd);

	/* Killed, it leaves the file behind; the next one replaces it. */
	serve_signal(SIGKILL);
	serve_wait();
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	serve_start(&opts);
	fd = dial_unix(path);
	says(fd, GET("/"));
	hear(fd, &rest, false, &a);
	CU_ASSERT_EQUAL(a.status, 200);
	answer_fini(&a);
	close(fd);
	CU_ASSERT_EQUAL(serve_stop(), 0);
	CU_ASSERT_EQUAL(stat(path, &st), -1);

	/* What is not a socket is not removed. */
	close(open(path, O_CREAT | O_WRONLY, 0600));
	serve_start(&opts);
	CU_ASSERT_EQUAL(tally->port, -1);
	CU_ASSERT_EQUAL(WEXITSTATUS(serve_wait()), 2);
	CU_ASSERT_EQUAL(unlink(path), 0);
	rmdir(dir);
	buf_fini(&rest);
}

static void
bad_addresses_are_refused(void)
{
	static const char *const bad[] = { "", "8080", "127.0.0.1",
		"127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80",
		"[::1:80", "example.org:80", "localhost:65536", "256.0.0.1:80",
		"[127.0.0.1]:80" };
	uv_loop_t loop;

	CU_ASSERT(http_is_address("localhost:80"));
	CU_ASSERT(http_is_address("[::1]:0"));
	CU_ASSERT_FALSE(http_is_address("unix:/x"));
	uv_loop_init(&loop);
	for (size_t i = 0; i < NITEMS(bad); i++) {
		struct http_opts opts = { .listen = bad[i] };
		struct slc_err err = { 0 };

		if (http_listen(&loop, &opts, NULL, NULL, &err) != NULL ||
		    err.rc != SLC_EINPUT)
			CU_FAIL(bad[i]);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

/* Resident memory the server has gained, as far as it can be told. */
static bool
grew_less(long before_kb, long kb)
{
	long grown_kb = serve_memory_kb("VmHWM") - before_kb;

	if (!PEER_MEASURES_MEMORY || grown_kb < kb)
		return true;
	printf("# grew by %ld KB\n", grown_kb);
	return false;
}

/* Send what goes and read what comes, up to the numbers of bytes. */
static long
pump(int fd, long out, long in)
{
	static char block[64 << 10];
	struct pollfd p = { .fd = fd };
	long got = 0;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (got < in || out > 0) {
		ssize_t n;

		p.events = (short)(POLLIN | (out > 0 ? POLLOUT : 0));
		if (poll(&p, 1, PEER_PATIENCE_MS) != 1)
			break;
		n = (long)sizeof(block) < out ? (long)sizeof(block) : out;
		n = send(fd, block, (size_t)n, MSG_NOSIGNAL);
		out -= n > 0 ? n : 0;
		n = recv(fd, block, sizeof(block), 0);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		got += n > 0 ? n : 0;
	}
	return got;
}

static void
a_slow_sink_slows_the_sender(void)
{
	enum { SIZE = 32 << 20 };
	struct buf rest = { 0 };
	struct answer a;
	long before_kb;
	int fd;

	serve_start(&usual);
	CU_ASSERT_EQUAL(
	    ask(POST("/slow", "Content-Length: 5\r\n", "hello")), 200);
	before_kb = serve_memory_kb("VmHWM");
	fd = dial();
	says(fd, POST("/slow", "Content-Length: 33554432\r\n", ""));
	pump(fd, SIZE, 0);
	fcntl(fd, F_SETFL, 0);
	hear(fd, &rest, false, &a);
	CU_ASSERT_STRING_EQUAL(buf_cstr(&a.body), "33554432");
	CU_ASSERT(grew_less(before_kb, 1024));
	answer_fini(&a);
	buf_fini(&rest);
	close(fd);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
a_slow_reader_slows_the_answer(void)
{
	enum { SIZE = 200000000 };
	long before_kb, got;
	int fd;

	serve_start(&usual);
	CU_ASSERT_EQUAL(ask(GET("/big?n=1000")), 200);
	before_kb = serve_memory_kb("VmHWM");
	fd = dial();
	says(fd, GET("/big?n=200000000"));
	CU_ASSERT(reaches(&tally->stalled, 1));
	CU_ASSERT(grew_less(before_kb, 2048));
	got = pump(fd, 0, SIZE);
	CU_ASSERT(got >= SIZE && got < SIZE + 1000);
	CU_ASSERT(tally->drains > 0);
	CU_ASSERT(grew_less(before_kb, 2048));
	close(fd);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
both_ways_at_once(void)
{
	enum { SIZE = 64 << 20 };
	long before_kb, got;
	int fd;

	serve_start(&usual);
	CU_ASSERT_EQUAL(
	    ask(POST("/echo", "Content-Length: 5\r\n", "hello")), 200);
	before_kb = serve_memory_kb("VmHWM");
	fd = dial();
	says(fd, POST("/echo", "Content-Length: 67108864\r\n", ""));
	/* Nothing is read until the server has had enough. */
	fcntl(fd, F_SETFL, O_NONBLOCK);
	got = SIZE;
	while (tally->paused == 0) {
		static char block[64 << 10];
		ssize_t n = send(fd, block, sizeof(block), MSG_NOSIGNAL);

		got -= n > 0 ? n : 0;
	}
	CU_ASSERT(grew_less(before_kb, 2048));
	got = pump(fd, got, SIZE);
	CU_ASSERT(got >= SIZE && got < SIZE + 1000);
	CU_ASSERT(grew_less(before_kb, 2048));
	close(fd);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
pipelines_do_not_pile_up(void)
{
	static const char one[] = GET("/page");
	struct buf rest = { 0 };
	struct answer a = { 0 };
	long before_kb, sent = 0;
	ssize_t n = 0;
	int fd;

	serve_start(&usual);
	CU_ASSERT_EQUAL(ask(one), 200);
	before_kb = serve_memory_kb("VmHWM");
	fd = dial();
	/* Requests for more than 20 MB, until no more can be sent. */
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		size_t at = (size_t)n % (sizeof(one) - 1);

		if (poll(&p, 1, 300) != 1)
			break;
		n = (ssize_t)at +
		    send(fd, one + at, sizeof(one) - 1 - at,
			MSG_NOSIGNAL | MSG_DONTWAIT);
		sent += n == sizeof(one) - 1;
	}
	CU_ASSERT(sent > 1000);
	CU_ASSERT(tally->requests < 1000);
	CU_ASSERT(grew_less(before_kb, 2048));
	/* None of them is lost, or mixed up with another. */
	for (long i = 0; i < sent; i++) {
		hear(fd, &rest, false, &a);
		if (a.status != 200 || !a.whole || a.body.n != 20011)
			break;
		answer_fini(&a);
		a.status = 200;
	}
	CU_ASSERT_EQUAL(a.status, 200);
	answer_fini(&a);
	close(fd);
	buf_fini(&rest);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

static void
an_idle_connection_costs_little(void)
{
	enum { CONNS = 500, WARM = 20, EACH_MAX = 1536 };
	struct buf rest = { 0 };
	long before_kb = 0, each;
	int fd[CONNS + WARM];

	serve_start(&usual);
	for (int i = 0; i < CONNS + WARM; i++) {
		struct answer a;

		if (i == WARM)
			before_kb = serve_memory_kb("VmRSS");
		fd[i] = dial();
		says(fd[i], GET("/"));
		hear(fd[i], &rest, false, &a);
		CU_ASSERT_EQUAL(a.status, 200);
		answer_fini(&a);
	}
	each = (serve_memory_kb("VmRSS") - before_kb) * 1024 / CONNS;
	if (PEER_MEASURES_MEMORY) {
		printf("# %ld bytes each\n", each);
		CU_ASSERT(each < EACH_MAX);
	}
	for (int i = 0; i < CONNS + WARM; i++)
		close(fd[i]);
	buf_fini(&rest);
	CU_ASSERT_EQUAL(serve_stop(), 0);
}

UNIT_MAIN("http limits", UNIT(connections_are_capped),
    UNIT(a_flood_is_turned_away), UNIT(no_descriptor_left_is_survived),
    UNIT(a_unix_socket_serves_too), UNIT(bad_addresses_are_refused),
    UNIT(a_slow_sink_slows_the_sender), UNIT(a_slow_reader_slows_the_answer),
    UNIT(both_ways_at_once), UNIT(pipelines_do_not_pile_up),
    UNIT(an_idle_connection_costs_little))
