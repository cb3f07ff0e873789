#include <sluice/log.h>

#include "dispatcher_own.h"

enum {
	REAP_EVERY_MS = 1000,
	PUBLISH_EVERY_MS = 250,
	PUBLISH_CHUNKS = 500,
	END_STEPS = 20,
	SWEEP_EVERY_MS = 30000,
};

static void
dispatcher_on_reaped(struct db_result *res, void *arg)
{
	struct dispatcher *dr = arg;

	if (db_rc(res) != SLC_OK) {
		dispatcher_start_over(dr, res);
		return;
	}
	if (db_int(res, 0, 0, 0) > 0 || db_int(res, 0, 0, 1) > 0 ||
	    db_int(res, 0, 0, 2) > 0)
		log_warn("dispatch.reaped", "workers=%d lines=%d stale=%d",
		    (int)db_int(res, 0, 0, 0), (int)db_int(res, 0, 0, 1),
		    (int)db_int(res, 0, 0, 2));
	dispatcher_stage(dr, STAGE_IDLE);
}

static void
dispatcher_on_ended(struct db_result *res, void *arg)
{
	struct dispatcher *dr = arg;

	if (db_rc(res) != SLC_OK) {
		dispatcher_start_over(dr, res);
		return;
	}
	/* Lanes of ended batches must leave the working set before a plan. */
	dr->lanes_at_ms = 0;
	dr->world.ending = false;
	dispatcher_stage(dr, STAGE_IDLE);
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

void
dispatcher_tick(struct dispatcher *dr, int64_t now_ms)
{
	start_side_chores(dr, now_ms);
	if (dr->world.ending) {
		dispatcher_stage(dr, STAGE_CHORE);
		db_run(dr->db, dispatcher_on_ended, dr, STMT_BATCHES_END,
		    dr->epoch, (int64_t)END_STEPS);
	} else if (now_ms >= dr->reap_at_ms) {
		dr->reap_at_ms = now_ms + REAP_EVERY_MS;
		dispatcher_stage(dr, STAGE_CHORE);
		db_run(dr->db, dispatcher_on_reaped, dr, STMT_REAP, dr->epoch);
	} else {
		dispatcher_look(dr, now_ms);
	}
}
