#include "result.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sluice/dialect.h>
#include <sluice/header.h>

#include "body.h"
#include "keep.h"
#include "outcome.h"

enum {
	SAID_MAX = 1000, /* bytes of an answer quoted in a message */
	PARK_MS = 900000,
	WAIT_MAX_MS = 3600000,
};

struct result *
result_new(struct line *line, enum result_kind kind)
{
	struct result *r = xcalloc(1, sizeof(*r));

	r->line = line;
	r->kind = kind;
	r->sends = line->sends;
	r->tries = line->tries;
	r->times_refused = line->refused;
	r->most = line->most;
	r->joined = line->joins;
	return r;
}

static void
write_result(struct line *line, const struct upstream_result *got,
    const struct outcome *out, struct result *r)
{
	char id[48] = "batch_req_";
	struct buf message = { 0 };
	struct answer_line text = {
		.id = id,
		.custom_id = chunk_custom_id(line->run->chunk, line->index),
		.status = got->status,
		.request_id = header_find(got->headers, "x-request-id"),
		.body = got->body,
		.code = out->code,
		.message = got->why,
	};

	line_hash(line, "result", id + strlen(id));
	if (text.request_id.p == NULL)
		text.request_id = slice_str(id);
	if (got->end == UPSTREAM_TOO_LARGE) {
		text.message = "The answer was longer than the path allows "
			       "(--answer-max).";
	} else if (out->code != NULL && got->end == UPSTREAM_ANSWERED) {
		buf_addf(&message,
		    "The request is larger than a limit of the upstream, which "
		    "said (HTTP %d): ",
		    got->status);
		buf_add(&message, got->body.p,
		    got->body.n < SAID_MAX ? got->body.n : SAID_MAX);
		text.message = buf_cstr(&message);
	} else if (text.code == NULL && !answer_fits(got->body)) {
		text.code = "answer_too_large";
		text.message = "The answer was too long to be stored.";
	}
	answer_write(&r->text, &text);
	buf_fini(&message);
}

struct result *
result_failed(struct line *line, const char *code, const char *message)
{
	struct result *r = result_new(line, RESULT_ERROR);
	char id[48] = "batch_req_", plain[64];
	struct answer_line text = { .id = id,
		.custom_id = chunk_custom_id(line->run->chunk, line->index),
		.code = plain,
		.message = message };
	size_t n = strspn(code, "_abcdefghijklmnopqrstuvwxyz0123456789");

	snprintf(plain, sizeof(plain), "%.*s",
	    n > 0 ? (int)n : (int)sizeof("invalid_request"),
	    n > 0 ? code : "invalid_request");
	line_hash(line, "result", id + strlen(id));
	answer_write(&r->text, &text);
	return r;
}

enum outcome_end
result_end(enum upstream_end end)
{
	switch (end) {
	case UPSTREAM_ANSWERED:
		return OUTCOME_ANSWER;
	case UPSTREAM_UNSENT:
		return OUTCOME_NOT_SENT;
	case UPSTREAM_UNREACHED:
	case UPSTREAM_FORBIDDEN:
		return OUTCOME_UNREACHED;
	case UPSTREAM_TOO_LARGE:
		return OUTCOME_OVERSIZE;
	case UPSTREAM_UNKNOWN:
	case UPSTREAM_TIMEOUT:
	case UPSTREAM_ABANDONED:
		break;
	}
	return OUTCOME_BROKEN;
}

static bool
counts_as_trouble(const struct upstream_result *got, bool good_body,
    const struct dialect_answer *said)
{
	switch (got->end) {
	case UPSTREAM_ANSWERED:
		if (said->refusal != DIALECT_SERVED &&
		    said->refusal != DIALECT_OVERLOAD)
			return false;
		return got->status >= 500 || got->status == 403 ||
		    (got->status >= 200 && got->status < 300 && !good_body);
	case UPSTREAM_UNKNOWN:
	case UPSTREAM_TIMEOUT:
		return true;
	default:
		return false;
	}
}

void
result_describe(
    const struct upstream_result *got, bool billing, struct result *r)
{
	if (got->end == UPSTREAM_ANSWERED)
		snprintf(r->why, sizeof(r->why), "HTTP %d%s", got->status,
		    billing ? ": the account with the upstream is out of money "
			      "or credit (billing)"
			: got->status >= 300 && got->status < 400
			? ": a redirect; correct the path's url"
			: "");
	else
		snprintf(r->why, sizeof(r->why), "%s", got->why);
}

void
result_keep_said(const struct dialect_answer *said, bool refused,
    int32_t in_flight, struct result *r)
{
	size_t bytes = said->nreadings * sizeof(said->readings[0]);

	r->dialect = said->dialect;
	if (said->nreadings == 0 && !refused)
		return;
	r->said = xcalloc(1, sizeof(*r->said) + bytes);
	r->said->refused = refused;
	r->said->refusal = said->refusal;
	r->said->dim = said->refused_dim;
	r->said->window_s = said->refused_window_s;
	r->said->wait_ms = said->wait_ms;
	snprintf(r->said->wait_from, sizeof(r->said->wait_from), "%s",
	    said->wait_from == NULL ? "" : said->wait_from);
	r->said->in_flight = in_flight;
	r->said->nreadings = said->nreadings;
	memcpy(r->said->readings, said->readings, bytes);
}

static void
read_answer(const struct path *path, const struct upstream_result *got,
    bool good_body, struct dialect_answer *said)
{
	bool served = got->status >= 200 && got->status < 300;

	memset(said, 0, sizeof(*said));
	if (got->end == UPSTREAM_ANSWERED)
		dialect_read(path->dialect, got->status, got->headers,
		    served && good_body ? (struct slice){ 0 } : got->body,
		    (int64_t)time(NULL), said);
}

void
result_judge(struct line *line, const struct upstream_result *got,
    double chance, struct judged *j)
{
	struct path *path = line->run->path;
	struct outcome out;

	j->got = *got;
	j->of = line;
	j->lines = body_lines(line);
	j->in = (struct outcome_in){
		.end = result_end(got->end),
		.status = got->status,
		.said = &j->said,
		.attempts = path->attempts,
		.shared = j->lines > 1,
		.chance = chance,
	};
	j->in.good_body = answer_check(got->body, &j->usage);
	read_answer(path, got, j->in.good_body, &j->said);
	if (counts_as_trouble(got, j->in.good_body, &j->said)) {
		/* One bad line in each call is no fault of the path's. */
		if (!j->in.shared)
			j->in.bulk = health_failed(&path->health,
			    (uint64_t)line->run->batch << 32 ^
				(uint64_t)line_number(line));
	} else if (got->end == UPSTREAM_ANSWERED && got->status < 500) {
		health_ok(&path->health);
	}
	j->in.tries = line->tries;
	outcome_of(&j->in, &out);
	if (got->end == UPSTREAM_ANSWERED && out.kind != OUTCOME_DONE)
		answer_redact((char *)(uintptr_t)got->body.p, got->body.n,
		    buf_slice(&path->secret));
}

struct result *
result_for(struct line *line, const struct judged *j)
{
	const struct upstream_result *got = &j->got;
	struct path *path = line->run->path;
	struct result *r = result_new(line, RESULT_AGAIN);
	struct outcome_in in = j->in;
	struct outcome out;

	r->bytes = (int64_t)chunk_body(line->run->chunk, line->index).n;
	r->usage = j->usage;
	r->shared = (int16_t)j->lines;
	in.tries = line->tries;
	in.refused = line->refused;
	outcome_of(&in, &out);
	/* Ended by ourselves: no fault of the line's. */
	if (got->end == UPSTREAM_ABANDONED)
		out = (struct outcome){ .kind = OUTCOME_UNSENT };
	if (got->sent_us > 0) {
		r->sends = (int16_t)(line->sends + 1);
		r->sent_us = line->slot_us + got->sent_us -
		    (line->not_after_us - line->run->keep_us);
		r->ms = got->ms;
	}
	r->status = (int16_t)got->status;
	if (line == j->of) {
		r->connect_us = got->connect_us;
		/* This call is counted no more. */
		result_keep_said(&j->said, out.kind == OUTCOME_REFUSED,
		    path->in_flight + path->live + 1, r);
	}
	/* If it is the upstream, lines that go alone soon show it. */
	if (out.half)
		r->most = out.trouble && line == j->of
		    ? 1
		    : (int16_t)((j->lines + 1) / 2);
	switch (out.kind) {
	case OUTCOME_DONE:
		r->kind = RESULT_OUTPUT;
		r->answered = r->ok = true;
		r->keep = keep_of(line, got->status, got->body);
		write_result(line, got, &out, r);
		break;
	case OUTCOME_FAILED:
		r->kind = RESULT_ERROR;
		r->ok = got->end == UPSTREAM_ANSWERED && got->status < 500;
		write_result(line, got, &out, r);
		break;
	case OUTCOME_AGAIN:
		r->times_refused = 0;
		r->wait_ms = out.wait_ms;
		r->tries = (int16_t)(line->tries + 1);
		break;
	case OUTCOME_REFUSED:
		r->refused = r->ok = true;
		/* The dispatcher pauses the limit; the line itself is there
		 * again before the longest of such pauses is over. */
		r->wait_ms =
		    out.pause_ms < WAIT_MAX_MS ? out.pause_ms : WAIT_MAX_MS;
		r->times_refused = (int16_t)(line->refused + 1);
		if (out.park || out.half)
			r->times_refused = 0;
		if (out.park && r->wait_ms < PARK_MS)
			r->wait_ms = PARK_MS;
		break;
	case OUTCOME_DOWN:
		r->down = true;
		break;
	case OUTCOME_UNSENT:
		snprintf(r->why, sizeof(r->why), "%s",
		    got->end == UPSTREAM_ABANDONED ? "worker stopped"
						   : "its slot was over");
		break;
	case OUTCOME_SPLIT:
		r->ok = !out.trouble && got->end == UPSTREAM_ANSWERED &&
		    got->status < 500;
		r->wait_ms = out.wait_ms;
		if (in.unlike)
			snprintf(r->why, sizeof(r->why),
			    "the answer to several lines has not a part for "
			    "each");
		break;
	}
	if (r->kind == RESULT_AGAIN && r->why[0] == '\0')
		result_describe(got, j->said.refusal == DIALECT_BILLING, r);
	return r;
}

struct result *
result_of(struct line *line, const struct upstream_result *got, double chance)
{
	struct judged j;

	result_judge(line, got, chance, &j);
	return result_for(line, &j);
}
