/*
 * http_peers - how many connections each address has.
 *
 * Pure.  An IPv6 address counts as its /64, which is one owner's; a mapped IPv4
 * address as itself.
 */
#ifndef LIB_HTTP_PEERS_H
#define LIB_HTTP_PEERS_H

#include <sys/socket.h>

struct http_peer;

struct http_peers { /* zeroed is ready to use, and empty again at the end */
	struct http_peer *table;
};

/* Count one more for addr; NULL, and not counted, if it has max already. */
struct http_peer *http_peers_enter(
    struct http_peers *peers, const struct sockaddr *addr, int max);

/* One less; NULL is ignored. */
void http_peers_leave(struct http_peers *peers, struct http_peer *peer);

#endif
