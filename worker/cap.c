#include "cap.h"

#include <string.h>

#include <sluice/jscan.h>

bool
cap_add(struct slice body, const char *endpoint, int64_t max_tokens,
    struct buf *out)
{
	static const struct jscan_want wants[] = { { "max_tokens", -1 },
		{ "max_completion_tokens", -1 }, { "max_output_tokens", -1 } };
	struct jscan_found found[NITEMS(wants)];
	struct jscan_fault fault;
	const char *name = strcmp(endpoint, "/v1/responses") == 0
	    ? "max_output_tokens"
	    : "max_tokens";
	size_t at = 0;

	if (strcmp(endpoint, "/v1/embeddings") == 0 ||
	    strcmp(endpoint, "/v1/moderations") == 0 ||
	    jscan(body, SLC_DEPTH_MAX, wants, NITEMS(wants), found, &fault) !=
		JSCAN_OBJECT)
		return false;
	for (size_t i = 0; i < NITEMS(wants); i++)
		if (found[i].kind != JSCAN_ABSENT)
			return false;
	while (body.p[at] != '{')
		at++;
	at++;
	buf_add(out, body.p, at);
	buf_addf(out, "\"%s\":%lld", name, (long long)max_tokens);
	/* A body always has a model, so there is more to come. */
	buf_addc(out, ',');
	buf_add(out, body.p + at, body.n - at);
	return true;
}
