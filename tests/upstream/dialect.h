/*
 * dialect - what providers tell of their limits, in their own words.
 *
 * Pure.  Names, case and units of headers, and the bodies of refusals, as
 * each provider documents or has been seen to send them.  Limits a dialect
 * has no header for stay unsaid, as they do there.
 */
#ifndef UPSTREAM_DIALECT_H
#define UPSTREAM_DIALECT_H

#include "limiter.h"
#include "text.h"

enum dialect {
	DIALECT_NONE, /* no headers; refusals in OpenAI's shape */
	DIALECT_ACCOUNT,
	DIALECT_PRIORITY,
	DIALECT_CHUNKS,
	DIALECT_RELAY,
	DIALECT_OPENAI,
	DIALECT_AZURE,
	DIALECT_ANTHROPIC,
	DIALECT_GROQ,
	DIALECT_IETF,
	DIALECT_GITHUB,
	DIALECT_NEBIUS,
	DIALECTS
};

/* For the options; closed by NULL. */
extern const char *const dialect_names[DIALECTS + 1];

/* Headers with their CRLFs, for any answer that was judged at now_ns. */
void dialect_headers(struct text *out, enum dialect d, struct limiter *set,
    const char *model, int64_t now_ns);

/* A limit's name in RateLimit-Policy. */
void dialect_policy(
    struct text *out, const struct limiter *set, const struct limit *l);

struct dialect_refusal {
	const struct limiter *set;
	struct limit *limit; /* one of set */
	const char *model;   /* that was asked for */
	int64_t asked;       /* units */
	int64_t wait_ns;     /* LIMIT_NEVER: it can never pass */
	int64_t now_ns;
	bool no_retry_after; /* leave out all that says when, but in the body */
};

struct dialect_said {
	int status;
	const char *type;      /* of the body; NULL: JSON */
	int64_t retry_after_s; /* 0: the dialect has none here */
};

/* The body, and headers besides those of dialect_headers(). */
void dialect_refuse(struct text *body, struct text *headers, enum dialect d,
    const struct dialect_refusal *r, struct dialect_said *said);

#endif
