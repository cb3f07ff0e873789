#include "send.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "body.h"
#include "result.h"

enum {
	SEND_BUFFER_MAX = 64 << 20, /* bytes of answers in memory */
	SEND_ANSWER_MAX = 32 << 20, /* of one to many lines */
	HOLD_MS = 1500,             /* the dispatcher's horizon, and the news */
};

/* The heap of waiting lines -------------------------------------------- */

static void
heap_place(struct sender *s, size_t i, struct line *line)
{
	while (i > 0 &&
	    s->heap[(i - 1) / 2]->not_before_us > line->not_before_us) {
		s->heap[i] = s->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	for (;;) {
		size_t kid = 2 * i + 1;

		if (kid + 1 < s->nheap &&
		    s->heap[kid + 1]->not_before_us <
			s->heap[kid]->not_before_us)
			kid++;
		if (kid >= s->nheap ||
		    s->heap[kid]->not_before_us >= line->not_before_us)
			break;
		s->heap[i] = s->heap[kid];
		i = kid;
	}
	s->heap[i] = line;
}

static void
heap_push(struct sender *s, struct line *line)
{
	if (s->nheap == s->heap_cap) {
		s->heap_cap = s->heap_cap == 0 ? 256 : s->heap_cap * 2;
		s->heap = xrealloc(s->heap, s->heap_cap * sizeof(*s->heap));
	}
	s->heap[s->nheap] = line;
	heap_place(s, s->nheap++, line);
}

static void
heap_pop(struct sender *s)
{
	struct line *last = s->heap[--s->nheap];

	if (s->nheap > 0)
		heap_place(s, 0, last);
}

/* Results -------------------------------------------------------------- */

/* xorshift64*: to spread tries, not to keep secrets. */
static double
chance(struct sender *s)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	return (double)((s->random * UINT64_C(0x2545f4914f6cdd1d)) >> 11) /
	    9007199254740992.0;
}

static void
finish(struct sender *s, struct line *line, struct result *r)
{
	if (!line->joins) {
		line->run->path->done++;
		line->run->path->held--;
	}
	line_set(line, LINE_SETTLING);
	flush_add(s->flush, r);
}

/* most: 0 leaves it as it is. */
static void
give_back_one(
    struct sender *s, struct line *line, const char *why, int16_t most)
{
	struct result *r = result_new(line, RESULT_AGAIN);

	if (most > 0)
		r->most = most;
	snprintf(r->why, sizeof(r->why), "%s", why);
	finish(s, line, r);
}

void
sender_give_back(
    struct sender *s, struct line *line, const char *why, bool down)
{
	struct result *r = result_new(line, RESULT_AGAIN);
	size_t n = call_lines(line);

	r->down = down;
	snprintf(r->why, sizeof(r->why), "%s", why);
	result_shares(r);
	for (size_t i = 1; i < n; i++)
		give_back_one(s, &line[i], why, 0);
	finish(s, line, r);
}

/* No line of the model leaves until the dispatcher has had time to hear. */
static void
hold(struct path *path, const char *model, int64_t wait_ms)
{
	int64_t until_us;

	if (wait_ms <= 0 || wait_ms > HOLD_MS)
		wait_ms = HOLD_MS;
	until_us = boot_us() + wait_ms * 1000;
	if (path->held_model == NULL || strcmp(path->held_model, model) != 0) {
		free(path->held_model);
		path->held_model = xstrdup(model);
		path->held_until_us = 0;
	}
	if (path->held_until_us < until_us)
		path->held_until_us = until_us;
}

static bool
is_held(const struct path *path, const char *model, int64_t now_us)
{
	return now_us < path->held_until_us &&
	    strcmp(path->held_model, model) == 0;
}

static void
take_answer(
    struct sender *s, struct line *line, const struct upstream_result *got)
{
	size_t n = body_lines(line);
	struct result **list = xcalloc(n, sizeof(*list));

	result_of_call(line, got, chance(s), list);
	body_fini(line);
	lists_saw(&line->run->path->lists, line->run->model,
	    result_lists(list[0], n), boot_us());
	if (list[0]->refused)
		hold(line->run->path, line->run->model, list[0]->wait_ms);
	for (size_t i = 0; i < n; i++)
		finish(s, list[i]->line, list[i]);
	free(list);
}

/* Sending -------------------------------------------------------------- */

static bool
send_may_leave(void *arg)
{
	const struct line *line = arg;
	const struct sender *s = line->run->sender;
	int64_t now_us = boot_us();

	return now_us <= line->not_after_us && now_us < s->lease_until_us;
}

static void
send_on_done(const struct upstream_result *got, void *arg)
{
	struct line *line = arg;
	struct path *path = line->run->path;
	struct sender *s = line->run->sender;

	line->call = NULL;
	s->in_flight--;
	path->in_flight--;
	paths_rise(s->paths, path, line->run->model);
	take_answer(s, line, got);
	sender_pump(s);
}

/* The texts of those that share the call; lines that do not fit go alone. */
static void
gather(struct sender *s, struct line *line)
{
	size_t n = call_lines(line), fit = 1;
	const struct run *run = line->run;
	struct slice first, value;

	if (n == 1)
		return;
	if (lists_rest(&run->path->lists, run->model, boot_us())) {
		for (size_t i = 1; i < n; i++)
			give_back_one(
			    s, &line[i], "the upstream takes no lists", 1);
		return;
	}
	line->values = xcalloc(n, sizeof(*line->values));
	for (size_t i = 1; i < n; i++) {
		if (body_fits(line, i, &first, &value)) {
			line->values[0] = first;
			line->values[fit++] = value;
		} else {
			give_back_one(
			    s, &line[i], "not like the others of its call", 1);
		}
	}
	if (fit == 1)
		body_fini(line);
}

/* How long an answer may be: that to many lines is longer. */
static size_t
answer_max(const struct path *path, const struct line *line)
{
	size_t most = path->answer_max * body_lines(line);

	if (most <= SEND_ANSWER_MAX)
		return most;
	return path->answer_max > SEND_ANSWER_MAX ? path->answer_max
						  : SEND_ANSWER_MAX;
}

static void
start_call(struct sender *s, struct line *line)
{
	struct run *run = line->run;
	struct path *path = run->path;

	gather(s, line);

	char key[17 + 33] = "Idempotency-Key: ";
	struct upstream_request request = {
		.headers = path->headers,
		.own_header = key,
		.ca_file = path->ca_file,
		.body = body_make(line),
		.connect_ms = path->connect_ms,
		.idle_ms = path->idle_ms,
		.whole_ms = path->whole_ms,
		.answer_max = answer_max(path, line),
		.may_send = send_may_leave,
		.done = send_on_done,
		.arg = line,
	};

	buf_clear(&s->url);
	paths_url(path->url, run->endpoint, &s->url);
	request.url = buf_cstr(&s->url);
	call_hash(line, key + 17);
	line_set(line, LINE_SENDING);
	s->in_flight++;
	path->in_flight++;
	line->call = upstream_start(path->http2 ? s->h2 : s->h1, &request);
}

static void
pump_path(struct sender *s, struct path *path, int64_t now_us)
{
	struct line **at = &path->ready, *line;

	while ((line = *at) != NULL) {
		bool late = now_us > line->not_after_us, seat;
		bool held = is_held(path, line->run->model, now_us);

		if (!late && !held && s->in_flight >= s->max_in_flight)
			return;
		seat = !late && !held && path->trouble[0] == '\0' &&
		    now_us < s->lease_until_us &&
		    paths_sit(s->paths, path, line->run->model);

		if (!late && !held && !seat && path->trouble[0] == '\0') {
			at = &line->next;
			continue;
		}
		*at = line->next;
		if (*at == NULL)
			path->ready_last = at;
		path->nready--;
		if (seat)
			start_call(s, line);
		else if (held)
			sender_give_back(
			    s, line, "others of its model were refused", false);
		else if (late)
			sender_give_back(s, line, "no seat in time", false);
		else
			sender_give_back(s, line, path->trouble, true);
	}
}

static void
sender_on_timer(uv_timer_t *timer)
{
	sender_pump(timer->data);
}

void
sender_pump(struct sender *s)
{
	int64_t now_us = boot_us();

	while (s->nheap > 0 && s->heap[0]->not_before_us <= now_us) {
		struct line *line = s->heap[0];
		struct path *path = line->run->path;

		heap_pop(s);
		line_set(line, LINE_READY);
		line->next = NULL;
		*path->ready_last = line;
		path->ready_last = &line->next;
		path->nready++;
	}
	for (size_t i = 0; i < s->paths->n; i++)
		if (s->paths->list[i]->nready > 0)
			pump_path(s, s->paths->list[i], now_us);
	if (s->nheap > 0) {
		int64_t wait_us = s->heap[0]->not_before_us - now_us;

		/* uv_timer counts from the loop's time, which may be old. */
		uv_update_time(s->loop);
		uv_timer_start(&s->timer, sender_on_timer,
		    wait_us > 0 ? (uint64_t)(wait_us + 999) / 1000 : 0, 0);
	}
}

void
sender_tick(struct sender *s)
{
	upstream_resume(s->h1);
	upstream_resume(s->h2);
	sender_pump(s);
}

void
sender_put(struct sender *s, struct line *line)
{
	size_t n = call_lines(line);

	if (s->stopping) {
		sender_give_back(s, line, "worker stopped", false);
		return;
	}
	line_set(line, LINE_WAITING);
	for (size_t i = 1; i < n; i++)
		line_set(&line[i], LINE_JOINED);
	heap_push(s, line);
}

void
sender_stop(struct sender *s, struct run *const *runs, size_t n, bool calls)
{
	s->stopping = true;
	s->nheap = 0;
	for (size_t i = 0; i < s->paths->n; i++) {
		struct path *path = s->paths->list[i];

		path->ready = NULL;
		path->ready_last = &path->ready;
		path->nready = 0;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < runs[i]->n; k++) {
			struct line *line = &runs[i]->lines[k];

			if (line->state == LINE_WAITING ||
			    line->state == LINE_READY)
				sender_give_back(
				    s, line, "worker stopped", false);
			else if (line->state == LINE_SENDING && calls)
				upstream_cancel(line->call);
		}
}

void
sender_init(struct sender *s, uv_loop_t *loop, struct paths *paths,
    struct flush *flush, int32_t max_in_flight)
{
	struct upstream_opts opts = { .connections = max_in_flight,
		.buffer_max = SEND_BUFFER_MAX,
		.elsewhere = flush_bytes(flush) };

	*s = (struct sender){ .loop = loop,
		.paths = paths,
		.flush = flush,
		.max_in_flight = max_in_flight };
	if (getrandom(&s->random, sizeof(s->random), 0) != sizeof(s->random))
		s->random = (uint64_t)boot_us();
	s->random |= 1; /* never 0 */
	s->h1 = upstream_new(loop, &opts);
	opts.http2 = true;
	s->h2 = upstream_new(loop, &opts);
	uv_timer_init(loop, &s->timer);
	s->timer.data = s;
}

struct closing {
	int left;
	void (*on_closed)(void *arg);
	void *arg;
};

static void
sender_on_part_closed(void *arg)
{
	struct closing *c = arg;

	if (--c->left > 0)
		return;
	c->on_closed(c->arg);
	free(c);
}

static void
sender_on_timer_closed(uv_handle_t *handle)
{
	struct sender *s = handle->data;
	struct closing *c = s->closing;

	free(s->heap);
	buf_fini(&s->url);
	sender_on_part_closed(c);
}

void
sender_close(struct sender *s, void (*on_closed)(void *arg), void *arg)
{
	struct closing *c = xcalloc(1, sizeof(*c));

	*c = (struct closing){ 3, on_closed, arg };
	s->closing = c;
	upstream_close(s->h1, sender_on_part_closed, c);
	upstream_close(s->h2, sender_on_part_closed, c);
	uv_close((uv_handle_t *)&s->timer, sender_on_timer_closed);
}
