#include "live_settle.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <sluice/log.h>

#include "flush_seen.h"
#include "outcome.h"
#include "result.h"

enum { AGAIN_MS = 250, SENT_MAX = 16 };

/* One that waits, or is on its way. */
struct item {
	struct item *next;
	struct live_settle *owner;
	struct buf seen;
	int64_t admission, status, chunks, ms;
	struct answer_usage usage;
	bool settle, ok;
	int64_t late_us; /* it left then, no more is known; else 0 */
};

struct live_settle {
	struct db *db;
	uv_timer_t again;
	struct item *first, **last; /* waiting */
	size_t n, under_way;
	int64_t worker;
	int64_t offset_us;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

static void send_waiting(struct live_settle *s);

static void
item_free(struct item *i)
{
	buf_fini(&i->seen);
	free(i);
}

static void
push(struct live_settle *s, struct item *i)
{
	i->next = NULL;
	*s->last = i;
	s->last = &i->next;
	s->n++;
}

static struct item *
pop(struct live_settle *s)
{
	struct item *i = s->first;

	s->first = i->next;
	if (s->first == NULL)
		s->last = &s->first;
	s->n--;
	return i;
}

static void
settle_on_again(uv_timer_t *timer)
{
	send_waiting(timer->data);
}

static void
settle_on_done(struct db_result *res, void *arg)
{
	struct item *i = arg;
	struct live_settle *s = i->owner;

	s->under_way--;
	if (db_rc(res) == SLC_EDB) {
		push(s, i);
		uv_timer_start(&s->again, settle_on_again, AGAIN_MS, 0);
		return;
	}
	if (db_rc(res) != SLC_OK)
		log_error("live.settle", "why=\"%s\"", db_message(res));
	item_free(i);
	send_waiting(s);
}

static void
send_item(struct live_settle *s, struct item *i)
{
	struct db_call *call = db_call(s->db, settle_on_done, i);
	const struct answer_usage *u = &i->usage;
	int64_t no = -1;

	if (i->late_us > 0)
		db_add(call, STMT_LIVE_LATE, i->admission, i->late_us);
	if (i->settle)
		db_add(call, STMT_LIVE_SETTLE, i->admission, s->worker,
		    i->status, u->known ? u->input : no,
		    u->known ? u->cached : no, u->known ? u->output : no,
		    u->known ? u->reasoning : no, i->chunks, i->ms, (int)i->ok);
	if (i->seen.n > 0)
		db_add(call, STMT_LIVE_SEEN, buf_cstr(&i->seen));
	s->under_way++;
	db_send(call);
}

static void
send_waiting(struct live_settle *s)
{
	while (s->first != NULL && s->under_way < SENT_MAX)
		send_item(s, pop(s));
}

/* As a line of a batch would tell it: the dispatcher reads one language. */
static void
write_seen(struct live_settle *s, const struct live_end *end, struct buf *out)
{
	struct run run = { .path = end->path,
		.model = (char *)(uintptr_t)end->model,
		.keep_us = INT64_MAX,
		.live = true };
	struct line line = { .run = &run };
	struct result *r = result_new(&line, RESULT_AGAIN);
	const struct result *list = r;
	const struct upstream_result *got = end->got;
	struct outcome_in in = {
		.end = result_end(got->end),
		.status = got->status,
		.said = end->said,
		.good_body = true,
		.attempts = 1,
	};
	struct outcome outcome;

	outcome_of(&in, &outcome);
	if (got->end != UPSTREAM_ABANDONED) {
		r->down = outcome.kind == OUTCOME_DOWN;
		r->ok = got->end == UPSTREAM_ANSWERED && !r->down &&
		    (got->status < 500 || outcome.kind == OUTCOME_REFUSED);
		r->answered = outcome.kind == OUTCOME_DONE &&
		    end->usage.known && end->bytes > 0;
	}
	r->usage = end->usage;
	r->bytes = end->bytes;
	r->ms = got->ms;
	r->connect_us = got->connect_us;
	if (got->sent_us > 0)
		r->sent_us = got->sent_us + s->offset_us;
	result_keep_said(
	    end->said, outcome.kind == OUTCOME_REFUSED, end->in_flight, r);
	if (r->down)
		result_describe(got, end->said->refusal == DIALECT_BILLING, r);
	path_told(end->path, r->ok, r->down, r->why);
	flush_seen_write(&list, 1, out);
	free(r->said);
	free(r);
}

static void
add(struct live_settle *s, struct item *i)
{
	i->owner = s;
	push(s, i);
	if (s->n > LIVE_SETTLE_MAX)
		item_free(pop(s));
	send_waiting(s);
}

void
live_settle_left(struct live_settle *s, int64_t admission, int64_t leave_us)
{
	int64_t now_us = boot_us() + s->offset_us;
	struct item *i;

	if (leave_us == 0 || now_us <= leave_us)
		return;
	i = xcalloc(1, sizeof(*i));
	i->admission = admission;
	i->late_us = now_us;
	add(s, i);
}

void
live_settle_add(struct live_settle *s, const struct live_end *end)
{
	struct item *i = xcalloc(1, sizeof(*i));

	i->admission = end->admission;
	i->settle = end->settle;
	i->status = end->status;
	i->ok = end->status >= 200 && end->status < 300 &&
	    end->got->end == UPSTREAM_ANSWERED;
	i->usage = end->usage;
	i->chunks = end->chunks;
	i->ms = end->got->ms;
	if (end->got->sent_us > 0 || end->got->end == UPSTREAM_UNREACHED)
		write_seen(s, end, &i->seen);
	add(s, i);
}

void
live_settle_drop(struct live_settle *s)
{
	while (s->first != NULL)
		item_free(pop(s));
}

bool
live_settle_idle(const struct live_settle *s)
{
	return s->n == 0 && s->under_way == 0;
}

void
live_settle_as(struct live_settle *s, int64_t worker, int64_t offset_us)
{
	s->worker = worker;
	s->offset_us = offset_us;
}

struct live_settle *
live_settle_new(uv_loop_t *loop, struct db *db)
{
	struct live_settle *s = xcalloc(1, sizeof(*s));

	s->db = db;
	s->last = &s->first;
	uv_timer_init(loop, &s->again);
	s->again.data = s;
	return s;
}

static void
settle_on_closed(uv_handle_t *handle)
{
	struct live_settle *s = handle->data;
	void (*on_closed)(void *arg) = s->on_closed;
	void *arg = s->closed_arg;

	free(s);
	on_closed(arg);
}

void
live_settle_free(struct live_settle *s, void (*on_closed)(void *arg), void *arg)
{
	assert(s->under_way == 0);
	live_settle_drop(s);
	s->on_closed = on_closed;
	s->closed_arg = arg;
	uv_close((uv_handle_t *)&s->again, settle_on_closed);
}
