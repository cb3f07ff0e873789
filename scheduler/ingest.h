/*
 * ingest - a file's bytes into chunks: whole lines, and where things are in
 * them.
 *
 * Pure.  Chunks that are full wait in order until they are taken.  A file with
 * more lines than allowed can never be used: the first lines_max are kept, what
 * follows is only looked at.
 */
#ifndef SCHEDULER_INGEST_H
#define SCHEDULER_INGEST_H

#include <sluice/buf.h>
#include <sluice/slc.h>

struct ingest;

/* Arrays have one element for each line; sql/001_tables.sql says what is in
 * them. */
struct ingest_chunk {
	struct ingest_chunk *next;
	struct buf bytes;
	int64_t first_byte;
	int32_t first_line;
	size_t lines;
	int32_t line_end[SLC_CHUNK_LINES_MAX];
	int32_t id_at[SLC_CHUNK_LINES_MAX], id_len[SLC_CHUNK_LINES_MAX];
	int32_t body_at[SLC_CHUNK_LINES_MAX], body_len[SLC_CHUNK_LINES_MAX];
	int16_t model[SLC_CHUNK_LINES_MAX];
	int32_t model_at[SLC_CHUNK_LINES_MAX], model_len[SLC_CHUNK_LINES_MAX];
	int32_t cap[SLC_CHUNK_LINES_MAX];
	int32_t combine[SLC_CHUNK_LINES_MAX];
	bool combines; /* some line has a combine that is not 0 */
};

struct ingest_total { /* valid while the ingest lives */
	int64_t bytes, lines;
	const char *endpoint; /* NULL when no line had a good one */
	const struct slice *models;
	const int32_t *model_lines;
	size_t nmodels;
	const char *faults; /* a JSON array, NULL without faults */
};

struct ingest *ingest_new(int64_t lines_max); /* < INT32_MAX */
void ingest_free(struct ingest *in);

enum slc_rc
ingest_feed(struct ingest *in, struct slice bytes, struct slc_err *err);
enum slc_rc ingest_end(struct ingest *in, struct slc_err *err);

int64_t ingest_bytes(const struct ingest *in);  /* fed so far */
size_t ingest_waiting(const struct ingest *in); /* weight of full chunks */
/* Bytes a chunk takes here and on its way: short lines take more than they
 * have. */
size_t ingest_weight(const struct ingest_chunk *c);
/* The first chunk that waits, or NULL; gone at ingest_done(). */
const struct ingest_chunk *ingest_next(const struct ingest *in);
void ingest_done(struct ingest *in);
void ingest_total(struct ingest *in, struct ingest_total *total);

#endif
