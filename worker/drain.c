#include "drain.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/log.h>

#include "send.h"

enum {
	TICK_MS = 25,
	LEASE_MS = 15000,
	LEASE_MARGIN_MS = 1000, /* clocks and messages are not exact */
	BEAT_MS = 500,
	TAKE_IDLE_MS = 100, /* between takes while there is nothing */
	TAKE_AHEAD_US = 250000,
	REFRESH_MS = 5000, /* secrets */
	START_AGAIN_MS = 1000,
	WAITING_BYTES_MAX = 64 << 20, /* of results: then take no more */
	WAITING_LINES_MAX = 20000,
	CONNECTIONS = 2, /* for settling and chunks */
};

enum stage {
	STAGE_DOWN, /* no worker row */
	STAGE_STARTING,
	STAGE_LIVE,
	STAGE_STOPPING, /* what is out comes in */
	STAGE_LEAVING,  /* worker_stop() */
	STAGE_CLOSING,
	STAGES
};

struct drain {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct drain_opts opts;
	char *name;
	struct db *takes, *settles;
	struct paths paths;
	struct chunks *chunks;
	struct flush *flush;
	struct sender sender;
	enum stage stage;
	int64_t id;
	struct run **runs;
	size_t nruns, runs_cap;
	bool beating, taking, configuring, checking, checked;
	int64_t beat_at_ms, take_at_ms, refresh_at_ms, rate_at_ms, start_at_ms;
	int64_t beat_sent_us, take_sent_us; /* boot time */
	int64_t give_up_ms;                 /* stopping: calls are ended */
	bool told;                          /* the database: stopping */
	int open;                           /* parts still closing */
	void (*on_stopped)(void *arg);
	void *stopped_arg;
};

static void
set_stage(struct drain *d, enum stage next)
{
	static const unsigned legal[STAGES] = {
		[STAGE_DOWN] = 1u << STAGE_STARTING | 1u << STAGE_CLOSING,
		[STAGE_STARTING] = 1u << STAGE_LIVE | 1u << STAGE_DOWN,
		[STAGE_LIVE] = 1u << STAGE_STOPPING | 1u << STAGE_DOWN,
		[STAGE_STOPPING] = 1u << STAGE_LEAVING | 1u << STAGE_DOWN,
		[STAGE_LEAVING] = 1u << STAGE_CLOSING,
	};

	assert(legal[d->stage] & 1u << next);
	d->stage = next;
}

/* Runs ----------------------------------------------------------------- */

static void
run_remove(struct drain *d, struct run *run)
{
	size_t i = 0;

	while (d->runs[i] != run)
		i++;
	d->runs[i] = d->runs[--d->nruns];
	chunk_drop(run->chunk);
	free(run->model);
	free(run->endpoint);
	free(run);
}

static void
drain_on_settled(struct line *line, void *arg)
{
	struct run *run = line->run;

	if (--run->open == 0)
		run_remove(arg, run);
}

/* The lease is gone: all that was taken is another's now. */
static void
lose_lease(struct drain *d, const char *why)
{
	log_warn("worker.lost", "id=%" PRId64 " why=\"%s\" runs=%zu", d->id,
	    why, d->nruns);
	d->sender.lease_until_us = 0;
	sender_stop(&d->sender, d->runs, d->nruns, true);
	set_stage(d, STAGE_DOWN);
	d->start_at_ms = (int64_t)uv_now(d->loop) + START_AGAIN_MS;
}

static void
drain_on_chunk(struct chunk *chunk, void *arg)
{
	struct run *run = arg;

	for (size_t i = 0; i < run->n; i++) {
		struct line *line = &run->lines[i];

		if (line->state != LINE_LOADING)
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
};

static void
run_add(struct drain *d, struct db_result *res, int row, int64_t got_us)
{
	struct path *path =
	    paths_find(&d->paths, (int32_t)db_int(res, 0, row, COL_PATH));
	struct buf cols[6] = { { 0 } };
	int64_t send_us = db_int(res, 0, row, COL_SEND_US);
	int64_t in_us = db_int(res, 0, row, COL_IN_US);
	struct slice model = db_slice(res, 0, row, COL_MODEL);
	struct slice endpoint = db_slice(res, 0, row, COL_ENDPOINT);
	struct run *run;
	size_t n = 0;

	assert(path != NULL); /* we asked for it */
	for (int c = 0; c < 6; c++) {
		size_t k = db_ints(res, 0, row, COL_LINE + c, &cols[c], 0);

		n = c == 0 ? k : n;
	}
	run = xcalloc(1, sizeof(*run) + n * sizeof(run->lines[0]));
	run->id = db_int(res, 0, row, COL_ID);
	run->batch = db_int(res, 0, row, COL_BATCH);
	run->lane = db_int(res, 0, row, COL_LANE);
	memcpy(run->batch_uid, db_slice(res, 0, row, COL_BATCH_UID).p, 32);
	run->path = path;
	run->sender = &d->sender;
	run->model = xstrndup(model.p, model.n);
	run->endpoint = xstrndup(endpoint.p, endpoint.n);
	run->first_line = (int32_t)db_int(res, 0, row, COL_FIRST_LINE);
	run->keep_us = db_int(res, 0, row, COL_KEEP_US);
	run->metered = !db_null(res, 0, row, COL_SLOT_US);
	run->n = run->open = n;
	for (size_t i = 0; i < n; i++) {
		int32_t slot_us = element(&cols[1], i);

		/*
		 * The database's now lies between asking and hearing.  Not
		 * before: as if it were the latter; not after: the former.
		 */
		run->lines[i] = (struct line){
			.run = run,
			.index = (int16_t)element(&cols[0], i),
			.est_input = element(&cols[2], i),
			.est_output = element(&cols[3], i),
			.tries = (int16_t)element(&cols[4], i),
			.sends = (int16_t)element(&cols[5], i),
			.slot_us = send_us + slot_us,
			.not_before_us = got_us + in_us + slot_us,
			.not_after_us =
			    d->take_sent_us + in_us + slot_us + run->keep_us,
		};
	}
	for (int c = 0; c < 6; c++)
		buf_fini(&cols[c]);
	path->held += (int32_t)n;
	if (d->nruns == d->runs_cap) {
		d->runs_cap = d->runs_cap == 0 ? 64 : d->runs_cap * 2;
		d->runs = xrealloc(d->runs, d->runs_cap * sizeof(run));
	}
	d->runs[d->nruns++] = run;
	chunks_hold(d->chunks, db_slice(res, 0, row, COL_DAY),
	    db_int(res, 0, row, COL_CHUNK), &run->chunk, drain_on_chunk, run);
}

static void
drain_on_taken(struct db_result *res, void *arg)
{
	struct drain *d = arg;
	int64_t got_us = boot_us();

	d->taking = false;
	if (db_is(res, "SL410") && d->stage == STAGE_LIVE)
		lose_lease(d, "take refused");
	if (db_rc(res) != SLC_OK)
		return;
	for (int i = 0; i < db_rows(res, 0); i++)
		run_add(d, res, i, got_us);
	if (d->stage != STAGE_LIVE)
		sender_stop(&d->sender, d->runs, d->nruns, false);
	if (db_rows(res, 0) > 0)
		d->take_at_ms = 0;
}

/*
 * How many more lines of a path: as many as may be open at once, and a few to
 * follow at once when calls end before the next take.
 */
static int32_t
room(const struct drain *d, const struct path *path)
{
	int32_t share = paths_share(&d->paths, path);

	if (share > d->opts.max_in_flight)
		share = d->opts.max_in_flight;
	if (share == 0)
		return 0;
	return share + 1 + (int32_t)(path->done_per_s * 0.15) - path->held;
}

static void
take(struct drain *d, int64_t now_ms)
{
	struct buf want = { 0 };
	bool any = false;

	buf_addc(&want, '[');
	for (size_t i = 0; i < d->paths.n; i++) {
		const struct path *path = d->paths.list[i];
		int32_t lines = path->gone ? 0 : room(d, path);

		if (lines <= 0)
			continue;
		buf_addf(&want,
		    "%s{\"path\":%" PRId32 ",\"lines\":%" PRId32 "}",
		    any ? "," : "", path->id, lines);
		any = true;
	}
	buf_addc(&want, ']');
	d->take_at_ms = now_ms + TAKE_IDLE_MS;
	if (any) {
		d->taking = true;
		d->take_sent_us = boot_us();
		db_run(d->takes, drain_on_taken, d, STMT_TAKE_RUNS, d->id,
		    buf_cstr(&want), (int64_t)TAKE_AHEAD_US);
	}
	buf_fini(&want);
}

/* Beats ---------------------------------------------------------------- */

static void
recount_seats(struct drain *d)
{
	for (size_t i = 0; i < d->nruns; i++)
		for (size_t k = 0; k < d->runs[i]->n; k++)
			if (d->runs[i]->lines[k].state == LINE_SENDING)
				paths_keep(&d->paths, d->runs[i]->path,
				    d->runs[i]->model);
}

static void
drain_on_config(struct db_result *res, void *arg)
{
	struct drain *d = arg;
	struct slc_err err = { 0 };

	d->configuring = false;
	if (db_rc(res) != SLC_OK)
		return;
	if (paths_read(&d->paths, db_slice(res, 0, 0, 0), &err) != SLC_OK) {
		log_error("worker.config", "why=\"%s\"", err.text);
		abort();
	}
	recount_seats(d);
	d->beat_at_ms = 0; /* seats of new limits */
}

static void
configure(struct drain *d)
{
	if (d->configuring)
		return;
	d->configuring = true;
	db_run(d->takes, drain_on_config, d, STMT_WORKER_CONFIG);
}

static void
drain_on_beat(struct db_result *res, void *arg)
{
	struct drain *d = arg;
	struct slice doc;
	json_t *root;

	d->beating = false;
	if (db_is(res, "SL410") &&
	    (d->stage == STAGE_LIVE || d->stage == STAGE_STOPPING)) {
		lose_lease(d, "lease lost");
		return;
	}
	if (db_rc(res) != SLC_OK || d->stage == STAGE_DOWN)
		return;
	d->sender.lease_until_us =
	    d->beat_sent_us + (LEASE_MS - LEASE_MARGIN_MS) * INT64_C(1000);
	doc = db_slice(res, 0, 0, 0);
	paths_targets(&d->paths, doc);
	root = json_loadb(doc.p, doc.n, 0, NULL);
	if (json_integer_value(json_object_get(root, "revision")) !=
	    d->paths.revision)
		configure(d);
	json_decref(root);
	sender_pump(&d->sender);
}

static void
beat(struct drain *d, int64_t now_ms)
{
	struct buf held = { 0 };

	buf_addc(&held, '[');
	for (size_t i = 0; i < d->paths.nseats; i++) {
		const struct seats *s = d->paths.seats[i];

		/* Not below what we believe we may use: the word that it is
		 * less may still be on its way to us. */
		buf_addf(&held,
		    "%s{\"limit\":%" PRId32 ",\"held\":%" PRId32 "}",
		    i == 0 ? "" : ",", s->id,
		    s->used > s->target ? s->used : s->target);
	}
	buf_addc(&held, ']');
	d->beating = true;
	d->beat_at_ms = now_ms + BEAT_MS;
	d->beat_sent_us = boot_us();
	d->told = d->stage == STAGE_STOPPING;
	db_run(d->takes, drain_on_beat, d, STMT_WORKER_BEAT, d->id,
	    (int64_t)LEASE_MS, (int64_t)d->sender.in_flight, d->told,
	    buf_cstr(&held));
	buf_fini(&held);
}

/* Start and stop ------------------------------------------------------- */

static void
drain_on_started(struct db_result *res, void *arg)
{
	struct drain *d = arg;

	if (db_rc(res) != SLC_OK) {
		set_stage(d, STAGE_DOWN);
		d->start_at_ms = (int64_t)uv_now(d->loop) + START_AGAIN_MS;
		return;
	}
	d->id = db_int(res, 0, 0, 0);
	flush_worker(d->flush, d->id);
	set_stage(d, STAGE_LIVE);
	log_info("worker.started", "id=%" PRId64 " name=%s", d->id, d->name);
	configure(d);
	d->beat_at_ms = 0;
}

/* A statement that the database does not know stops the program now. */
static void
drain_on_checked(struct db_result *res, void *arg)
{
	struct drain *d = arg;

	d->checking = false;
	d->checked = db_rc(res) == SLC_OK;
	d->start_at_ms =
	    (int64_t)uv_now(d->loop) + (d->checked ? 0 : START_AGAIN_MS);
	if (db_rc(res) == SLC_OK || db_rc(res) == SLC_EDB)
		return;
	fprintf(stderr,
	    "sluice-worker: the database is not of this version (%s); run: "
	    "sluice migrate --database ...\n",
	    db_message(res));
	exit(1);
}

static void
start(struct drain *d)
{
	if (!d->checked) {
		if (!d->checking)
			db_check(d->takes, STMT_WORKER_START, STMT_SETTLE_CHUNK,
			    drain_on_checked, d);
		d->checking = true;
		return;
	}
	/* What the worker before had open must have come in: it is not ours. */
	flush_drop(d->flush);
	if (!flush_idle(d->flush) || d->nruns > 0)
		return;
	set_stage(d, STAGE_STARTING);
	db_run(d->takes, drain_on_started, d, STMT_WORKER_START, d->name,
	    (int64_t)d->opts.max_in_flight, (int64_t)LEASE_MS);
}

static void
drain_on_part_closed(void *arg)
{
	struct drain *d = arg;

	if (--d->open > 0)
		return;
	paths_fini(&d->paths);
	free(d->runs);
	free(d->name);
	d->on_stopped(d->stopped_arg);
	free(d);
}

static void
drain_on_timer_closed(uv_handle_t *handle)
{
	drain_on_part_closed(handle->data);
}

static void
close_all(struct drain *d)
{
	set_stage(d, STAGE_CLOSING);
	d->open = 5;
	chunks_free(d->chunks);
	flush_free(d->flush, drain_on_part_closed, d);
	sender_close(&d->sender, drain_on_part_closed, d);
	db_close(d->takes, drain_on_part_closed, d);
	db_close(d->settles, drain_on_part_closed, d);
	uv_close((uv_handle_t *)&d->timer, drain_on_timer_closed);
}

static void
drain_on_left(struct db_result *res, void *arg)
{
	struct drain *d = arg;

	if (db_rc(res) != SLC_OK)
		log_warn("worker.left", "why=\"%s\"", db_message(res));
	close_all(d);
}

static void
stop_step(struct drain *d, int64_t now_ms)
{
	if (d->give_up_ms > 0 && now_ms >= d->give_up_ms) {
		log_warn(
		    "worker.gives_up", "calls=%d", (int)d->sender.in_flight);
		sender_stop(&d->sender, d->runs, d->nruns, true);
		d->give_up_ms = 0;
	}
	if (d->nruns == 0 && flush_idle(d->flush) && !d->taking &&
	    !d->beating && !d->configuring) {
		set_stage(d, STAGE_LEAVING);
		db_run(d->takes, drain_on_left, d, STMT_WORKER_STOP, d->id);
	}
}

static void
learn_rates(struct drain *d, int64_t now_ms)
{
	double seconds = (double)(now_ms - d->rate_at_ms) / 1000;

	if (seconds < 0.25)
		return;
	for (size_t i = 0; i < d->paths.n; i++) {
		struct path *path = d->paths.list[i];

		path->done_per_s =
		    (path->done_per_s + (double)path->done / seconds) / 2;
		path->done = 0;
	}
	d->rate_at_ms = now_ms;
}

static void
drain_on_timer(uv_timer_t *timer)
{
	struct drain *d = timer->data;
	int64_t now_ms = (int64_t)uv_now(d->loop);

	learn_rates(d, now_ms);
	if (now_ms >= d->refresh_at_ms) {
		paths_refresh(&d->paths);
		d->refresh_at_ms = now_ms + REFRESH_MS;
	}
	if (d->stage == STAGE_DOWN && d->on_stopped != NULL)
		d->give_up_ms = 1;
	switch (d->stage) {
	case STAGE_DOWN:
		if (d->on_stopped != NULL && d->nruns == 0 &&
		    flush_idle(d->flush) && !d->taking && !d->beating &&
		    !d->configuring && !d->checking)
			close_all(d);
		else if (d->on_stopped == NULL && now_ms >= d->start_at_ms)
			start(d);
		else
			flush_drop(d->flush);
		break;
	case STAGE_LIVE:
		if (!d->beating && now_ms >= d->beat_at_ms)
			beat(d, now_ms);
		if (d->on_stopped != NULL) {
			set_stage(d, STAGE_STOPPING);
			d->beat_at_ms = 0;
			sender_stop(&d->sender, d->runs, d->nruns, false);
		} else if (!d->taking && now_ms >= d->take_at_ms &&
		    d->paths.revision > 0 &&
		    *flush_bytes(d->flush) < WAITING_BYTES_MAX &&
		    flush_lines(d->flush) < WAITING_LINES_MAX) {
			take(d, now_ms);
		}
		sender_tick(&d->sender);
		break;
	case STAGE_STOPPING:
		sender_tick(&d->sender);
		if (!d->beating && now_ms >= d->beat_at_ms)
			beat(d, now_ms);
		stop_step(d, now_ms);
		break;
	default:
		break;
	}
}

struct drain *
drain_start(uv_loop_t *loop, const struct drain_opts *opts)
{
	struct drain *d = xcalloc(1, sizeof(*d));
	struct db_opts db = { .dsn = opts->dsn,
		.program = "sluice-worker",
		.role = "sluice_worker",
		.connections = 1 };

	d->loop = loop;
	d->opts = *opts;
	d->name = xstrdup(opts->name);
	d->takes = db_open(loop, &db);
	db.connections = CONNECTIONS;
	d->settles = db_open(loop, &db);
	paths_init(&d->paths);
	d->chunks = chunks_new(d->settles);
	d->flush = flush_new(loop, d->settles, drain_on_settled, d);
	sender_init(&d->sender, loop, &d->paths, d->flush, opts->max_in_flight);
	uv_timer_init(loop, &d->timer);
	d->timer.data = d;
	uv_timer_start(&d->timer, drain_on_timer, 0, TICK_MS);
	return d;
}

void
drain_stop(struct drain *d, void (*on_stopped)(void *arg), void *arg)
{
	d->on_stopped = on_stopped;
	d->stopped_arg = arg;
	d->give_up_ms = (int64_t)uv_now(d->loop) + d->opts.drain_ms;
}
