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

/*
 * "requests/1m=300", "concurrent=10", "gpt-4:tokens/1h=2m" (k, m, g:
 * thousands). The model is all before the last colon, so it may hold colons
 * itself.
 */
struct spec_limit {
	char model[SPEC_MODEL_MAX + 1]; /* glob, "*" when none is named */
	const char *dimension; /* requests, tokens, input_tokens, ... */
	int32_t window_s;      /* 0 for concurrent */
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

/* A window in its longest whole unit: 3600 -> "1h". */
void spec_window_text(int64_t s, char out[32]);

#endif
