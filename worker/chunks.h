/*
 * chunks - recently read chunks of input files, within a bound.
 *
 * A chunk is read once for the runs that stand in it; those that are in use
 * stay, the others go oldest first when CHUNKS_BYTES_MAX is passed.
 */
#ifndef WORKER_CHUNKS_H
#define WORKER_CHUNKS_H

#include <sluice/buf.h>
#include <sluice/db.h>

enum { CHUNKS_BYTES_MAX = 32 << 20 };

struct chunks;

struct chunk {
	struct chunks *owner;
	struct chunk *next; /* newest first */
	int64_t id;
	char day[11];
	int users;
	bool loaded, failed;
	struct buf bytes;
	/* int32_t for each line */
	struct buf id_at, id_len, body_at, body_len, model_at, model_len;
	size_t lines;
	struct chunk_wait *waiting;
};

/* chunk is loaded, or failed: the database is away, or it is gone. */
typedef void (*chunk_ready)(struct chunk *chunk, void *arg);

struct chunks *chunks_new(struct db *db);
void chunks_free(struct chunks *c); /* none in use, none loading */

/* Hold a chunk, which *held is set to; then ready is called once, at once if it
 * is here already. */
void chunks_hold(struct chunks *c, struct slice day, int64_t id,
    struct chunk **held, chunk_ready ready, void *arg);
void chunk_drop(struct chunk *chunk);

/* custom_id (with quotes) and body of line index, from 1. */
struct slice chunk_custom_id(const struct chunk *chunk, int index);
struct slice chunk_body(const struct chunk *chunk, int index);
/* In the body: where the value of its model has its closing quote. */
size_t chunk_model_quote(const struct chunk *chunk, int index);

#endif
