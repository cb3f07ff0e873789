#include "http_peers.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/buf.h>
#include <uthash.h>

struct http_peer {
	struct in6_addr key;
	int conns;
	UT_hash_handle hh;
};

static struct in6_addr
key_of(const struct sockaddr *addr)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
	struct in6_addr key = { 0 };

	if (addr->sa_family == AF_INET) {
		memset(key.s6_addr + 10, 0xff, 2);
		memcpy(key.s6_addr + 12, &in4->sin_addr, 4);
	} else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		key = in6->sin6_addr;
	} else {
		memcpy(key.s6_addr, &in6->sin6_addr, 8);
	}
	return key;
}

struct http_peer *
http_peers_enter(struct http_peers *peers, const struct sockaddr *addr, int max)
{
	struct in6_addr key = key_of(addr);
	struct http_peer *peer;

	HASH_FIND(hh, peers->table, &key, sizeof(key), peer);
	if (peer == NULL) {
		peer = xcalloc(1, sizeof(*peer));
		peer->key = key;
		HASH_ADD(hh, peers->table, key, sizeof(peer->key), peer);
	} else if (peer->conns >= max) {
		return NULL;
	}
	peer->conns++;
	return peer;
}

void
http_peers_leave(struct http_peers *peers, struct http_peer *peer)
{
	if (peer == NULL || --peer->conns > 0)
		return;
	HASH_DEL(peers->table, peer);
	free(peer);
}
