#include <sluice/live.h>

#include <string.h>

/* A star at the end stands for anything; the first that fits decides. */
struct rule {
	const char *name;
	bool pass;
};

static const struct rule up[] = {
	{ "content-type", true },
	{ "accept", true },
	{ "accept-language", true },
	{ "user-agent", true },
	{ "idempotency-key", true },
	{ "openai-organization", false }, /* of the operator's account */
	{ "openai-project", false },
	{ "openai-*", true },
	{ "x-stainless-*", true }, /* SDKs of themselves */
	{ "anthropic-version", true },
	{ "anthropic-beta", true },
	{ "http-referer", true }, /* relays list the asking program by both */
	{ "x-title", true },
	{ "*", false },
};

static const struct rule down[] = {
	{ "content-type", true },
	{ "content-disposition", true },
	{ "content-encoding", true },
	{ "content-language", true },
	{ "cache-control", true },
	{ "retry-after", true },
	{ "retry-after-ms", true },
	{ "x-should-retry", true },
	{ "openai-version", true },
	{ "openai-model", true },
	{ "x-upstream-request-id", true },
	{ "*", false },
};

static bool
passes(const struct rule *rule, struct slice name)
{
	for (;; rule++) {
		size_t n = strlen(rule->name);
		bool fits = rule->name[n - 1] == '*'
		    ? name.n >= n - 1 &&
			strncasecmp(name.p, rule->name, n - 1) == 0
		    : slice_ieq(name, rule->name);

		if (fits)
			return rule->pass;
	}
}

bool
live_goes_up(struct slice name)
{
	return passes(up, name);
}

bool
live_comes_down(struct slice name)
{
	return passes(down, name);
}
