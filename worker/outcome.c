#include "outcome.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sluice/header.h>

enum { BACKOFF_MS = 1000, BACKOFF_MAX_MS = 30000 };

#define RETRY_AFTER_MAX_MS (INT64_C(31) * 86400 * 1000)

/* Digits with at most one point, so no sign, no exponent, no inf or nan. */
static bool
decimal_ms(struct slice s, double unit_ms, int64_t *out)
{
	double v = 0, place = 1;
	bool point = false, digit = false;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' && !point) {
			point = true;
		} else if (s.p[i] >= '0' && s.p[i] <= '9') {
			digit = true;
			v = v * 10 + (s.p[i] - '0');
			if (point)
				place *= 10;
		} else {
			return false;
		}
	}
	v = v / place * unit_ms;
	/* So asked, not a number is refused: what hundreds of digits make. */
	if (!digit || !(v > 0 && v <= (double)RETRY_AFTER_MAX_MS))
		return false;
	*out = (int64_t)(v + 0.999);
	return true;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" to Unix time; false otherwise. */
static bool
http_date(struct slice s, int64_t *out)
{
	char text[40];
	struct tm tm = { 0 };
	const char *end;

	if (s.n == 0 || s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (end == NULL || *end != '\0')
		return false;
	*out = (int64_t)timegm(&tm);
	return true;
}

int64_t
outcome_retry_after_ms(struct slice headers, int64_t now_s)
{
	struct slice v;
	int64_t ms, at_s, date_s;

	v = header_find(headers, "retry-after-ms");
	if (v.p != NULL && decimal_ms(v, 1, &ms))
		return ms;
	v = header_find(headers, "x-ms-retry-after-ms");
	if (v.p != NULL && decimal_ms(v, 1, &ms))
		return ms;
	v = header_find(headers, "retry-after");
	if (v.p == NULL)
		return 0;
	if (decimal_ms(v, 1000, &ms))
		return ms;
	if (!http_date(v, &at_s))
		return 0;
	/* Against the answer's own clock, which the date was made with. */
	if (!http_date(header_find(headers, "date"), &date_s))
		date_s = now_s;
	ms = (at_s - date_s) * 1000;
	return ms > 0 && ms <= RETRY_AFTER_MAX_MS ? ms : 0;
}

/* Full jitter: any time up to the bound is as likely as any other. */
static int64_t
backoff_ms(int tries, double chance)
{
	int64_t bound = BACKOFF_MS;

	for (int i = 0; i < tries && bound < BACKOFF_MAX_MS; i++)
		bound *= 2;
	if (bound > BACKOFF_MAX_MS)
		bound = BACKOFF_MAX_MS;
	return (int64_t)(chance * (double)bound);
}

static void
try_again(const struct outcome_in *in, struct outcome *out, const char *code)
{
	if (in->bulk) {
		out->kind = OUTCOME_DOWN;
		return;
	}
	if (in->tries + 1 >= in->attempts) {
		out->kind = OUTCOME_FAILED;
		out->code = code;
		return;
	}
	out->kind = OUTCOME_AGAIN;
	out->wait_ms = outcome_retry_after_ms(in->headers, in->now_s);
	if (out->wait_ms == 0)
		out->wait_ms = backoff_ms(in->tries, in->chance);
}

static void
outcome_of_status(const struct outcome_in *in, struct outcome *out)
{
	int s = in->status;

	if (s >= 200 && s < 300) {
		if (in->good_body)
			out->kind = OUTCOME_DONE;
		else
			try_again(in, out, NULL);
	} else if (s == 429) {
		out->kind = OUTCOME_REFUSED;
		out->pause_ms = outcome_retry_after_ms(in->headers, in->now_s);
	} else if (s == 401 || s == 402 || (s >= 300 && s < 400)) {
		out->kind = OUTCOME_DOWN;
	} else if (s == 403 || s == 408 || s == 409 || s >= 500 || s < 200) {
		try_again(in, out, NULL);
	} else {
		out->kind = OUTCOME_FAILED;
	}
}

void
outcome_of(const struct outcome_in *in, struct outcome *out)
{
	*out = (struct outcome){ 0 };
	switch (in->end) {
	case OUTCOME_ANSWER:
		outcome_of_status(in, out);
		break;
	case OUTCOME_NOT_SENT:
		out->kind = OUTCOME_UNSENT;
		break;
	case OUTCOME_UNREACHED:
		out->kind = OUTCOME_DOWN;
		break;
	case OUTCOME_BROKEN:
		try_again(in, out, "outcome_unknown");
		break;
	case OUTCOME_OVERSIZE:
		out->kind = OUTCOME_FAILED;
		out->code = "answer_too_large";
		break;
	}
}
