#include <time.h>

#include "api.h"

static void
api_on_header(void *arg, const char *name, const char *value)
{
	struct call *call = arg;

	http_set(call->req, name, "%s", value);
}

static struct reply_in
reply_in(const struct call *call, const struct admit_headline *headline,
    const char *resource, int priority)
{
	struct reply_in in = { .dialect = call->dialect,
		.headline = *headline,
		.resource = resource,
		.priority = priority };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	in.now_s = now.tv_sec;
	in.now_us = now.tv_nsec / 1000;
	return in;
}

void
api_reply(struct call *call, const struct admit_headline *headline,
    const char *resource, int priority)
{
	struct reply_in in = reply_in(call, headline, resource, priority);

	if (call->req != NULL && !call->answered)
		reply_headers(&in, api_on_header, call);
}

void
api_reply_refused(struct call *call, const struct admit_headline *headline,
    const char *resource, int priority, const struct reply_refusal *refusal)
{
	struct reply_in in = reply_in(call, headline, resource, priority);
	struct buf body = { 0 };

	if (call->req == NULL || call->answered)
		return;
	reply_refused(&in, refusal, api_on_header, call, &body);
	api_json(call, 429, buf_slice(&body));
	buf_fini(&body);
}
