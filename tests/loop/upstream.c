/*
 * Calls that end before anything was sent, against sockets and names of the
 * test's own.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sluice/upstream.h>

#include "../unit/unit.h"

enum { SLOW_S = 3 };

/* libcurl's: names that end in slow.test take their time; inside.test has an
 * address that nobody outside should be led to. */
int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
    struct addrinfo **out)
{
	(void)hints;
	*out = NULL;
	if (name != NULL && strcmp(name, "inside.test") == 0) {
		struct {
			struct addrinfo ai;
			struct sockaddr_in to;
		} *a = calloc(1, sizeof(*a));

		a->to.sin_family = AF_INET;
		a->to.sin_port = htons((uint16_t)atoi(service));
		a->to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		a->ai = (struct addrinfo){ .ai_family = AF_INET,
			.ai_socktype = SOCK_STREAM,
			.ai_addrlen = sizeof(a->to),
			.ai_addr = (struct sockaddr *)&a->to };
		*out = &a->ai;
		return 0;
	}
	if (name != NULL && strstr(name, "slow.test") != NULL)
		sleep(SLOW_S);
	return EAI_AGAIN;
}

void
freeaddrinfo(struct addrinfo *a)
{
	free(a);
}

static struct {
	uv_loop_t loop;
	uv_timer_t tick;
	struct upstream *u;
	size_t elsewhere;
	int64_t tick_us, blocked_us; /* the longest time between two ticks */
	enum upstream_end end;
	char why[200];
} t;

static void
on_closed(void *arg)
{
	(void)arg;
	uv_close((uv_handle_t *)&t.tick, NULL);
}

static void
on_done(const struct upstream_result *result, void *arg)
{
	(void)arg;
	t.end = result->end;
	snprintf(t.why, sizeof(t.why), "%s", result->why);
}

static void
on_tick(uv_timer_t *timer)
{
	int64_t now_us = boot_us();

	if (now_us - t.tick_us > t.blocked_us)
		t.blocked_us = now_us - t.tick_us;
	t.tick_us = now_us;
	if (t.why[0] == '\0' || t.u == NULL)
		return;
	upstream_close(t.u, on_closed, NULL);
	t.u = NULL;
	(void)timer;
}

/* The address that was asked about; nothing may be reached. */
static bool
nowhere(const struct sockaddr *to, void *arg)
{
	memcpy(arg, to, sizeof(struct sockaddr_in));
	return false;
}

/* One call to url, to its end; no more files, if so; asked: nowhere(). */
static void
call_to(const char *url, bool full, struct sockaddr_in *asked)
{
	static const char *const none[] = { NULL };
	struct upstream_opts opts = { .connections = 4,
		.buffer_max = 1 << 20,
		.elsewhere = &t.elsewhere,
		.may_connect = asked == NULL ? NULL : nowhere,
		.may_arg = asked };
	struct upstream_request request = { .url = url,
		.headers = upstream_headers_new(none),
		.own_header = "A: b",
		.body = SLICE("{}"),
		.connect_ms = 300,
		.idle_ms = 5000,
		.whole_ms = 5000,
		.answer_max = 1000,
		.done = on_done };

	struct rlimit before, few;

	getrlimit(RLIMIT_NOFILE, &before);
	few = before;
	memset(&t, 0, sizeof(t));
	uv_loop_init(&t.loop);
	t.u = upstream_new(&t.loop, &opts);
	uv_timer_init(&t.loop, &t.tick);
	t.tick_us = boot_us();
	uv_timer_start(&t.tick, on_tick, 0, 20);
	if (full) {
		few.rlim_cur = (rlim_t)dup(2);
		close((int)few.rlim_cur);
		setrlimit(RLIMIT_NOFILE, &few);
	}
	upstream_start(t.u, &request);
	upstream_headers_drop(request.headers);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&t.loop), 0);
	setrlimit(RLIMIT_NOFILE, &before);
}

static void
call(const char *url, bool full)
{
	call_to(url, full, NULL);
}

static void
a_name_that_resolves_slowly_blocks_nobody(void)
{
	call("http://slow.test/x", false);
	CU_ASSERT_EQUAL(t.end, UPSTREAM_UNREACHED);
	CU_ASSERT(t.blocked_us < SLOW_S * 1000000 / 2);
}

static void
no_socket_is_no_fault_of_the_upstream(void)
{
	call("http://127.0.0.1:1/x", false);
	CU_ASSERT_EQUAL(t.end, UPSTREAM_UNREACHED);
	call("http://127.0.0.1:1/x", true);
	CU_ASSERT_EQUAL(t.end, UPSTREAM_UNSENT);
}

/* The very address that would be connected to is judged, whatever the name. */
static void
an_address_that_is_forbidden_is_not_connected_to(void)
{
	struct sockaddr_in asked = { 0 },
			   to = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(to);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	char url[64];

	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&to, n), 0);
	CU_ASSERT_EQUAL(listen(fd, 8), 0);
	getsockname(fd, (struct sockaddr *)&to, &n);
	snprintf(url, sizeof(url), "http://inside.test:%d/x",
	    (int)ntohs(to.sin_port));
	call_to(url, false, &asked);
	CU_ASSERT_EQUAL(t.end, UPSTREAM_FORBIDDEN);
	CU_ASSERT_EQUAL(asked.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CU_ASSERT_EQUAL(asked.sin_port, to.sin_port);
	CU_ASSERT_EQUAL(accept(fd, NULL, NULL), -1);
	close(fd);
}

UNIT_MAIN("upstream", UNIT(no_socket_is_no_fault_of_the_upstream),
    UNIT(an_address_that_is_forbidden_is_not_connected_to),
    UNIT(a_name_that_resolves_slowly_blocks_nobody))
