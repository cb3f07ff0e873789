/*
 * fault - which calls go wrong, and how.
 *
 * Pure.  Rules are tried in this order: text in the body, the first N calls,
 * chance; the first that strikes decides.
 */
#ifndef UPSTREAM_FAULT_H
#define UPSTREAM_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chance.h"

enum fault_act {
	ACT_ERROR, /* status, type and code of the kind; extra: Retry-After */
	ACT_ERROR_200, /* the error object under status 200 */
	ACT_SLOW,      /* extra: ms */
	ACT_STALL,
	ACT_CUT_BEFORE,
	ACT_CUT_MID,
	ACT_RESET,
	ACT_EARLY, /* before the body has come */
	ACT_GARBAGE,
	ACT_EMPTY,
	ACT_PRETTY,
	ACT_BAD_UTF8,
	ACT_HUGE, /* extra: MB */
	ACT_BAD_USAGE,
	ACT_BAD_INDEX,
};

struct fault_kind {
	const char *name;
	enum fault_act act;
	int status; /* of ACT_ERROR, ACT_ERROR_200 and ACT_EARLY */
	int64_t extra;
	const char *type, *code, *message;
	const char *help;
};

enum { FAULT_RULES_MAX = 32, FAULT_KINDS_MAX = 64 };

enum fault_when { FAULT_MATCH, FAULT_FIRST, FAULT_CHANCE };

struct fault_rule {
	enum fault_when when;
	const struct fault_kind *kind;
	int64_t extra;
	double chance;
	int64_t first;
	char match[128];
};

struct faults {
	struct fault_rule v[FAULT_RULES_MAX];
	size_t n;
};

struct fault {
	const struct fault_kind *kind; /* NULL: nothing goes wrong */
	int64_t extra;
};

/* The kinds, closed by one without a name. */
extern const struct fault_kind fault_kinds[];

/*
 * KIND=P (FAULT_CHANCE), KIND=N (FAULT_FIRST) or TEXT=KIND (FAULT_MATCH), each
 * with ",EXTRA" behind it or not.  False with a message if it is not that.
 */
bool faults_add(
    struct faults *f, enum fault_when when, const char *spec, char err[160]);
void faults_drop(struct faults *f, enum fault_when when);

/* What becomes of a call; early is asked before its body is there. */
struct fault faults_pick(
    struct faults *f, bool early, const char *body, size_t n, struct chance *c);

#endif
