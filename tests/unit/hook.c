/* Webhooks: what is signed, and where they may go. */
#include "unit.h"

#include <arpa/inet.h>
#include <string.h>

#include "../../worker/hook_net.h"
#include "../../worker/hook_sign.h"

#define ONE "whsec_plJ3nmyCDGBKInavdOK15jsl"
#define TWO "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

/* The examples that the scheme's libraries publish. */
static void
signatures_are_those_of_the_scheme(void)
{
	static const struct {
		const char *secret, *id, *body, *want;
		int64_t at_s;
	} cases[] = {
		{ ONE, "msg_loFOjxBNrRLzqYUf",
		    "{\"event_type\":\"ping\",\"data\":{\"success\":true}}",
		    "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
		    1731705121 },
		{ TWO "\r\n", "msg_p5jXN8AQM9LWM0D4loKWxJek",
		    "{\"test\": 2432232314}",
		    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		    1614265330 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf out = { 0 };

		CU_ASSERT_PTR_NULL(
		    hook_sign(slice_str(cases[i].secret), cases[i].id,
			cases[i].at_s, slice_str(cases[i].body), &out));
		CU_ASSERT_STRING_EQUAL(buf_cstr(&out), cases[i].want);
		buf_fini(&out);
	}
}

static void
each_secret_signs(void)
{
	struct buf out = { 0 }, want = { 0 };

	CU_ASSERT_PTR_NULL(hook_sign(SLICE(ONE), "a", 1, SLICE("{}"), &want));
	buf_addc(&want, ' ');
	CU_ASSERT_PTR_NULL(hook_sign(SLICE(TWO), "a", 1, SLICE("{}"), &want));
	CU_ASSERT_PTR_NULL(hook_sign(
	    SLICE("\n" ONE "\n\n" TWO "\n"), "a", 1, SLICE("{}"), &out));
	CU_ASSERT_STRING_EQUAL(buf_cstr(&out), buf_cstr(&want));
	buf_fini(&out);
	buf_fini(&want);
}

static void
what_is_no_secret_signs_nothing(void)
{
	static const char *const bad[] = { "", "\n\n", "sk-live-abcdefgh",
		"whsec_", "whsec_AAAA", "whsec_plJ3nmyCDGBKInavdOK15js",
		"whsec_pl-3nmyCDGBKInavdOK15jsl", ONE "\nsk-another",
		ONE "\n" ONE "\n" ONE "\n" ONE "\n" ONE,
		/* 66 bytes */
		"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };

	for (size_t i = 0; i < NITEMS(bad); i++) {
		struct buf out = { 0 };

		CU_ASSERT_PTR_NOT_NULL(
		    hook_sign(slice_str(bad[i]), "a", 1, SLICE("{}"), &out));
		CU_ASSERT_EQUAL(out.n, 0);
		buf_fini(&out);
	}
}

static bool
may(const struct hook_rules *r, const char *address, int port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)port) };

	if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
		return hook_may_connect((struct sockaddr *)&in, (void *)r);
	CU_ASSERT_EQUAL(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
	return hook_may_connect((struct sockaddr *)&in6, (void *)r);
}

static void
only_public_addresses_are_connected_to(void)
{
	static const char *const public[] = { "1.1.1.1", "8.8.8.8",
		"9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
		"172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255",
		"223.255.255.255", "2606:4700::1111", "2a00:1450::1",
		"2001:4860::8888", "::ffff:8.8.8.8" };
	static const char *const others[] = { "0.0.0.0", "10.1.2.3",
		"100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254",
		"172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1",
		"192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.7",
		"203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
		"::127.0.0.1", "64:ff9b::7f00:1", "fc00::1", "fd12::1",
		"fe80::1", "fec0::1", "ff02::1", "2001::1", "2001:db8::1",
		"2002:7f00:1::", "3fff::1" };
	struct hook_rules r;

	CU_ASSERT_EQUAL(hook_rules_read(NULL, NULL, NULL, &r, NULL), SLC_OK);
	CU_ASSERT_FALSE(r.http);
	for (size_t i = 0; i < NITEMS(public); i++)
		CU_ASSERT(may(&r, public[i], 443));
	for (size_t i = 0; i < NITEMS(others); i++)
		CU_ASSERT_FALSE(may(&r, others[i], 443));
	CU_ASSERT_FALSE(may(&r, "8.8.8.8", 80));
	CU_ASSERT_FALSE(
	    hook_may_connect(&(struct sockaddr){ .sa_family = AF_UNIX }, &r));
}

static void
an_operator_allows_nets_and_ports(void)
{
	struct hook_rules r;

	CU_ASSERT_EQUAL(hook_rules_read("10.1.0.0/16, 192.168.7.9,fd00::/8",
			    "443,8443", "https,http", &r, NULL),
	    SLC_OK);
	CU_ASSERT(r.http);
	CU_ASSERT(may(&r, "10.1.255.255", 8443));
	CU_ASSERT(may(&r, "::ffff:10.1.0.1", 8443));
	CU_ASSERT(may(&r, "192.168.7.9", 443));
	CU_ASSERT(may(&r, "fd77::1", 443));
	CU_ASSERT(may(&r, "8.8.8.8", 443));
	CU_ASSERT_FALSE(may(&r, "10.2.0.0", 443));
	CU_ASSERT_FALSE(may(&r, "192.168.7.8", 443));
	CU_ASSERT_FALSE(may(&r, "fc77::1", 443));
	CU_ASSERT_FALSE(may(&r, "10.1.0.1", 80));
	CU_ASSERT_EQUAL(
	    hook_rules_read("127.0.0.0/8", "*", NULL, &r, NULL), SLC_OK);
	CU_ASSERT(may(&r, "127.0.0.1", 1));
}

static void
rules_that_make_no_sense_are_refused(void)
{
	static const struct {
		const char *nets, *ports, *schemes;
	} bad[] = {
		{ "example.com", NULL, NULL },
		{ "10.0.0.0/33", NULL, NULL },
		{ "10.0.0/8", NULL, NULL },
		{ "::/129", NULL, NULL },
		{ "10.0.0.0/-1", NULL, NULL },
		{ NULL, "0", NULL },
		{ NULL, "65536", NULL },
		{ NULL, "https", NULL },
		{ NULL, "", NULL },
		{ NULL, "443,x", NULL },
		{ NULL, NULL, "ftp" },
		{ NULL, NULL, "http" },
		{ "1111111111111111111111111111111111111111111111111111111111"
		  "1111111",
		    NULL, NULL },
	};

	for (size_t i = 0; i < NITEMS(bad); i++) {
		struct hook_rules r;
		struct slc_err err;

		CU_ASSERT_EQUAL(hook_rules_read(bad[i].nets, bad[i].ports,
				    bad[i].schemes, &r, &err),
		    SLC_EINPUT);
	}
}

UNIT_MAIN("hook", UNIT(signatures_are_those_of_the_scheme),
    UNIT(each_secret_signs), UNIT(what_is_no_secret_signs_nothing),
    UNIT(only_public_addresses_are_connected_to),
    UNIT(an_operator_allows_nets_and_ports),
    UNIT(rules_that_make_no_sense_are_refused))
