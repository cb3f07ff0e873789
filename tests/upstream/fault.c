#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"

#define BAD_REQUEST "invalid_request_error"

const struct fault_kind fault_kinds[] = {
	{ "400", ACT_ERROR, 400, 0, BAD_REQUEST, "invalid_value",
	    "Invalid value in the request.", "an error in OpenAI's shape" },
	{ "401", ACT_ERROR, 401, 0, BAD_REQUEST, "invalid_api_key",
	    "Incorrect API key provided.", NULL },
	{ "402", ACT_ERROR, 402, 0, "insufficient_quota", "payment_required",
	    "The balance of this account is used up.", NULL },
	{ "403", ACT_ERROR, 403, 0, BAD_REQUEST, "permission_denied",
	    "This key may not use this model.", NULL },
	{ "408", ACT_ERROR, 408, 0, "timeout", NULL, "Request timed out.",
	    NULL },
	{ "409", ACT_ERROR, 409, 0, "conflict", NULL,
	    "The resource is being changed by another request.", NULL },
	{ "429", ACT_ERROR, 429, 0, "requests", "rate_limit_exceeded",
	    "Rate limit reached.", "a refusal that names no time" },
	{ "quota", ACT_ERROR, 429, 0, "insufficient_quota",
	    "insufficient_quota",
	    "You exceeded your current quota, please "
	    "check your plan and billing details.",
	    "429, but out of money" },
	{ "500", ACT_ERROR, 500, 0, "server_error", NULL,
	    "The server had an error while processing your request.", NULL },
	{ "502", ACT_ERROR, 502, 0, "server_error", NULL, "Bad gateway.",
	    NULL },
	{ "503", ACT_ERROR, 503, 0, "server_error", "overloaded",
	    "The engine is currently overloaded.", NULL },
	{ "503-retry-after", ACT_ERROR, 503, 2, "server_error", "overloaded",
	    "The engine is currently overloaded.",
	    "with Retry-After; EXTRA: its seconds (2)" },
	{ "error200", ACT_ERROR_200, 200, 0, "server_error", NULL,
	    "The model's provider had an error.",
	    "an error object under status 200" },
	{ "refused200", ACT_ERROR_200, 200, 0, "rate_limit_error",
	    "rate_limit_exceeded", "Rate limit exceeded.",
	    "a refusal under status 200" },
	{ "slow", ACT_SLOW, 0, 10000, NULL, NULL, NULL,
	    "EXTRA: further ms of latency (10000)" },
	{ "stall", ACT_STALL, 0, 0, NULL, NULL, NULL,
	    "never answered; the connection stays open" },
	{ "cut-before", ACT_CUT_BEFORE, 0, 0, NULL, NULL, NULL,
	    "read, then closed without an answer" },
	{ "cut-mid", ACT_CUT_MID, 0, 0, NULL, NULL, NULL,
	    "closed after half of the answer's body" },
	{ "reset", ACT_RESET, 0, 0, NULL, NULL, NULL, "read, then RST" },
	{ "early", ACT_EARLY, 503, 0, "server_error", "overloaded",
	    "The engine is currently overloaded.",
	    "503 before the body is read, then closed" },
	{ "garbage", ACT_GARBAGE, 0, 0, NULL, NULL, NULL,
	    "200 with a page of HTML" },
	{ "empty", ACT_EMPTY, 0, 0, NULL, NULL, NULL, "200 with no body" },
	{ "pretty", ACT_PRETTY, 0, 0, NULL, NULL, NULL,
	    "200 with JSON over several lines" },
	{ "not-utf8", ACT_BAD_UTF8, 0, 0, NULL, NULL, NULL,
	    "200 with bytes that are no UTF-8" },
	{ "huge", ACT_HUGE, 0, 8, NULL, NULL, NULL,
	    "200 with a body of EXTRA MB (8)" },
	{ "badusage", ACT_BAD_USAGE, 0, 0, NULL, NULL, NULL,
	    "200 with usage below 0, too large, 1e30, 12.75, \"12\", null" },
	{ "badindex", ACT_BAD_INDEX, 0, 0, NULL, NULL, NULL,
	    "200 whose parts for several texts have an index twice" },
	{ 0 },
};

static const struct fault_kind *
find_kind(const char *p, size_t n)
{
	for (const struct fault_kind *k = fault_kinds; k->name != NULL; k++)
		if (strlen(k->name) == n && strncmp(k->name, p, n) == 0)
			return k;
	return NULL;
}

static const char *
parse_rule(struct fault_rule *r, const char *spec)
{
	/* A text may hold '=' itself, a kind may not. */
	const char *eq =
	    r->when == FAULT_MATCH ? strrchr(spec, '=') : strchr(spec, '=');
	const char *comma = eq != NULL ? strchr(eq, ',') : NULL;
	char *end;

	if (eq == NULL || eq == spec)
		return "it has the form A=B";
	if (comma == NULL)
		comma = eq + strlen(eq);
	if (r->when == FAULT_MATCH) {
		if ((size_t)(eq - spec) >= sizeof(r->match))
			return "the text is too long";
		memcpy(r->match, spec, (size_t)(eq - spec));
		r->kind = find_kind(eq + 1, (size_t)(comma - eq) - 1);
	} else {
		double number = strtod(eq + 1, &end);

		if (end != comma || end == eq + 1 || !(number >= 0))
			return "no number behind '='";
		if (r->when == FAULT_CHANCE && number > 1)
			return "a probability is at most 1";
		r->chance = number;
		r->first = (int64_t)number;
		r->kind = find_kind(spec, (size_t)(eq - spec));
	}
	if (r->kind == NULL)
		return "no such kind (see --help)";
	if (r->when == FAULT_MATCH && r->kind->act == ACT_EARLY)
		return "early comes before the body that should match";
	r->extra = r->kind->extra;
	if (*comma == ',') {
		r->extra = strtoll(comma + 1, &end, 10);
		if (end == comma + 1 || *end != '\0' || r->extra < 0 ||
		    r->extra > 86400000 ||
		    (r->kind->act == ACT_HUGE && r->extra > 1024))
			return "no sensible number behind ','";
	}
	return NULL;
}

bool
faults_add(
    struct faults *f, enum fault_when when, const char *spec, char err[160])
{
	struct fault_rule r = { .when = when };
	const char *why =
	    f->n == FAULT_RULES_MAX ? "too many rules" : parse_rule(&r, spec);

	if (why != NULL) {
		snprintf(err, 160, "%.60s: %s", spec, why);
		return false;
	}
	f->v[f->n++] = r;
	return true;
}

void
faults_drop(struct faults *f, enum fault_when when)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].when != when)
			f->v[kept++] = f->v[i];
	f->n = kept;
}

static bool
strikes(struct fault_rule *r, const char *body, size_t n, struct chance *c)
{
	switch (r->when) {
	case FAULT_MATCH:
		return memmem(body, n, r->match, strlen(r->match)) != NULL;
	case FAULT_FIRST:
		return r->first > 0 && r->first-- > 0;
	default:
		return chance_unit(c) < r->chance;
	}
}

struct fault
faults_pick(
    struct faults *f, bool early, const char *body, size_t n, struct chance *c)
{
	for (int when = FAULT_MATCH; when <= FAULT_CHANCE; when++) {
		for (size_t i = 0; i < f->n; i++) {
			struct fault_rule *r = &f->v[i];

			if ((int)r->when == when &&
			    (r->kind->act == ACT_EARLY) == early &&
			    strikes(r, body, n, c))
				return (struct fault){ r->kind, r->extra };
		}
	}
	return (struct fault){ 0 };
}
