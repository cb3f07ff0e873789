/*
 * Fuzz target: a connection without a socket.
 *
 * The input is a list of events: bytes from the peer, time that passes, answers
 * of the handler, a socket that is full, gone or closing.  Whatever their
 * order, each request known to the handler is over exactly once, nobody is
 * called who has asked not to be, and the states of http_conn.c move as they
 * may.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/http_conn.h"
#include "../../lib/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What would be the socket, and the handler's view of the one request. */
static struct {
	struct http_conn conn;
	struct http_req *req;
	int64_t now_ms;
	size_t unsent;
	unsigned plan; /* what the handler does when it is called */
	bool full, gone, closed, woken, reading, shut;
	bool paused, answered, started, in_handler;
} sock;

int64_t
server_now(const struct http_conn *c)
{
	(void)c;
	return sock.now_ms;
}

const char *
server_peer(const struct http_conn *c)
{
	(void)c;
	return "fuzz";
}

bool
server_send(struct http_conn *c, const struct slice *pieces, size_t n)
{
	(void)c;
	assert(!sock.closed && !sock.shut && n > 0 && n <= 4);
	for (size_t i = 0; i < n; i++) {
		assert(pieces[i].n == 0 || pieces[i].p != NULL);
		sock.unsent += sock.full ? pieces[i].n : 0;
	}
	return !sock.gone;
}

size_t
server_unsent(const struct http_conn *c)
{
	(void)c;
	return sock.unsent;
}

void
server_read(struct http_conn *c, bool on)
{
	assert(!sock.closed && (!on || http_conn_room(c) > 0));
	sock.reading = on;
}

void
server_wake(struct http_conn *c)
{
	(void)c;
	assert(!sock.closed);
	sock.woken = true;
}

void
server_shut(struct http_conn *c)
{
	(void)c;
	assert(!sock.closed && !sock.shut && sock.unsent == 0);
	sock.shut = true;
}

void
server_close(struct http_conn *c, bool reset)
{
	(void)c, (void)reset;
	assert(!sock.closed && sock.req == NULL);
	sock.closed = true;
}

static void
fuzz_on_drain(struct http_req *req)
{
	assert(req == sock.req && sock.started && !sock.answered);
	http_write(req, SLICE("more"));
}

/* One call of the handler's, from inside a callback or from outside. */
static void
act(unsigned what)
{
	static const char block[HTTP_OUT_HIGH + 1];
	struct http_req *req = sock.req;

	if (req == NULL)
		return;
	switch (what % 8) {
	case 0:
		break;
	case 1:
		sock.paused = true;
		http_pause(req);
		break;
	case 2:
		sock.paused = false;
		http_resume(req);
		break;
	case 3:
		if (sock.started)
			break;
		http_answer(req, 200, "a/b", SLICE("hello"));
		sock.started = sock.answered = true;
		break;
	case 4:
		if (!sock.started)
			http_start(req, 200, "a/b", -1, fuzz_on_drain);
		sock.started = true;
		break;
	case 5:
		if (sock.started && !sock.answered)
			http_write(req, SLICE("some"));
		break;
	case 6:
		if (sock.started && !sock.answered)
			http_write(req, (struct slice){ block, sizeof(block) });
		break;
	case 7:
		if (sock.started && !sock.answered)
			http_end(req);
		else if (!sock.started)
			http_abort(req);
		sock.started = sock.answered = true;
		break;
	}
}

static void
fuzz_on_request(struct http_req *req, void *ctx)
{
	(void)ctx;
	assert(sock.req == NULL);
	sock.req = req;
	sock.paused = sock.started = sock.answered = false;
	act(sock.plan);
}

static void
fuzz_on_body(struct http_req *req, struct slice piece)
{
	assert(req == sock.req && piece.n > 0);
	assert(!sock.paused && !sock.answered);
	act(sock.plan >> 3);
}

static void
fuzz_on_body_end(struct http_req *req)
{
	assert(req == sock.req && !sock.paused && !sock.answered);
	act(sock.plan >> 3);
}

static void
fuzz_on_gone(struct http_req *req)
{
	assert(req == sock.req);
	/* Late calls are harmless. */
	act(sock.plan);
	sock.req = NULL;
}

static const char *const phrases[] = {
	"GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
	"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
	("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: "
	 "100-continue\r\n\r\n"),
	"hello",
	"5\r\nhello\r\n",
	"0\r\n\r\n",
	"GET ",
	"\r\n",
};

static void
hear(struct slice bytes)
{
	struct http_conn *c = &sock.conn;

	if (!sock.reading)
		return;
	if (bytes.n > http_conn_room(c))
		bytes.n = http_conn_room(c);
	http_conn_on_bytes(c, bytes);
}

static void
happen(unsigned char event)
{
	struct http_conn *c = &sock.conn;
	unsigned arg = event >> 4;

	switch (event & 15) {
	case 0 ... 5:
		hear(slice_str(phrases[arg % NITEMS(phrases)]));
		break;
	case 6:
		sock.plan = sock.plan << 4 | arg;
		break;
	case 7:
	case 8:
		act(arg);
		break;
	case 9:
	case 10:
		if (sock.woken) {
			sock.woken = false;
			http_conn_on_wake(c);
		}
		break;
	case 11:
		sock.full = arg & 1;
		if (!sock.full && sock.unsent > 0) {
			sock.unsent = arg & 2 ? sock.unsent / 2 : 0;
			http_conn_on_sent(c);
		}
		break;
	case 12:
		sock.now_ms += 1 << arg;
		http_conn_on_tick(c, arg == 15 ? 1000 : 0);
		break;
	case 13:
		sock.gone = sock.gone || arg > 12;
		break;
	case 14:
		if (arg == 15)
			http_conn_on_broken(c);
		else if (arg > 12 && sock.reading && !c->eof)
			http_conn_on_eof(c);
		break;
	case 15:
		if (arg == 15) {
			c->shared->closing = true;
			http_conn_on_closing(c);
		}
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct http_handler handler = { fuzz_on_request,
		fuzz_on_body, fuzz_on_body_end, fuzz_on_gone };
	struct http_shared *shared = calloc(1, sizeof(*shared));

	memset(&sock, 0, sizeof(sock));
	shared->handler = &handler;
	http_opts_fill(&shared->opts);
	http_conn_open(&sock.conn, shared);
	for (size_t i = 0; i < n && !sock.closed; i++)
		happen(data[i]);
	if (!sock.closed)
		http_conn_on_broken(&sock.conn);
	assert(sock.closed && sock.req == NULL);
	http_conn_fini(&sock.conn);
	buf_fini(&shared->head);
	free(shared);
	return 0;
}
