#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "dialect.h"

#define MINUTE_NS (INT64_C(60) * 1000000000)
#define DAY_NS    (1440 * MINUTE_NS)

static int64_t
wait_s(const struct dialect_refusal *r)
{
	return r->wait_ns / 1000000000 + (r->wait_ns % 1000000000 > 0);
}

/* "tokens per min (TPM)", or "tokens per 4s" where there is no such word. */
static void
add_what(struct text *out, const struct limit *l, const char *minute,
    bool abbreviated)
{
	static const char letters[DIMS] = { 'R', 'T' };
	const char *per = l->window_ns == MINUTE_NS ? minute
	    : l->window_ns == 60 * MINUTE_NS        ? "hour"
	    : l->window_ns == DAY_NS                ? "day"
						    : NULL;

	for (const char *p = limit_dim_name(l->dim); *p != '\0'; p++)
		text_add(out, *p == '-' ? " " : p, 1);
	text_adds(out, " per ");
	if (per == NULL)
		text_add_span(out, l->window_ns);
	else
		text_adds(out, per);
	if (abbreviated && per != NULL && letters[l->dim] != '\0')
		text_addf(out, " (%cP%c)", letters[l->dim], per[0] - 'a' + 'A');
}

static void
say_concurrent(struct text *out, const struct dialect_refusal *r)
{
	text_addf(out,
	    "Too many concurrent requests: at most %" PRId64
	    " may be in progress at once.",
	    r->limit->amount);
}

/* No wait makes it pass, so none is named. */
static void
say_too_large(struct text *out, const struct dialect_refusal *r)
{
	text_addf(out, "Request too large for %s on ", r->model);
	add_what(out, r->limit, "min", true);
	text_addf(out,
	    ": Limit %" PRId64 ", Requested %" PRId64
	    ". The input or output tokens must be reduced in order to run "
	    "successfully.",
	    r->limit->amount, r->asked);
}

static void
say_openai(struct text *out, const struct dialect_refusal *r)
{
	text_addf(out, "Rate limit reached for %s in organization org-sim on ",
	    r->model);
	add_what(out, r->limit, "min", true);
	text_addf(out,
	    ": Limit %" PRId64 ", Used %" PRId64 ", Requested %" PRId64
	    ". Please try again in ",
	    r->limit->amount,
	    r->limit->amount - limit_left(r->limit, r->now_ns), r->asked);
	text_add_span(out, r->wait_ns);
	text_adds(out, ".");
}

static void
say_groq(struct text *out, const struct dialect_refusal *r)
{
	text_addf(out,
	    "Rate limit reached for model `%s` in organization `org_sim` "
	    "service tier `on_demand` on ",
	    r->model);
	add_what(out, r->limit, "minute", true);
	text_addf(out,
	    ": Limit %" PRId64 ", Used %" PRId64 ", Requested %" PRId64
	    ". Please try again in ",
	    r->limit->amount,
	    r->limit->amount - limit_left(r->limit, r->now_ns), r->asked);
	text_add_span(out, r->wait_ns);
	text_adds(out, ".");
}

static void
say_account(struct text *out, const struct dialect_refusal *r)
{
	(void)r;
	text_adds(out, "Rate limit exceeded for this account.");
}

static void
say_seconds(struct text *out, const struct dialect_refusal *r)
{
	text_addf(out,
	    "Rate limit exceeded. Please retry after %" PRId64 " seconds.",
	    wait_s(r));
}

static void
say_relay(struct text *out, const struct dialect_refusal *r)
{
	text_addf(out, "Rate limit exceeded: %" PRId64 " ", r->limit->amount);
	add_what(out, r->limit, "minute", false);
	text_adds(out, ".");
}

static void
say_azure(struct text *out, const struct dialect_refusal *r)
{
	text_addf(out,
	    "Requests to the ChatCompletions_Create Operation under Azure "
	    "OpenAI API version 2024-10-21 have exceeded %s rate limit of your "
	    "current OpenAI S0 pricing tier. Please retry after %" PRId64
	    " seconds.",
	    r->limit->dim == DIM_REQUESTS ? "call" : "token", wait_s(r));
}

static void
say_anthropic(struct text *out, const struct dialect_refusal *r)
{
	text_addf(out,
	    "This request would exceed your organization's rate limit of "
	    "%" PRId64 " ",
	    r->limit->amount);
	add_what(out, r->limit, "minute", false);
	text_adds(out, ".");
}

static void
say_github(struct text *out, const struct dialect_refusal *r)
{
	if (r->limit->dim == DIM_CONCURRENT)
		text_adds(out,
		    "You have exceeded a secondary rate limit. Please wait a "
		    "few minutes before you try again.");
	else
		text_adds(out, "API rate limit exceeded for user ID 1.");
}

enum shape { OPENAI, ERROR_OBJECT, ERROR_STATUS, ANTHROPIC, PROBLEM, MESSAGE };

static const struct {
	void (*say)(struct text *, const struct dialect_refusal *);
	enum shape shape;
	const char *code;
	bool silent; /* no Retry-After */
} dialects[DIALECTS] = {
#define RATE "rate_limit_exceeded"
	[DIALECT_NONE] = { say_openai, OPENAI, RATE, false },
	[DIALECT_ACCOUNT] = { say_account, ERROR_OBJECT, "AUTH_1028", false },
	[DIALECT_PRIORITY] = { say_seconds, ERROR_OBJECT, RATE, true },
	[DIALECT_CHUNKS] = { say_seconds, ERROR_STATUS, RATE, false },
	[DIALECT_RELAY] = { say_relay, ERROR_OBJECT, RATE, false },
	[DIALECT_OPENAI] = { say_openai, OPENAI, RATE, false },
	[DIALECT_AZURE] = { say_azure, OPENAI, "429", false },
	[DIALECT_ANTHROPIC] = { say_anthropic, ANTHROPIC, NULL, false },
	[DIALECT_GROQ] = { say_groq, OPENAI, RATE, false },
	[DIALECT_IETF] = { NULL, PROBLEM, NULL, false },
	[DIALECT_GITHUB] = { say_github, MESSAGE, NULL, true },
	[DIALECT_NEBIUS] = { say_relay, ERROR_OBJECT, RATE, false },
};

static void
add_shape(struct text *out, enum shape shape, const char *code,
    const struct dialect_refusal *r, const struct text *message)
{
	switch (shape) {
	case OPENAI:
		answer_error(
		    out, message->p, limit_dim_name(r->limit->dim), code);
		return;
	case ERROR_OBJECT:
	case ERROR_STATUS:
		text_adds(out,
		    "{\"error\":{\"type\":\"rate_limit_error\",\"message\":");
		text_add_json(out, message->p, message->n - 1);
		text_addf(out, ",\"code\":\"%s\"%s}}", code,
		    shape == ERROR_STATUS ? ",\"status\":429" : "");
		return;
	case ANTHROPIC:
		text_adds(out,
		    "{\"type\":\"error\",\"error\":{\"type\":"
		    "\"rate_limit_error\",\"message\":");
		text_add_json(out, message->p, message->n - 1);
		text_adds(out, "}}");
		return;
	case PROBLEM:
		text_adds(out,
		    "{\"type\":\"https://iana.org/assignments/"
		    "http-problem-types#quota-exceeded\",\"title\":"
		    "\"Request cannot be satisfied as assigned quota has been "
		    "exceeded\",\"status\":429,\"detail\":");
		text_add_json(out, message->p, message->n - 1);
		text_adds(out, ",\"violated-policies\":[\"");
		dialect_policy(out, r->set, r->limit);
		text_adds(out, "\"]}");
		return;
	case MESSAGE:
		text_adds(out, "{\"message\":");
		text_add_json(out, message->p, message->n - 1);
		text_adds(out,
		    ",\"documentation_url\":"
		    "\"https://docs.github.com/rest/overview/"
		    "rate-limits-for-the-rest-api\"}");
	}
}

void
dialect_refuse(struct text *body, struct text *headers, enum dialect d,
    const struct dialect_refusal *r, struct dialect_said *said)
{
	bool never = r->wait_ns == LIMIT_NEVER;
	bool crowd = r->limit->dim == DIM_CONCURRENT;
	const char *code = dialects[d].code;
	struct text message = { 0 };

	*said = (struct dialect_said){ .status = 429 };
	if (never)
		say_too_large(&message, r);
	else if (crowd && d != DIALECT_GITHUB)
		say_concurrent(&message, r);
	else if (dialects[d].say != NULL)
		dialects[d].say(&message, r);
	text_add(&message, "", 1);
	if (crowd && d != DIALECT_ACCOUNT && code != NULL)
		code = "concurrency_limit_exceeded";
	add_shape(body, dialects[d].shape, code, r, &message);
	free(message.p);
	if (d == DIALECT_IETF)
		said->type = "application/problem+json";
	if (never)
		return;
	if (d == DIALECT_GITHUB && crowd) {
		said->status = 403;
		said->retry_after_s = 60;
	} else if (!dialects[d].silent &&
	    !(d == DIALECT_OPENAI && r->limit->window_ns >= DAY_NS)) {
		said->retry_after_s = wait_s(r);
	}
	if (r->no_retry_after)
		said->retry_after_s = 0;
	if (d == DIALECT_AZURE && !r->no_retry_after)
		text_addf(headers,
		    "retry-after-ms: %" PRId64 "\r\nx-ms-retry-after-ms: "
		    "%" PRId64 "\r\n",
		    r->wait_ns / 1000000 + 1, r->wait_ns / 1000000 + 1);
}
