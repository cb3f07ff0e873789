/*
 * hook_net - where webhooks may go: public addresses, and what the operator of
 * the workers has allowed besides.
 *
 * Pure.  What is judged is the address that would be connected to, not a name.
 */
#ifndef WORKER_HOOK_NET_H
#define WORKER_HOOK_NET_H

#include <netinet/in.h>
#include <sluice/slc.h>

enum { HOOK_NETS_MAX = 32, HOOK_PORTS_MAX = 16 };

struct hook_net {
	uint8_t addr[16]; /* of IPv4: ::ffff:a.b.c.d */
	int bits;
};

struct hook_rules {
	struct hook_net nets[HOOK_NETS_MAX]; /* beside public addresses */
	size_t nnets;
	uint16_t ports[HOOK_PORTS_MAX];
	size_t nports;
	bool any_port;
	bool http; /* without TLS, too */
};

/*
 * nets: "10.0.0.0/8,fd00::/8"; ports: "443,8443" or "*"; schemes: "https" or
 * "https,http".  NULL: none, 443, https.
 */
enum slc_rc hook_rules_read(const char *nets, const char *ports,
    const char *schemes, struct hook_rules *out, struct slc_err *err);

/* An address that is everybody's: not private, local, shared, documentation,
 * multicast, nor one that stands for another (6to4, Teredo, NAT64). */
bool hook_is_public(const uint8_t addr[16]);

/* arg: const struct hook_rules; as upstream.h's may_connect has it. */
bool hook_may_connect(const struct sockaddr *to, void *arg);

#endif
