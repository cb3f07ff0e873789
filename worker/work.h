/*
 * work - what a worker has in hand: runs, their lines, the chunks they stand
 * in.
 */
#ifndef WORKER_WORK_H
#define WORKER_WORK_H

#include <sluice/slc.h>

#include "chunks.h"
#include "paths.h"

struct sender;

enum line_state {
	LINE_LOADING, /* its chunk is not here yet */
	LINE_WAITING, /* for its slot */
	LINE_READY,   /* its slot has come: for a seat */
	LINE_JOINED,  /* its call's first line has one of these states */
	LINE_SENDING,
	LINE_SETTLING, /* has an outcome that is not committed */
	LINE_STATES
};

struct line {
	struct run *run;
	struct line *next; /* in its path's queue of ready lines */
	enum line_state state;
	int16_t index; /* in the chunk, from 1 */
	int16_t tries, sends, refused;
	int16_t most; /* lines that it may share a call with; 0: any number */
	bool joins;   /* it goes with the line before it: one call */
	int32_t est_input, est_output;
	int64_t slot_us;       /* the database's time */
	int64_t not_before_us; /* boot time */
	int64_t not_after_us;
	struct upstream_call *call;
	struct buf body;      /* while it is sent, when it is not the chunk's */
	struct slice *values; /* the same: the texts of those that share it */
};

/* Lines handed to this worker together; freed when all are settled. */
struct run {
	int64_t id, batch, lane;
	char batch_uid[33]; /* 32 hex digits */
	struct path *path;
	struct sender *sender;
	char *model, *endpoint;
	struct chunk *chunk;
	int32_t first_line; /* of the chunk in its file */
	int64_t keep_us;
	int64_t max_tokens; /* for lines without a cap; 0: leave them */
	bool cache;         /* its account wants answers kept */
	bool metered;       /* rate limits want to know what its lines cost */
	bool live;          /* no run at all: a call of worker/live.c */
	size_t n, open;
	struct line lines[];
};

/* Number of the line in its file, from 1. */
int32_t line_number(const struct line *line);

/* 128 bits that name a line in results, the same each time. */
void line_hash(const struct line *line, const char *purpose, char out[33]);

/* Lines of the call that line is the first of, from it on; those that were
 * given back meanwhile included. */
size_t call_lines(const struct line *line);
/* 128 bits that name the call to upstreams, the same for the same lines. */
void call_hash(const struct line *line, char out[33]);

void line_set(struct line *line, enum line_state next);

#endif
