/*
 * dispatch_lane - the backlog: lanes, the lines of them that are at hand, and
 * the ways that they may take.
 *
 * Pure.  A part of dispatch.h, which includes it.
 */
#ifndef SCHEDULER_DISPATCH_LANE_H
#define SCHEDULER_DISPATCH_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/slc.h>

#include "route.h"

enum {
	DISPATCH_LANE_LINES = 4096, /* buffered of one lane */
	DISPATCH_SHAPES_MAX = 8,    /* of one lane: the first of them hold */
};

struct dispatch;
struct dispatch_flow;
struct dispatch_model;
struct dispatch_rate;
struct dispatch_run;

struct dispatch_line {
	int64_t chunk;
	int32_t first_line; /* of the chunk in its file, from 1 */
	int16_t index;      /* in the chunk, from 1 */
	int16_t tries, sends;
	int16_t refused; /* in a row */
	int32_t bytes;   /* of the body */
	int32_t cap;     /* output tokens, -1: none */
	int32_t combine; /* may share a call with those that have the same; 0:
			    with none */
	int16_t most;    /* with so many, itself included; 0: any number */
	bool aside;      /* large: others pass */
};

struct dispatch_queue {
	struct dispatch_line *lines;
	size_t first, n, cap;
};

/* A path that a lane may take. */
struct dispatch_way {
	struct dispatch_flow *flow;
	double cost; /* money in millionths, of a line as its lines are */
	int rank;    /* 0 first; -1: not now */
	const struct route_price *price; /* now; NULL: none */
};

/* What is left of a batch's spending cap. */
struct dispatch_purse {
	int64_t batch;
	double left; /* less what is out and this plan; millionths */
	bool out;    /* lines are, or results are not counted yet */
	double want; /* the dearest line that it does not hold */
};

struct dispatch_lane {
	int64_t id, batch, account;
	char *model;
	int priority;
	int64_t deadline_us;
	int32_t max_tokens; /* for lines without a cap; 0: leave them */
	int32_t next_line;  /* the cursor in the database */
	int32_t lines_left; /* from there on */
	int32_t read_line;  /* the first that fresh does not have */
	struct dispatch_queue fresh, again;
	size_t naside; /* of again */
	bool keep;     /* while the working set is exchanged */
	struct dispatch_model *of;
	int weight; /* of the account, 1 at least */
	/* Limits before callers that spread its lines: rates of no flow, by id,
	 * and as of this plan. */
	int32_t shape_ids[DISPATCH_SHAPES_MAX];
	struct dispatch_rate *shapes[DISPATCH_SHAPES_MAX];
	size_t nshape_ids, nshapes;
	/* The order, reckoned anew about once a second. */
	double need_s; /* for what is left, with all of the account's share */
	int start;     /* latest start from now, in steps; it can wait */
	bool danger;   /* of missing its deadline; it can still make it */
	bool late;     /* it cannot */
	/* of this plan: */
	bool over;      /* nothing more of it can go */
	bool starved;   /* its turn came and none of its lines was at hand */
	size_t at, end; /* of again: the next to be looked at, the last + 1 */
	size_t kept;    /* of those before: they wait on */
	size_t move;    /* of the plan's, + 1 */
	struct dispatch_run *run; /* of the plan's, the last one of its */
	enum route_choice choice;
	bool no_escalate;
	size_t purse; /* of d, + 1; 0: it has no cap */
	/* dispatch_route.c, a moment ago */
	struct dispatch_way *ways; /* those now open first, best first */
	size_t nways;
	int64_t spare_us; /* until only direct paths make the deadline */
};

/* Who a line belongs to, when its lane has left the working set. */
struct dispatch_owner {
	int64_t lane, account;
	int class;
	int32_t shape_ids[DISPATCH_SHAPES_MAX];
	size_t nshape_ids;
};

/* Exchange the working set; a lane that stays keeps its lines. */
void dispatch_lanes_begin(struct dispatch *d);
struct dispatch_lane *
dispatch_lane_put(struct dispatch *d, int64_t id, const char *model,
    int priority, int64_t deadline_us, int32_t next_line, int32_t lines_left);
/* Its batch may spend so much more; out: lines of it are out, or their results
 * not counted. */
void dispatch_lane_cap(
    struct dispatch *d, struct dispatch_lane *lane, int64_t left, bool out);
void dispatch_lanes_end(struct dispatch *d);
/* What is known of it is old: read it again.  An unknown id is nothing. */
void dispatch_lane_drop(struct dispatch *d, int64_t id);
struct dispatch_lane *dispatch_lane(struct dispatch *d, int64_t id);
void dispatch_lane_fresh(
    struct dispatch_lane *lane, const struct dispatch_line *line);
/* Its lines before this one are all there: there may be none in many chunks. */
void dispatch_lane_read(struct dispatch_lane *lane, int32_t end);
void dispatch_lane_again(
    struct dispatch_lane *lane, const struct dispatch_line *line);
/* Of lines[0..n) the first so many may share a call as far as is seen here. */
size_t dispatch_lines_alike(const struct dispatch_line *lines, size_t n);
/* There are lines of it that have not been handed out. */
bool dispatch_lane_has(const struct dispatch_lane *lane);
/* It has fewer fresh lines at hand than one plan may want. */
bool dispatch_lane_wants(const struct dispatch_lane *lane);

#endif
