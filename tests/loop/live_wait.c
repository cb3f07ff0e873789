/*
 * Calls that wait for room: who asks when, beside a door of the test's own.
 */
#include <stdlib.h>
#include <string.h>

#include "../../scheduler/live_wait.c"
#include "../unit/unit.h"

enum { CALLS = 8 };

static struct {
	uv_loop_t loop;
	struct live live;
	struct live_call calls[CALLS];
	int64_t room_ms; /* until the door lets one in again */
	int64_t every_ms;
	int order[CALLS], n, refused, asks;
} t;

void
live_set(struct live_call *lc, enum live_stage next)
{
	lc->stage = next;
}

/* The door: one call in each so many milliseconds. */
void
live_ask(struct live_call *lc)
{
	int64_t now_ms = (int64_t)uv_now(&t.loop);

	t.asks++;
	live_set(lc, LIVE_ASKING);
	if (now_ms < t.room_ms) {
		if (live_wait(lc, (t.room_ms - now_ms) * 1000))
			return;
		t.refused++;
	} else {
		t.room_ms = now_ms + t.every_ms;
		t.order[t.n++] = (int)(lc - t.calls);
	}
	live_wait_leave(lc);
	live_set(lc, LIVE_OVER);
}

static void
begin(int64_t every_ms)
{
	memset(&t, 0, sizeof(t));
	uv_loop_init(&t.loop);
	t.live.loop = &t.loop;
	t.every_ms = every_ms;
	live_wait_init(&t.live);
}

static void
come(int i, const char *model, int priority, int64_t patience_ms)
{
	struct live_call *lc = &t.calls[i];

	*lc = (struct live_call){ .live = &t.live, .priority = priority };
	buf_adds(&lc->ask.model, model);
	buf_cstr(&lc->ask.model);
	lc->until_ms = (int64_t)uv_now(&t.loop) + patience_ms;
	if (!live_wait_behind(lc))
		live_ask(lc);
}

static void
end(void)
{
	uv_run(&t.loop, UV_RUN_DEFAULT);
	CU_ASSERT(t.live.waiting == NULL);
	uv_close((uv_handle_t *)&t.live.wake, NULL);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&t.loop), 0);
	for (int i = 0; i < CALLS; i++)
		buf_fini(&t.calls[i].ask.model);
}

static void
those_that_wait_go_by_priority_and_then_as_they_came(void)
{
	static const int want[] = { 0, 3, 1, 2, 5, 4 };

	begin(20);
	come(0, "m", 2, 10000);
	come(1, "m", 2, 10000);
	come(2, "m", 2, 10000);
	come(3, "m", 4, 10000);
	come(4, "m", 1, 10000);
	come(5, "m", 2, 10000);
	end();
	CU_ASSERT_EQUAL(t.n, (int)NITEMS(want));
	CU_ASSERT(memcmp(t.order, want, sizeof(want)) == 0);
}

static void
who_has_waited_long_enough_is_refused(void)
{
	begin(200);
	come(0, "m", 2, 250);
	come(1, "m", 2, 250);
	come(2, "m", 2, 250); /* behind the one before */
	CU_ASSERT_EQUAL(t.asks, 2);
	come(3, "m", 2, 10); /* too short for anything */
	end();
	CU_ASSERT_EQUAL(t.n, 2);
	CU_ASSERT_EQUAL(t.refused, 2);
	CU_ASSERT_EQUAL(t.order[1], 1);
}

static void
only_those_of_the_same_model_stand_behind_each_other(void)
{
	begin(50);
	come(0, "m", 2, 10000);
	come(1, "m", 2, 10000);
	t.room_ms = 0;
	come(2, "other", 2, 10000);
	CU_ASSERT_EQUAL(t.n, 2);
	CU_ASSERT_EQUAL(t.order[1], 2);
	end();
	CU_ASSERT_EQUAL(t.n, 3);
}

UNIT_MAIN("live_wait",
    UNIT(those_that_wait_go_by_priority_and_then_as_they_came),
    UNIT(who_has_waited_long_enough_is_refused),
    UNIT(only_those_of_the_same_model_stand_behind_each_other))
