/*
 * Calls that end before anything was sent, against sockets and names of the
 * test's own.
 */
#include <netdb.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sluice/upstream.h>

#include "../unit/unit.h"

enum { SLOW_S = 3 };

/* libcurl's: names that end in slow.test take their time. */
int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
    struct addrinfo **out)
{
	(void)service;
	(void)hints;
	*out = NULL;
	if (name != NULL && strstr(name, "slow.test") != NULL)
		sleep(SLOW_S);
	return EAI_AGAIN;
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

/* One call to url, to its end; no more files, if so. */
static void
call(const char *url, bool full)
{
	static const char *const none[] = { NULL };
	struct upstream_opts opts = { .connections = 4,
		.buffer_max = 1 << 20,
		.elsewhere = &t.elsewhere };
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

UNIT_MAIN("upstream", UNIT(no_socket_is_no_fault_of_the_upstream),
    UNIT(a_name_that_resolves_slowly_blocks_nobody))
