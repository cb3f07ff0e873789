/*
 * slc - what every part of Sluice agrees on: results, slices, limits.
 */
#ifndef SLUICE_SLC_H
#define SLUICE_SLC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

/* Result codes: name, OpenAI error code, HTTP status of an API answer. */
#define SLC_ERRORS(X)                                   \
	X(SLC_OK, "ok", 200)                            \
	X(SLC_EINPUT, "invalid_request", 400)           \
	X(SLC_EAUTH, "invalid_api_key", 401)            \
	X(SLC_EDENIED, "insufficient_permissions", 403) \
	X(SLC_ENOTFOUND, "not_found", 404)              \
	X(SLC_ECONFLICT, "conflict", 409)               \
	X(SLC_ETOOBIG, "request_too_large", 413)        \
	X(SLC_EQUOTA, "quota_exceeded", 429)            \
	X(SLC_EIO, "internal_error", 500)               \
	X(SLC_ENOMEM, "out_of_memory", 503)             \
	X(SLC_EDB, "database_unavailable", 503)         \
	X(SLC_ELOST, "lost", 500) /* a lease or fence is gone */

enum slc_rc {
#define X(name, code, status) name,
	SLC_ERRORS(X)
#undef X
	    SLC_RC_COUNT
};

/* The OpenAI error code and the HTTP status that go with a result. */
const char *slc_code(enum slc_rc rc);
int slc_status(enum slc_rc rc);

/* What went wrong, for people; the caller's storage, never parsed. */
struct slc_err {
	enum slc_rc rc;
	char text[400];
};

/* Fill err (may be NULL) and return rc, so that a failure is one line. */
enum slc_rc slc_fail(struct slc_err *err, enum slc_rc rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Bytes borrowed for the length of a call. */
struct slice {
	const char *p;
	size_t n;
};

#define SLICE(literal) ((struct slice){ (literal), sizeof(literal) - 1 })

struct slice slice_str(const char *s);
bool slice_eq(struct slice a, const char *s);
bool slice_ieq(struct slice a, const char *s); /* ASCII case ignored */
/* Decimal digits only, 0..max; false on anything else. */
bool slice_int(struct slice s, int64_t max, int64_t *out);

/* Every limit on what comes from outside has its name here. */
enum {
	SLC_LINE_MAX = 4 << 20,          /* bytes of one JSON line */
	SLC_MAX_TOKENS_MAX = 1000000000, /* output cap set on request */
	SLC_DEPTH_MAX = 64,              /* nesting of a JSON line */
	SLC_FILE_LINES_MAX = 50000,      /* default, settable */
	SLC_FILE_BYTES_MAX = 200 << 20,  /* default, settable */
	SLC_FILE_FAULTS_MAX = 1000,      /* kept with a file */
	SLC_FILE_MODELS_MAX = 64,        /* different models in one file */
	SLC_FILE_NAME_MAX = 255,         /* bytes */
	SLC_CUSTOM_ID_MAX = 512,         /* bytes, decoded */
	SLC_MODEL_MAX = 256,             /* bytes, decoded */
	SLC_CHUNK_LINES_MAX = 256,
	SLC_CHUNK_BYTES_MAX = 128 << 10, /* or one longer line */
	SLC_METADATA_MAX = 16,           /* pairs */
	SLC_METADATA_KEY_MAX = 64,       /* characters */
	SLC_METADATA_VALUE_MAX = 512,    /* characters */
	SLC_JSON_BODY_MAX = 64 << 10,    /* POST bodies that are JSON */
	SLC_CONFIG_BODY_MAX = 4 << 20,   /* all pools and paths at once */
	SLC_LIVE_BODY_MAX = 32 << 20,    /* of a live request */
	SLC_LIVE_BODIES_MAX = 256 << 20, /* of all that are in a program */
	SLC_CACHE_ANSWER_MAX = 64 << 10, /* of an answer that is kept */
	SLC_HEADERS_MAX = 64 << 10,      /* bytes of a request's headers */
	SLC_IDEMPOTENCY_MAX = 255,       /* bytes of an Idempotency-Key */
	SLC_PAGE_BATCHES_MAX = 100,
	SLC_PAGE_FILES_MAX = 10000,
	SLC_NAME_MAX = 100,         /* pools, paths, accounts, keys, plans */
	SLC_CALLER_LIMITS_MAX = 64, /* of one plan, account, key, ... */
	SLC_LIMIT_NAME_MIN = 5,     /* of a named limit, a-z 0-9 - */
	SLC_LIMIT_NAME_MAX = 100,
	SLC_ATTACH_MAX = 1000, /* keys, and models, of a named limit */
	SLC_ZONE_MAX = 64,     /* bytes of a time zone's name */
	SLC_WEIGHT_MAX = 1000, /* of an account's share */
	SLC_WEBHOOKS_MAX = 16, /* of an account */
	SLC_WEBHOOK_URL_MAX = 2000,
	SLC_COMBINE_MAX = 2048, /* lines of one upstream call */
	SLC_WINDOW_MIN_S = 60,  /* completion_window */
	SLC_WINDOW_MAX_S = 30 * 86400,
	SLC_ATTEMPTS_DEFAULT = 5,
	SLC_PRIORITY_LOW = 1,
	SLC_PRIORITY_NORMAL = 2,
	SLC_PRIORITY_HIGH = 3,
	SLC_PRIORITY_CRITICAL = 4,
};
#define SLC_CALLER_AMOUNT_MAX INT64_C(1000000000000000)
#define SLC_EXPIRES_MAX       INT64_C(253402300799) /* the end of the year 9999 */

#endif
