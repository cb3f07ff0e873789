/*
 * serve - connections: HTTP/1.1 over libuv, one request at a time on each.
 *
 * An answer is put together and sent in one write in the same turn of the
 * loop; only what the kernel does not take is copied and queued.
 */
#ifndef UPSTREAM_SERVE_H
#define UPSTREAM_SERVE_H

#include <http_parser.h>
#include <stdbool.h>
#include <uv.h>

#include "text.h"

enum {
	URL_MAX = 255,
	HEADER_MAX = 255, /* longer values are cut */
	BODY_MAX = 64 << 20,
	READ_SIZE = 256 << 10,
};

enum conn_state {
	CONN_IDLE,    /* between two requests */
	CONN_READING, /* some of a request is there */
	CONN_BUSY,    /* all of it; the answer is due */
	CONN_LINGER,  /* answered early; what still comes is thrown away */
	CONN_CLOSED,
	CONN_STATES
};

struct header {
	size_t n;
	char v[HEADER_MAX + 1];
};

struct conn {
	uv_tcp_t tcp;
	uv_shutdown_t shutdown;
	http_parser parser;
	struct upstream *u;
	struct conn *prev, *next;
	enum conn_state state;
	int64_t idle_since_ms;
	uint64_t served; /* requests answered */
	struct call *call;
	size_t url_n;
	char url[URL_MAX + 1];
	struct header name; /* of the header that is being read */
	struct header *into;
	bool in_value;
	struct header auth, key, expect;
	struct text body;
};

struct server {
	uv_tcp_t listener;
	uv_timer_t sweeper; /* closes idle connections */
	uint64_t sweep_ms;
	struct conn *conns;
	struct text head;
	struct text body; /* for whoever writes an answer */
	char date[32];
	int64_t date_s;
	char buffer[READ_SIZE];
};

struct reply {
	int status;
	const char *type;        /* NULL: application/json */
	const char *headers;     /* further ones, each with its CRLF, or NULL */
	const struct text *body; /* NULL: none */
	uint64_t id[2];          /* x-request-id; 0: none */
	int64_t retry_after_s;   /* 0: none */
	size_t cut_at;           /* send so much of the body, then close */
	bool early;              /* sent before the body came: close */
	bool stream;             /* the body comes in pieces */
};

/* Returns the port, or a libuv error. */
int server_start(struct upstream *u);
/* Obey a changed idle_close_ms. */
void server_set_sweep(struct upstream *u);

/* Answer the request of c and make ready for the next one, or close. */
void conn_reply(struct conn *c, const struct reply *r);
/* The same in pieces. */
void conn_stream_begin(struct conn *c, const struct reply *r);
void conn_stream(struct conn *c, const struct text *piece);
void conn_stream_end(struct conn *c);
size_t conn_unsent(const struct conn *c);
void conn_close(struct conn *c);
void conn_reset(struct conn *c);

#endif
