#include "drain_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <sluice/log.h>

enum {
	TICK_MS = 25,
	REFRESH_MS = 5000,            /* secrets */
	WAITING_BYTES_MAX = 64 << 20, /* of results: then take no more */
	WAITING_LINES_MAX = 20000,
	GIVE_UP_MS = 5000, /* after that, stopping waits for nothing */
	CONNECTIONS = 2,   /* for settling and chunks */
};

static void
drain_on_started(struct db_result *res, void *arg)
{
	struct drain *d = arg;

	if (db_rc(res) != SLC_OK) {
		drain_set_stage(d, STAGE_DOWN);
		d->start_at_ms =
		    (int64_t)uv_now(d->loop) + DRAIN_START_AGAIN_MS;
		return;
	}
	d->id = db_int(res, 0, 0, 0);
	d->era = 0;
	d->unsure = false;
	d->sender.stopping = false;
	flush_worker(d->flush, (struct flush_as){ .worker = d->id });
	drain_set_stage(d, STAGE_LIVE);
	log_info("worker.started", "id=%" PRId64 " name=%s", d->id, d->name);
	drain_configure(d);
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
	    (int64_t)uv_now(d->loop) + (d->checked ? 0 : DRAIN_START_AGAIN_MS);
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
			db_check(d->takes, STMT_WORKER_START,
			    STMT_PROVIDER_STEP, drain_on_checked, d);
		d->checking = true;
		return;
	}
	/* What the worker before had open must have come in: it is not ours. */
	flush_drop(d->flush);
	if (!flush_idle(d->flush) || d->runs.n > 0 ||
	    !provider_idle(d->provider))
		return;
	drain_set_stage(d, STAGE_STARTING);
	db_run(d->takes, drain_on_started, d, STMT_WORKER_START, d->name,
	    (int64_t)d->opts.max_in_flight, (int64_t)DRAIN_LEASE_MS);
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
	drain_set_stage(d, STAGE_CLOSING);
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
		drain_keep(d, now_ms);
	else if (!d->unsure && is_quiet(d)) {
		drain_set_stage(d, STAGE_LEAVING);
		db_run(d->takes, drain_on_left, d, STMT_WORKER_STOP, d->id,
		    d->abandoned);
	}
}

static void
drain_on_timer(uv_timer_t *timer)
{
	struct drain *d = timer->data;
	int64_t now_ms = (int64_t)uv_now(d->loop);

	/* What was asked of a database that is away may never be answered: it
	 * finds out by itself, as after any crash. */
	if (d->on_stopped != NULL && d->stage != STAGE_CLOSING &&
	    now_ms >= d->give_up_ms + 2 * GIVE_UP_MS) {
		log_warn("worker.left", "why=\"the database is away\"");
		exit(EXIT_FAILURE);
	}
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
			drain_beat(d, now_ms);
		if (d->on_stopped != NULL) {
			drain_set_stage(d, STAGE_STOPPING);
			d->beat_at_ms = 0;
			runs_stop(&d->runs, false);
			live_stop(d->live, false);
			hooks_stop(d->hooks, false);
			provider_stop(d->provider, false);
		} else if (d->unsure) {
			if (!d->keeping && now_ms >= d->take_at_ms)
				drain_keep(d, now_ms);
		} else if (!d->taking && now_ms >= d->take_at_ms &&
		    d->paths.revision > 0 &&
		    *flush_bytes(d->flush) < WAITING_BYTES_MAX &&
		    flush_lines(d->flush) < WAITING_LINES_MAX) {
			drain_take(d, now_ms);
		}
		sender_tick(&d->sender);
		break;
	case STAGE_STOPPING:
		sender_tick(&d->sender);
		if (!d->beating && now_ms >= d->beat_at_ms)
			drain_beat(d, now_ms);
		stop_step(d, now_ms);
		break;
	default:
		break;
	}
}

static void
drain_on_want_paths(void *arg)
{
	drain_configure(arg);
}

struct drain *
drain_start(uv_loop_t *loop, const struct drain_opts *opts, struct slc_err *err)
{
	struct drain *d = xcalloc(1, sizeof(*d));
	struct db_opts db = { .dsn = opts->dsn,
		.program = "sluice-worker",
		.role = "sluice_worker",
		.connections = 1,
		.quiet_until_ms = &d->db_quiet_until_ms };

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
	d->provider = provider_new(loop, &d->paths, d->chunks, d->settles);
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
