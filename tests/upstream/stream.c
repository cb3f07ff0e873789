#include "stream.h"

#include <stdlib.h>

#include "upstream.h"

enum { UNSENT_MAX = 64 << 10 }; /* then the client is waited for */

struct stream {
	uv_timer_t timer;
	struct conn *conn;
	struct answer answer;
	struct stream_plan plan;
	int64_t at; /* pieces sent */
};

static void
stream_on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void
stream_stop(struct stream *s)
{
	uv_close((uv_handle_t *)&s->timer, stream_on_closed);
}

static void
stream_on_time(uv_timer_t *timer)
{
	struct stream *s = timer->data;
	struct conn *c = s->conn;
	struct text *out = &c->u->server.body;

	if (conn_unsent(c) > UNSENT_MAX)
		return;
	text_clear(out);
	if (s->at < s->answer.completion) {
		answer_piece(out, &s->answer, s->at++);
		conn_stream(c, out);
		return;
	}
	if (s->plan.usage)
		answer_last_piece(out, &s->answer);
	text_adds(out, "data: [DONE]\n\n");
	conn_stream(c, out);
	/* A write that failed has stopped us. */
	if (uv_is_closing((uv_handle_t *)timer))
		return;
	s->plan.over(s->plan.arg);
	conn_stream_end(c);
	stream_stop(s);
}

struct stream *
stream_start(
    struct conn *c, const struct answer *a, const struct stream_plan *plan)
{
	struct stream *s = text_realloc(NULL, sizeof(*s));
	struct reply r = {
		.status = 200,
		.type = "text/event-stream",
		.headers = plan->headers,
		.id = { a->hash, a->serial },
		.stream = true,
	};
	uint64_t ms = plan->ms < 1 ? 1 : (uint64_t)plan->ms;

	*s = (struct stream){ .conn = c, .answer = *a, .plan = *plan };
	uv_timer_init(c->u->loop, &s->timer);
	s->timer.data = s;
	uv_timer_start(&s->timer, stream_on_time, 0, ms);
	conn_stream_begin(c, &r);
	return s;
}
