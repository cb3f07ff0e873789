#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "dialect.h"

#define HOUR_NS (INT64_C(3600) * 1000000000)
#define DAY_NS  (24 * HOUR_NS)

enum { THOUSANDS_FROM = 10000 };

const char *const dialect_names[DIALECTS + 1] = {
	[DIALECT_NONE] = "none",
	[DIALECT_ACCOUNT] = "account",
	[DIALECT_PRIORITY] = "priority",
	[DIALECT_CHUNKS] = "chunks",
	[DIALECT_RELAY] = "relay",
	[DIALECT_OPENAI] = "openai",
	[DIALECT_AZURE] = "azure",
	[DIALECT_ANTHROPIC] = "anthropic",
	[DIALECT_GROQ] = "groq",
	[DIALECT_IETF] = "ietf",
	[DIALECT_GITHUB] = "github",
	[DIALECT_NEBIUS] = "nebius",
};

enum what { AMOUNT, LEFT, USED, RESET, FIXED };
enum unit {
	COUNT,
	COUNT_THOUSANDS, /* rounded to thousands, where there are many */
	DELTA_S,         /* seconds from now */
	UNIX_S,
	SPAN, /* as Go prints it */
	RFC3339,
};

static const struct row {
	enum dialect dialect;
	enum limit_dim dim;
	const char *header;
	enum what what;
	enum unit unit;
	const char *fixed;
} rows[] = {
#define ROW(d, dim, header, what, unit)                          \
	{                                                        \
		DIALECT_##d, DIM_##dim, header, what, unit, NULL \
	}

	ROW(ACCOUNT, REQUESTS, "X-RateLimit-Limit-Requests", AMOUNT, COUNT),
	ROW(ACCOUNT, REQUESTS, "X-RateLimit-Remaining-Requests", LEFT, COUNT),
	ROW(ACCOUNT, REQUESTS, "X-RateLimit-Reset-Requests", RESET, DELTA_S),

	ROW(PRIORITY, REQUESTS, "X-RateLimit-Limit", AMOUNT, COUNT),
	ROW(PRIORITY, REQUESTS, "X-RateLimit-Remaining", LEFT, COUNT),
	ROW(PRIORITY, REQUESTS, "X-RateLimit-Reset", RESET, UNIX_S),
	{ DIALECT_PRIORITY, DIM_REQUESTS, "X-RateLimit-Resource", FIXED, COUNT,
	    "chat" },
	ROW(PRIORITY, REQUESTS, "X-RateLimit-Used", USED, COUNT),
	{ DIALECT_PRIORITY, DIM_REQUESTS, "X-Request-Priority", FIXED, COUNT,
	    "2" },

	ROW(CHUNKS, REQUESTS, "x-ratelimit-limit", AMOUNT, COUNT),
	ROW(CHUNKS, REQUESTS, "x-ratelimit-remaining", LEFT, COUNT),
	ROW(CHUNKS, REQUESTS, "x-ratelimit-reset", RESET, UNIX_S),

	ROW(RELAY, REQUESTS, "X-RateLimit-Limit", AMOUNT, COUNT),
	ROW(RELAY, REQUESTS, "X-RateLimit-Remaining", LEFT, COUNT),
	ROW(RELAY, REQUESTS, "X-RateLimit-Reset", RESET, UNIX_S),

#define OPENAI_ROWS(d, unit)                                                 \
	ROW(d, REQUESTS, "x-ratelimit-limit-requests", AMOUNT, COUNT),       \
	    ROW(d, REQUESTS, "x-ratelimit-remaining-requests", LEFT, COUNT), \
	    ROW(d, REQUESTS, "x-ratelimit-reset-requests", RESET, unit),     \
	    ROW(d, TOKENS, "x-ratelimit-limit-tokens", AMOUNT, COUNT),       \
	    ROW(d, TOKENS, "x-ratelimit-remaining-tokens", LEFT, COUNT),     \
	    ROW(d, TOKENS, "x-ratelimit-reset-tokens", RESET, unit)
	OPENAI_ROWS(OPENAI, SPAN),
	OPENAI_ROWS(AZURE, DELTA_S),
	OPENAI_ROWS(GROQ, SPAN),

#define ANTHROPIC_ROWS(dim, name, unit)                                      \
	ROW(ANTHROPIC, dim, "anthropic-ratelimit-" name "-limit", AMOUNT,    \
	    COUNT),                                                          \
	    ROW(ANTHROPIC, dim, "anthropic-ratelimit-" name "-remaining",    \
		LEFT, unit),                                                 \
	    ROW(ANTHROPIC, dim, "anthropic-ratelimit-" name "-reset", RESET, \
		RFC3339)
	ANTHROPIC_ROWS(REQUESTS, "requests", COUNT),
	ANTHROPIC_ROWS(TOKENS, "tokens", COUNT_THOUSANDS),
	ANTHROPIC_ROWS(INPUT, "input-tokens", COUNT_THOUSANDS),
	ANTHROPIC_ROWS(OUTPUT, "output-tokens", COUNT_THOUSANDS),

	ROW(NEBIUS, REQUESTS, "x-ratelimit-limit-requests", AMOUNT, COUNT),
	ROW(NEBIUS, REQUESTS, "x-ratelimit-remaining-requests", LEFT, COUNT),
	ROW(NEBIUS, REQUESTS, "x-ratelimit-reset-requests", RESET, SPAN),
	{ DIALECT_NEBIUS, DIM_REQUESTS, "x-ratelimit-dynamic-period-remaining",
	    FIXED, COUNT, "60s" },

	ROW(GITHUB, REQUESTS, "x-ratelimit-limit", AMOUNT, COUNT),
	ROW(GITHUB, REQUESTS, "x-ratelimit-remaining", LEFT, COUNT),
	ROW(GITHUB, REQUESTS, "x-ratelimit-reset", RESET, UNIX_S),
	ROW(GITHUB, REQUESTS, "x-ratelimit-used", USED, COUNT),
	{ DIALECT_GITHUB, DIM_REQUESTS, "x-ratelimit-resource", FIXED, COUNT,
	    "core" },
};

struct view {
	bool any;
	int64_t amount, left, reset_ns;
};

/* Whether a dialect has words for a limit of this window. */
static bool
is_shown(enum dialect d, const struct limit *l)
{
	switch (d) {
	case DIALECT_OPENAI:
	case DIALECT_ANTHROPIC:
		return true;
	case DIALECT_GROQ: /* its requests are of the day */
		return (l->window_ns >= DAY_NS) == (l->dim == DIM_REQUESTS);
	case DIALECT_GITHUB:
		return l->window_ns <= HOUR_NS;
	default: /* minutes; caps of hours and days stay unseen */
		return l->window_ns < HOUR_NS;
	}
}

/* Of several limits, the one with least left. */
static struct view
view_of(enum dialect d, enum limit_dim dim, struct limiter *set,
    const char *model, int64_t now_ns)
{
	struct view v = { 0 };

	for (size_t i = 0; i < set->n; i++) {
		struct limit *l = &set->v[i];
		int64_t left;

		if (l->dim != dim || !limit_applies(l, model) ||
		    !is_shown(d, l))
			continue;
		left = limit_left(l, now_ns);
		if (v.any && left >= v.left)
			continue;
		v = (struct view){ true, l->amount, left,
			limit_reset_ns(l, now_ns) };
	}
	if (d == DIALECT_ANTHROPIC && dim == DIM_TOKENS && !v.any) {
		struct view in = view_of(d, DIM_INPUT, set, model, now_ns);
		struct view out = view_of(d, DIM_OUTPUT, set, model, now_ns);

		v.any = in.any && out.any;
		v.amount = in.amount + out.amount;
		v.left = in.left + out.left;
		v.reset_ns =
		    in.reset_ns > out.reset_ns ? in.reset_ns : out.reset_ns;
	}
	return v;
}

static int64_t
ceil_s(int64_t ns)
{
	return ns / 1000000000 + (ns % 1000000000 > 0);
}

static void
add_rfc3339(struct text *out, int64_t ns)
{
	time_t t = (time_t)(ns / 1000000000); /* cut off, as seen there */
	struct tm tm;
	char word[32];

	strftime(word, sizeof(word), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	text_adds(out, word);
}

static void
add_value(struct text *out, const struct row *row, const struct view *v,
    int64_t now_ns)
{
	int64_t n = row->what == AMOUNT ? v->amount
	    : row->what == LEFT         ? v->left
	    : row->what == USED         ? v->amount - v->left
					: v->reset_ns;

	switch (row->unit) {
	case COUNT_THOUSANDS:
		if (v->amount >= THOUSANDS_FROM)
			n = (n + 500) / 1000 * 1000;
		text_addi(out, n);
		break;
	case DELTA_S:
		text_addi(out, ceil_s(n));
		break;
	case UNIX_S:
		text_addi(out, ceil_s(now_ns + n));
		break;
	case SPAN:
		text_add_span(out, n);
		break;
	case RFC3339:
		add_rfc3339(out, now_ns + n);
		break;
	default:
		text_addi(out, n);
	}
}

void
dialect_policy(
    struct text *out, const struct limiter *set, const struct limit *l)
{
	text_addf(out, "%s%d", limit_dim_name(l->dim), (int)(l - set->v));
}

/* Draft 10 and later: lists of policies and of their states. */
static void
add_ietf(
    struct text *out, struct limiter *set, const char *model, int64_t now_ns)
{
	const char *comma = "RateLimit-Policy: ";

	for (size_t i = 0; i < set->n; i++) {
		const struct limit *l = &set->v[i];

		if (!limit_applies(l, model) || l->dim == DIM_CONCURRENT)
			continue;
		text_addf(out, "%s\"", comma);
		dialect_policy(out, set, l);
		text_addf(out, "\";q=%" PRId64 ";w=%" PRId64 ";qu=\"%s\"",
		    l->amount, ceil_s(l->window_ns), limit_dim_name(l->dim));
		comma = ", ";
	}
	if (comma[0] != ',')
		return;
	comma = "\r\nRateLimit: ";
	for (size_t i = 0; i < set->n; i++) {
		struct limit *l = &set->v[i];

		if (!limit_applies(l, model) || l->dim == DIM_CONCURRENT)
			continue;
		text_addf(out, "%s\"", comma);
		dialect_policy(out, set, l);
		text_addf(out, "\";r=%" PRId64 ";t=%" PRId64,
		    limit_left(l, now_ns), ceil_s(limit_reset_ns(l, now_ns)));
		comma = ", ";
	}
	text_adds(out, "\r\n");
}

void
dialect_headers(struct text *out, enum dialect d, struct limiter *set,
    const char *model, int64_t now_ns)
{
	struct view views[DIMS];

	if (d == DIALECT_NONE)
		return;
	if (d == DIALECT_IETF) {
		add_ietf(out, set, model, now_ns);
		return;
	}
	for (int dim = 0; dim < DIMS; dim++)
		views[dim] =
		    view_of(d, (enum limit_dim)dim, set, model, now_ns);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		if (row->dialect != d || !views[row->dim].any)
			continue;
		text_adds(out, row->header);
		text_adds(out, ": ");
		if (row->what == FIXED)
			text_adds(out, row->fixed);
		else
			add_value(out, row, &views[row->dim], now_ns);
		text_adds(out, "\r\n");
	}
}
