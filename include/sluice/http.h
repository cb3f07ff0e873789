/*
 * http - an HTTP/1.1 server on a libuv loop: connections, framing, answers.
 * In lib/:
 *
 *   server.c       the sockets (libuv), with http_bind.c and http_peers.c
 *   http_conn.c    one connection: its states, deadlines, back-pressure
 *   http_parse.c   requests out of bytes (libhttp-parser, and the strict checks
 *                  it lacks), with http_head.c
 *   http_answer.c  answers into bytes
 *   http.c         what a handler may ask of a request
 *
 * One handler serves all requests.  The life of a request:
 *
 *   on_request   headers are complete.  The handler may answer at once, or
 *                take the body, or wait for the database and answer later.
 *   on_body      a piece of the body, as it arrives (chunked is undone).
 *   on_body_end  the body is whole; also when there was none.
 *   on_gone      the request is over, answered or not (the peer may have left):
 *                the last call, exactly one for each on_request; req is freed
 *                on return, so the handler drops its pointers here.
 *
 * http_answer() or http_start()..http_end() answer it, once, at any time
 * between on_request and on_gone; after the answer neither on_body nor
 * on_body_end is called.  All of these are called from the loop, never from
 * inside one of the functions below.
 *
 * A request answered before its body is read: a short rest of the body is
 * skipped, else the connection is closed after the answer, so that the peer
 * sees it.  "Expect: 100-continue" is granted when on_request returns without
 * an answer, or at http_resume() if the request is paused by then.
 *
 * That the peer has left is seen at once, in any state, as long as less than
 * 64 KiB of what it sent before wait to be read; in a paused upload with more
 * than that, at the latest after http_resume().  A peer that has closed its
 * sending half counts as gone, unless the answer is complete by then.
 *
 * Faults of framing, deadlines and caps are answered here, with OpenAI's error
 * envelope; the handler only sees on_gone, if it knew the request.
 *
 * The program is to ignore SIGPIPE.
 */
#ifndef SLUICE_HTTP_H
#define SLUICE_HTTP_H

#include <sluice/buf.h>
#include <sluice/slc.h>
#include <uv.h>

struct http_server;
struct http_req;

struct http_handler {
	void (*on_request)(struct http_req *req, void *ctx);
	void (*on_body)(struct http_req *req, struct slice piece);
	void (*on_body_end)(struct http_req *req);
	void (*on_gone)(struct http_req *req);
};

/* Zero means the default in brackets. */
struct http_opts {
	const char *listen;    /* "127.0.0.1:8080", "[::1]:0" or "unix:/path" */
	int max_connections;   /* [1024]; above: accepted, 503, closed */
	int max_per_address;   /* [256]; not for unix sockets */
	int64_t header_ms;     /* whole request header [10000]: 408 */
	int64_t body_grace_ms; /* then the body must flow [10000] */
	int64_t body_min_bps;  /* at this rate at least [1024]: 408 */
	int64_t stall_ms;      /* a peer that takes no answer bytes [30000] */
	int64_t idle_ms;       /* keep-alive between requests [75000] */
	size_t headers_max;    /* bytes of all headers [SLC_HEADERS_MAX]: 431 */
};

/* An address to listen on that has a port: not unix:. */
bool http_is_address(const char *where);

/*
 * Listens at once; NULL and err on failure, whose remains are freed as the loop
 * runs.  handler must outlive the server; ctx goes to on_request.
 */
struct http_server *http_listen(uv_loop_t *loop, const struct http_opts *opts,
    const struct http_handler *handler, void *ctx, struct slc_err *err);
int http_port(const struct http_server *s); /* 0 for a unix socket */

/*
 * Stop accepting; idle connections close now, others after the answer they are
 * in, all after grace_ms.  on_closed is called once when all is closed and
 * freed.
 */
void http_close(struct http_server *s, int64_t grace_ms,
    void (*on_closed)(void *arg), void *arg);

/* The request.  Slices live until on_gone. */
const char *http_method(const struct http_req *req); /* "GET" for HEAD too */
bool http_is_head(const struct http_req *req);       /* no body is wanted */
struct slice http_path(const struct http_req *req);  /* as sent, no decoding */
struct slice http_query(const struct http_req *req); /* without '?' */
struct slice http_header(const struct http_req *req, const char *name);
/* The header line of that number, from 0; false: there are not so many. */
bool http_header_at(const struct http_req *req, size_t number,
    struct slice *name, struct slice *value);
bool http_has_body(const struct http_req *req); /* length > 0, or chunked */
int64_t http_body_length(const struct http_req *req); /* -1 when chunked */
const char *http_id(const struct http_req *req);      /* its x-request-id */
const char *http_peer(const struct http_req *req);    /* address, for the log */

/*
 * Decode %XX and '+' of the first query parameter of that name into out; false
 * if it is absent, or has a bad escape or %00.
 */
bool http_param(const struct http_req *req, const char *name, struct buf *out);

/* Decode %XX of a part of the path into out; false for a bad one, or %00. */
bool http_unescape(struct slice s, struct buf *out);

void http_set_user(struct http_req *req, void *user);
void *http_user(const struct http_req *req);

/*
 * Back-pressure: no on_body nor on_body_end until resumed; nested calls do not
 * count.  Meanwhile the body's deadline stands still.
 */
void http_pause(struct http_req *req);
void http_resume(struct http_req *req);

/* Add a header to the answer to come; control bytes in its value become '?'. */
void http_set(struct http_req *req, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A whole answer; Content-Length, Date and x-request-id are added. */
void http_answer(
    struct http_req *req, int status, const char *type, struct slice body);

/* OpenAI's error envelope; type follows from the status.  code and param may
 * be NULL; the message is cut at 1023 bytes. */
void http_error(struct http_req *req, int status, const char *code,
    const char *param, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/*
 * A streamed answer: length >= 0 sets Content-Length, -1 sends chunked (closes
 * the connection at the end for HTTP/1.0).  http_write() takes a copy.  When it
 * returns false the peer is slow, or gone: write no more until on_drain.
 * http_abort() closes a connection whose answer cannot be finished, so that the
 * peer sees a broken transfer and not a short one; an answer that does not have
 * the length announced is aborted too, but for one to HEAD, which may end at
 * once.
 */
void http_start(struct http_req *req, int status, const char *type,
    int64_t length, void (*on_drain)(struct http_req *req));
bool http_write(struct http_req *req, struct slice bytes);
/* Unsent bytes of this answer at which http_write() says stop [256 KiB]. */
void http_limit_unsent(struct http_req *req, size_t bytes);
void http_end(struct http_req *req);
void http_abort(struct http_req *req);

#endif
