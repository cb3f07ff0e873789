#include "outcome.h"

enum { BACKOFF_MS = 1000, BACKOFF_MAX_MS = 30000 };

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
	if (!in->shared && in->tries + 1 >= in->attempts) {
		out->kind = OUTCOME_FAILED;
		out->code = code;
		return;
	}
	out->kind = OUTCOME_AGAIN;
	if (in->end == OUTCOME_ANSWER)
		out->wait_ms = in->said->wait_ms;
	if (out->wait_ms == 0)
		out->wait_ms = backoff_ms(in->tries, in->chance);
}

/* A refusal that is no trouble of the upstream's; false: none. */
static bool
outcome_of_refusal(const struct outcome_in *in, struct outcome *out)
{
	switch (in->said->refusal) {
	case DIALECT_SERVED:
		return false;
	case DIALECT_OVERLOAD:
		if (in->status != 429)
			return false;
		break;
	case DIALECT_BILLING:
		out->kind = OUTCOME_DOWN;
		return true;
	case DIALECT_TOO_LARGE:
		out->kind = OUTCOME_FAILED;
		out->code = "request_exceeds_limit";
		return true;
	case DIALECT_RATE:
	case DIALECT_DAY:
	case DIALECT_CONCURRENCY:
	case DIALECT_SECONDARY:
		break;
	}
	out->kind = OUTCOME_REFUSED;
	out->pause_ms = in->said->wait_ms;
	if (in->refused + 1 >= OUTCOME_REFUSED_MAX) {
		out->half = in->shared;
		out->park = !in->shared;
	}
	return true;
}

static void
outcome_of_status(const struct outcome_in *in, struct outcome *out)
{
	int s = in->status;
	bool served = s >= 200 && s < 300;

	if (served && in->good_body)
		out->kind = OUTCOME_DONE;
	else if (outcome_of_refusal(in, out))
		return;
	else if (s == 401 || s == 402 || (s >= 300 && s < 400))
		out->kind = OUTCOME_DOWN;
	else if (served || s == 403 || s == 408 || s == 409 || s >= 500 ||
	    s < 200)
		try_again(in, out, NULL);
	else
		out->kind = OUTCOME_FAILED;
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
	if (in->shared &&
	    (out->kind == OUTCOME_FAILED || out->kind == OUTCOME_AGAIN ||
		(out->kind == OUTCOME_DONE && in->unlike)))
		*out = (struct outcome){ .kind = OUTCOME_SPLIT,
			.half = true,
			.trouble = out->kind == OUTCOME_AGAIN,
			.wait_ms = out->wait_ms };
}
