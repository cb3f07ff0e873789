#include "dispatch_rows.h"

#include <stdlib.h>
#include <string.h>

#include <sluice/log.h>

#include "dispatch_json.h"

/* Into ledgers that hold nothing: their limits are new here. */
static void
read_cells(struct dispatch *d, const struct db_result *res, int s)
{
	struct dispatch_rate *r = NULL;
	int64_t limit = 0; /* ids begin with 1 */

	for (int i = 0; i < db_rows(res, s); i++) {
		if (db_int(res, s, i, 0) != limit) {
			limit = db_int(res, s, i, 0);
			r = dispatch_rate(d, (int32_t)limit);
			if (r != NULL &&
			    r->pace.ledger.first < r->pace.ledger.n)
				r = NULL;
		}
		if (r != NULL)
			ledger_load(&r->pace.ledger, db_int(res, s, i, 1),
			    db_int(res, s, i, 2));
	}
}

void
rows_config(struct dispatch *d, const struct db_result *res, int s)
{
	struct slc_err err = { 0 };

	if (dispatch_read_config(d, db_slice(res, s, 0, 0), &err) != SLC_OK) {
		log_error("dispatch.config", "why=\"%s\"", err.text);
		abort();
	}
	read_cells(d, res, s + 1);
}

void
rows_lanes(struct dispatch *d, const struct db_result *res, int s)
{
	char model[SLC_MODEL_MAX + 1];
	struct buf shapes = { 0 };

	dispatch_lanes_begin(d);
	for (int i = 0; i < db_rows(res, s); i++) {
		struct slice m = db_slice(res, s, i, 5);
		struct dispatch_lane *lane;

		memcpy(model, m.p, m.n);
		model[m.n] = '\0';
		lane = dispatch_lane_put(d, db_int(res, s, i, 0), model,
		    (int)db_int(res, s, i, 6),
		    dispatch_time(d, db_int(res, s, i, 7)),
		    (int32_t)db_int(res, s, i, 8),
		    (int32_t)db_int(res, s, i, 9));
		lane->batch = db_int(res, s, i, 1);
		lane->account = db_int(res, s, i, 2);
		if (!db_null(res, s, i, 11))
			lane->max_tokens = (int32_t)db_int(res, s, i, 11);
		lane->weight = (int)db_int(res, s, i, 12);
		lane->choice = slice_eq(db_slice(res, s, i, 14), "direct")
		    ? ROUTE_DIRECT
		    : slice_eq(db_slice(res, s, i, 14), "cheap") ? ROUTE_CHEAP
								 : ROUTE_AUTO;
		lane->no_escalate = !db_bool(res, s, i, 15);
		if (!db_null(res, s, i, 16))
			dispatch_lane_cap(d, lane, db_int(res, s, i, 16),
			    db_bool(res, s, i, 17));
		buf_clear(&shapes);
		lane->nshape_ids = db_ints(res, s, i, 13, &shapes, 0);
		if (lane->nshape_ids > DISPATCH_SHAPES_MAX)
			lane->nshape_ids = DISPATCH_SHAPES_MAX;
		for (size_t k = 0; k < lane->nshape_ids; k++)
			lane->shape_ids[k] = ((int32_t *)shapes.p)[k];
	}
	dispatch_lanes_end(d);
	buf_fini(&shapes);
}

void
rows_lines(struct dispatch *d, const struct db_result *res, int s, int64_t id)
{
	struct dispatch_lane *lane = dispatch_lane(d, id);
	struct buf index = { 0 }, bytes = { 0 }, cap = { 0 }, combine = { 0 };

	for (int i = 0; lane != NULL && i < db_rows(res, s); i++) {
		size_t n;

		buf_clear(&index);
		buf_clear(&bytes);
		buf_clear(&cap);
		buf_clear(&combine);
		n = db_ints(res, s, i, 2, &index, 0);
		db_ints(res, s, i, 3, &bytes, 0);
		db_ints(res, s, i, 4, &cap, -1);
		db_ints(res, s, i, 6, &combine, 0);
		for (size_t k = 0; k < n; k++) {
			struct dispatch_line line = {
				.chunk = db_int(res, s, i, 0),
				.first_line = (int32_t)db_int(res, s, i, 1),
				.index = (int16_t)((int32_t *)index.p)[k],
				.bytes = ((int32_t *)bytes.p)[k],
				.cap = ((int32_t *)cap.p)[k],
				.combine = ((int32_t *)combine.p)[k],
			};

			dispatch_lane_fresh(lane, &line);
		}
		dispatch_lane_read(lane,
		    (int32_t)(db_int(res, s, i, 1) + db_int(res, s, i, 5)));
	}
	buf_fini(&index);
	buf_fini(&bytes);
	buf_fini(&cap);
	buf_fini(&combine);
}

void
rows_retries(struct dispatch *d, const struct db_result *res, int s, int64_t id)
{
	struct dispatch_lane *lane = dispatch_lane(d, id);

	for (int i = 0; lane != NULL && i < db_rows(res, s); i++) {
		struct dispatch_line line = {
			.chunk = db_int(res, s, i, 0),
			.first_line = (int32_t)db_int(res, s, i, 1),
			.index = (int16_t)db_int(res, s, i, 2),
			.bytes = (int32_t)db_int(res, s, i, 3),
			.cap = (int32_t)db_int(res, s, i, 4),
			.tries = (int16_t)db_int(res, s, i, 5),
			.sends = (int16_t)db_int(res, s, i, 6),
			.refused = (int16_t)db_int(res, s, i, 7),
			.combine = (int32_t)db_int(res, s, i, 8),
			.most = (int16_t)db_int(res, s, i, 9),
		};

		dispatch_lane_again(lane, &line);
	}
}

void
rows_live_open(
    struct dispatch *d, const struct db_result *res, int s, int64_t now_us)
{
	dispatch_live_open_begin(d);
	for (int i = 0; i < db_rows(res, s); i++) {
		int64_t us = db_int(res, s, i, 1);

		dispatch_live_open(d, (int32_t)db_int(res, s, i, 0),
		    us > 0 ? dispatch_time(d, us) : 0, db_int(res, s, i, 2),
		    now_us);
	}
}
