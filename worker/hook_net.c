#include "hook_net.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 64 };

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

static bool
covers(const uint8_t net[16], int bits, const uint8_t addr[16])
{
	int whole = bits / 8, rest = bits % 8;

	if (memcmp(net, addr, (size_t)whole) != 0)
		return false;
	return rest == 0 || ((net[whole] ^ addr[whole]) >> (8 - rest)) == 0;
}

/* Text of either family to 16 bytes; returns the bits before IPv4's own, -1:
 * it is no address. */
static int
read_address(const char *text, uint8_t addr[16])
{
	memcpy(addr, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, text, addr + 12) == 1)
		return 96;
	return inet_pton(AF_INET6, text, addr) == 1 ? 0 : -1;
}

static bool
read_net(const char *text, struct hook_net *out)
{
	char word[WORD_MAX], *slash;
	int64_t bits;
	int before;

	memcpy(word, text, strlen(text) + 1);
	slash = strchr(word, '/');
	if (slash != NULL)
		*slash = '\0';
	before = read_address(word, out->addr);
	if (before < 0)
		return false;
	if (slash == NULL)
		bits = 128 - before;
	else if (!slice_int(slice_str(slash + 1), 128 - before, &bits))
		return false;
	out->bits = (int)bits + before;
	return true;
}

/* The next word of a list with commas; false: at its end, or too long. */
static bool
next_word(const char **at, char word[WORD_MAX])
{
	size_t n;

	*at += strspn(*at, ", ");
	n = strcspn(*at, ", ");
	if (n == 0 || n >= WORD_MAX)
		return false;
	memcpy(word, *at, n);
	word[n] = '\0';
	*at += n;
	return true;
}

static enum slc_rc
read_nets(const char *text, struct hook_rules *out, struct slc_err *err)
{
	char word[WORD_MAX];

	while (next_word(&text, word)) {
		if (out->nnets == HOOK_NETS_MAX)
			return slc_fail(err, SLC_EINPUT,
			    "webhook-nets: more than %d", HOOK_NETS_MAX);
		if (!read_net(word, &out->nets[out->nnets++]))
			return slc_fail(err, SLC_EINPUT,
			    "webhook-nets: \"%s\" is no net such as "
			    "10.0.0.0/8",
			    word);
	}
	return *text == '\0' ? SLC_OK
			     : slc_fail(err, SLC_EINPUT,
				   "webhook-nets: \"%.80s\" is no net", text);
}

static enum slc_rc
read_ports(const char *text, struct hook_rules *out, struct slc_err *err)
{
	char word[WORD_MAX];
	int64_t port;
	bool ok = true;

	out->any_port = strcmp(text, "*") == 0;
	while (!out->any_port && ok && next_word(&text, word)) {
		ok = out->nports < HOOK_PORTS_MAX &&
		    slice_int(slice_str(word), 65535, &port) && port > 0;
		if (ok)
			out->ports[out->nports++] = (uint16_t)port;
	}
	if (out->any_port || (ok && *text == '\0' && out->nports > 0))
		return SLC_OK;
	return slc_fail(err, SLC_EINPUT,
	    "webhook-ports: 1 to %d numbers with commas between, or *",
	    HOOK_PORTS_MAX);
}

enum slc_rc
hook_rules_read(const char *nets, const char *ports, const char *schemes,
    struct hook_rules *out, struct slc_err *err)
{
	enum slc_rc rc = SLC_OK;

	*out = (struct hook_rules){ 0 };
	if (nets != NULL)
		rc = read_nets(nets, out, err);
	if (rc == SLC_OK)
		rc = read_ports(ports == NULL ? "443" : ports, out, err);
	if (rc != SLC_OK || schemes == NULL || strcmp(schemes, "https") == 0)
		return rc;
	out->http = strcmp(schemes, "https,http") == 0 ||
	    strcmp(schemes, "http,https") == 0;
	return out->http
	    ? SLC_OK
	    : slc_fail(err, SLC_EINPUT, "webhook-schemes: https or https,http");
}

bool
hook_is_public(const uint8_t addr[16])
{
	/* Of the registries of special-purpose addresses. */
	static const char *const others[] = { "0.0.0.0/8", "10.0.0.0/8",
		"100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
		"172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3", "2001::/23",
		"2001:db8::/32", "2002::/16", "3fff::/20" };
	static const uint8_t global[16] = { 0x20 }; /* 2000::/3 */

	if (memcmp(addr, mapped, sizeof(mapped)) != 0 &&
	    !covers(global, 3, addr))
		return false;
	for (size_t i = 0; i < NITEMS(others); i++) {
		struct hook_net net;

		if (read_net(others[i], &net) &&
		    covers(net.addr, net.bits, addr))
			return false;
	}
	return true;
}

static bool
port_ok(const struct hook_rules *r, uint16_t port)
{
	for (size_t i = 0; i < r->nports; i++)
		if (r->ports[i] == port)
			return true;
	return r->any_port;
}

bool
hook_may_connect(const struct sockaddr *to, void *arg)
{
	const struct hook_rules *r = arg;
	uint8_t addr[16];
	uint16_t port;

	if (to->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)to;

		memcpy(addr, mapped, sizeof(mapped));
		memcpy(addr + 12, &in->sin_addr, 4);
		port = ntohs(in->sin_port);
	} else if (to->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const void *)to;

		memcpy(addr, &in->sin6_addr, 16);
		port = ntohs(in->sin6_port);
	} else {
		return false;
	}
	if (!port_ok(r, port))
		return false;
	for (size_t i = 0; i < r->nnets; i++)
		if (covers(r->nets[i].addr, r->nets[i].bits, addr))
			return true;
	return hook_is_public(addr);
}
