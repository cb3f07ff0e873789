#include "keep.h"

#include <stdlib.h>

#include <sluice/kept.h>
#include <sluice/log.h>

struct keep {
	char key[KEPT_KEY];
	struct buf answer;
};

struct keep *
keep_of(const struct line *line, int status, struct slice answer)
{
	const struct run *run = line->run;
	struct kept_request r = { .max_tokens = run->max_tokens };
	struct keep *k;

	if (!run->cache || status != 200 || answer.n > SLC_CACHE_ANSWER_MAX)
		return NULL;
	r.path = slice_str(run->endpoint);
	r.body = chunk_body(run->chunk, line->index);
	if (!kept_repeats(r.path, r.body))
		return NULL;
	k = xcalloc(1, sizeof(*k));
	kept_key(&r, (unsigned char *)k->key);
	buf_add(&k->answer, answer.p, answer.n);
	return k;
}

void
keep_free(struct keep *k)
{
	if (k == NULL)
		return;
	buf_fini(&k->answer);
	free(k);
}

size_t
keep_bytes(const struct keep *k)
{
	return k == NULL ? 0 : sizeof(*k) + k->answer.n;
}

static void
keep_on_done(struct db_result *res, void *arg)
{
	(void)arg;
	if (db_rc(res) != SLC_OK)
		log_warn("keep", "why=\"%s\"", db_message(res));
}

static int
by_batch(const void *a, const void *b)
{
	int64_t x = (*(const struct result *const *)a)->line->run->batch;
	int64_t y = (*(const struct result *const *)b)->line->run->batch;

	return x < y ? -1 : x > y;
}

/* Those of the first's batch; returns how many. */
static size_t
send_batch(struct db *db, const struct result *const *r, size_t n)
{
	struct buf keys = { 0 }, answers = { 0 }, ends = { 0 };
	int32_t end;
	size_t i;

	for (i = 0; i < n && by_batch(&r[i], &r[0]) == 0; i++) {
		buf_add(&keys, r[i]->keep->key, KEPT_KEY);
		buf_add(&answers, r[i]->keep->answer.p, r[i]->keep->answer.n);
		end = (int32_t)answers.n;
		buf_add(&ends, &end, sizeof(end));
	}
	db_run(db, keep_on_done, NULL, STMT_CACHE_KEEP, r[0]->line->run->batch,
	    buf_slice(&keys), buf_slice(&answers), (const int32_t *)ends.p, i);
	buf_fini(&keys);
	buf_fini(&answers);
	buf_fini(&ends);
	return i;
}

void
keep_send(struct db *db, const struct result *list)
{
	const struct result **kept;
	size_t n = 0;

	for (const struct result *r = list; r != NULL; r = r->next)
		n += r->keep != NULL;
	if (n == 0)
		return;
	kept = xcalloc(n, sizeof(*kept));
	n = 0;
	for (const struct result *r = list; r != NULL; r = r->next)
		if (r->keep != NULL)
			kept[n++] = r;
	qsort(kept, n, sizeof(*kept), by_batch);
	for (size_t i = 0; i < n;)
		i += send_batch(db, kept + i, n - i);
	free(kept);
}
