#include "dispatcher.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/log.h>

#include "dispatch.h"
#include "dispatch_json.h"
#include "dispatch_rows.h"

enum {
	TICK_MS = 100,
	LEASE_MS = 3000,
	LEASE_TRY_MS = 500,
	LANES_EVERY_MS = 1000,
	LANES_EACH = 256, /* of one account and model */
	LANES_READ = 8,   /* whose lines are read in one look */
	CHUNKS_READ = 16, /* of one lane in one look */
	RETRIES_READ = 512,
	RETRY_AHEAD_MS = 700,
	REAP_EVERY_MS = 1000,
	PUBLISH_EVERY_MS = 250,
	PUBLISH_CHUNKS = 500,
	END_STEPS = 20,
	ESTIMATES_EVERY_MS = 10000,
	EXPLAIN_EVERY_MS = 1000,
	SWEEP_EVERY_MS = 30000,
	LIVE_AGAIN_US = 5000000,
};

/* Where the loop is; every answer of the database moves it on. */
enum stage {
	STAGE_FOLLOW, /* another may hold the lease */
	STAGE_ASK,    /* for the lease */
	STAGE_LOAD,   /* leads, knows nothing yet */
	STAGE_LOADING,
	STAGE_IDLE, /* between two ticks */
	STAGE_LOOK,
	STAGE_COMMIT,
	STAGE_CHORE, /* reap or batches_end */
	STAGES
};

struct dispatcher {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct db *db;
	char *name;
	enum stage stage;
	int64_t epoch;
	struct dispatch d;
	struct world world;
	int64_t ask_at_ms, lanes_at_ms, reap_at_ms, publish_at_ms, sweep_at_ms,
	    estimates_at_ms, explain_at_ms;
	struct dispatcher_opts opts;
	int64_t live_us;  /* live cells are known up to then; 0: none are */
	int64_t asked_us; /* monotonic: the look under way */
	bool configure;   /* the revision has moved */
	bool lost;        /* what was committed last, in a failover */
	bool publishing, sweeping;
	/* of the look under way: which statement answers what */
	int at_config, at_lanes, at_lines, at_retries;
	int64_t lines_of[LANES_READ], retries_of[LANES_READ];
	size_t nlines, nretries;
	size_t lines_from;   /* lane with which the next look begins */
	int64_t due_through; /* lane with which the last one ended */
	bool stopping;
	void (*on_stopped)(void *arg);
	void *stopped_arg;
};

static void dispatcher_on_timer(uv_timer_t *timer);

static void
set_stage(struct dispatcher *dr, enum stage next)
{
	static const unsigned legal[STAGES] = {
		[STAGE_FOLLOW] = 1u << STAGE_ASK,
		[STAGE_ASK] = 1u << STAGE_FOLLOW | 1u << STAGE_LOAD,
		[STAGE_LOAD] = 1u << STAGE_LOADING,
		[STAGE_LOADING] = 1u << STAGE_IDLE | 1u << STAGE_FOLLOW,
		[STAGE_IDLE] = 1u << STAGE_LOOK | 1u << STAGE_CHORE,
		[STAGE_LOOK] =
		    1u << STAGE_COMMIT | 1u << STAGE_IDLE | 1u << STAGE_FOLLOW,
		[STAGE_COMMIT] = 1u << STAGE_IDLE | 1u << STAGE_FOLLOW,
		[STAGE_CHORE] = 1u << STAGE_IDLE | 1u << STAGE_FOLLOW,
	};

	assert(legal[dr->stage] & 1u << next);
	dr->stage = next;
}

bool
dispatcher_leads(const struct dispatcher *dr)
{
	return dr->stage >= STAGE_LOAD;
}

/*
 * Whatever went wrong, what is in memory may differ from what is committed: it
 * is thrown away and read again, under the lease if it is still ours.
 */
static void
start_over(struct dispatcher *dr, const struct db_result *res)
{
	bool deposed = db_is(res, "SL410");
	struct clock clock = dr->d.clock;

	log_warn("dispatch.restart", "epoch=%lld deposed=%d why=\"%s\"",
	    (long long)dr->epoch, deposed, db_message(res));
	dispatch_fini(&dr->d);
	dispatch_init(&dr->d);
	dr->d.margin = dr->opts.margin;
	/* What the database's clock does meanwhile must not go unseen. */
	dr->d.clock = clock;
	dr->d.clock.changed = clock.offset_us != 0;
	world_fini(&dr->world);
	set_stage(dr, STAGE_FOLLOW);
	dr->ask_at_ms =
	    (int64_t)uv_now(dr->loop) + (deposed ? LEASE_TRY_MS : TICK_MS);
}

/* Loading -------------------------------------------------------------- */

static void
configure(struct dispatcher *dr, const struct db_result *res, int s)
{
	rows_config(&dr->d, res, s);
	if (!dr->d.failed_over)
		return;
	log_warn("dispatch.failover", "timeline=%d charged_ms=%lld",
	    dr->d.timeline, (long long)dr->opts.failover_lag_ms);
	dr->lost = true;
	dr->d.failed_over = false;
}

static void
dispatcher_on_loaded(struct db_result *res, void *arg)
{
	struct dispatcher *dr = arg;

	if (db_rc(res) != SLC_OK) {
		start_over(dr, res);
		return;
	}
	configure(dr, res, 0);
	dr->live_us = 0;
	set_stage(dr, STAGE_IDLE);
	dr->lanes_at_ms = 0;
}

static void
dispatcher_on_lease(struct db_result *res, void *arg)
{
	struct dispatcher *dr = arg;
	struct db_call *call;

	if (db_rc(res) != SLC_OK || db_rows(res, 0) == 0 ||
	    db_null(res, 0, 0, 0)) {
		set_stage(dr, STAGE_FOLLOW);
		dr->ask_at_ms = (int64_t)uv_now(dr->loop) + LEASE_TRY_MS;
		return;
	}
	if (dr->epoch != db_int(res, 0, 0, 0))
		log_info("dispatch.leads", "epoch=%lld",
		    (long long)db_int(res, 0, 0, 0));
	dr->epoch = db_int(res, 0, 0, 0);
	set_stage(dr, STAGE_LOAD);
	call = db_call(dr->db, dispatcher_on_loaded, dr);
	db_add(call, STMT_DISPATCH_CONFIG);
	db_add(call, STMT_DISPATCH_CELLS);
	set_stage(dr, STAGE_LOADING);
	db_send(call);
}

/* Looking -------------------------------------------------------------- */

static void
dispatcher_on_committed(struct db_result *res, void *arg)
{
	struct dispatcher *dr = arg;

	if (db_rc(res) != SLC_OK)
		start_over(dr, res);
	else
		set_stage(dr, STAGE_IDLE);
}

static void
dispatcher_on_looked(struct db_result *res, void *arg)
{
	struct dispatcher *dr = arg;
	struct dispatch_plan plan = { 0 };
	struct slc_err err = { 0 };
	struct buf doc = { 0 };
	int64_t now_ms = (int64_t)uv_now(dr->loop);
	bool estimates = now_ms >= dr->estimates_at_ms;
	bool busy = dr->d.nlanes > 0 || dr->d.seats[0]->out > 0;
	bool explain;

	if (db_rc(res) != SLC_OK) {
		start_over(dr, res);
		return;
	}
	world_fini(&dr->world);
	dr->world.asked_us = dr->asked_us;
	dr->world.heard_us = (int64_t)(uv_hrtime() / 1000);
	if (dr->at_config > 0)
		configure(dr, res, dr->at_config);
	if (dispatch_read_world(
		&dr->d, db_slice(res, 0, 0, 0), &dr->world, &err) != SLC_OK) {
		log_error("dispatch.look", "why=\"%s\"", err.text);
		abort();
	}
	/* What was being committed then may show only now.  Limits that are
	 * new here know nothing. */
	dr->live_us = dr->at_config > 0
	    ? 0
	    : dispatch_database_time(&dr->d, dr->world.now_us) - LIVE_AGAIN_US;
	if (dr->world.jumped_us != 0)
		log_warn("dispatch.clock", "jumped_ms=%lld",
		    (long long)dr->world.jumped_us / 1000);
	dr->configure = dr->world.revision != dr->d.revision;
	if (dr->at_lanes > 0)
		rows_lanes(&dr->d, res, dr->at_lanes);
	for (size_t i = 0; i < dr->nlines; i++)
		rows_lines(&dr->d, res, dr->at_lines + (int)i, dr->lines_of[i]);
	for (size_t i = 0; i < dr->nretries; i++)
		rows_retries(
		    &dr->d, res, dr->at_retries + (int)i, dr->retries_of[i]);
	if (dr->world.admitted)
		dr->lanes_at_ms = 0;
	if (dr->lost)
		dispatch_lost(&dr->d, dr->world.now_us,
		    dr->opts.failover_lag_ms * 1000 + DISPATCH_HORIZON_US);
	dr->lost = false;
	dispatch_plan(&dr->d, dr->world.now_us, &plan);
	busy |= dr->d.nlanes > 0 || dr->d.seats[0]->out > 0;
	explain = now_ms >= dr->explain_at_ms && busy;
	dispatch_write_plan(
	    &dr->d, &plan, &dr->world, estimates, explain, &doc);
	dispatch_plan_fini(&plan);
	if (explain)
		dr->explain_at_ms = now_ms + EXPLAIN_EVERY_MS;
	if (estimates)
		dr->estimates_at_ms = now_ms + ESTIMATES_EVERY_MS;
	if (dispatch_plan_empty(&doc)) {
		set_stage(dr, STAGE_IDLE);
	} else {
		set_stage(dr, STAGE_COMMIT);
		db_run(dr->db, dispatcher_on_committed, dr,
		    STMT_DISPATCH_COMMIT, dr->epoch, buf_cstr(&doc));
	}
	buf_fini(&doc);
}

static void
look_for_lanes(struct dispatcher *dr, struct db_call *call)
{
	struct buf due = { 0 };

	buf_addc(&due, '{');
	for (size_t i = 0; i < dr->world.ndue; i++)
		buf_addf(&due, "%s%lld", i == 0 ? "" : ",",
		    (long long)dr->world.due[i]);
	buf_addc(&due, '}');
	db_add(call, STMT_DISPATCH_LANES, (int64_t)LANES_EACH, buf_cstr(&due));
	buf_fini(&due);
}

static void
look_for_lines_of(
    struct dispatcher *dr, struct db_call *call, const struct dispatch_lane *l)
{
	if (!dispatch_lane_wants(l))
		return;
	for (size_t i = 0; i < dr->nlines; i++)
		if (dr->lines_of[i] == l->id)
			return;
	db_add(call, STMT_LANE_LINES, l->id, (int64_t)l->read_line,
	    (int64_t)CHUNKS_READ);
	dr->lines_of[dr->nlines++] = l->id;
}

/* Half the room is for those that go first, the rest for all in turn. */
static void
look_for_lines(struct dispatcher *dr, struct db_call *call)
{
	size_t n = dr->d.nlanes, from = dr->lines_from;

	for (size_t i = 0; i < n && dr->nlines < LANES_READ / 2; i++)
		look_for_lines_of(dr, call, dr->d.lanes[i]);
	for (size_t i = 0; i < n && dr->nlines < LANES_READ; i++) {
		dr->lines_from = (from + i + 1) % n;
		look_for_lines_of(dr, call, dr->d.lanes[(from + i) % n]);
	}
}

/* In turn; not of a lane that has not used up what was read before. */
static void
look_for_retries(struct dispatcher *dr, struct db_call *call)
{
	size_t n = dr->world.ndue, from = 0;

	while (from < n && dr->world.due[from] <= dr->due_through)
		from++;
	for (size_t i = 0; i < n && dr->nretries < LANES_READ; i++) {
		int64_t id = dr->world.due[(from + i) % n];
		const struct dispatch_lane *lane = dispatch_lane(&dr->d, id);

		if (lane == NULL ||
		    lane->again.n - lane->again.first > lane->naside)
			continue;
		db_add(call, STMT_LANE_RETRIES, id, (int64_t)RETRY_AHEAD_MS,
		    (int64_t)RETRIES_READ);
		dr->retries_of[dr->nretries++] = dr->due_through = id;
	}
}

static void
look(struct dispatcher *dr, int64_t now_ms)
{
	struct db_call *call = db_call(dr->db, dispatcher_on_looked, dr);
	int next = 0;

	dr->at_config = dr->at_lanes = 0;
	dr->nlines = dr->nretries = 0;
	db_add(call, STMT_DISPATCH_POLL, dr->epoch, (int64_t)LEASE_MS,
	    (int64_t)RETRY_AHEAD_MS, dr->live_us);
	next++;
	if (dr->configure) {
		db_add(call, STMT_DISPATCH_CONFIG);
		db_add(call, STMT_DISPATCH_CELLS);
		dr->at_config = next;
		next += 2;
	}
	for (size_t i = 0; i < dr->world.ndue; i++)
		if (dispatch_lane(&dr->d, dr->world.due[i]) == NULL)
			dr->lanes_at_ms = 0;
	if (now_ms >= dr->lanes_at_ms) {
		look_for_lanes(dr, call);
		dr->at_lanes = next++;
		dr->lanes_at_ms = now_ms + LANES_EVERY_MS;
	}
	dr->at_lines = next;
	look_for_lines(dr, call);
	next += (int)dr->nlines;
	dr->at_retries = next;
	look_for_retries(dr, call);
	set_stage(dr, STAGE_LOOK);
	dr->asked_us = (int64_t)(uv_hrtime() / 1000);
	db_send(call);
}

/* Chores --------------------------------------------------------------- */

static void
dispatcher_on_reaped(struct db_result *res, void *arg)
{
	struct dispatcher *dr = arg;

	if (db_rc(res) != SLC_OK) {
		start_over(dr, res);
		return;
	}
	if (db_int(res, 0, 0, 0) > 0 || db_int(res, 0, 0, 1) > 0 ||
	    db_int(res, 0, 0, 2) > 0)
		log_warn("dispatch.reaped", "workers=%d lines=%d stale=%d",
		    (int)db_int(res, 0, 0, 0), (int)db_int(res, 0, 0, 1),
		    (int)db_int(res, 0, 0, 2));
	set_stage(dr, STAGE_IDLE);
}

static void
dispatcher_on_ended(struct db_result *res, void *arg)
{
	struct dispatcher *dr = arg;

	if (db_rc(res) != SLC_OK) {
		start_over(dr, res);
		return;
	}
	/* Lanes of ended batches must leave the working set before a plan. */
	dr->lanes_at_ms = 0;
	dr->world.ending = false;
	set_stage(dr, STAGE_IDLE);
}

static void
dispatcher_on_published(struct db_result *res, void *arg)
{
	struct dispatcher *dr = arg;

	dr->publishing = false;
	if (db_rc(res) == SLC_OK && db_int(res, 0, 0, 1) > 0)
		log_info(
		    "batch.finished", "batches=%d", (int)db_int(res, 0, 0, 1));
	if (db_rc(res) == SLC_OK && db_int(res, 0, 0, 0) == PUBLISH_CHUNKS)
		dr->publish_at_ms = 0; /* more wait */
}

static void
dispatcher_on_swept(struct db_result *res, void *arg)
{
	struct dispatcher *dr = arg;

	dr->sweeping = false;
	if (db_rc(res) == SLC_OK &&
	    (db_int(res, 0, 0, 0) > 0 || db_int(res, 0, 0, 1) > 0))
		log_info("sweep.done", "files=%d partitions=%d",
		    (int)db_int(res, 0, 0, 0), (int)db_int(res, 0, 0, 1));
}

/* Beside the ticks, on another connection: they touch nothing a plan does. */
static void
start_side_chores(struct dispatcher *dr, int64_t now_ms)
{
	if (!dr->publishing && dr->world.unplaced &&
	    now_ms >= dr->publish_at_ms) {
		dr->publishing = true;
		dr->publish_at_ms = now_ms + PUBLISH_EVERY_MS;
		db_run(dr->db, dispatcher_on_published, dr, STMT_PUBLISH,
		    dr->epoch, (int64_t)PUBLISH_CHUNKS);
	}
	if (!dr->sweeping && now_ms >= dr->sweep_at_ms) {
		dr->sweeping = true;
		dr->sweep_at_ms = now_ms + SWEEP_EVERY_MS;
		db_run(dr->db, dispatcher_on_swept, dr, STMT_SWEEP, dr->epoch);
	}
}

static void
tick(struct dispatcher *dr, int64_t now_ms)
{
	start_side_chores(dr, now_ms);
	if (dr->world.ending) {
		set_stage(dr, STAGE_CHORE);
		db_run(dr->db, dispatcher_on_ended, dr, STMT_BATCHES_END,
		    dr->epoch, (int64_t)END_STEPS);
	} else if (now_ms >= dr->reap_at_ms) {
		dr->reap_at_ms = now_ms + REAP_EVERY_MS;
		set_stage(dr, STAGE_CHORE);
		db_run(dr->db, dispatcher_on_reaped, dr, STMT_REAP, dr->epoch);
	} else {
		look(dr, now_ms);
	}
}

/* Life ----------------------------------------------------------------- */

static void
dispatcher_on_timer_closed(uv_handle_t *handle)
{
	struct dispatcher *dr = handle->data;
	void (*on_stopped)(void *arg) = dr->on_stopped;
	void *arg = dr->stopped_arg;

	dispatch_fini(&dr->d);
	world_fini(&dr->world);
	free(dr->name);
	free(dr);
	on_stopped(arg);
}

static void
dispatcher_on_given(struct db_result *res, void *arg)
{
	struct dispatcher *dr = arg;

	(void)res; /* the lease runs out by itself */
	uv_close((uv_handle_t *)&dr->timer, dispatcher_on_timer_closed);
}

static void
dispatcher_on_timer(uv_timer_t *timer)
{
	struct dispatcher *dr = timer->data;
	int64_t now_ms = (int64_t)uv_now(dr->loop);

	if (dr->stopping) {
		if (dr->publishing || dr->sweeping ||
		    (dr->stage != STAGE_FOLLOW && dr->stage != STAGE_IDLE))
			return;
		uv_timer_stop(timer);
		db_run(dr->db, dispatcher_on_given, dr, STMT_LEASE_GIVE,
		    dr->epoch);
	} else if (dr->stage == STAGE_IDLE) {
		tick(dr, now_ms);
	} else if (dr->stage == STAGE_FOLLOW && now_ms >= dr->ask_at_ms) {
		set_stage(dr, STAGE_ASK);
		db_run(dr->db, dispatcher_on_lease, dr, STMT_LEASE_TAKE,
		    dr->name, (int64_t)LEASE_MS);
	}
}

struct dispatcher *
dispatcher_start(uv_loop_t *loop, struct db *db, const char *name,
    const struct dispatcher_opts *opts)
{
	struct dispatcher *dr = xcalloc(1, sizeof(*dr));

	dr->loop = loop;
	dr->db = db;
	dr->name = xstrdup(name);
	dr->opts = *opts;
	dispatch_init(&dr->d);
	dr->d.margin = opts->margin;
	uv_timer_init(loop, &dr->timer);
	dr->timer.data = dr;
	uv_timer_start(&dr->timer, dispatcher_on_timer, 0, TICK_MS);
	return dr;
}

void
dispatcher_stop(struct dispatcher *dr, void (*on_stopped)(void *arg), void *arg)
{
	dr->stopping = true;
	dr->on_stopped = on_stopped;
	dr->stopped_arg = arg;
}
