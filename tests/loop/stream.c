/*
 * Answers that are handed on as they come, over TCP and a unix socket, against
 * a server of the test's own in the same loop.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sluice/http.h>
#include <sluice/upstream.h>

#include "../unit/unit.h"

enum { BIG = 8 << 20, PIECE = 16 << 10, PATIENCE_MS = 20000 };
enum { FED = 300000, FED_PIECE = 7001 };

static struct {
	uv_loop_t loop;
	uv_timer_t timer, patience;
	struct upstream *u;
	struct http_server *server;
	size_t elsewhere;
	/* the server's side */
	struct http_req *req;
	size_t to_send, sent;
	bool slow, gone, ended;
	struct buf method, target, body, note;
	/* the caller's */
	struct upstream_call *call;
	int status, heads;
	size_t got, hold_at, got_when_held;
	bool cancel_at_first;
	/* a body in pieces, with a pause before each */
	bool fed, paused, gives_up;
	size_t given;
	enum upstream_end end;
	bool done, in_time;
} t;

/* The server ------------------------------------------------------------- */

static void
server_fill(struct http_req *req)
{
	static const char block[PIECE] = "data: x\n\n";

	while (t.sent < t.to_send) {
		t.sent += PIECE;
		if (!http_write(req, (struct slice){ block, PIECE }) || t.slow)
			return;
	}
	t.ended = true;
	http_end(req);
}

static void
server_on_request(struct http_req *req, void *ctx)
{
	struct slice path = http_path(req), query = http_query(req);

	(void)ctx;
	t.req = req;
	buf_adds(&t.method, http_method(req));
	buf_add(&t.target, path.p, path.n);
	buf_addc(&t.target, '?');
	buf_add(&t.target, query.p, query.n);
	buf_add(&t.note, http_header(req, "x-note").p,
	    http_header(req, "x-note").n);
}

static void
server_on_body(struct http_req *req, struct slice piece)
{
	(void)req;
	buf_add(&t.body, piece.p, piece.n);
}

static void
server_on_body_end(struct http_req *req)
{
	http_start(req, 200, "text/event-stream", -1, server_fill);
	server_fill(req);
}

static void
server_on_gone(struct http_req *req)
{
	(void)req;
	t.gone = !t.ended;
	t.req = NULL;
}

static const struct http_handler handler = {
	.on_request = server_on_request,
	.on_body = server_on_body,
	.on_body_end = server_on_body_end,
	.on_gone = server_on_gone,
};

/* The caller ------------------------------------------------------------- */

static void
on_closed(void *arg)
{
	(void)arg;
}

static void
finish(void)
{
	upstream_close(t.u, on_closed, NULL);
	http_close(t.server, 0, on_closed, NULL);
	uv_close((uv_handle_t *)&t.timer, NULL);
	uv_close((uv_handle_t *)&t.patience, NULL);
}

static void
on_late(uv_timer_t *timer)
{
	(void)timer;
	t.in_time = false;
	finish();
}

static void
on_head(int status, struct slice headers, void *arg)
{
	(void)headers;
	(void)arg;
	t.status = status;
	t.heads++;
}

static void
on_feed(uv_timer_t *timer)
{
	(void)timer;
	t.paused = true;
	upstream_feed(t.call);
}

static size_t
fill(char *p, size_t n, void *arg)
{
	(void)arg;
	if (t.given == FED)
		return 0;
	if (t.gives_up && t.given > FED / 2)
		return UPSTREAM_GIVE_UP;
	if (!t.paused && t.given % FED_PIECE == 0) {
		uv_timer_start(&t.timer, on_feed, 1, 0);
		return UPSTREAM_LATER;
	}
	t.paused = false;
	if (n > FED_PIECE - t.given % FED_PIECE)
		n = FED_PIECE - t.given % FED_PIECE;
	if (n > FED - t.given)
		n = FED - t.given;
	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + (t.given + i) % 26);
	t.given += n;
	return n;
}

/* All that can be sent without us has been: nothing moved for a while. */
static void
on_still(uv_timer_t *timer)
{
	static size_t before;

	if (t.sent != before) {
		before = t.sent;
		return;
	}
	uv_timer_stop(timer);
	t.got_when_held = t.got;
	upstream_go_on(t.call);
}

static bool
on_piece(struct slice piece, void *arg)
{
	(void)arg;
	t.got += piece.n;
	if (t.cancel_at_first) {
		t.cancel_at_first = false;
		upstream_cancel(t.call);
	}
	if (t.hold_at == 0 || t.got < t.hold_at)
		return true;
	t.hold_at = 0;
	uv_timer_start(&t.timer, on_still, 50, 50);
	return false;
}

static void
on_gone_yet(uv_timer_t *timer)
{
	(void)timer;
	if (t.req == NULL)
		finish();
}

static void
on_done(const struct upstream_result *result, void *arg)
{
	(void)arg;
	t.end = result->end;
	t.done = true;
	CU_ASSERT_EQUAL(result->body.n, 0);
	uv_timer_start(&t.timer, on_gone_yet, 0, 5);
}

static void
start(const char *listen, const char *method, size_t to_send)
{
	static const char *const list[] = { "x-note: here", NULL };
	struct upstream_opts opts = { .connections = 4,
		.buffer_max = 1 << 20,
		.elsewhere = &t.elsewhere };
	struct http_opts server = { .listen = listen };
	struct upstream_request request = {
		.method = method,
		.headers = upstream_headers_new(list),
		.body = SLICE("{\"n\": 1e400}"),
		.on_head = on_head,
		.on_piece = on_piece,
		.done = on_done,
	};
	char url[100];
	struct slc_err err;

	t.to_send = to_send;
	t.in_time = true;
	uv_loop_init(&t.loop);
	uv_timer_init(&t.loop, &t.timer);
	uv_timer_init(&t.loop, &t.patience);
	uv_timer_start(&t.patience, on_late, PATIENCE_MS, 0);
	t.server = http_listen(&t.loop, &server, &handler, NULL, &err);
	t.u = upstream_new(&t.loop, &opts);
	if (strncmp(listen, "unix:", 5) == 0)
		request.socket = listen + 5;
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1/a/../b?q=%%20&r",
	    http_port(t.server) > 0 ? http_port(t.server) : 80);
	request.url = url;
	if (t.fed)
		request.fill = fill;
	t.call = upstream_start(t.u, &request);
	upstream_headers_drop(request.headers);
}

static void
end(void)
{
	uv_run(&t.loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&t.loop), 0);
	CU_ASSERT(t.in_time && t.done);
	buf_fini(&t.method);
	buf_fini(&t.target);
	buf_fini(&t.body);
	buf_fini(&t.note);
	memset(&t, 0, sizeof(t));
}

/* Cases ------------------------------------------------------------------ */

static void
an_answer_is_handed_on_whole(void)
{
	char where[60];

	snprintf(where, sizeof(where), "unix:/tmp/sluice-stream.%d", getpid());
	for (int i = 0; i < 2; i++) {
		start(i == 0 ? "127.0.0.1:0" : where, NULL, BIG);
		uv_run(&t.loop, UV_RUN_DEFAULT);
		CU_ASSERT_EQUAL(t.end, UPSTREAM_ANSWERED);
		CU_ASSERT_EQUAL(t.status, 200);
		CU_ASSERT_EQUAL(t.heads, 1);
		CU_ASSERT_EQUAL(t.got, BIG);
		CU_ASSERT_STRING_EQUAL(buf_cstr(&t.method), "POST");
		CU_ASSERT_STRING_EQUAL(buf_cstr(&t.body), "{\"n\": 1e400}");
		CU_ASSERT_STRING_EQUAL(buf_cstr(&t.note), "here");
		CU_ASSERT_STRING_EQUAL(
		    buf_cstr(&t.target), "/v1/a/../b?q=%20&r");
		end();
	}
	unlink(where + 5);
}

static void
other_methods_go_as_they_are(void)
{
	start("127.0.0.1:0", "GET", PIECE);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	CU_ASSERT_STRING_EQUAL(buf_cstr(&t.method), "GET");
	CU_ASSERT_EQUAL(t.body.n, 0);
	CU_ASSERT_EQUAL(t.got, PIECE);
	end();
	start("127.0.0.1:0", "DELETE", PIECE);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	CU_ASSERT_STRING_EQUAL(buf_cstr(&t.method), "DELETE");
	CU_ASSERT_EQUAL(t.body.n, 12);
	end();
}

static void
a_body_goes_up_as_it_comes(void)
{
	bool right = true;

	for (int i = 0; i < 2; i++) {
		t.fed = true;
		start("127.0.0.1:0", NULL, PIECE);
		uv_run(&t.loop, UV_RUN_DEFAULT);
		CU_ASSERT_EQUAL(t.end, UPSTREAM_ANSWERED);
		CU_ASSERT_EQUAL(t.got, PIECE);
		CU_ASSERT_EQUAL(t.body.n, FED);
		for (size_t k = 0; k < t.body.n; k++)
			right &= t.body.p[k] == (char)('a' + k % 26);
		CU_ASSERT(right);
		end();
	}
}

static void
a_body_that_is_given_up_is_no_body(void)
{
	t.fed = t.gives_up = true;
	start("127.0.0.1:0", NULL, PIECE);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(t.end, UPSTREAM_UNKNOWN);
	CU_ASSERT(t.gone && t.heads == 0);
	end();
}

static void
who_is_held_leaves_the_rest_with_the_sender(void)
{
	t.hold_at = 1;
	start("127.0.0.1:0", NULL, 16 * BIG);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(t.end, UPSTREAM_ANSWERED);
	CU_ASSERT(t.got_when_held > 0 && t.got_when_held <= PIECE);
	CU_ASSERT_EQUAL(t.got, 16 * BIG);
	end();
}

static void
who_cancels_is_told_nothing_more_and_the_peer_sees_it(void)
{
	t.cancel_at_first = true;
	t.slow = true;
	start("127.0.0.1:0", NULL, BIG);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(t.end, UPSTREAM_ABANDONED);
	CU_ASSERT(t.got > 0 && t.got <= PIECE);
	CU_ASSERT(t.gone);
	end();
}

UNIT_MAIN("stream", UNIT(an_answer_is_handed_on_whole),
    UNIT(other_methods_go_as_they_are), UNIT(a_body_goes_up_as_it_comes),
    UNIT(a_body_that_is_given_up_is_no_body),
    UNIT(who_is_held_leaves_the_rest_with_the_sender),
    UNIT(who_cancels_is_told_nothing_more_and_the_peer_sees_it))
