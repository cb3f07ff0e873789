#include "admit.h"

#include <stdio.h>
#include <stdlib.h>

struct admit {
	struct db *db;
};

struct waiter {
	void (*done)(const struct admit_answer *answer, void *arg);
	void *arg;
};

static void
set(char *out, size_t max, struct slice s)
{
	snprintf(out, max, "%.*s", (int)s.n, s.p);
}

static void
admit_on_done(struct db_result *res, void *arg)
{
	struct waiter *w = arg;
	struct admit_answer a = { .verdict = ADMIT_DB };

	if (db_rc(res) == SLC_OK && db_rows(res, 0) == 0) {
		a.verdict = ADMIT_NO_MODEL;
	} else if (db_rc(res) == SLC_OK && db_null(res, 0, 0, 0)) {
		a.verdict = ADMIT_NO_PATH;
	} else if (db_rc(res) == SLC_OK) {
		a.verdict = ADMIT_YES;
		a.admission = db_int(res, 0, 0, 0);
		a.path = (int32_t)db_int(res, 0, 0, 1);
		set(a.worker_url, sizeof(a.worker_url), db_slice(res, 0, 0, 2));
		set(a.worker_token, sizeof(a.worker_token),
		    db_slice(res, 0, 0, 3));
	}
	w->done(&a, w->arg);
	free(w);
}

struct admit *
admit_new(uv_loop_t *loop, struct db *db, const char *name)
{
	struct admit *a = xcalloc(1, sizeof(*a));

	(void)loop;
	(void)name;
	a->db = db;
	return a;
}

void
admit_free(struct admit *a, void (*on_closed)(void *arg), void *arg)
{
	free(a);
	on_closed(arg);
}

void
admit_ask(struct admit *a, const struct admit_ask *ask,
    void (*done)(const struct admit_answer *answer, void *arg), void *arg)
{
	struct waiter *w = xcalloc(1, sizeof(*w));

	*w = (struct waiter){ done, arg };
	db_run(a->db, admit_on_done, w, STMT_ADMIT_SIMPLY, ask->account,
	    ask->key, ask->model, ask->resource);
}
