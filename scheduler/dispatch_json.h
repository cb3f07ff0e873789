/*
 * dispatch_json - the documents between dispatch and sql/004_dispatch.sql:
 * dispatch_read.c, dispatch_write.c, dispatch_explain.c.
 *
 * Pure.
 */
#ifndef SCHEDULER_DISPATCH_JSON_H
#define SCHEDULER_DISPATCH_JSON_H

#include <jansson.h>

#include "dispatch.h"

struct world_seat {
	int32_t limit;
	int64_t worker;
	int32_t granted, target;
};

/* What dispatch_poll() said that is the dispatcher's business. */
struct world {
	/* Our monotonic time around the poll, from the caller; heard_us 0: not
	 * known, the database's clock is believed. */
	int64_t asked_us, heard_us;
	int64_t jumped_us; /* what its clock jumped meanwhile */
	int64_t now_us, revision;
	bool admitted; /* batches came in: the working set is old */
	bool ending;   /* batches wait for batches_end() */
	bool unplaced; /* chunks wait for publish() */
	int64_t *due;  /* lanes with lines that must go again */
	size_t ndue;
	int64_t *seen; /* observations to delete with the plan */
	size_t nseen;
	struct seats_worker *workers; /* granted and target unset */
	size_t nworkers;
	struct world_seat *seats;
	size_t nseats;
};

void world_fini(struct world *w);

/* A time of the database as one of the plan's, and back. */
int64_t dispatch_time(const struct dispatch *d, int64_t us);
int64_t dispatch_database_time(const struct dispatch *d, int64_t us);

/* sluice.dispatch_config() */
enum slc_rc dispatch_read_config(
    struct dispatch *d, struct slice json, struct slc_err *err);

/* sluice.dispatch_poll(): applies it to d, the rest goes to w (but for
 * its first members zeroed). */
enum slc_rc dispatch_read_world(struct dispatch *d, struct slice json,
    struct world *w, struct slc_err *err);

/*
 * The argument of sluice.dispatch_commit(): the plan, what the ledgers, limits
 * and paths came to, new seats, the observations used up.  Marks all of it as
 * written; with estimates also what was learned, with explain how paths stand.
 */
void dispatch_write_plan(struct dispatch *d, const struct dispatch_plan *plan,
    const struct world *w, bool estimates, bool explain, struct buf *out);

/* For people: how the path stands, and what was learned of it, as JSON
 * (sluice.path_state.now and .learned; doc/api.md has the members). */
void dispatch_explain(const struct dispatch *d,
    const struct dispatch_path *path, int64_t now_us, struct buf *out);
void dispatch_learned(const struct dispatch *d,
    const struct dispatch_path *path, struct buf *out);

/* Books and who stands where in them (sluice.fairness.books): as they are, and
 * into a d that has none.  The plan has them about once a second. */
void dispatch_books_write(const struct dispatch *d, struct buf *out);
void
dispatch_books_read(struct dispatch *d, const json_t *list, int64_t now_us);

/* Nothing to write: the commit can be left out. */
bool dispatch_plan_empty(const struct buf *plan);

#endif
