/*
 * http_bind - a socket to listen on, from "127.0.0.1:8080", "[::1]:0" or
 * "unix:/path".
 */
#ifndef LIB_HTTP_BIND_H
#define LIB_HTTP_BIND_H

#include <netinet/in.h>
#include <sluice/slc.h>
#include <uv.h>

union http_handle {
	uv_handle_t any;
	uv_stream_t stream;
	uv_tcp_t tcp;
	uv_pipe_t pipe;
};

/*
 * Listen.  The handle is to be closed also after a failure.  A unix socket gets
 * mode 0660; a stale one, which nobody answers on, is replaced.
 */
enum slc_rc http_bind(uv_loop_t *loop, union http_handle *handle,
    const char *where, uv_connection_cb on_connection, struct slc_err *err);

/* The TCP port, also if the system chose it; 0 for a unix socket. */
int http_bind_port(const union http_handle *handle);

/* The peer's address, and as text; false on a unix socket, which has none. */
bool http_bind_peer(const union http_handle *handle,
    struct sockaddr_storage *addr, char text[INET6_ADDRSTRLEN]);

#endif
