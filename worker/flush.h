/*
 * flush - outcomes on their way into the database, many to a commit.
 *
 * Outcomes are kept until their commit is known: a database that goes away does
 * not cost an answer that was paid for.  Lines that turn out to be another
 * worker's by now are dropped and counted.
 */
#ifndef WORKER_FLUSH_H
#define WORKER_FLUSH_H

#include <sluice/buf.h>
#include <sluice/db.h>
#include <sluice/dialect.h>

#include "answer.h"
#include "work.h"

enum result_kind {
	RESULT_OUTPUT, /* text is a line of the output file */
	RESULT_ERROR,  /* of the error file */
	RESULT_AGAIN,  /* the line goes back */
};

/* What an answer said of limits: a refusal, readings. */
struct result_said {
	bool refused;
	enum dialect_refusal refusal; /* these five when refused */
	enum dialect_dim dim;
	int32_t window_s;
	int64_t wait_ms;
	char wait_from[DIALECT_FROM_MAX + 1];
	int32_t in_flight; /* calls of the path then, this one included */
	size_t nreadings;
	struct dialect_reading readings[];
};

struct result {
	struct result *next;
	struct line *line;
	enum result_kind kind;
	struct buf text;
	int16_t status;
	int16_t sends; /* attempts recorded, this one included */
	struct answer_usage usage;
	/* RESULT_AGAIN */
	int64_t wait_ms;
	int16_t tries;
	int16_t times_refused; /* in a row */
	int16_t most;          /* lines that it may share a call with */
	int16_t shared;        /* lines that shared the call; 0: one */
	/* what the dispatcher should know */
	bool answered; /* the upstream worked on it: latency and usage count */
	bool ok;       /* the path is well */
	bool down, refused;
	const char *dialect;      /* NULL: none known */
	struct result_said *said; /* owned; NULL: nothing */
	struct keep *keep;        /* owned; NULL: the answer is not kept */
	int64_t bytes;            /* of the request's body */
	int64_t sent_us;          /* the database's time, 0: not sent */
	int64_t ms;
	int64_t connect_us; /* 0: no connection was made for it */
	char why[120];      /* it goes back, or the path is down */
	int breaks;         /* connections that broke on it alone */
	bool spoilt;        /* stripped of what the database refused */
	bool joined;        /* another line's result speaks for the call */
	struct {            /* of a call that several lines shared */
		int32_t lines;
		int64_t est_input, est_output;
		struct answer_usage usage;
	} call;
};

/* As whom lines are settled: a worker for its runs, or with provider for those
 * of an upstream's batch that it has claimed. */
struct flush_as {
	int64_t worker;
	int64_t provider; /* 0: none */
	int64_t fence;
};

struct flush;

/* settled: the line's outcome is committed (or another's business); called for
 * each, then the result is freed. */
struct flush *flush_new(uv_loop_t *loop, struct db *db,
    void (*settled)(struct line *line, void *arg), void *arg);
void flush_free(struct flush *f, void (*on_closed)(void *arg), void *arg);

void flush_add(struct flush *f, struct result *r); /* takes it over */
void flush_worker(struct flush *f, struct flush_as as);
/* The worker's lease is gone: forget everything that waits. */
void flush_drop(struct flush *f);

bool flush_idle(const struct flush *f);
/* Bytes of texts that wait, those under way included; lives with f. */
const size_t *flush_bytes(const struct flush *f);
size_t flush_lines(const struct flush *f); /* that wait */

#endif
