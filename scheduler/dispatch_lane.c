#include "dispatch.h"

#include <stdlib.h>
#include <string.h>

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
	for (size_t i = 0; i < d->nlanes; i++)
		d->lanes[i]->keep = false;
}

struct dispatch_lane *
dispatch_lane(struct dispatch *d, int64_t id)
{
	for (size_t i = 0; i < d->nlanes; i++)
		if (d->lanes[i]->id == id)
			return d->lanes[i];
	return NULL;
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
		d->lanes =
		    xrealloc(d->lanes, (d->nlanes + 1) * sizeof(*d->lanes));
		d->lanes[d->nlanes++] = lane;
	}
	lane->priority = priority;
	lane->deadline_us = deadline_us;
	lane->keep = true;
	return lane;
}

static int
lane_compare(const void *a, const void *b)
{
	const struct dispatch_lane *x = *(struct dispatch_lane *const *)a;
	const struct dispatch_lane *y = *(struct dispatch_lane *const *)b;

	if (x->priority != y->priority)
		return y->priority - x->priority;
	return x->id < y->id ? -1 : x->id > y->id;
}

void
dispatch_lanes_end(struct dispatch *d)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->nlanes; i++) {
		if (d->lanes[i]->keep)
			d->lanes[kept++] = d->lanes[i];
		else
			lane_free(d->lanes[i]);
	}
	d->nlanes = kept;
	d->route_us = 0;
	if (kept > 1)
		qsort(d->lanes, kept, sizeof(*d->lanes), lane_compare);
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

bool
dispatch_lane_wants(const struct dispatch_lane *lane)
{
	size_t held = lane->fresh.n - lane->fresh.first;

	return held < DISPATCH_LANE_LINES / 2 &&
	    (int32_t)held < lane->lines_left;
}
