#include "dispatcher_own.h"

enum {
	LANES_EVERY_MS = 1000,
	CHUNKS_READ = 16, /* of one lane in one look */
	RETRIES_READ = 512,
	RETRY_AHEAD_MS = 700,
};

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

/* Half the room is for those whose turn has come, the rest for all in turn. */
static void
look_for_lines(struct dispatcher *dr, struct db_call *call)
{
	size_t n = dr->d.nlanes, from = dr->lines_from;

	for (int class = FAIR_CLASSES - 1; class > 0; class --)
		for (size_t i = 0; i < n && dr->nlines < LANES_READ / 2; i++)
			if (dr->d.lanes[i]->starved &&
			    dr->d.lanes[i]->priority == class)
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

void
dispatcher_look(struct dispatcher *dr, int64_t now_ms)
{
	struct db_call *call = db_call(dr->db, dispatcher_on_looked, dr);
	int next = 0;

	dr->at_config = dr->at_live = dr->at_lanes = 0;
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
	if (now_ms >= dr->explain_at_ms) {
		db_add(call, STMT_LIVE_OPEN);
		dr->at_live = next++;
	}
	for (size_t i = 0; i < dr->world.ndue; i++)
		if (dispatch_lane(&dr->d, dr->world.due[i]) == NULL)
			dr->lanes_at_ms = 0;
	if (now_ms >= dr->lanes_at_ms) {
		look_for_lanes(dr, call);
		dr->at_lanes = next++;
		db_add(call, STMT_SHAPES_LIVE);
		next++;
		dr->lanes_at_ms = now_ms + LANES_EVERY_MS;
	}
	dr->at_lines = next;
	look_for_lines(dr, call);
	next += (int)dr->nlines;
	dr->at_retries = next;
	look_for_retries(dr, call);
	dispatcher_stage(dr, STAGE_LOOK);
	dr->asked_us = (int64_t)(uv_hrtime() / 1000);
	db_send(call);
}
