/*
 * dialect - what a provider's answer says about its limits.
 *
 * Pure.  lib/dialect_table.c is the table: headers, their units, what they
 * count.  An answer (status, headers, body) becomes readings (what is left of
 * which limit) and, if it is a refusal, its kind and how long to wait.  Nothing
 * here decides: a header that lies costs at most speed, see scheduler/foreign.h
 * and dispatch_seen.c.
 */
#ifndef SLUICE_DIALECT_H
#define SLUICE_DIALECT_H

#include <sluice/slc.h>

enum {
	DIALECT_READINGS_MAX = 12,
	DIALECT_FROM_MAX = 47, /* bytes of a header's name that are kept */
};
/* Resets and waits beyond it are no evidence. */
#define DIALECT_WAIT_MAX_MS (INT64_C(31) * 86400 * 1000)

enum dialect_dim {
	DIALECT_UNKNOWN,
	DIALECT_REQUESTS,
	DIALECT_TOKENS, /* input and output */
	DIALECT_INPUT_TOKENS,
	DIALECT_OUTPUT_TOKENS,
	DIALECT_CONCURRENT,
};

/*
 * One limit as one answer tells it.  window_s is 0, too, where dialects that
 * cannot be told apart differ in it.
 */
struct dialect_reading {
	enum dialect_dim dim;
	int32_t window_s;  /* 0: the dialect does not say */
	int64_t limit;     /* -1: not said */
	int64_t remaining; /* -1: not said */
	int64_t reset_ms;  /* after the answer; -1: not said, or absurd */
	bool dynamic;      /* a limit that moves with use */
	/* The header, in lower case; of RateLimit with the policy's name. */
	char from[DIALECT_FROM_MAX + 1];
};

enum dialect_refusal {
	DIALECT_SERVED,
	DIALECT_RATE,        /* of a window: wait */
	DIALECT_DAY,         /* of a day or longer: wait for its end */
	DIALECT_CONCURRENCY, /* too many calls at once */
	DIALECT_TOO_LARGE,   /* this request is more than the limit: never */
	DIALECT_BILLING,     /* out of money: an operator must act */
	DIALECT_OVERLOAD,  /* the provider's trouble; says nothing of limits */
	DIALECT_SECONDARY, /* an undeclared limit: a minute at least */
};

struct dialect_answer {
	const char *dialect; /* a name of dialect_names, NULL: none known */
	struct dialect_reading readings[DIALECT_READINGS_MAX];
	size_t nreadings;
	enum dialect_refusal refusal;
	enum dialect_dim refused_dim; /* as far as it says */
	int32_t refused_window_s;     /* 0: not said */
	int64_t wait_ms;              /* 0: not said */
	/* A header, of a reset the reading's; or "body" or "rule"; NULL when
	 * wait_ms is 0.  It lives as long as the answer. */
	const char *wait_from;
	bool error_in_body; /* a 2xx whose body is an error */
};

/*
 * dialect: a name, or NULL or "auto" (or an unknown one) to recognise it.
 * now_s (Unix time) stands in for a missing Date header.  A body that is known
 * to be a result need not be given.  Any bytes are read safely; what makes no
 * sense is as if it were not there.
 *
 * The wait is the first of these that makes sense: retry-after-ms,
 * x-ms-retry-after-ms, Retry-After, what an error says, and if it is a refusal
 * of a rate the latest reset of the readings with nothing left.
 */
void dialect_read(const char *dialect, int status, struct slice headers,
    struct slice body, int64_t now_s, struct dialect_answer *out);

/* All names, "auto" excepted; ends with NULL. */
extern const char *const dialect_names[];

const char *dialect_dim_name(enum dialect_dim dim);       /* "requests", ... */
const char *dialect_refusal_name(enum dialect_refusal r); /* "rate", ... */
/* The reverse; unknown words are DIALECT_UNKNOWN and DIALECT_RATE. */
enum dialect_dim dialect_dim_of(const char *name);
enum dialect_refusal dialect_refusal_of(const char *name);

#endif
