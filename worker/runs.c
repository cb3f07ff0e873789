#include "runs.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void
runs_init(struct runs *r, struct paths *paths, struct chunks *chunks,
    struct sender *sender, int32_t max_in_flight)
{
	*r = (struct runs){ .paths = paths,
		.chunks = chunks,
		.sender = sender,
		.max_in_flight = max_in_flight };
}

void
runs_fini(struct runs *r)
{
	assert(r->n == 0);
	free(r->list);
}

static void
run_remove(struct runs *r, struct run *run)
{
	size_t i = 0;

	while (r->list[i] != run)
		i++;
	r->list[i] = r->list[--r->n];
	chunk_drop(run->chunk);
	free(run->model);
	free(run->endpoint);
	free(run);
}

void
runs_on_settled(struct line *line, void *arg)
{
	struct run *run = line->run;

	if (--run->open == 0)
		run_remove(arg, run);
}

static void
runs_on_chunk(struct chunk *chunk, void *arg)
{
	struct run *run = arg;

	for (size_t i = 0; i < run->n; i++) {
		struct line *line = &run->lines[i];

		if (line->state != LINE_LOADING || line->joins)
			continue;
		if (chunk->loaded)
			sender_put(run->sender, line);
		else
			sender_give_back(run->sender, line,
			    "its input could not be read", false);
	}
	sender_pump(run->sender);
}

static int32_t
element(const struct buf *b, size_t i)
{
	return b->n == 0 ? 0 : ((const int32_t *)b->p)[i];
}

/* Columns of sluice.take_runs(). */
enum {
	COL_ID,
	COL_BATCH,
	COL_BATCH_UID,
	COL_LANE,
	COL_MODEL,
	COL_ENDPOINT,
	COL_PATH,
	COL_DAY,
	COL_CHUNK,
	COL_FIRST_LINE,
	COL_LINE,
	COL_SLOT_US,
	COL_EST_INPUT,
	COL_EST_OUTPUT,
	COL_TRIES,
	COL_SENDS,
	COL_SEND_US,
	COL_IN_US,
	COL_KEEP_US,
	COL_REFUSED,
	COL_MAX_TOKENS,
	COL_LEADS,
	COL_MOST,
	COL_CACHE,
};

/* Those with an element for each line. */
static const int cols[] = { COL_LINE, COL_SLOT_US, COL_EST_INPUT,
	COL_EST_OUTPUT, COL_TRIES, COL_SENDS, COL_REFUSED, COL_MOST };
enum { COLS = NITEMS(cols) };

static void
run_add(struct runs *r, struct db_result *res, int row, int64_t asked_us,
    int64_t got_us)
{
	struct path *path =
	    paths_find(r->paths, (int32_t)db_int(res, 0, row, COL_PATH));
	struct buf values[COLS] = { { 0 } };
	struct slice leads = db_slice(res, 0, row, COL_LEADS); /* null: all */
	int64_t send_us = db_int(res, 0, row, COL_SEND_US);
	int64_t in_us = db_int(res, 0, row, COL_IN_US);
	struct slice model = db_slice(res, 0, row, COL_MODEL);
	struct slice endpoint = db_slice(res, 0, row, COL_ENDPOINT);
	struct run *run;
	size_t n = 0;

	assert(path != NULL); /* we asked for it */
	for (int c = 0; c < COLS; c++) {
		size_t k = db_ints(res, 0, row, cols[c], &values[c], 0);

		n = c == 0 ? k : n;
	}
	run = xcalloc(1, sizeof(*run) + n * sizeof(run->lines[0]));
	run->id = db_int(res, 0, row, COL_ID);
	run->batch = db_int(res, 0, row, COL_BATCH);
	run->lane = db_int(res, 0, row, COL_LANE);
	memcpy(run->batch_uid, db_slice(res, 0, row, COL_BATCH_UID).p, 32);
	run->path = path;
	run->sender = r->sender;
	run->model = xstrndup(model.p, model.n);
	run->endpoint = xstrndup(endpoint.p, endpoint.n);
	run->first_line = (int32_t)db_int(res, 0, row, COL_FIRST_LINE);
	run->keep_us = db_int(res, 0, row, COL_KEEP_US);
	run->max_tokens = db_int(res, 0, row, COL_MAX_TOKENS); /* null: 0 */
	run->cache = db_bool(res, 0, row, COL_CACHE);
	run->metered = !db_null(res, 0, row, COL_SLOT_US);
	run->n = run->open = n;
	for (size_t i = 0; i < n; i++) {
		int32_t slot_us = element(&values[1], i);
		bool joins = i < leads.n && leads.p[i] == '0';

		/*
		 * The database's now lies between asking and hearing.  Not
		 * before: as if it were the latter; not after: the former.
		 */
		run->lines[i] = (struct line){
			.run = run,
			.index = (int16_t)element(&values[0], i),
			.est_input = element(&values[2], i),
			.est_output = element(&values[3], i),
			.tries = (int16_t)element(&values[4], i),
			.sends = (int16_t)element(&values[5], i),
			.refused = (int16_t)element(&values[6], i),
			.most = (int16_t)element(&values[7], i),
			.joins = joins,
			.slot_us = send_us + slot_us,
			.not_before_us = got_us + in_us + slot_us,
			.not_after_us =
			    asked_us + in_us + slot_us + run->keep_us,
		};
		path->held += !joins;
	}
	for (int c = 0; c < COLS; c++)
		buf_fini(&values[c]);
	if (r->n == r->cap) {
		r->cap = r->cap == 0 ? 64 : r->cap * 2;
		r->list = xrealloc(r->list, r->cap * sizeof(run));
	}
	r->list[r->n++] = run;
	chunks_hold(r->chunks, db_slice(res, 0, row, COL_DAY),
	    db_int(res, 0, row, COL_CHUNK), &run->chunk, runs_on_chunk, run);
}

void
runs_add(
    struct runs *r, struct db_result *res, int64_t asked_us, int64_t got_us)
{
	for (int i = 0; i < db_rows(res, 0); i++)
		run_add(r, res, i, asked_us, got_us);
}

void
runs_ids(const struct runs *r, struct buf *out)
{
	buf_addc(out, '{');
	for (size_t i = 0; i < r->n; i++)
		buf_addf(out, "%s%" PRId64, i == 0 ? "" : ",", r->list[i]->id);
	buf_addc(out, '}');
}

void
runs_stop(struct runs *r, bool calls)
{
	sender_stop(r->sender, r->list, r->n, calls);
}

/*
 * How many more calls of a path: as many as may be open at once, *open, and a
 * few to follow at once when calls end before the next take.
 */
static int32_t
room(const struct runs *r, const struct path *path, int32_t *open)
{
	int32_t share = paths_share(r->paths, path);

	if (share > r->max_in_flight)
		share = r->max_in_flight;
	*open = share > path->held ? share - path->held : 0;
	if (share == 0)
		return 0;
	return share + 1 + (int32_t)(path->done_per_s * 0.15) - path->held;
}

bool
runs_want(const struct runs *r, struct buf *out)
{
	bool any = false;

	buf_addc(out, '[');
	for (size_t i = 0; i < r->paths->n; i++) {
		const struct path *path = r->paths->list[i];
		int32_t open;
		int32_t lines =
		    path->gone || path->batches ? 0 : room(r, path, &open);

		if (lines <= 0)
			continue;
		buf_addf(out,
		    "%s{\"path\":%" PRId32 ",\"lines\":%" PRId32
		    ",\"open\":%" PRId32 "}",
		    any ? "," : "", path->id, lines, open);
		any = true;
	}
	buf_addc(out, ']');
	return any;
}

void
runs_keep_seats(struct runs *r)
{
	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; k < r->list[i]->n; k++)
			if (r->list[i]->lines[k].state == LINE_SENDING)
				paths_keep(r->paths, r->list[i]->path,
				    r->list[i]->model);
}

void
runs_learn(struct runs *r, int64_t now_ms)
{
	double seconds = (double)(now_ms - r->learned_ms) / 1000;

	if (seconds < 0.25)
		return;
	for (size_t i = 0; i < r->paths->n; i++) {
		struct path *path = r->paths->list[i];

		path->done_per_s =
		    (path->done_per_s + (double)path->done / seconds) / 2;
		path->done = 0;
	}
	r->learned_ms = now_ms;
}
