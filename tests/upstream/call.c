#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "request.h"
#include "stream.h"
#include "upstream.h"

/*
 * One accepted request.  It lives as long as the provider works on it, also
 * when its client has gone: its concurrency is not given back any sooner.
 * Calls are pooled with their timers and never freed.
 */
struct call {
	uv_timer_t timer;
	struct upstream *u;
	struct conn *conn; /* NULL: the client has gone */
	struct call *next;
	struct answer answer;
	struct fault fault;
	struct limit_ask ask;
	struct limit_ticket ticket;
	uint32_t limits_era;
	uint64_t arrival;
	uint16_t model;
	int64_t charged; /* tokens */
	bool streams, stream_usage;
	struct stream *stream; /* under way */
	struct text headers, each;
};

static const struct {
	const char *path;
	enum endpoint endpoint;
	const char *model; /* of a request that may do without */
} routes[] = {
	{ "/v1/chat/completions", ENDPOINT_CHAT, NULL },
	{ "/v1/completions", ENDPOINT_COMPLETIONS, NULL },
	{ "/v1/embeddings", ENDPOINT_EMBEDDINGS, NULL },
	{ "/v1/responses", ENDPOINT_RESPONSES, NULL },
	{ "/v1/moderations", ENDPOINT_MODERATIONS, "omni-moderation-latest" },
};
enum { NROUTES = sizeof(routes) / sizeof(routes[0]) };

static struct call *
call_new(struct upstream *u)
{
	struct call *call = u->free_calls;

	if (call != NULL) {
		u->free_calls = call->next;
		return call;
	}
	call = text_realloc(NULL, sizeof(*call));
	*call = (struct call){ .u = u };
	uv_timer_init(u->loop, &call->timer);
	call->timer.data = call;
	return call;
}

static void
reply_error(struct conn *c, int status, const char *message, const char *type,
    const char *code)
{
	struct text *body = &c->u->server.body;
	struct reply r = {
		.status = status, .body = body, .id = { 0, ++c->u->serial }
	};

	text_clear(body);
	answer_error(body, message, type, code);
	conn_reply(c, &r);
}

static int
call_reply(struct call *call)
{
	struct upstream *u = call->u;
	struct text *body = &u->server.body;
	struct reply r = {
		.status = 200,
		.body = body,
		.headers = call->headers.p,
		.id = { call->answer.hash, call->answer.serial },
	};

	if (upstream_is_out(u)) {
		conn_reset(call->conn);
		return 0;
	}
	text_clear(body);
	answer_write(body, &call->answer);
	if (call->fault.kind != NULL)
		return fault_reply(call->conn, &call->fault, &r, body);
	conn_reply(call->conn, &r);
	return r.status;
}

/* The account is put right once the answer is known. */
static void
call_settle(struct call *call, int64_t now_ns)
{
	struct upstream *u = call->u;
	int64_t input = call->answer.prompt;
	int64_t actual = input + call->answer.completion;

	if (u->conf.charge == CHARGE_DECLARED_REFUNDED &&
	    call->charged > actual) {
		/* Tickets are worth nothing to limits set since. */
		if (call->limits_era == u->limits_era)
			limiter_refund(&u->limits, &call->ask, &call->ticket,
			    call->charged - actual, now_ns);
		call->charged = actual;
	}
	if (u->conf.charge == CHARGE_ACTUAL_LATE && call->charged == 0) {
		call->ask.units[DIM_TOKENS] = actual;
		call->ask.units[DIM_INPUT] = input;
		call->ask.units[DIM_OUTPUT] = actual - input;
		limiter_charge_tokens(&u->limits, &call->ask, now_ns);
		call->charged = actual;
	}
}

static void
call_finish(struct call *call)
{
	struct upstream *u = call->u;
	int64_t now_ns = upstream_now(u);
	int status = 0;

	stats_stop(&u->stats, call->model, now_ns);
	call_settle(call, now_ns);
	if (call->conn != NULL) {
		struct conn *c = call->conn;

		c->call = NULL;
		status = call->stream != NULL ? 200 : call_reply(call);
	} else {
		u->stats.abandoned++;
	}
	stats_settle(&u->stats, call->arrival, status, call->charged);
	if (status == 200) {
		u->stats.prompt_tokens += (uint64_t)call->answer.prompt;
		u->stats.completion_tokens += (uint64_t)call->answer.completion;
	}
	call->stream = NULL;
	call->next = u->free_calls;
	u->free_calls = call;
}

static void
call_on_streamed(void *arg)
{
	call_finish(arg);
}

static void
call_answer(struct call *call)
{
	struct stream_plan plan = { .headers = call->headers.p,
		.ms = call->u->conf.chunk_ms,
		.usage = call->stream_usage,
		.over = call_on_streamed,
		.arg = call };

	if (call->streams && call->conn != NULL && call->fault.kind == NULL)
		call->stream = stream_start(call->conn, &call->answer, &plan);
	else
		call_finish(call);
}

static void
call_on_time(uv_timer_t *timer)
{
	call_answer(timer->data);
}

void
call_on_gone(struct call *call)
{
	call->conn = NULL;
	if (call->stream != NULL) {
		stream_stop(call->stream);
		call_finish(call);
		return;
	}
	if (call->fault.kind != NULL && call->fault.kind->act == ACT_STALL)
		call_finish(call); /* nothing else would ever end it */
}

static bool
is_key_known(const struct upstream *u, const struct conn *c)
{
	if (u->conf.keys.n == 0)
		return true;
	for (size_t i = 0; i < u->conf.keys.n; i++)
		if (strncasecmp(c->auth.v, "Bearer ", 7) == 0 &&
		    strcmp(c->auth.v + 7, u->conf.keys.v[i]) == 0)
			return true;
	return false;
}

/* What is wrong with a request that no limit needs to judge, or NULL. */
static const char *
find_mistake(struct request *q, size_t route, const struct conn *c)
{
	if (!request_parse(c->body.p, c->body.n, q))
		return "We could not parse the JSON body of your request.";
	if (q->model_n == 0 && routes[route].model != NULL) {
		q->model = routes[route].model;
		q->model_n = strlen(q->model);
	}
	if (q->model_n == 0)
		return "You must provide a model parameter.";
	if (q->stream && routes[route].endpoint != ENDPOINT_CHAT)
		return "This upstream streams chat completions only.";
	return NULL;
}

/* What tells several texts of a request apart. */
static void
tell_apart(struct call *call, const struct request *q, const struct conn *c)
{
	call->answer.reversed = call->u->conf.reversed;
	if (q->texts == NULL)
		return;
	text_clear(&call->each);
	for (int64_t i = 0; i < q->inputs; i++)
		text_add(&call->each, "\0\0\0\0\0\0\0", sizeof(uint64_t));
	request_hashes(
	    q, c->body.p + c->body.n, (uint64_t *)(void *)call->each.p);
	call->answer.each = (const uint64_t *)(const void *)call->each.p;
}

/* Chance decides, once a call is accepted, how it will end. */
static void
draw_fault(struct call *call, const struct conn *c)
{
	struct upstream *u = call->u;
	struct fault_kind const *kind;

	call->fault = faults_pick(
	    &u->conf.faults, false, c->body.p, c->body.n, &u->faults);
	if (u->conf.close_once && c->served > 0) {
		u->conf.close_once = false;
		for (kind = fault_kinds; kind->act != ACT_CUT_BEFORE;)
			kind++;
		call->fault = (struct fault){ .kind = kind };
	}
	kind = call->fault.kind;
	if (kind == NULL)
		return;
	call->answer.bad_usage = kind->act == ACT_BAD_USAGE;
	call->answer.bad_index = kind->act == ACT_BAD_INDEX;
	call->answer.bad_utf8 = kind->act == ACT_BAD_UTF8;
	if (kind->act == ACT_HUGE)
		call->answer.padding = call->fault.extra << 20;
}

static void
call_start(struct call *call, struct conn *c, int64_t now_ns)
{
	struct upstream *u = call->u;
	double ms = latency_draw_ms(&u->conf.latency, &u->latencies);
	const struct fault_kind *kind = call->fault.kind;

	if (!call->streams)
		ms += u->conf.token_ms * (double)call->answer.completion;
	call->conn = c;
	c->call = call;
	stats_start(&u->stats, call->model, now_ns);
	if (kind != NULL && kind->act == ACT_STALL)
		return;
	if (kind != NULL && kind->act == ACT_SLOW)
		ms += (double)call->fault.extra;
	if (ms < 0.5)
		call_answer(call);
	else
		uv_timer_start(
		    &call->timer, call_on_time, (uint64_t)llround(ms), 0);
}

static void
call_refuse(struct call *call, struct conn *c, struct arrival *a,
    struct limit *l, int64_t wait_ns)
{
	struct upstream *u = c->u;
	struct dialect_refusal refusal = { .set = &u->limits,
		.limit = l,
		.model = call->ask.model,
		.asked = call->ask.units[l->dim],
		.wait_ns = wait_ns,
		.now_ns = a->ns,
		.no_retry_after = u->conf.no_retry_after };
	struct dialect_said said;
	struct reply r = { .body = &u->server.body, .id = { 0, ++u->serial } };

	l->refused++;
	text_clear(&u->server.body);
	dialect_refuse(
	    &u->server.body, &call->headers, u->conf.headers, &refusal, &said);
	text_add(&call->headers, "", 1);
	a->fate = FATE_REFUSED;
	a->status = (uint16_t)said.status;
	stats_arrive(&u->stats, a, c->key.v, c->key.n);
	r.status = said.status;
	r.type = said.type;
	r.retry_after_s = said.retry_after_s;
	r.headers = call->headers.p;
	conn_reply(c, &r);
	call->next = u->free_calls;
	u->free_calls = call;
}

/* A request in good order: ask the limits, charge them, begin. */
static void
call_judge(struct upstream *u, struct conn *c, size_t route,
    const struct request *q, struct arrival *a)
{
	struct call *call = call_new(u);
	const struct model *m = &u->stats.models[a->model];
	struct limit *refusal;
	int64_t wait_ns;

	call->model = a->model;
	call->streams = q->stream;
	call->stream_usage = q->stream_usage;
	call_draft(&call->answer, u, routes[route].endpoint, q, a, c->body.n);
	tell_apart(call, q, c);
	a->tokens = call->charged = call_tokens(&u->conf, &call->answer, q);
	a->input = (int32_t)call->answer.prompt;
	call->ask = (struct limit_ask){ .model = m->name,
		.running = u->stats.running,
		.model_running = m->running };
	stats_units(call->ask.units, a);
	if (u->conf.charge == CHARGE_ACTUAL_LATE)
		call->ask.units[DIM_TOKENS] = call->ask.units[DIM_INPUT] =
		    call->ask.units[DIM_OUTPUT] = 1;
	call->limits_era = u->limits_era;
	refusal = limiter_refusal(&u->limits, &call->ask, a->ns, &wait_ns);
	if (u->conf.charge == CHARGE_ACTUAL_LATE)
		stats_units(call->ask.units, a);
	if (refusal == NULL || u->conf.charge_refused)
		limiter_charge(&u->limits, &call->ask, a->ns, &call->ticket);
	text_clear(&call->headers);
	dialect_headers(
	    &call->headers, u->conf.headers, &u->limits, m->name, a->ns);
	if (refusal != NULL) {
		call_refuse(call, c, a, refusal, wait_ns);
		return;
	}
	text_add(&call->headers, "", 1);
	draw_fault(call, c);
	a->fate = FATE_ACCEPTED;
	if (call->fault.kind != NULL)
		a->fault = (uint8_t)(1 + (call->fault.kind - fault_kinds));
	call->arrival = stats_arrive(&u->stats, a, c->key.v, c->key.n);
	call_start(call, c, a->ns);
}

static void
deny(struct conn *c, struct arrival *a, int status, const char *message,
    const char *code)
{
	a->fate = FATE_DENIED;
	a->status = (uint16_t)status;
	stats_arrive(&c->u->stats, a, c->key.v, c->key.n);
	reply_error(c, status, message, "invalid_request_error", code);
}

static void
start_arrival(struct arrival *a, const struct conn *c)
{
	size_t n = c->auth.n < sizeof(a->auth) ? c->auth.n : sizeof(a->auth);

	*a = (struct arrival){ .ns = upstream_now(c->u) };
	memcpy(a->auth, c->auth.v + c->auth.n - n, n);
}

bool
call_on_headers(struct upstream *u, struct conn *c)
{
	struct text *body = &u->server.body;
	struct reply r = { .body = body, .early = true };
	struct arrival a;
	struct fault fault;

	if (upstream_is_out(u)) {
		conn_reset(c);
		return true;
	}
	if (c->parser.method != HTTP_POST)
		return false;
	fault = faults_pick(&u->conf.faults, true, NULL, 0, &u->faults);
	if (fault.kind == NULL)
		return false;
	start_arrival(&a, c);
	a.fate = FATE_DENIED;
	a.status = (uint16_t)fault.kind->status;
	a.fault = (uint8_t)(1 + (fault.kind - fault_kinds));
	stats_arrive(&u->stats, &a, c->key.v, c->key.n);
	text_clear(body);
	answer_error(
	    body, fault.kind->message, fault.kind->type, fault.kind->code);
	r.status = fault.kind->status;
	conn_reply(c, &r);
	return true;
}

void
call_on_request(struct upstream *u, struct conn *c)
{
	struct arrival a;
	struct request q;
	const char *mistake;
	size_t route = 0;

	if (c->parser.method == HTTP_GET && strcmp(c->url, "/v1/models") == 0 &&
	    is_key_known(u, c)) {
		struct reply r = { .status = 200, .body = &u->server.body };

		text_clear(&u->server.body);
		answer_models(&u->server.body);
		conn_reply(c, &r);
		return;
	}
	start_arrival(&a, c);
	a.body = request_hash(c->body.p, c->body.n);
	while (route < NROUTES && strcmp(c->url, routes[route].path) != 0)
		route++;
	if (!is_key_known(u, c)) {
		deny(c, &a, 401, "Incorrect API key provided.",
		    "invalid_api_key");
		return;
	}
	if (route == NROUTES || c->parser.method != HTTP_POST) {
		deny(c, &a, 404, "Unknown request URL.", "unknown_url");
		return;
	}
	mistake = find_mistake(&q, route, c);
	if (mistake != NULL) {
		deny(c, &a, 400, mistake, NULL);
		return;
	}
	a.model = stats_model(&u->stats, q.model, q.model_n);
	call_judge(u, c, route, &q, &a);
}
