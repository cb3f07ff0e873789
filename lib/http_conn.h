/*
 * http_conn - one connection: which request it is in, and how long it may be.
 *
 * Bytes and the clock come in through http_conn_on_...(), from server.c; the
 * handler's calls come in through http.h.  The handler is only ever called from
 * the former, never from inside one of its own calls.
 */
#ifndef LIB_HTTP_CONN_H
#define LIB_HTTP_CONN_H

#include <sluice/http.h>

#include "http_parse.h"

enum {
	HTTP_TAIL_MAX = 64 << 10,   /* read ahead of a request that waits */
	HTTP_SKIP_MAX = 64 << 10,   /* rest of a body worth reading unwanted */
	HTTP_OUT_HIGH = 256 << 10,  /* unsent: http_write() says stop */
	HTTP_OUT_LOW = 4,           /* a part of it unsent: on_drain */
	HTTP_LINGER_MS = 30000,     /* for a closing peer to stop sending */
	HTTP_LINGER_IDLE_MS = 2000, /* the same, when it sends nothing */
};

#define HTTP_NEVER (INT64_MAX / 2)

/* What the connections of a server share. */
struct http_shared {
	struct http_opts opts; /* defaults filled in */
	const struct http_handler *handler;
	void *ctx;
	bool closing;    /* no request after the present one */
	struct buf head; /* of the answer being written */
	time_t date_s;
	char date[32];
	size_t random_left;
	unsigned char random[4096];
};

enum http_conn_state {
	HTTP_CONN_IDLE,   /* not a byte of the next request */
	HTTP_CONN_HEAD,   /* its header is arriving */
	HTTP_CONN_BODY,   /* its body is */
	HTTP_CONN_WAIT,   /* it is whole, the answer is not */
	HTTP_CONN_LAST,   /* answered for the last time, bytes are unsent */
	HTTP_CONN_LINGER, /* all sent; closed too early the peer would lose it
			   */
	HTTP_CONN_CLOSED,
	HTTP_CONN_STATES,
};

struct http_conn {
	struct http_shared *shared;
	struct http_req *req; /* NULL between requests */
	struct buf tail;      /* read, but not yet parsed */
	struct http_parse parse;
	int64_t deadline_ms; /* of the state */
	int64_t left_ms;     /* of a paused body's deadline; or linger's end */
	size_t body_new;     /* body bytes not yet counted for the deadline */
	enum http_conn_state state;
	bool busy; /* in the handler, or about to call it */
	bool last; /* close after this request */
	bool eof;  /* the peer will send no more */
};

enum http_req_answer {
	HTTP_ANSWER_NONE,
	HTTP_ANSWER_STARTED,
	HTTP_ANSWER_DONE,
	HTTP_ANSWER_DEAD, /* the connection is lost: calls do nothing */
};

struct http_req {
	struct http_conn *conn;
	struct http_head head;
	void *user;
	int64_t since_ms;
	int64_t body_seen;
	struct buf extra; /* header lines for the answer */
	void (*on_drain)(struct http_req *req);
	size_t out_high;  /* 0: HTTP_OUT_HIGH */
	int64_t out_left; /* bytes announced, not yet written; -1 unknown */
	enum http_req_answer answer;
	bool known; /* to the handler, who is owed on_gone */
	bool paused;
	bool wants_drain;
	bool chunked;  /* the answer is */
	bool bodyless; /* the answer has no body, whatever is written */
	char id[5 + 32];
};

/* server.c calls these.  c is zeroed, and stays where it is. */
void http_conn_open(struct http_conn *c, struct http_shared *shared);
void http_conn_fini(struct http_conn *c);

/* Answer 503 to whatever the new peer wants. */
void http_conn_refuse(struct http_conn *c, const char *why);

/* Bytes that may be read now; 0: do not read. */
size_t http_conn_room(const struct http_conn *c);

void http_conn_on_bytes(struct http_conn *c, struct slice bytes);
void http_conn_on_eof(struct http_conn *c);
void http_conn_on_broken(struct http_conn *c);
void http_conn_on_sent(struct http_conn *c);
void http_conn_on_wake(struct http_conn *c);

/* deaf_ms: how long the loop had no time to read, which no peer is blamed for.
 */
void http_conn_on_tick(struct http_conn *c, int64_t deaf_ms);

/* The server closes: now if idle, else after the request. */
void http_conn_on_closing(struct http_conn *c);

/* http.c: the defaults where a setting is zero; and how often to look. */
void http_opts_fill(struct http_opts *opts);
int64_t http_opts_tick_ms(const struct http_opts *opts);

/* For http_answer.c: a call of the handler changed something. */
void http_conn_touch(struct http_conn *c);

/* http_answer.c: unsent bytes at which the handler is to stop. */
size_t http_answer_high(const struct http_req *req);

/* http_answer.c: a fresh "req_" and 32 hex digits. */
void http_answer_id(struct http_shared *shared, char out[5 + 32]);

#endif
