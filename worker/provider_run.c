#include "provider_own.h"

#include <stdlib.h>
#include <string.h>

#include "runs.h"

enum { KEEP_US = 1000000000 }; /* no slot of theirs was strict */

static int32_t
element(const struct buf *b, size_t i)
{
	return b->n == 0 ? 0 : ((const int32_t *)b->p)[i];
}

/* A chunk of the lines' custom_ids alone, with how long their bodies are: all
 * that results need of it. */
static struct chunk *
chunk_of_ids(struct db_result *res, int row, const struct buf *line, size_t n)
{
	struct chunk *chunk = xcalloc(1, sizeof(*chunk));
	struct slice ids = db_slice(res, 0, row, LINES_IDS);
	struct buf id_len = { 0 }, body_len = { 0 };
	struct buf *const of[] = { &chunk->id_at, &chunk->id_len,
		&chunk->body_at, &chunk->body_len };
	int32_t most = 0, at = 0;

	db_ints(res, 0, row, LINES_ID_LEN, &id_len, 0);
	db_ints(res, 0, row, LINES_BODY_LEN, &body_len, 0);
	buf_add(&chunk->bytes, ids.p, ids.n);
	for (size_t k = 0; k < n; k++)
		if (element(line, k) > most)
			most = element(line, k);
	for (size_t c = 0; c < NITEMS(of); c++) {
		size_t size = (size_t)most * sizeof(int32_t);

		buf_reserve(of[c], size + 1);
		memset(of[c]->p, 0, size);
		of[c]->n = size;
	}
	for (size_t k = 0; k < n; k++) {
		size_t i = (size_t)element(line, k) - 1;

		((int32_t *)chunk->id_at.p)[i] = at;
		((int32_t *)chunk->id_len.p)[i] = element(&id_len, k);
		((int32_t *)chunk->body_len.p)[i] = element(&body_len, k);
		at += element(&id_len, k);
	}
	buf_fini(&id_len);
	buf_fini(&body_len);
	return chunk;
}

struct run *
provider_run_new(struct provider_job *job, struct db_result *res, int row)
{
	struct buf line = { 0 }, tries = { 0 }, sends = { 0 }, refused = { 0 };
	struct slice open = db_slice(res, 0, row, LINES_OPEN);
	size_t n = db_ints(res, 0, row, LINES_LINE, &line, 0);
	struct run *run = xcalloc(1, sizeof(*run) + n * sizeof(run->lines[0]));

	db_ints(res, 0, row, LINES_TRIES, &tries, 0);
	db_ints(res, 0, row, LINES_SENDS, &sends, 0);
	db_ints(res, 0, row, LINES_REFUSED, &refused, 0);
	run->id = db_int(res, 0, row, LINES_ID);
	run->batch = db_int(res, 0, row, LINES_BATCH);
	run->lane = db_int(res, 0, row, LINES_LANE);
	memcpy(run->batch_uid, db_slice(res, 0, row, LINES_BATCH_UID).p, 32);
	run->path = job->path;
	run->model = job->model;
	run->endpoint = job->endpoint;
	run->first_line = (int32_t)db_int(res, 0, row, LINES_FIRST_LINE);
	run->keep_us = KEEP_US;
	run->n = n;
	run->chunk = chunk_of_ids(res, row, &line, n);
	for (size_t k = 0; k < n; k++)
		run->lines[k] = (struct line){
			.run = run,
			.state = k < open.n && open.p[k] == '1' ? LINE_SENDING
								: LINE_SETTLING,
			.index = (int16_t)element(&line, k),
			.tries = (int16_t)element(&tries, k),
			.sends = (int16_t)element(&sends, k),
			.refused = (int16_t)element(&refused, k),
			.not_after_us = KEEP_US,
		};
	buf_fini(&line);
	buf_fini(&tries);
	buf_fini(&sends);
	buf_fini(&refused);
	return run;
}

void
provider_run_free(struct run *run)
{
	buf_fini(&run->chunk->bytes);
	buf_fini(&run->chunk->id_at);
	buf_fini(&run->chunk->id_len);
	buf_fini(&run->chunk->body_at);
	buf_fini(&run->chunk->body_len);
	free(run->chunk);
	free(run);
}
