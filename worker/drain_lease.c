#include "drain_own.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include <sluice/log.h>

enum {
	LEASE_MARGIN_MS = 1000, /* clocks and messages are not exact */
	BEAT_MS = 500,
	TAKE_IDLE_MS = 100, /* between takes while there is nothing */
	TAKE_AHEAD_US = 250000,
};

void
drain_set_stage(struct drain *d, enum stage next)
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
	drain_set_stage(d, STAGE_DOWN);
	d->start_at_ms = (int64_t)uv_now(d->loop) + DRAIN_START_AGAIN_MS;
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

void
drain_take(struct drain *d, int64_t now_ms)
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

void
drain_keep(struct drain *d, int64_t now_ms)
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
	paths_refresh(&d->paths);
	runs_keep_seats(&d->runs);
	live_configured(d->live);
	d->beat_at_ms = 0; /* seats of new limits */
}

void
drain_configure(struct drain *d)
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
	d->sender.lease_until_us = d->beat_sent_us +
	    (DRAIN_LEASE_MS - LEASE_MARGIN_MS) * INT64_C(1000);
	doc = db_slice(res, 0, 0, 0);
	paths_targets(&d->paths, doc);
	root = json_loadb(doc.p, doc.n, 0, NULL);
	if (json_integer_value(json_object_get(root, "revision")) !=
	    d->paths.revision)
		drain_configure(d);
	if (json_is_true(json_object_get(root, "hooks")) &&
	    d->stage == STAGE_LIVE)
		hooks_due(d->hooks);
	json_decref(root);
	sender_pump(&d->sender);
}

void
drain_beat(struct drain *d, int64_t now_ms)
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
	    (int64_t)DRAIN_LEASE_MS, (int64_t)d->sender.in_flight, d->told,
	    buf_cstr(&held));
	buf_fini(&held);
}
