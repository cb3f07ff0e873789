/*
 * server - the server's sockets, seen from the framing (http_conn.c).
 *
 * server.c calls http_conn_on_...() when something happens to a socket; these
 * are what it does for the connection in return.  None of them calls back.
 */
#ifndef LIB_SERVER_H
#define LIB_SERVER_H

#include <sluice/slc.h>

struct http_conn;

/* Milliseconds of the loop's clock. */
int64_t server_now(const struct http_conn *c);

/* The peer's address, or "unix". */
const char *server_peer(const struct http_conn *c);

/* Send n pieces, at most 4, or keep a copy of what the socket does not take
 * now; false when the peer is gone. */
bool server_send(struct http_conn *c, const struct slice *pieces, size_t n);

/* Bytes kept by server_send(); http_conn_on_sent() as they leave. */
size_t server_unsent(const struct http_conn *c);

/* Read from the peer, as much as http_conn_room(); or leave it waiting. */
void server_read(struct http_conn *c, bool on);

/* Call http_conn_on_wake() soon, from the loop. */
void server_wake(struct http_conn *c);

/* Tell the peer that nothing more will be sent; all is sent. */
void server_shut(struct http_conn *c);

/* Close; http_conn_fini() and the memory follow later, from the loop.  With
 * reset the peer learns that it was cut off, and unsent bytes are dropped. */
void server_close(struct http_conn *c, bool reset);

#endif
