/*
 * dispatch_plan - what a plan says: runs of lines with their slots, cursors
 * that move, lines that others pass or that end.
 *
 * Pure.  A part of dispatch.h, which includes it.
 */
#ifndef SCHEDULER_DISPATCH_PLAN_H
#define SCHEDULER_DISPATCH_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/slc.h>

struct dispatch_run {
	int64_t lane;
	int32_t path;
	bool again;   /* lines that went before, and are taken from retry */
	bool metered; /* under rate limits: slots and estimates matter */
	double money; /* of all lines, at most as far as is known; millionths */
	bool packed;  /* for an upstream's own batch */
	int64_t tokens, bytes; /* of all its lines, when packed */
	int64_t chunk;
	int32_t first_line;
	int64_t send_us, keep_us;
	size_t n;
	size_t calls, most; /* of calls */
	struct {
		int16_t index, tries, sends, refused;
		int32_t slot_us; /* after send_us */
		int32_t input, output;
		int16_t share; /* calls of so many lines at most; 0: any */
		bool joins;    /* it goes with the line before: one call */
	} lines[SLC_CHUNK_LINES_MAX];
};

struct dispatch_move {
	int64_t lane;
	int32_t from, next, lines;
};

/* A line that others pass, or that can never go. */
struct dispatch_mark {
	int64_t lane, chunk;
	int32_t first_line;
	int16_t index, sends;
	bool again;       /* it stands in retry */
	const char *code; /* of those that fail */
	char why[160];
};

struct dispatch_plan {
	struct dispatch_run **runs;
	size_t nruns;
	struct dispatch_move *moves;
	size_t nmoves;
	struct dispatch_mark *aside, *failed;
	size_t naside, nfailed;
	int64_t lines;
};

void dispatch_plan_fini(struct dispatch_plan *plan);

#endif
