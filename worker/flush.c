#include "flush.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/log.h>

#include "flush_doc.h"
#include "keep.h"

enum {
	FLUSH_AFTER_MS = 4,   /* so that answers of one moment share a commit */
	FLUSH_RETRY_MS = 250, /* when the database is away */
	FLUSH_STUCK_MS = 2000, /* when it refuses for no fault of the data */
	FLUSH_BREAKS =
	    3, /* in a row: perhaps the flush breaks the connection */
	FLUSH_BREAKS_ALONE = 10, /* of one line: it does */
	FLUSH_LINES = 2000,      /* of one commit */
	FLUSH_BYTES = 4 << 20,
};

struct flush {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct db *db;
	void (*settled)(struct line *line, void *arg);
	void *arg;
	struct flush_as as;
	struct result *first, **last; /* waiting */
	size_t n, bytes;
	size_t held;              /* bytes, with those under way */
	struct result *under_way; /* in the call that is out */
	int64_t late;
	size_t
	    lines_max; /* smaller while a line that breaks a commit is found */
	int breaks;    /* connections that broke on flushes, in a row */
	bool busy;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

static void flush_on_timer(uv_timer_t *timer);

static void
result_free(struct result *r)
{
	buf_fini(&r->text);
	free(r->said);
	keep_free(r->keep);
	free(r);
}

/* Bytes that a result holds on to. */
static size_t
weight(const struct result *r)
{
	return r->text.n + keep_bytes(r->keep) +
	    (r->said == NULL ? 0
			     : sizeof(*r->said) +
			r->said->nreadings * sizeof(r->said->readings[0]));
}

static void
settle_list(struct flush *f, struct result *r)
{
	struct result *next;

	for (; r != NULL; r = next) {
		next = r->next;
		f->held -= weight(r);
		f->settled(r->line, f->arg);
		result_free(r);
	}
}

/* Put back what did not get in, in front of what came meanwhile. */
static void
put_back(struct flush *f)
{
	struct result *r = f->under_way, *end;

	f->under_way = NULL;
	if (r == NULL)
		return;
	for (end = r;; end = end->next) {
		f->n++;
		f->bytes += weight(end);
		if (end->next == NULL)
			break;
	}
	end->next = f->first;
	if (f->first == NULL)
		f->last = &end->next;
	f->first = r;
}

static void
flush_again(struct flush *f, uint64_t after_ms)
{
	f->busy = false;
	if (f->first != NULL)
		uv_timer_start(&f->timer, flush_on_timer, after_ms, 0);
}

/* Keep the results whose lines the database still holds open for us. */
static void
flush_on_open(struct db_result *res, void *arg)
{
	struct flush *f = arg;
	struct result *keep = NULL, **keep_last = &keep, *r, *next;

	if (db_rc(res) != SLC_OK) {
		put_back(f);
		flush_again(f, FLUSH_RETRY_MS);
		return;
	}
	for (r = f->under_way; r != NULL; r = next) {
		next = r->next;
		r->next = NULL;
		if (flush_doc_open(res, r->line)) {
			*keep_last = r;
			keep_last = &r->next;
		} else {
			f->late++;
			settle_list(f, r);
		}
	}
	log_warn("flush.late", "lines=%" PRId64, f->late);
	f->under_way = keep;
	put_back(f);
	flush_again(f, 0);
}

/* Nothing but other data would help. */
static bool
is_data_error(const struct db_result *res)
{
	return db_is_class(res, "22") || db_is_class(res, "23") ||
	    db_is_class(res, "54");
}

/* A fault of the database's or ours: all is kept until it has been mended. */
static void
flush_stuck(struct flush *f, const char *why)
{
	log_error("flush.stuck", "lines=%zu why=\"%s\"", f->n, why);
	flush_again(f, FLUSH_STUCK_MS);
}

/* Let the others go first. */
static void
flush_postpone(struct flush *f)
{
	struct result *r = f->first;

	if (r->next == NULL)
		return;
	f->first = r->next;
	r->next = NULL;
	*f->last = r;
	f->last = &r->next;
}

/*
 * The database refuses the flush for what is in it.  Halve it until one line is
 * left, and let that one fail by name: the others' answers are paid for.
 */
static void
flush_narrow(struct flush *f, const char *why)
{
	struct result *r = f->under_way;
	size_t lines = 0;
	bool spoilt;

	for (const struct result *each = r; each != NULL; each = each->next)
		lines++;
	put_back(f);
	if (lines > 1) {
		f->lines_max = lines / 2;
		flush_again(f, 0);
		return;
	}
	f->bytes -= weight(r);
	f->held -= weight(r);
	spoilt = flush_doc_spoil(r);
	f->bytes += weight(r);
	f->held += weight(r);
	if (spoilt) {
		flush_again(f, 0);
	} else {
		flush_postpone(f);
		flush_stuck(f, why);
	}
}

/*
 * The connection broke, and perhaps all was committed: then the lines will be
 * found closed.  Broken again and again, it is halved, too.
 */
static void
flush_broken(struct flush *f, const char *why)
{
	struct result *r = f->under_way;

	if (++f->breaks >= FLUSH_BREAKS && r->next != NULL) {
		f->breaks = 0;
		flush_narrow(f, why);
	} else if (r->next == NULL && ++r->breaks >= FLUSH_BREAKS_ALONE) {
		flush_narrow(f, why);
	} else {
		put_back(f);
		if (r->breaks >= FLUSH_BREAKS)
			flush_postpone(f);
		flush_again(f, FLUSH_RETRY_MS);
	}
}

static void
flush_on_settled(struct db_result *res, void *arg)
{
	struct flush *f = arg;
	struct result *r = f->under_way;

	if (db_rc(res) == SLC_OK) {
		f->under_way = NULL;
		f->breaks = 0;
		f->lines_max = f->lines_max < FLUSH_LINES / 2 ? f->lines_max * 2
							      : FLUSH_LINES;
		keep_send(f->db, r);
		settle_list(f, r);
		flush_again(f, 0);
	} else if (db_is(res, "SL410")) {
		struct buf ids = { 0 };

		flush_doc_runs(r, &ids);
		if (f->as.provider != 0)
			db_run(f->db, flush_on_open, f, STMT_PROVIDER_OPEN,
			    f->as.worker, f->as.provider, f->as.fence,
			    buf_cstr(&ids));
		else
			db_run(f->db, flush_on_open, f, STMT_RUNS_OPEN,
			    f->as.worker, buf_cstr(&ids));
		buf_fini(&ids);
	} else if (db_unknown(res)) {
		flush_broken(f, db_message(res));
	} else if (db_rc(res) == SLC_EDB) {
		put_back(f);
		flush_again(f, FLUSH_RETRY_MS);
	} else if (is_data_error(res)) {
		flush_narrow(f, db_message(res));
	} else {
		put_back(f);
		flush_stuck(f, db_message(res));
	}
}

static void
flush_on_timer(uv_timer_t *timer)
{
	struct flush *f = timer->data;
	struct result **end = &f->first, *rest;
	size_t lines = 0, bytes = 0;
	struct db_call *call;

	if (f->busy || f->first == NULL)
		return;
	while (*end != NULL && lines < f->lines_max &&
	    (lines == 0 || bytes + weight(*end) <= FLUSH_BYTES)) {
		lines++;
		bytes += weight(*end);
		end = &(*end)->next;
	}
	rest = *end;
	*end = NULL;
	f->under_way = f->first;
	f->first = rest;
	if (rest == NULL)
		f->last = &f->first;
	f->n -= lines;
	f->bytes -= bytes;
	f->busy = true;
	call = db_call(f->db, flush_on_settled, f);
	flush_doc_add(call, &f->as, f->under_way, lines);
	db_send(call);
}

struct flush *
flush_new(uv_loop_t *loop, struct db *db,
    void (*settled)(struct line *line, void *arg), void *arg)
{
	struct flush *f = xcalloc(1, sizeof(*f));

	f->loop = loop;
	f->db = db;
	f->settled = settled;
	f->arg = arg;
	f->last = &f->first;
	f->lines_max = FLUSH_LINES;
	uv_timer_init(loop, &f->timer);
	f->timer.data = f;
	return f;
}

static void
flush_on_closed(uv_handle_t *handle)
{
	struct flush *f = handle->data;
	void (*on_closed)(void *arg) = f->on_closed;
	void *arg = f->closed_arg;

	free(f);
	on_closed(arg);
}

void
flush_free(struct flush *f, void (*on_closed)(void *arg), void *arg)
{
	assert(!f->busy);
	flush_drop(f);
	f->on_closed = on_closed;
	f->closed_arg = arg;
	uv_close((uv_handle_t *)&f->timer, flush_on_closed);
}

void
flush_worker(struct flush *f, struct flush_as as)
{
	f->as = as;
}

void
flush_add(struct flush *f, struct result *r)
{
	r->next = NULL;
	path_told(r->line->run->path, r->ok, r->down, r->why);
	*f->last = r;
	f->last = &r->next;
	f->n++;
	f->bytes += weight(r);
	f->held += weight(r);
	if (f->busy)
		return; /* it goes with the next */
	if (f->n >= FLUSH_LINES || f->bytes >= FLUSH_BYTES)
		uv_timer_start(&f->timer, flush_on_timer, 0, 0);
	else if (!uv_is_active((uv_handle_t *)&f->timer))
		uv_timer_start(&f->timer, flush_on_timer, FLUSH_AFTER_MS, 0);
}

void
flush_drop(struct flush *f)
{
	struct result *r = f->first;

	f->first = NULL;
	f->last = &f->first;
	f->n = f->bytes = 0;
	settle_list(f, r);
}

bool
flush_idle(const struct flush *f)
{
	return !f->busy && f->first == NULL;
}

const size_t *
flush_bytes(const struct flush *f)
{
	return &f->held;
}

size_t
flush_lines(const struct flush *f)
{
	return f->n;
}
