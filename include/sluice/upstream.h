/*
 * upstream - calls to model providers, and to live workers: libcurl on a libuv
 * loop.
 *
 * A call is sent once or not at all.  libcurl repeats a POST by itself when a
 * kept connection turns out to be closed; here it is stopped before it does,
 * and the outcome is "unknown", which it is.  No redirects, no proxies from the
 * environment, no cookies, certificates always checked.
 */
#ifndef SLUICE_UPSTREAM_H
#define SLUICE_UPSTREAM_H

#include <sluice/buf.h>
#include <sluice/slc.h>
#include <uv.h>

enum { UPSTREAM_HEADERS_MAX = 64 << 10 };
#define UPSTREAM_LATER   ((size_t)-1)
#define UPSTREAM_GIVE_UP ((size_t)-2)

struct sockaddr;
struct upstream;
struct upstream_call;

struct upstream_opts {
	int connections; /* kept open at most */
	bool http2;      /* over TLS only, one connection for many calls */
	/* Bytes of answers held at once, with *elsewhere (the caller's count of
	 * what it keeps); beyond that the others' are left in their sockets. */
	size_t buffer_max;
	const size_t *elsewhere;
	/* Asked for each address before a connection is made to it, so that no
	 * answer of a name server can lead elsewhere; NULL: all are good. */
	bool (*may_connect)(const struct sockaddr *to, void *arg);
	void *may_arg;
};

struct upstream *
upstream_new(uv_loop_t *loop, const struct upstream_opts *opts);
/* All calls end with UPSTREAM_ABANDONED first.  on_closed as the last thing. */
void
upstream_close(struct upstream *u, void (*on_closed)(void *arg), void *arg);

enum upstream_end {
	UPSTREAM_ANSWERED,  /* status, headers and body are whole */
	UPSTREAM_UNSENT,    /* may_send() said no, or no socket could be had
			       here: not a byte has left */
	UPSTREAM_UNREACHED, /* no connection: not a byte has left */
	UPSTREAM_FORBIDDEN, /* may_connect() said no: not a byte has left */
	UPSTREAM_UNKNOWN,   /* sent, and the connection broke */
	UPSTREAM_TIMEOUT,   /* sent, and no whole answer in time */
	UPSTREAM_TOO_LARGE, /* the answer is longer than answer_max */
	UPSTREAM_ABANDONED, /* by upstream_cancel() */
};

struct upstream_result {
	enum upstream_end end;
	int status;
	struct slice headers; /* the last block, as received */
	struct slice body;
	const char *why; /* libcurl's words for ends without an answer */
	int64_t sent_us; /* boot time when the first byte left; 0: none */
	int64_t ms;      /* from then to the end */
	/* To connect, without the name's lookup and TLS; 0: no connection was
	 * made for it. */
	int64_t connect_us;
};

/* Headers that many calls share; wiped when the last call with them is over. */
struct upstream_headers;
/* list: "Name: value", copied, ends with NULL. */
struct upstream_headers *upstream_headers_new(const char *const *list);
void upstream_headers_drop(struct upstream_headers *h); /* may be NULL */

struct upstream_request {
	const char *method; /* NULL: POST; with any but GET the body is sent */
	const char *url;
	const char *socket; /* a unix socket to go through; NULL: TCP */
	struct upstream_headers *headers;
	const char *own_header; /* one more, of this call alone; or NULL */
	const char *ca_file;    /* authorities; NULL: the system's */
	struct slice body;      /* borrowed until done */
	/*
	 * Set: the body comes from here, of any length (chunked; not with
	 * HTTP/2).  Fills up to n bytes at p and returns how many; 0 at the
	 * end, UPSTREAM_LATER when there are none yet: upstream_feed() says
	 * when.  UPSTREAM_GIVE_UP breaks the call off.
	 */
	size_t (*fill)(char *p, size_t n, void *arg);
	int64_t connect_ms, idle_ms, whole_ms; /* 0: no such limit */
	size_t answer_max;
	/* Asked when a connection is there, just before the first byte; may be
	 * NULL. */
	bool (*may_send)(void *arg);
	/*
	 * Both set: the answer is not kept but handed on as it comes, of any
	 * length, and the result has no body.  on_head is called at most once,
	 * before any piece.  When on_piece returns false it has taken the piece
	 * and gets no further one before upstream_go_on().
	 */
	void (*on_head)(int status, struct slice headers, void *arg);
	bool (*on_piece)(struct slice piece, void *arg);
	void (*done)(const struct upstream_result *result, void *arg);
	void *arg;
};

/* done is called later, never from inside; method, url, socket, own_header and
 * ca_file are copied. */
struct upstream_call *
upstream_start(struct upstream *u, const struct upstream_request *request);
/* There may be room again: go on reading what was left.  Call it now and then.
 */
void upstream_resume(struct upstream *u);
/* Only done is still called, later. */
void upstream_cancel(struct upstream_call *call);
/* Hand on what was held back; never from inside on_piece, which may be called
 * from inside here. */
void upstream_go_on(struct upstream_call *call);
/* fill has something again; never from inside it. */
void upstream_feed(struct upstream_call *call);

/* Microseconds of CLOCK_BOOTTIME, which counts a suspended machine's time. */
int64_t boot_us(void);

#endif
