#include "reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	REPLY_VALUE_MAX = 128,
	/* An instant that was read as a duration a moment ago: it must not
	 * come out a second later for the time that took. */
	REPLY_ASIDE_US = 100000,
};

typedef void reply_set(void *arg, const char *name, const char *value);

/* What a header says. */
enum says {
	SAYS_LIMIT,
	SAYS_LEFT,
	SAYS_USED,
	SAYS_RESET_S,    /* seconds from now */
	SAYS_RESET_UNIX, /* the second of an instant */
	SAYS_RESET_GO,   /* "12ms", "6m0s" */
	SAYS_RESOURCE,
	SAYS_PRIORITY,
	SAYS_POLICY, /* "requests/1m";q=50;w=60 */
	SAYS_STATE,  /* "requests/1m";r=47;t=12 */
};

static const struct says_row {
	enum reply_dialect dialect;
	const char *name;
	enum says says;
} rows[] = {
	{ REPLY_ACCOUNT, "X-RateLimit-Limit-Requests", SAYS_LIMIT },
	{ REPLY_ACCOUNT, "X-RateLimit-Remaining-Requests", SAYS_LEFT },
	{ REPLY_ACCOUNT, "X-RateLimit-Reset-Requests", SAYS_RESET_S },
	{ REPLY_PRIORITY, "X-RateLimit-Limit", SAYS_LIMIT },
	{ REPLY_PRIORITY, "X-RateLimit-Remaining", SAYS_LEFT },
	{ REPLY_PRIORITY, "X-RateLimit-Reset", SAYS_RESET_UNIX },
	{ REPLY_PRIORITY, "X-RateLimit-Resource", SAYS_RESOURCE },
	{ REPLY_PRIORITY, "X-RateLimit-Used", SAYS_USED },
	{ REPLY_PRIORITY, "X-Request-Priority", SAYS_PRIORITY },
	{ REPLY_CHUNKS, "x-ratelimit-limit", SAYS_LIMIT },
	{ REPLY_CHUNKS, "x-ratelimit-remaining", SAYS_LEFT },
	{ REPLY_CHUNKS, "x-ratelimit-reset", SAYS_RESET_UNIX },
	{ REPLY_RELAY, "X-RateLimit-Limit", SAYS_LIMIT },
	{ REPLY_RELAY, "X-RateLimit-Remaining", SAYS_LEFT },
	{ REPLY_RELAY, "X-RateLimit-Reset", SAYS_RESET_UNIX },
	{ REPLY_OPENAI, "x-ratelimit-limit-requests", SAYS_LIMIT },
	{ REPLY_OPENAI, "x-ratelimit-remaining-requests", SAYS_LEFT },
	{ REPLY_OPENAI, "x-ratelimit-reset-requests", SAYS_RESET_GO },
	{ REPLY_IETF, "RateLimit-Policy", SAYS_POLICY },
	{ REPLY_IETF, "RateLimit", SAYS_STATE },
};

/* How a dialect refuses. */
static const struct refusal_row {
	const char *dialect;
	const char *code;
	const char *text;  /* the wait takes the place of its %s */
	const char *unit;  /* after the number of seconds */
	bool status;       /* a member of its own */
	bool by_dimension; /* the error's type is what is limited */
} refusals[REPLY_DIALECTS] = {
	[REPLY_ACCOUNT] = { "account", "AUTH_1028",
	    "Rate limit exceeded. Please retry after %s.", " seconds", false,
	    false },
	[REPLY_PRIORITY] = { "priority", "rate_limit_exceeded",
	    "Rate limit exceeded. Please retry after %s.", " seconds", false,
	    false },
	[REPLY_CHUNKS] = { "chunks", "rate_limit_exceeded",
	    "You have exceeded your request rate limit. Please try again after "
	    "%s.",
	    " seconds", true, false },
	[REPLY_RELAY] = { "relay", "rate_limit_exceeded",
	    "Rate limit exceeded. Please try again in %s.", " seconds", false,
	    false },
	[REPLY_OPENAI] = { "openai", "rate_limit_exceeded",
	    "Rate limit reached. Please try again in %s.", "s", false, true },
	[REPLY_IETF] = { "ietf", "rate_limit_exceeded",
	    "Rate limit reached. Please try again in %s.", "s", false, false },
};

bool
reply_dialect(struct slice name, enum reply_dialect *out)
{
	for (size_t i = 0; i < REPLY_DIALECTS; i++)
		if (slice_eq(name, refusals[i].dialect)) {
			*out = (enum reply_dialect)i;
			return true;
		}
	return false;
}

static int64_t
up_to(int64_t us, int64_t unit_us)
{
	return us <= 0 ? 0 : (us - 1) / unit_us + 1;
}

/* As Go prints a duration, in whole milliseconds, never less than it is. */
static void
go_duration(int64_t us, char *out, size_t size)
{
	int64_t ms = up_to(us, 1000), s = ms / 1000, h = s / 3600;
	char part[32];
	int n = 0, digits = 3;

	if (ms > 0 && ms < 1000) {
		snprintf(out, size, "%" PRId64 "ms", ms);
		return;
	}
	if (h > 0)
		n = snprintf(out, size, "%" PRId64 "h", h);
	if (s >= 60)
		n += snprintf(
		    out + n, size - (size_t)n, "%" PRId64 "m", s % 3600 / 60);
	for (ms %= 1000; digits > 0 && ms % 10 == 0; digits--)
		ms /= 10;
	snprintf(part, sizeof(part), ".%0*" PRId64, digits, ms);
	snprintf(out + n, size - (size_t)n, "%" PRId64 "%ss", s % 60,
	    digits > 0 ? part : "");
}

/* "requests/1m": what the headline counts. */
static void
policy_name(int64_t window_s, char out[64])
{
	static const struct {
		int64_t s;
		char letter;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	size_t i = 0;

	while (i < NITEMS(units) - 1 &&
	    (window_s == 0 || window_s % units[i].s != 0))
		i++;
	snprintf(out, 64, "requests/%" PRId64 "%c", window_s / units[i].s,
	    units[i].letter);
}

/* False: the header has nothing to say. */
static bool
value_of(enum says says, const struct reply_in *in, char *out, size_t size)
{
	const struct admit_headline *h = &in->headline;
	int64_t left = h->used < h->amount ? h->amount - h->used : 0;
	int64_t n = 0;
	char name[64];

	if (says == SAYS_RESOURCE) {
		snprintf(out, size, "%s", in->resource ? in->resource : "");
		return in->resource != NULL;
	}
	if (says == SAYS_PRIORITY) {
		snprintf(out, size, "%d", in->priority);
		return in->priority > 0;
	}
	if (!h->known)
		return false;
	policy_name(h->window_s, name);
	switch (says) {
	case SAYS_LIMIT:
		n = h->amount;
		break;
	case SAYS_LEFT:
		n = left;
		break;
	case SAYS_USED:
		n = h->used;
		break;
	case SAYS_RESET_S:
		n = up_to(h->reset_us, 1000000);
		break;
	case SAYS_RESET_UNIX:
		n = in->now_s +
		    up_to(in->now_us + h->reset_us - REPLY_ASIDE_US, 1000000);
		break;
	case SAYS_RESET_GO:
		go_duration(h->reset_us, out, size);
		return true;
	case SAYS_POLICY:
		snprintf(out, size, "\"%s\";q=%" PRId64 ";w=%" PRId64, name,
		    h->amount, h->window_s);
		return true;
	case SAYS_STATE:
		snprintf(out, size, "\"%s\";r=%" PRId64 ";t=%" PRId64, name,
		    left, up_to(h->reset_us, 1000000));
		return true;
	case SAYS_RESOURCE:
	case SAYS_PRIORITY:
		break;
	}
	snprintf(out, size, "%" PRId64, n);
	return true;
}

void
reply_headers(const struct reply_in *in, reply_set *set, void *arg)
{
	char value[REPLY_VALUE_MAX];

	for (size_t i = 0; i < NITEMS(rows); i++)
		if (rows[i].dialect == in->dialect &&
		    value_of(rows[i].says, in, value, sizeof(value)))
			set(arg, rows[i].name, value);
}

static void
add_member(struct buf *to, const char *name, const char *value)
{
	buf_addf(to, ",\"%s\":", name);
	if (value != NULL)
		buf_add_json(to, slice_str(value));
	else
		buf_adds(to, "null");
}

/* The sentence for people, and for the programs that read it. */
static void
add_message(struct buf *to, const struct refusal_row *row,
    const struct reply_refusal *r, int64_t wait_s)
{
	struct buf text = { 0 };
	const char *after = strchr(row->text, '%');

	if (r->wait_us < 0) {
		buf_addf(&text,
		    "This request alone is larger than the limit %s: it can "
		    "never pass. Make it smaller.",
		    r->limit);
	} else {
		buf_add(&text, row->text, (size_t)(after - row->text));
		buf_addf(
		    &text, "%" PRId64 "%s%s", wait_s, row->unit, after + 2);
	}
	buf_adds(to, "{\"error\":{\"message\":");
	buf_add_json(to, buf_slice(&text));
	buf_fini(&text);
}

void
reply_refused(const struct reply_in *in, const struct reply_refusal *r,
    reply_set *set, void *arg, struct buf *body)
{
	const struct refusal_row *row = &refusals[in->dialect];
	bool never = r->wait_us < 0;
	int64_t wait_s = up_to(r->wait_us, 1000000);
	char value[REPLY_VALUE_MAX];

	if (wait_s < 1)
		wait_s = 1;
	reply_headers(in, set, arg);
	if (never) {
		/* SDKs try a 429 again by themselves. */
		set(arg, "x-should-retry", "false");
	} else {
		snprintf(value, sizeof(value), "%" PRId64, wait_s);
		set(arg, "Retry-After", value);
	}
	add_message(body, row, r, wait_s);
	add_member(body, "type",
	    row->by_dimension ? r->dimension : "rate_limit_error");
	add_member(body, "param", NULL);
	add_member(body, "code", never ? "request_exceeds_limit" : row->code);
	if (row->status)
		buf_adds(body, ",\"status\":429");
	add_member(body, "limit", r->limit);
	add_member(body, "dimension", r->dimension);
	add_member(body, "scope", r->upstream ? "upstream" : r->scope);
	buf_adds(body, "}}");
}
