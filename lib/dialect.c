#include "dialect_parts.h"

#include <string.h>

#include <sluice/header.h>

#define SECONDARY_WAIT_MS 60000

static const char *const dims[] = { "unknown", "requests", "tokens",
	"input_tokens", "output_tokens", "concurrent" };
static const char *const refusals[] = { "served", "rate", "day", "concurrency",
	"too_large", "billing", "overload", "secondary" };

const char *
dialect_dim_name(enum dialect_dim dim)
{
	return dims[dim];
}

const char *
dialect_refusal_name(enum dialect_refusal r)
{
	return refusals[r];
}

enum dialect_dim
dialect_dim_of(const char *name)
{
	for (size_t i = 0; i < NITEMS(dims); i++)
		if (strcmp(dims[i], name) == 0)
			return (enum dialect_dim)i;
	return DIALECT_UNKNOWN;
}

enum dialect_refusal
dialect_refusal_of(const char *name)
{
	for (size_t i = 0; i < NITEMS(refusals); i++)
		if (strcmp(refusals[i], name) == 0)
			return (enum dialect_refusal)i;
	return DIALECT_RATE;
}

static bool
take_wait(struct dialect_answer *out, const char *from, int64_t ms)
{
	out->wait_ms = ms;
	out->wait_from = from;
	return true;
}

/* Seconds, a span or a date, which is of the answer's own clock. */
static bool
retry_after(struct slice v, int64_t date_s, int64_t *ms)
{
	int64_t at_s;

	if (dialect_decimal_ms(v, 1000, ms) || dialect_span_ms(v, ms))
		return true;
	if (!dialect_date(v, date_s, &at_s))
		return false;
	*ms = (at_s - date_s) * 1000;
	return *ms > 0 && *ms <= DIALECT_WAIT_MAX_MS;
}

static bool
wait_of_headers(
    struct slice headers, int64_t date_s, struct dialect_answer *out)
{
	static const char *const fine[] = { "retry-after-ms",
		"x-ms-retry-after-ms" };
	int64_t ms;

	for (size_t i = 0; i < NITEMS(fine); i++)
		if (dialect_decimal_ms(header_find(headers, fine[i]), 1, &ms))
			return take_wait(out, fine[i], ms);
	return retry_after(header_find(headers, "retry-after"), date_s, &ms) &&
	    take_wait(out, "retry-after", ms);
}

static bool
wait_of_body(const struct dialect_error *error, int64_t date_s,
    struct dialect_answer *out)
{
	struct slice name, value;
	int64_t ms;

	if (error->wait_ms > 0)
		return take_wait(out, "body", error->wait_ms);
	for (size_t at = 0; dialect_member(error->headers, &at, &name, &value);)
		if (slice_ieq(name, "retry-after") &&
		    retry_after(value, date_s, &ms))
			return take_wait(out, "body", ms);
	return false;
}

/* The longest of those with nothing left. */
static void
wait_of_resets(struct dialect_answer *out)
{
	for (size_t i = 0; i < out->nreadings; i++) {
		const struct dialect_reading *r = &out->readings[i];

		if (r->remaining == 0 && r->reset_ms > out->wait_ms)
			take_wait(out, r->from, r->reset_ms);
	}
}

void
dialect_read(const char *dialect, int status, struct slice headers,
    struct slice body, int64_t now_s, struct dialect_answer *out)
{
	bool served = status >= 200 && status < 300, told;
	struct dialect_error error;
	int64_t date_s;

	memset(out, 0, sizeof(*out));
	if (!dialect_date(header_find(headers, "date"), now_s, &date_s))
		date_s = now_s;
	dialect_error(body, served, &error);
	out->error_in_body = served && error.found;
	dialect_hear(
	    &(struct dialect_heard){ dialect, headers, &error, date_s * 1000 },
	    out);
	told = wait_of_headers(headers, date_s, out);
	dialect_judge(status, &error, out);
	if (!told && (!served || error.found) &&
	    out->refusal != DIALECT_BILLING &&
	    out->refusal != DIALECT_TOO_LARGE &&
	    !wait_of_body(&error, date_s, out) &&
	    (out->refusal == DIALECT_RATE || out->refusal == DIALECT_DAY ||
		out->refusal == DIALECT_SECONDARY))
		wait_of_resets(out);
	if (out->refusal == DIALECT_SECONDARY &&
	    out->wait_ms < SECONDARY_WAIT_MS)
		take_wait(out, out->wait_from != NULL ? out->wait_from : "rule",
		    SECONDARY_WAIT_MS);
}
