#include "drain.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/log.h>

#include "hooks.h"
#include "provider.h"
#include "runs.h"

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
	GIVE_UP_MS = 5000, /* after that, stopping waits for nothing */
	CONNECTIONS = 2,   /* for settling and chunks */
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
	struct live *live; /* NULL: none */
	struct hooks *hooks;
	struct provider *provider;
	enum stage stage;
	int64_t id;
	struct runs runs;
	int64_t era; /* of takes: one more when an answer is lost */
	bool unsure; /* the database may think that we have more runs */
	bool beating, taking, keeping, configuring, checking, checked;
	int64_t beat_at_ms, take_at_ms, refresh_at_ms, start_at_ms;
	int64_t beat_sent_us, take_sent_us; /* boot time */
	int64_t give_up_ms;                 /* stopping: calls are ended */
	bool gave_up;
	bool abandoned; /* calls, or outcomes of lines */
	bool told;      /* the database: stopping */
	int open;       /* parts still closing */
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

/* The lease is gone: all that was taken is another's now. */
static void
lose_lease(struct drain *d, const char *why)
{
	log_warn("worker.lost", "id=%" PRId64 " why=\"%s\" runs=%zu", d->id,
	    why, d->runs.n);
	d->sender.lease_until_us = 0;
	provider_drop(d->provider);
	runs_stop(&d->runs, true);
	set_stage(d, STAGE_DOWN);
	d->start_at_ms = (int64_t)uv_now(d->loop) + START_AGAIN_MS;
}

static void
drain_on_taken(struct db_result *res, void *arg)
{
	struct drain *d = arg;
	int64_t got_us = boot_us();

	d->taking = false;
	if (db_is(res, "SL410") && d->stage == STAGE_LIVE)
		lose_lease(d, "take refused");
	if (db_unknown(res)) {
		d->unsure = true;
		d->era++;
	}
	if (db_rc(res) != SLC_OK)
		return;
	runs_add(&d->runs, res, d->take_sent_us, got_us);
	if (db_rows(res, 0) > 0)
		d->take_at_ms = 0;
}

static void
take(struct drain *d, int64_t now_ms)
{
	struct buf want = { 0 };

	d->take_at_ms = now_ms + TAKE_IDLE_MS;
	if (runs_want(&d->runs, &want)) {
		d->taking = true;
		d->take_sent_us = boot_us();
		db_run(d->takes, drain_on_taken, d, STMT_TAKE_RUNS, d->id,
		    buf_cstr(&want), (int64_t)TAKE_AHEAD_US, d->era);
	}
	buf_fini(&want);
}

static void
drain_on_kept(struct db_result *res, void *arg)
{
	struct drain *d = arg;

	d->keeping = false;
	if (db_is(res, "SL410") &&
	    (d->stage == STAGE_LIVE || d->stage == STAGE_STOPPING))
		lose_lease(d, "runs lost");
	if (db_rc(res) != SLC_OK)
		return;
	d->unsure = false;
	log_warn("worker.take_lost", "id=%" PRId64 " lines=%" PRId64, d->id,
	    db_int(res, 0, 0, 0));
}

/* Nobody would send what we do not know of: say what we do know. */
static void
keep(struct drain *d, int64_t now_ms)
{
	struct buf ids = { 0 };

	d->keeping = true;
	d->take_at_ms = now_ms + TAKE_IDLE_MS;
	runs_ids(&d->runs, &ids);
	db_run(d->takes, drain_on_kept, d, STMT_RUNS_KEEP, d->id, d->era,
	    buf_cstr(&ids));
	buf_fini(&ids);
}

/* Beats ---------------------------------------------------------------- */

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
	runs_keep_seats(&d->runs);
	live_configured(d->live);
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
	if (json_is_true(json_object_get(root, "hooks")) &&
	    d->stage == STAGE_LIVE)
		hooks_due(d->hooks);
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
	d->era = 0;
	d->unsure = false;
	d->sender.stopping = false;
	flush_worker(d->flush, (struct flush_as){ .worker = d->id });
	set_stage(d, STAGE_LIVE);
	log_info("worker.started", "id=%" PRId64 " name=%s", d->id, d->name);
	configure(d);
	live_worker(d->live, d->id);
	provider_worker(d->provider, d->id);
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
			db_check(d->takes, STMT_WORKER_START, STMT_PROVIDER_STEP,
			    drain_on_checked, d);
		d->checking = true;
		return;
	}
	/* What the worker before had open must have come in: it is not ours. */
	flush_drop(d->flush);
	if (!flush_idle(d->flush) || d->runs.n > 0 ||
	    !provider_idle(d->provider))
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
	runs_fini(&d->runs);
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
	d->open = 8;
	provider_free(d->provider, drain_on_part_closed, d);
	live_free(d->live, drain_on_part_closed, d);
	hooks_free(d->hooks, drain_on_part_closed, d);
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

/* Nothing of ours is with the database. */
static bool
is_quiet(const struct drain *d)
{
	return d->runs.n == 0 && flush_idle(d->flush) && !d->taking &&
	    !d->keeping && !d->beating && !d->configuring && !d->checking &&
	    live_idle(d->live) && provider_idle(d->provider) &&
	    hooks_idle(d->hooks);
}

static void
stop_step(struct drain *d, int64_t now_ms)
{
	if (!d->gave_up && now_ms >= d->give_up_ms) {
		log_warn("worker.gives_up", "calls=%d live=%d",
		    (int)d->sender.in_flight, (int)live_calls(d->live));
		live_stop(d->live, true);
		hooks_stop(d->hooks, true);
		provider_stop(d->provider, true);
		d->abandoned = d->sender.in_flight > 0;
		runs_stop(&d->runs, true);
		d->gave_up = true;
	}
	/* The database is away: what it cannot be told it finds out itself. */
	if (now_ms >= d->give_up_ms + GIVE_UP_MS) {
		d->abandoned |= d->unsure || !flush_idle(d->flush);
		flush_drop(d->flush);
		live_stop(d->live, true);
		d->unsure = false;
	}
	if (d->unsure && !d->keeping && now_ms >= d->take_at_ms)
		keep(d, now_ms);
	else if (!d->unsure && is_quiet(d)) {
		set_stage(d, STAGE_LEAVING);
		db_run(d->takes, drain_on_left, d, STMT_WORKER_STOP, d->id,
		    d->abandoned);
	}
}

static void
drain_on_timer(uv_timer_t *timer)
{
	struct drain *d = timer->data;
	int64_t now_ms = (int64_t)uv_now(d->loop);

	runs_learn(&d->runs, now_ms);
	if (now_ms >= d->refresh_at_ms) {
		paths_refresh(&d->paths);
		d->refresh_at_ms = now_ms + REFRESH_MS;
	}
	live_tick(d->live, now_ms);
	provider_tick(d->provider, now_ms);
	switch (d->stage) {
	case STAGE_DOWN:
		if (d->on_stopped != NULL) {
			live_stop(d->live, now_ms >= d->give_up_ms);
			hooks_stop(d->hooks, now_ms >= d->give_up_ms);
		}
		if (d->on_stopped != NULL && is_quiet(d))
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
			runs_stop(&d->runs, false);
			live_stop(d->live, false);
			hooks_stop(d->hooks, false);
			provider_stop(d->provider, false);
		} else if (d->unsure) {
			if (!d->keeping && now_ms >= d->take_at_ms)
				keep(d, now_ms);
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

static void
drain_on_want_paths(void *arg)
{
	configure(arg);
}

struct drain *
drain_start(uv_loop_t *loop, const struct drain_opts *opts, struct slc_err *err)
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
	d->flush = flush_new(loop, d->settles, runs_on_settled, &d->runs);
	sender_init(&d->sender, loop, &d->paths, d->flush, opts->max_in_flight);
	runs_init(
	    &d->runs, &d->paths, d->chunks, &d->sender, opts->max_in_flight);
	d->hooks = hooks_new(loop, d->settles, &opts->hooks);
	d->provider =
	    provider_new(loop, &d->paths, d->chunks, d->settles);
	uv_timer_init(loop, &d->timer);
	d->timer.data = d;
	uv_timer_start(&d->timer, drain_on_timer, 0, TICK_MS);
	if (opts->live.listen == NULL)
		return d;
	d->opts.live.want_paths = drain_on_want_paths;
	d->opts.live.arg = d;
	d->live = live_new(loop, &d->paths, d->settles, &d->opts.live, err);
	return d->live == NULL ? NULL : d;
}

void
drain_stop(struct drain *d, void (*on_stopped)(void *arg), void *arg)
{
	d->on_stopped = on_stopped;
	d->stopped_arg = arg;
	d->give_up_ms = (int64_t)uv_now(d->loop) + d->opts.drain_ms;
}
