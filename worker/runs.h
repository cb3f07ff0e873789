/*
 * runs - what a worker has taken and not settled yet, and how much more it
 * wants.
 */
#ifndef WORKER_RUNS_H
#define WORKER_RUNS_H

#include "send.h"

struct runs {
	struct paths *paths;
	struct chunks *chunks;
	struct sender *sender;
	int32_t max_in_flight;
	struct run **list;
	size_t n, cap;
	int64_t learned_ms;
};

void runs_init(struct runs *r, struct paths *paths, struct chunks *chunks,
    struct sender *sender, int32_t max_in_flight);
void runs_fini(struct runs *r); /* all settled */

/* The first argument of sluice.take_runs(); false: there is no room at all. */
bool runs_want(const struct runs *r, struct buf *out);

/* Its answer, asked for and heard at these boot times. */
void runs_add(
    struct runs *r, struct db_result *res, int64_t asked_us, int64_t got_us);

/* The last argument of sluice.runs_keep(): those in hand. */
void runs_ids(const struct runs *r, struct buf *out);

/* flush.h's settled; arg is the runs. */
void runs_on_settled(struct line *line, void *arg);

/* Give back what has not left; with calls, end those that have, too. */
void runs_stop(struct runs *r, bool calls);

/* After paths_read(): say again which seats open calls use. */
void runs_keep_seats(struct runs *r);

/* How many calls end in a second, by path; to be called now and then. */
void runs_learn(struct runs *r, int64_t now_ms);

#endif
