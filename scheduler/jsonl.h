/*
 * jsonl - a file of batch requests, checked as it streams in.
 *
 * Pure.  Bytes go in as they arrive; whole lines come out, each with the places
 * of what the rest of Sluice needs of it.  What is wrong is kept, with its
 * line, code and message; only a file that is empty or whose first line is not
 * JSON is refused outright.  All bytes that go in come out again, in order, as
 * lines or as filler.
 */
#ifndef SCHEDULER_JSONL_H
#define SCHEDULER_JSONL_H

#include <sluice/buf.h>
#include <sluice/jscan.h>
#include <sluice/slc.h>

#include "idset.h"

enum { JSONL_BLANK_MAX = 64 << 10 }; /* bytes of blank lines at the end */

/* Offsets are from the start of the line's bytes. */
struct jsonl_line {
	int32_t id_at, id_len; /* custom_id, with quotes */
	int32_t body_at, body_len;
	int32_t model_at, model_len; /* with quotes */
	int32_t cap;                 /* most output tokens, -1 when not said */
	int16_t model; /* index in models, from 1; 0: line is wrong */
};

struct jsonl_handler {
	/* A line with its end (the last may have none). */
	void (*on_line)(
	    void *ctx, struct slice bytes, const struct jsonl_line *line);
	/* Bytes that are no request: blank lines, parts of an endless line. */
	void (*on_filler)(void *ctx, struct slice bytes);
};

struct jsonl_model {
	char *name;
	int32_t lines;
};

struct jsonl {
	const struct jsonl_handler *handler;
	void *ctx;
	int64_t lines_max;
	/* results, valid after jsonl_end() */
	int64_t lines;  /* requests, wrong ones included */
	char *endpoint; /* NULL until a line had a good url */
	struct jsonl_model models[SLC_FILE_MODELS_MAX];
	int nmodels;
	struct buf faults; /* JSON objects with commas between */
	int nfaults;
	/* working state */
	struct idset ids;
	struct buf rest; /* the start of a line */
	struct buf scratch;
	size_t blank;       /* bytes of blank lines held back in rest */
	int64_t physical;   /* lines ended so far, blank ones too */
	int64_t blank_line; /* the first of those held back */
	bool skipping;      /* the rest of a line that is too long */
};

void jsonl_init(struct jsonl *j, const struct jsonl_handler *handler, void *ctx,
    int64_t lines_max);
void jsonl_fini(struct jsonl *j);

/* Not SLC_OK: the upload is refused, err says why. */
enum slc_rc
jsonl_feed(struct jsonl *j, struct slice bytes, struct slc_err *err);
enum slc_rc jsonl_end(struct jsonl *j, struct slc_err *err);

/* Endpoints that a batch may use. */
bool jsonl_endpoint_ok(struct slice url);

#endif
