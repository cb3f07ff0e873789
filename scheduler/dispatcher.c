#include "dispatcher.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/log.h>

#include "dispatch_json.h"
#include "dispatch_rows.h"
#include "dispatcher_own.h"

enum {
	TICK_MS = 100,
	LEASE_TRY_MS = 500,
	ESTIMATES_EVERY_MS = 10000,
	EXPLAIN_EVERY_MS = 1000,
	LIVE_AGAIN_US = 5000000,
	HURRY_LOOKS = 2,
	HURRY_EVERY_MS = 300,
	CONFIG_EVERY_MS = 86400000, /* it has the hours of a month */
};

void
dispatcher_stage(struct dispatcher *dr, enum stage next)
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

void
dispatcher_start_over(struct dispatcher *dr, const struct db_result *res)
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
	dispatcher_stage(dr, STAGE_FOLLOW);
	dr->ask_at_ms =
	    (int64_t)uv_now(dr->loop) + (deposed ? LEASE_TRY_MS : TICK_MS);
}

/* Loading -------------------------------------------------------------- */

static void
configure(struct dispatcher *dr, const struct db_result *res, int s)
{
	rows_config(&dr->d, res, s);
	dr->config_at_ms = (int64_t)uv_now(dr->loop) + CONFIG_EVERY_MS;
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
		dispatcher_start_over(dr, res);
		return;
	}
	configure(dr, res, 0);
	/* What comes in first is told of lines that are out already. */
	rows_lanes(&dr->d, res, 2);
	dr->live_us = 0;
	dispatcher_stage(dr, STAGE_IDLE);
	dr->lanes_at_ms = 0;
}

static void
dispatcher_on_lease(struct db_result *res, void *arg)
{
	struct dispatcher *dr = arg;
	struct db_call *call;

	if (db_rc(res) != SLC_OK || db_rows(res, 0) == 0 ||
	    db_null(res, 0, 0, 0)) {
		dispatcher_stage(dr, STAGE_FOLLOW);
		dr->ask_at_ms = (int64_t)uv_now(dr->loop) + LEASE_TRY_MS;
		return;
	}
	if (dr->epoch != db_int(res, 0, 0, 0))
		log_info("dispatch.leads", "epoch=%lld",
		    (long long)db_int(res, 0, 0, 0));
	dr->epoch = db_int(res, 0, 0, 0);
	dispatcher_stage(dr, STAGE_LOAD);
	call = db_call(dr->db, dispatcher_on_loaded, dr);
	db_add(call, STMT_DISPATCH_CONFIG);
	db_add(call, STMT_DISPATCH_CELLS);
	db_add(call, STMT_DISPATCH_LANES, (int64_t)LANES_EACH, "{}");
	dispatcher_stage(dr, STAGE_LOADING);
	db_send(call);
}

/* Looking -------------------------------------------------------------- */

/* On to the next look, without a pause after batches have come in: it takes one
 * to see their lanes and one to read their lines, and some cannot wait. */
static void
go_on(struct dispatcher *dr)
{
	int64_t now_ms = (int64_t)uv_now(dr->loop);

	dispatcher_stage(dr, STAGE_IDLE);
	if (dr->world.admitted && now_ms >= dr->hurry_at_ms) {
		dr->hurry_at_ms = now_ms + HURRY_EVERY_MS;
		dr->hurry = HURRY_LOOKS;
	}
	if (dr->hurry == 0 || dr->stopping)
		return;
	dr->hurry--;
	dispatcher_tick(dr, now_ms);
}

static void
dispatcher_on_committed(struct db_result *res, void *arg)
{
	struct dispatcher *dr = arg;

	if (db_rc(res) != SLC_OK)
		dispatcher_start_over(dr, res);
	else
		go_on(dr);
}

static void
look_at_lanes(struct dispatcher *dr, const struct db_result *res)
{
	int live = dr->at_lanes + 1; /* STMT_SHAPES_LIVE */

	rows_lanes(&dr->d, res, dr->at_lanes);
	for (int i = 0; i < db_rows(res, live); i++)
		dispatch_live_cell(&dr->d, (int32_t)db_int(res, live, i, 0),
		    db_int(res, live, i, 1), db_int(res, live, i, 2));
}

void
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
		dispatcher_start_over(dr, res);
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
	dr->configure =
	    dr->world.revision != dr->d.revision || now_ms >= dr->config_at_ms;
	if (dr->at_live > 0)
		rows_live_open(&dr->d, res, dr->at_live, dr->world.now_us);
	if (dr->at_lanes > 0)
		look_at_lanes(dr, res);
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
	busy |= dr->d.nlanes > 0 || dr->d.seats[0]->out > 0 ||
	    dispatch_live_lately(&dr->d, dr->world.now_us);
	explain = dr->at_live > 0 && busy;
	dispatch_write_plan(
	    &dr->d, &plan, &dr->world, estimates, explain, &doc);
	dispatch_plan_fini(&plan);
	if (dr->at_live > 0)
		dr->explain_at_ms = now_ms + EXPLAIN_EVERY_MS;
	if (estimates)
		dr->estimates_at_ms = now_ms + ESTIMATES_EVERY_MS;
	if (dispatch_plan_empty(&doc)) {
		go_on(dr);
	} else {
		dispatcher_stage(dr, STAGE_COMMIT);
		db_run(dr->db, dispatcher_on_committed, dr,
		    STMT_DISPATCH_COMMIT, dr->epoch, buf_cstr(&doc));
	}
	buf_fini(&doc);
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
		dispatcher_tick(dr, now_ms);
	} else if (dr->stage == STAGE_FOLLOW && now_ms >= dr->ask_at_ms) {
		dispatcher_stage(dr, STAGE_ASK);
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
