#include "dialect_parts.h"

#define MINUTE 60
#define HOUR   3600
#define DAY    86400
#define MONTH  (30 * DAY)

#define MARK(id, header)                                        \
	{                                                       \
		DIALECT_ID_##id, header, UNIT_MARK, 0, 0, false \
	}
#define BODY(id, words)                                        \
	{                                                      \
		DIALECT_ID_##id, words, UNIT_BODY, 0, 0, false \
	}
#define LIMIT(id, header, unit, dim, window_s)                                 \
	{                                                                      \
		DIALECT_ID_##id, header, UNIT_##unit, DIALECT_##dim, window_s, \
		    false                                                      \
	}
#define MOVING(id, header, unit, dim, window_s)                                \
	{                                                                      \
		DIALECT_ID_##id, header, UNIT_##unit, DIALECT_##dim, window_s, \
		    true                                                       \
	}

const struct dialect_row dialect_rows[] = {
	/* a bucket: its reset is when it is full */
	LIMIT(OPENAI, "x-ratelimit-*-requests", SPAN, REQUESTS, MINUTE),
	LIMIT(OPENAI, "x-ratelimit-*-tokens", SPAN, TOKENS, MINUTE),
	LIMIT(OPENAI, "x-ratelimit-*-tokens_usage_based", SPAN, TOKENS, MINUTE),
	LIMIT(OPENAI, "x-ratelimit-*-project-requests", SPAN, REQUESTS, MINUTE),
	LIMIT(OPENAI, "x-ratelimit-*-project-tokens", SPAN, TOKENS, MINUTE),
	MARK(OPENAI, "openai-processing-ms"),

	LIMIT(ACCOUNT, "x-ratelimit-*-requests", SECONDS, REQUESTS, MINUTE),
	BODY(ACCOUNT, "auth 1028"),

	LIMIT(AZURE, "x-ratelimit-*-requests", SECONDS, REQUESTS, MINUTE),
	LIMIT(AZURE, "x-ratelimit-*-tokens", SECONDS, TOKENS, MINUTE),
	MARK(AZURE, "apim-request-id"),
	MARK(AZURE, "x-ms-region"),

	LIMIT(GROQ, "x-ratelimit-*-requests", SPAN, REQUESTS, DAY),
	LIMIT(GROQ, "x-ratelimit-*-tokens", SPAN, TOKENS, MINUTE),

	MOVING(NEBIUS, "x-ratelimit-*-requests", SECONDS, REQUESTS, MINUTE),
	MOVING(NEBIUS, "x-ratelimit-*-tokens", SECONDS, TOKENS, MINUTE),
	MARK(NEBIUS, "x-ratelimit-dynamic-period-remaining"),
	MARK(NEBIUS, "x-ratelimit-dynamic-scale-requests"),
	MARK(NEBIUS, "x-ratelimit-dynamic-scale-tokens"),

	MOVING(FIREWORKS, "x-ratelimit-*-requests", NONE, REQUESTS, 0),
	MOVING(FIREWORKS, "x-ratelimit-*-tokens-prompt", NONE, INPUT_TOKENS, 1),
	MOVING(FIREWORKS, "x-ratelimit-*-tokens-cache-adjusted-prompt", NONE,
	    INPUT_TOKENS, 1),
	MOVING(FIREWORKS, "x-ratelimit-*-tokens-generated", NONE, OUTPUT_TOKENS,
	    1),

	LIMIT(RELAY, "x-ratelimit-*", EPOCH_S, REQUESTS, MINUTE),
	LIMIT(CHUNKS, "x-ratelimit-*", EPOCH_S, REQUESTS, MINUTE),
	LIMIT(PRIORITY, "x-ratelimit-*", EPOCH_S, REQUESTS, MINUTE),
	MARK(PRIORITY, "x-request-priority"),
	/* gateways and frameworks: the window, if any, is in the limit */
	LIMIT(X_RATELIMIT, "x-ratelimit-*", SECONDS, REQUESTS, 0),
	MOVING(TOGETHER, "x-ratelimit-*", SECONDS, REQUESTS, 1),
	MOVING(TOGETHER, "x-tokenlimit-*", SECONDS, TOKENS, 1),
	LIMIT(OPENROUTER, "x-ratelimit-*", EPOCH_MS, REQUESTS, 0),
	LIMIT(GITHUB, "x-ratelimit-*", EPOCH_S, REQUESTS, HOUR),
	MARK(GITHUB, "x-github-request-id"),

	LIMIT(ANTHROPIC, "anthropic-ratelimit-requests-*", RFC3339, REQUESTS,
	    MINUTE),
	LIMIT(
	    ANTHROPIC, "anthropic-ratelimit-tokens-*", RFC3339, TOKENS, MINUTE),
	LIMIT(ANTHROPIC, "anthropic-ratelimit-input-tokens-*", RFC3339,
	    INPUT_TOKENS, MINUTE),
	LIMIT(ANTHROPIC, "anthropic-ratelimit-output-tokens-*", RFC3339,
	    OUTPUT_TOKENS, MINUTE),

	LIMIT(CEREBRAS, "x-ratelimit-*-requests-minute", SECONDS, REQUESTS,
	    MINUTE),
	LIMIT(CEREBRAS, "x-ratelimit-*-requests-hour", SECONDS, REQUESTS, HOUR),
	LIMIT(CEREBRAS, "x-ratelimit-*-requests-day", SECONDS, REQUESTS, DAY),
	LIMIT(CEREBRAS, "x-ratelimit-*-tokens-minute", SECONDS, TOKENS, MINUTE),
	LIMIT(CEREBRAS, "x-ratelimit-*-tokens-hour", SECONDS, TOKENS, HOUR),
	LIMIT(CEREBRAS, "x-ratelimit-*-tokens-day", SECONDS, TOKENS, DAY),

	LIMIT(MISTRAL, "x-ratelimit-*-req-minute", SECONDS, REQUESTS, MINUTE),
	LIMIT(MISTRAL, "x-ratelimit-*-req-day", SECONDS, REQUESTS, DAY),
	LIMIT(MISTRAL, "x-ratelimit-*-tokens-minute", SECONDS, TOKENS, MINUTE),
	LIMIT(MISTRAL, "x-ratelimit-*-tokens-day", SECONDS, TOKENS, DAY),
	LIMIT(MISTRAL, "x-ratelimit-*-tokens-month", SECONDS, TOKENS, MONTH),
	LIMIT(MISTRAL, "x-ratelimitbysize-*-minute", SECONDS, TOKENS, MINUTE),
	LIMIT(MISTRAL, "x-ratelimitbysize-*-month", SECONDS, TOKENS, MONTH),
	LIMIT(MISTRAL, "ratelimitbysize-*", SECONDS, TOKENS, MINUTE),
	BODY(MISTRAL, "rate limited 1300"),

	LIMIT(IETF, "ratelimit", LIST, UNKNOWN, 0),
	LIMIT(IETF, "ratelimit-policy", POLICY, UNKNOWN, 0),
	LIMIT(RATELIMIT, "ratelimit-*", SECONDS, REQUESTS, 0),

	BODY(COHERE, "api calls /"),
	BODY(GEMINI, "resource exhausted"),
};
const size_t dialect_nrows = NITEMS(dialect_rows);

const char *const dialect_names[] = {
#define X(id, name) name,
	DIALECTS(X)
#undef X
	    NULL,
};
