/*
 * result - from the end of a call to what is to be settled.
 */
#ifndef WORKER_RESULT_H
#define WORKER_RESULT_H

#include <sluice/upstream.h>

#include "flush.h"
#include "outcome.h"
#include "work.h"

/* With what is known before any call; the caller's. */
struct result *result_new(struct line *line, enum result_kind kind);
/* What a call came to; its lines may differ in what follows from it. */
struct judged {
	const struct line *of; /* the call's first */
	size_t lines;          /* that share it */
	struct upstream_result got;
	struct dialect_answer said;
	struct outcome_in in;
	struct answer_usage usage;
};
/* Once for a call: the path's health is told; got's body may be changed. */
void result_judge(struct line *line, const struct upstream_result *got,
    double chance, struct judged *j);
struct result *result_for(struct line *line, const struct judged *j);

/* The path's in_flight no longer counts the call; its health is told.  got's
 * body may be changed.  chance: random, [0, 1). */
struct result *
result_of(struct line *line, const struct upstream_result *got, double chance);
/*
 * The same of a call whose first line this is: list has room for all that share
 * it and gets a result for each.  Where one might fail because of another, all
 * go again in calls of half as many.
 */
void result_of_call(struct line *line, const struct upstream_result *got,
    double chance, struct result **list);
/* What r, of the first of so many lines of a call, says of lists. */
enum lists_end result_lists(const struct result *r, size_t lines);
/* r speaks for all lines of its line's call: what was reserved for them. */
void result_shares(struct result *r);

/* It fails with a code that came from outside (cut down to letters). */
struct result *
result_failed(struct line *line, const char *code, const char *message);

/* Parts of it, for calls that are no lines. */
enum outcome_end result_end(enum upstream_end end);
/* What the dispatcher should know of an answer's limits. */
void result_keep_said(const struct dialect_answer *said, bool refused,
    int32_t in_flight, struct result *r);
/* What is said of a line that goes again, or a path that is down: in why. */
void result_describe(
    const struct upstream_result *got, bool billing, struct result *r);

#endif
