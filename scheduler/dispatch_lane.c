#include <stdlib.h>
#include <string.h>

#include "dispatch_order.h"

static void
queue_put(struct dispatch_queue *q, const struct dispatch_line *line)
{
	if (q->n == q->cap) {
		size_t held = q->n - q->first;

		if (held < q->cap / 2) {
			memmove(q->lines, q->lines + q->first,
			    held * sizeof(*q->lines));
			q->first = 0;
			q->n = held;
		} else {
			q->cap = q->cap == 0 ? 64 : q->cap * 2;
			q->lines =
			    xrealloc(q->lines, q->cap * sizeof(*q->lines));
		}
	}
	q->lines[q->n++] = *line;
}

static void
lane_free(struct dispatch_lane *lane)
{
	free(lane->model);
	free(lane->fresh.lines);
	free(lane->again.lines);
	free(lane->ways);
	free(lane);
}

void
dispatch_lanes_begin(struct dispatch *d)
{
	d->npurses = 0;
	for (size_t i = 0; i < d->nlanes; i++) {
		d->lanes[i]->keep = false;
		d->lanes[i]->purse = 0;
	}
}

/* Where in by_id the lane is, or would be. */
static size_t
lane_at(const struct dispatch *d, int64_t id)
{
	size_t from = 0, to = d->nlanes;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (d->by_id[mid]->id < id)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

struct dispatch_lane *
dispatch_lane(struct dispatch *d, int64_t id)
{
	size_t at = lane_at(d, id);

	return at < d->nlanes && d->by_id[at]->id == id ? d->by_id[at] : NULL;
}

static void
lane_add(struct dispatch *d, struct dispatch_lane *lane)
{
	size_t at = lane_at(d, lane->id);

	d->lanes = xrealloc(d->lanes, (d->nlanes + 1) * sizeof(*d->lanes));
	d->by_id = xrealloc(d->by_id, (d->nlanes + 1) * sizeof(*d->by_id));
	memmove(d->by_id + at + 1, d->by_id + at,
	    (d->nlanes - at) * sizeof(*d->by_id));
	d->by_id[at] = lane;
	d->lanes[d->nlanes++] = lane;
}

struct dispatch_lane *
dispatch_lane_put(struct dispatch *d, int64_t id, const char *model,
    int priority, int64_t deadline_us, int32_t next_line, int32_t lines_left)
{
	struct dispatch_lane *lane = dispatch_lane(d, id);

	if (lane == NULL) {
		lane = xcalloc(1, sizeof(*lane));
		lane->id = id;
		lane->model = xstrdup(model);
		lane->next_line = lane->read_line = next_line;
		lane->lines_left = lines_left;
		lane->of = dispatch_model(d, model);
		lane->weight = 1;
		lane_add(d, lane);
	}
	lane->priority = priority;
	lane->deadline_us = deadline_us;
	lane->keep = true;
	return lane;
}

void
dispatch_lane_cap(
    struct dispatch *d, struct dispatch_lane *lane, int64_t left, bool out)
{
	size_t i = 0;

	while (i < d->npurses && d->purses[i].batch != lane->batch)
		i++;
	if (i == d->npurses) {
		d->purses =
		    xrealloc(d->purses, (d->npurses + 1) * sizeof(*d->purses));
		d->purses[d->npurses++] = (struct dispatch_purse){
			.batch = lane->batch, .left = (double)left, .out = out
		};
	}
	lane->purse = i + 1;
}

void
dispatch_lanes_end(struct dispatch *d)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->nlanes; i++) {
		struct dispatch_lane *lane = d->by_id[i];

		if (lane->keep) {
			d->by_id[kept++] = lane;
			continue;
		}
		dispatch_order_gone(d, lane);
		lane_free(lane);
	}
	d->nlanes = kept;
	if (kept > 0)
		memcpy(d->lanes, d->by_id, kept * sizeof(*d->lanes));
	dispatch_order_stale(d);
	d->route_us = 0;
}

void
dispatch_lane_drop(struct dispatch *d, int64_t id)
{
	struct dispatch_lane *gone = dispatch_lane(d, id);

	for (size_t i = 0; i < d->nlanes; i++)
		d->lanes[i]->keep = d->lanes[i] != gone;
	dispatch_lanes_end(d);
}

void
dispatch_lane_fresh(
    struct dispatch_lane *lane, const struct dispatch_line *line)
{
	int32_t number = line->first_line + line->index - 1;

	/* Read twice, before and after a plan: only what is new counts. */
	if (number < lane->read_line)
		return;
	queue_put(&lane->fresh, line);
	lane->read_line = number + 1;
}

void
dispatch_lane_read(struct dispatch_lane *lane, int32_t end)
{
	if (lane->read_line < end)
		lane->read_line = end;
}

void
dispatch_lane_again(
    struct dispatch_lane *lane, const struct dispatch_line *line)
{
	for (size_t i = lane->again.first; i < lane->again.n; i++)
		if (lane->again.lines[i].first_line == line->first_line &&
		    lane->again.lines[i].index == line->index)
			return;
	queue_put(&lane->again, line);
}

size_t
dispatch_lines_alike(const struct dispatch_line *lines, size_t n)
{
	int16_t most = SLC_CHUNK_LINES_MAX;
	size_t k;

	for (k = 0; k < n; k++) {
		if (lines[k].most > 0 && lines[k].most < most)
			most = lines[k].most;
		if ((int64_t)k >= most)
			break;
		if (k > 0 &&
		    (lines[k].combine == 0 ||
			lines[k].combine != lines[0].combine ||
			lines[k].chunk != lines[0].chunk))
			break;
	}
	return k;
}

bool
dispatch_lane_wants(const struct dispatch_lane *lane)
{
	size_t held = lane->fresh.n - lane->fresh.first;

	return held < DISPATCH_LANE_LINES / 2 &&
	    (int32_t)held < lane->lines_left;
}

bool
dispatch_lane_has(const struct dispatch_lane *lane)
{
	return lane->lines_left > 0 || lane->again.n > lane->again.first;
}
