#include "dialect_parts.h"

#include <string.h>

enum { DAY_S = 86400 };

/* Words
 * ------------------------------------------------------------------------ */

static bool
says(const char *text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strstr(text, *words) != NULL)
			return true;
	return false;
}

static bool
starts(const char *text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strncmp(text, *words, strlen(*words)) == 0)
			return true;
	return false;
}

/* Of a window: what speaks of it is not about money. */
static const struct {
	const char *words;
	enum dialect_dim dim;
	int32_t window_s;
} windows[] = {
	{ "per second", 0, 1 },
	{ "rps)", DIALECT_REQUESTS, 1 },
	{ "rpm", DIALECT_REQUESTS, 60 },
	{ "tpm", DIALECT_TOKENS, 60 },
	{ "per minute", 0, 60 },
	{ "per min", 0, 60 },
	{ "perminute", 0, 60 },
	{ "/ minute", 0, 60 },
	{ "/minute", 0, 60 },
	{ "/min", 0, 60 },
	{ "per hour", 0, 3600 },
	{ "rpd", DIALECT_REQUESTS, DAY_S },
	{ "tpd", DIALECT_TOKENS, DAY_S },
	{ "per day", 0, DAY_S },
	{ "perday", 0, DAY_S },
	{ "per 1 day", 0, DAY_S },
	{ "/ 1 day", 0, DAY_S },
	{ "daily", 0, DAY_S },
	{ "/ day", 0, DAY_S },
	{ "/day", 0, DAY_S },
	{ "per week", 0, 7 * DAY_S },
	{ "weekly", 0, 7 * DAY_S },
	{ "per month", 0, 30 * DAY_S },
	{ "monthly", 0, 30 * DAY_S },
	{ "/ month", 0, 30 * DAY_S },
};

/* Those that leave no doubt, before windows are asked; and the others. */
static const struct dim_words {
	const char *words;
	enum dialect_dim dim;
} sure_dims[] = {
	{ "input tokens per", DIALECT_INPUT_TOKENS },
	{ "output tokens per", DIALECT_OUTPUT_TOKENS },
	{ "tokens per", DIALECT_TOKENS },
	{ "requests per", DIALECT_REQUESTS },
	{ "inputtokensper", DIALECT_INPUT_TOKENS },
	{ "requestsper", DIALECT_REQUESTS },
	{ NULL, 0 },
}, other_dims[] = {
	{ "request rate", DIALECT_REQUESTS },
	{ "request limit", DIALECT_REQUESTS },
	{ "of requests", DIALECT_REQUESTS },
	{ "calls", DIALECT_REQUESTS },
	{ "call rate", DIALECT_REQUESTS },
	{ "input token", DIALECT_INPUT_TOKENS },
	{ "output token", DIALECT_OUTPUT_TOKENS },
	{ NULL, 0 },
};

static const char *const rate_codes[] = { "rate limit", "ratelimit",
	"too many requests", "resource exhausted", "quota exceeded", "throttl",
	"auth 1028", NULL };
static const char *const limit_words[] = { "rate limit", "too many requests",
	"concurren", "simultaneous", "in parallel", "requests per",
	"tokens per", "of requests", "of tokens", NULL };
static const char *const billing_codes[] = { "insufficient quota",
	"insufficient balance", "insufficient credit", "insufficient fund",
	"billing", "payment required", "spend limit", "arrearage",
	"credits exhausted", NULL };
static const char *const billing_words[] = { "insufficient quota",
	"insufficient balance", "insufficient credit", "insufficient fund",
	"billing", "payment", "spend limit", "spending limit", "credit balance",
	"out of credits", "more credits", "top up", NULL };
/* Sent with a wait, too. */
static const char *const clear_codes[] = { "insufficient quota",
	"billing hard limit", NULL };
static const char *const spend_codes[] = { "spend limit", NULL };
/* 400 is the line's fault in all other words. */
static const char *const balance_starts[] = { "your credit balance is too low",
	NULL };
static const char *const busy_words[] = { "concurren", "simultaneous",
	"in parallel", "parallel request", "in flight", NULL };
static const char *const overload_words[] = { "overloaded", "over capacity",
	"capacity exceeded", "at capacity", "rate limited upstream",
	"temporarily unavailable", "reduced capacity", NULL };
static const char *const large_words[] = { "request too large",
	"tokens must be reduced", NULL };
static const char *const secondary_words[] = { "secondary rate limit",
	"abuse detection", "abnormal usage", NULL };
static const char *const secondary_starts[] = {
	"you have exceeded a secondary rate limit",
	"you have triggered an abuse", NULL
};
static const char *const primary_starts[] = { "api rate limit exceeded",
	"rate limit exceeded", NULL };

/* The number behind a word ("limit 30,000"), or -1. */
static int64_t
number_after(const char *text, const char *word)
{
	for (const char *p = text; (p = strstr(p, word)) != NULL;) {
		int64_t v = 0;
		int digits = 0;

		p += strlen(word);
		while (*p == ' ' || *p == ':' || *p == '=')
			p++;
		for (; dialect_is_digit(*p) ||
		     (*p == ',' && digits > 0 && dialect_is_digit(p[1]));
		     p++)
			if (*p != ',' && ++digits <= 15)
				v = v * 10 + (*p - '0');
		if (digits > 0 && digits <= 15 &&
		    !(*p == '.' && dialect_is_digit(p[1])))
			return v;
	}
	return -1;
}

/* A quota of nothing never comes back, whatever delay is told with it. */
static bool
limit_is_zero(const char *text)
{
	static const char remaining[] = "remaining ";
	const size_t before = sizeof(remaining) - 1;

	for (const char *p = text; (p = strstr(p, "limit")) != NULL; p += 5) {
		const char *v = p + 5;
		bool left = (size_t)(p - text) >= before &&
		    strncmp(p - before, remaining, before) == 0;

		while (*v == ' ' || *v == ':' || *v == '=')
			v++;
		if (v > p + 5 && *v == '0' && !left &&
		    !dialect_is_digit(v[1]) &&
		    !(v[1] == '.' && dialect_is_digit(v[2])))
			return true;
	}
	return false;
}

static bool
is_too_large(const char *text)
{
	int64_t limit = number_after(text, "limit");
	int64_t requested = number_after(text, "requested");

	if (limit > 0 && requested >= 0)
		return requested > limit;
	return says(text, large_words);
}

static bool
names_window(const char *text)
{
	for (size_t i = 0; i < NITEMS(windows); i++)
		if (strstr(text, windows[i].words) != NULL)
			return true;
	return false;
}

/* Money, and not a word of a rate that comes back by itself. */
static bool
is_billing(const struct dialect_error *e, bool told_to_wait)
{
	if (says(e->codes, spend_codes))
		return true;
	if (says(e->text, limit_words) || names_window(e->text) ||
	    e->wait_ms > 0 || strstr(e->codes, "resource exhausted") != NULL)
		return false;
	if (told_to_wait)
		return says(e->codes, clear_codes);
	return says(e->codes, billing_codes) || says(e->text, billing_words);
}

/* Judging
 * ---------------------------------------------------------------------- */

/* What a reading with nothing left says, when the words do not. */
static void
add_from_readings(struct dialect_answer *out)
{
	const struct dialect_reading *empty = NULL;

	for (size_t i = 0; i < out->nreadings; i++) {
		const struct dialect_reading *r = &out->readings[i];

		if (r->remaining != 0 ||
		    (out->refused_dim != DIALECT_UNKNOWN &&
			out->refused_dim != r->dim))
			continue;
		if (empty != NULL && empty->dim != r->dim)
			return;
		if (empty == NULL || empty->window_s < r->window_s)
			empty = r;
	}
	if (empty == NULL)
		return;
	out->refused_dim = empty->dim;
	if (out->refused_window_s == 0)
		out->refused_window_s = empty->window_s;
}

static void
set_dim(const char *text, const struct dim_words *w, struct dialect_answer *out)
{
	for (; w->words != NULL; w++)
		if (out->refused_dim == DIALECT_UNKNOWN &&
		    strstr(text, w->words) != NULL)
			out->refused_dim = w->dim;
}

/* The window that is named first; what follows is advice. */
static void
set_window(const char *text, struct dialect_answer *out)
{
	const char *first = NULL;

	for (size_t i = 0; i < NITEMS(windows); i++) {
		const char *p = strstr(text, windows[i].words);

		if (p == NULL)
			continue;
		if (out->refused_dim == DIALECT_UNKNOWN)
			out->refused_dim = windows[i].dim;
		if (first == NULL || p < first) {
			first = p;
			out->refused_window_s = windows[i].window_s;
		}
	}
}

static void
set_subject(const struct dialect_error *e, struct dialect_answer *out)
{
	set_dim(e->text, sure_dims, out);
	set_window(e->text, out);
	set_dim(e->text, other_dims, out);
	if (out->refused_dim == DIALECT_UNKNOWN) {
		if (strncmp(e->codes, "tokens ", 7) == 0)
			out->refused_dim = DIALECT_TOKENS;
		else if (strncmp(e->codes, "requests ", 9) == 0)
			out->refused_dim = DIALECT_REQUESTS;
	}
	add_from_readings(out);
	if (out->refused_dim == DIALECT_UNKNOWN &&
	    strstr(e->text, "token") != NULL)
		out->refused_dim = DIALECT_TOKENS;
}

static enum dialect_refusal
kind_of_429(const struct dialect_error *e, struct dialect_answer *out)
{
	if (limit_is_zero(e->text) || is_billing(e, out->wait_ms > 0))
		return DIALECT_BILLING;
	if (is_too_large(e->text))
		return DIALECT_TOO_LARGE;
	if (says(e->text, secondary_words) || says(e->codes, secondary_words))
		return DIALECT_SECONDARY;
	if (says(e->text, busy_words) || says(e->codes, busy_words)) {
		out->refused_dim = DIALECT_CONCURRENT;
		out->refused_window_s = 0;
		return DIALECT_CONCURRENCY;
	}
	if (says(e->text, overload_words) || says(e->codes, overload_words))
		return DIALECT_OVERLOAD;
	return out->refused_window_s >= DAY_S ? DIALECT_DAY : DIALECT_RATE;
}

/* A status that an error gives, or one to go with its code. */
static int
status_of(int status, const struct dialect_error *e)
{
	bool served = status >= 200 && status < 300;

	if (!served || !e->found)
		return status;
	if (e->status != 0)
		return e->status;
	if (says(e->codes, rate_codes) || says(e->codes, billing_codes))
		return 429;
	if (says(e->codes, overload_words))
		return 503;
	return status;
}

static enum dialect_refusal
kind_of_403(const struct dialect_error *e, const struct dialect_answer *out)
{
	bool empty = false;

	for (size_t i = 0; i < out->nreadings; i++)
		empty |= out->readings[i].remaining == 0;
	if (starts(e->text, secondary_starts))
		return DIALECT_SECONDARY;
	if (starts(e->text, primary_starts) && empty)
		return out->refused_window_s >= DAY_S ? DIALECT_DAY
						      : DIALECT_RATE;
	return says(e->codes, billing_codes) ? DIALECT_BILLING : DIALECT_SERVED;
}

void
dialect_judge(
    int status, const struct dialect_error *e, struct dialect_answer *out)
{
	switch (status_of(status, e)) {
	case 402:
		out->refusal = DIALECT_BILLING;
		return;
	case 429:
		set_subject(e, out);
		out->refusal = kind_of_429(e, out);
		break;
	case 403:
		set_subject(e, out);
		out->refusal = kind_of_403(e, out);
		break;
	case 400:
		if (starts(e->text, balance_starts) ||
		    says(e->codes, billing_codes))
			out->refusal = DIALECT_BILLING;
		break;
	case 413:
		if (says(e->codes, rate_codes) && is_too_large(e->text)) {
			set_subject(e, out);
			out->refusal = DIALECT_TOO_LARGE;
		}
		break;
	case 503:
	case 529:
		out->refusal = DIALECT_OVERLOAD;
		break;
	}
	if (out->refusal == DIALECT_SERVED || out->refusal == DIALECT_BILLING ||
	    out->refusal == DIALECT_OVERLOAD) {
		out->refused_dim = DIALECT_UNKNOWN;
		out->refused_window_s = 0;
	}
}
