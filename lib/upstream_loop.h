/*
 * upstream_loop - libcurl's sockets and timers on libuv (upstream.c's own).
 */
#ifndef LIB_UPSTREAM_LOOP_H
#define LIB_UPSTREAM_LOOP_H

#include <curl/curl.h>
#include <sluice/upstream.h>

enum { OWN_HEADER_MAX = 256 };

struct upstream_headers {
	struct curl_slist *list;
	int users;
};

struct upstream {
	uv_loop_t *loop;
	CURLM *multi;
	struct watch **watches; /* by file descriptor */
	size_t nwatches;
	const char *ca_file; /* libcurl's own choice */
	uv_timer_t timer, cancel_timer;
	struct upstream_call *calls; /* under way */
	struct upstream_call *spare;
	int nspare;
	bool http2;
	/* Answers in memory: beyond the bound only one call is read on. */
	size_t buffered, buffer_max;
	const size_t *elsewhere;
	bool (*may_connect)(const struct sockaddr *to, void *arg);
	void *may_arg;
	struct upstream_call *greedy;
	int npaused;
	int64_t log_at_us; /* that there are no sockets */
	int open_handles;
	bool closing;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

struct upstream_call {
	struct upstream *u;
	struct upstream_call *next, **prev;
	CURL *easy;
	struct curl_slist own, chunked; /* before the shared ones */
	char own_header[OWN_HEADER_MAX];
	struct upstream_request request;
	/* What the handle is set to: it is used again for calls alike. */
	char *method, *url, *socket, *ca_file;
	int64_t connect_ms, idle_ms, whole_ms;
	struct buf head, body;
	int64_t sent_us;
	bool refused;   /* may_send() said no */
	bool no_socket; /* we could not have one */
	bool forbidden; /* may_connect() said no to an address */
	bool too_large;
	bool cancelled;
	bool paused;    /* for want of room */
	bool headed;    /* on_head has been called */
	bool held;      /* by on_piece */
	bool held_back; /* and libcurl has been told so */
	bool unfed;     /* fill had nothing yet */
	char why[CURL_ERROR_SIZE];
};

/* A call is over: tells its owner. */
void call_finish(struct upstream_call *c, CURLcode code);
void call_free(struct upstream_call *c);

/* Options of every handle: sockets are watched from their opening on. */
curl_socket_t
upstream_on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a);
int upstream_on_close(void *arg, curl_socket_t fd);

#endif
