#include <sluice/live.h>

#include "unit.h"

static void
credentials_stay_and_descriptions_go_on(void)
{
	static const struct {
		const char *name;
		bool up, down;
	} cases[] = {
		{ "Content-Type", true, true },
		{ "accept", true, false },
		{ "Accept-Encoding", false, false },
		{ "User-Agent", true, false },
		{ "OpenAI-Beta", true, false },
		{ "OpenAI-Organization", false, false },
		{ "openai-project", false, false },
		{ "OpenAI-Version", true, true },
		{ "x-stainless-lang", true, false },
		{ "x-stainless", false, false },
		{ "Authorization", false, false },
		{ "api-key", false, false },
		{ "x-api-key", false, false },
		{ "Cookie", false, false },
		{ "Set-Cookie", false, false },
		{ "Host", false, false },
		{ "Connection", false, false },
		{ "Transfer-Encoding", false, false },
		{ "Content-Length", false, false },
		{ "x-forwarded-for", false, false },
		{ LIVE_TOKEN, false, false },
		{ LIVE_UNSENT, false, false },
		{ "x-ratelimit-remaining-requests", false, false },
		{ "Retry-After", false, true },
		{ "content-typ", false, false },
		{ "content-types", false, false },
		{ "", false, false },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct slice name = slice_str(cases[i].name);

		CHECK(live_goes_up(name) == cases[i].up, cases[i].name);
		CHECK(live_comes_down(name) == cases[i].down, cases[i].name);
	}
}

UNIT_MAIN("live_headers", UNIT(credentials_stay_and_descriptions_go_on))
