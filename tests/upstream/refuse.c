#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "upstream.h"

void
refuse_headers(char out[RATE_HEADERS_MAX], struct limiter *set,
    const char *model, int64_t now_ns)
{
	static const char *const names[] = {
		[DIM_REQUESTS] = "requests",
		[DIM_TOKENS] = "tokens",
	};
	struct text t = { 0 };

	for (int dim = DIM_REQUESTS; dim <= DIM_TOKENS; dim++) {
		struct limit *tightest = NULL;

		for (size_t i = 0; i < set->n; i++) {
			struct limit *l = &set->v[i];

			if ((int)l->dim == dim && limit_applies(l, model) &&
			    (tightest == NULL ||
				limit_left(l, now_ns) <
				    limit_left(tightest, now_ns)))
				tightest = l;
		}
		if (tightest == NULL)
			continue;
		text_addf(&t,
		    "x-ratelimit-limit-%s: %" PRId64
		    "\r\nx-ratelimit-remaining-%s: %" PRId64
		    "\r\nx-ratelimit-reset-%s: ",
		    names[dim], tightest->amount, names[dim],
		    limit_left(tightest, now_ns), names[dim]);
		text_add_span(&t, limit_reset_ns(tightest, now_ns));
		text_adds(&t, "\r\n");
	}
	assert(t.n < RATE_HEADERS_MAX);
	memcpy(out, t.n > 0 ? t.p : "", t.n);
	out[t.n] = '\0';
	free(t.p);
}

void
refuse_reply(struct conn *c, const struct limit *l, int64_t asked,
    int64_t wait_ns, const char *headers)
{
	static const char *const types[DIMS] = {
		[DIM_REQUESTS] = "requests",
		[DIM_TOKENS] = "tokens",
		[DIM_CONCURRENT] = "concurrent",
	};
	struct upstream *u = c->u;
	struct text say = { 0 };
	struct reply r = { .status = 429,
		.body = &u->server.body,
		.headers = headers,
		.id = { 0, ++u->serial } };

	text_addf(&say,
	    "%s on %s%s%s: Limit %" PRId64 ", Requested %" PRId64 ".",
	    wait_ns == LIMIT_NEVER ? "Request too large" : "Rate limit reached",
	    l->spec, l->model[0] != '\0' ? " of " : "", l->model, l->amount,
	    asked);
	if (wait_ns != LIMIT_NEVER) {
		text_adds(&say, " Please try again in ");
		text_add_span(&say, wait_ns);
		text_adds(&say, ".");
		if (!u->conf.no_retry_after)
			r.retry_after_s =
			    wait_ns / 1000000000 + (wait_ns % 1000000000 > 0);
	}
	text_add(&say, "", 1);
	text_clear(&u->server.body);
	answer_error(
	    &u->server.body, say.p, types[l->dim], "rate_limit_exceeded");
	free(say.p);
	conn_reply(c, &r);
}
