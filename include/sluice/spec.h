/*
 * spec - the short forms people write: limits, windows, sizes.
 *
 * Pure.  Every refusal says what would be right.
 */
#ifndef SLUICE_SPEC_H
#define SLUICE_SPEC_H

#include <sluice/buf.h>
#include <sluice/slc.h>

enum {
	SPEC_LIMIT_WINDOW_MAX_S = 31 * 86400,
	SPEC_MODEL_MAX = 256,
};
#define SPEC_AMOUNT_MAX INT64_C(1000000000000)
#define SPEC_PRICE_MAX  INT64_C(1000000000000000) /* millionths */

/*
 * "requests/1m=300", "concurrent=10", "enqueued_tokens=2m",
 * "gpt-4:tokens/1h=2m" (k, m, g: thousands). The model is all before the last
 * colon, so it may hold colons itself.
 */
struct spec_limit {
	char model[SPEC_MODEL_MAX + 1]; /* glob, "*" when none is named */
	const char *dimension; /* requests, tokens, input_tokens, ... */
	int32_t window_s;      /* 0 for concurrent, enqueued_... */
	int64_t amount;        /* 1..SPEC_AMOUNT_MAX */
};
enum slc_rc
spec_limit(const char *text, struct spec_limit *out, struct slc_err *err);

/* "90s", "15m", "24h", "7d" to seconds, min..max; the unit is required. */
enum slc_rc spec_window(struct slice text, int64_t min_s, int64_t max_s,
    int64_t *out, struct slc_err *err);

/* "4096", "4k", "2m" (thousands), 1..max. */
enum slc_rc
spec_amount(struct slice text, int64_t max, int64_t *out, struct slc_err *err);

/* "200m", "64k", "1g" (powers of 1024) or plain bytes, 1..max. */
enum slc_rc
spec_bytes(struct slice text, int64_t max, int64_t *out, struct slc_err *err);

/*
 * What a path says of its upstream in words, ends with NULL: what it charges
 * against token limits, and what a streamed answer costs of request limits.
 */
extern const char *const spec_charges[];
extern const char *const spec_stream_costs[];

/* Is text first (may be NULL) or one of words?  A refusal lists them all. */
enum slc_rc spec_word(const char *text, const char *first,
    const char *const *words, struct slc_err *err);

/* The kinds of paths (sql/001h_routes.sql), and a suffix to models' names. */
extern const char *const spec_kinds[];
enum { SPEC_SUFFIX_MAX = 64 };
enum slc_rc spec_suffix(const char *text, struct slc_err *err);

/*
 * "0.15" to millionths, 0..max, exactly: more than six places are refused.
 * Money has no currency: whatever the operator reckons in.
 */
enum slc_rc
spec_money(struct slice text, int64_t max, int64_t *out, struct slc_err *err);

/* Not negative; at least two places: 150000 -> "0.15", 75000 -> "0.075". */
void spec_money_text(int64_t micros, char out[32]);

/*
 * "gpt-4*:input=0.15,cached=0.075,output=0.60": money for a million tokens.
 * What is not named costs nothing, but cached input: that costs what input
 * does.  "gpt-4*@mon-fri 16:30-00:30 UTC:input=0.08": in these hours alone
 * (sql/002b_hours.sql knows their form).
 */
enum { SPEC_HOURS_MAX = 200 };
struct spec_price {
	char model[SPEC_MODEL_MAX + 1]; /* glob, "*" when none is named */
	char hours[SPEC_HOURS_MAX + 1]; /* "": always */
	int64_t input, output;          /* millionths, 0..SPEC_PRICE_MAX */
	int64_t cached;                 /* -1: as input */
};
enum slc_rc
spec_price(const char *text, struct spec_price *out, struct slc_err *err);

/* A window in its longest whole unit: 3600 -> "1h". */
void spec_window_text(int64_t s, char out[32]);

#endif
