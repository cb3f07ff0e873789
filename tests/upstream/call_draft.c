#include <math.h>

#include "upstream.h"

void
call_draft(struct answer *a, struct upstream *u, enum endpoint endpoint,
    const struct request *q, const struct arrival *arrival, size_t body_n)
{
	const struct conf *conf = &u->conf;

	*a = (struct answer){
		.endpoint = endpoint,
		.style = conf->style,
		.hash = arrival->body,
		.serial = ++u->serial,
		.model = u->stats.models[arrival->model].name,
		.created = arrival->ns / 1000000000,
		.prompt = (int64_t)ceil((double)body_n / conf->bytes_per_token),
		.inputs = q->inputs,
		.dimensions = q->dimensions > 0 && q->dimensions <= 4096
		    ? q->dimensions
		    : conf->dimensions,
	};
	if (!answer_has_text(a->endpoint))
		return;
	a->completion = answer_tokens(
	    a->hash, conf->output_mean, conf->output_cv, q->output_max);
	a->cut_short = a->completion == q->output_max;
	a->completion *= q->inputs; /* prompts */
}

int64_t
call_tokens(
    const struct conf *conf, const struct answer *a, const struct request *q)
{
	switch (conf->charge) {
	case CHARGE_ACTUAL_LATE:
		return 0;
	case CHARGE_INPUT_ONLY:
		return a->prompt;
	case CHARGE_ACTUAL:
		return a->prompt + a->completion;
	default:
		if (!answer_has_text(a->endpoint))
			return a->prompt;
		return a->prompt +
		    (q->output_max >= 0 ? q->output_max
					: conf->declared_default);
	}
}
