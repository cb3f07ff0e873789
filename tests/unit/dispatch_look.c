/* What a dispatcher reads of the database, and what it writes of its plan. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "../../scheduler/dispatch.h"
#include "../../scheduler/dispatch_json.h"

#define S INT64_C(1000000)

static void
documents_are_read_and_written(void)
{
	static const char config[] =
	    "{\"revision\":3,\"paths\":[{\"id\":1,\"pool\":1,\"name\":\"a\","
	    "\"models\":[\"m*\"],\"whole_ms\":1000,\"health\":\"up\","
	    "\"until_us\":null,\"failures\":0}],\"limits\":[{\"id\":4,\"pool\":"
	    "1,"
	    "\"path\":null,\"model\":\"*\",\"dimension\":\"requests\","
	    "\"window_s\":60,\"amount\":600,\"headroom\":0.5,\"reserve\":0,"
	    "\"next_us\":null,\"paused_us\":null},{\"id\":5,\"pool\":1,"
	    "\"path\":1,\"model\":\"*\",\"dimension\":\"concurrent\","
	    "\"window_s\":0,\"amount\":10,\"headroom\":0,\"reserve\":0}],"
	    "\"estimates\":[{\"path\":1,\"model\":\"m1\",\"learned\":"
	    "{\"n\":5,\"ratio\":0.25,\"output\":3,\"output2\":9,\"ms\":100,"
	    "\"ms2\":10000}}]}";
	static const char look[] =
	    "{\"now_us\":1000000000,\"revision\":3,\"admitted\":1,"
	    "\"ending\":false,\"unplaced\":true,\"out\":[{\"path\":1,"
	    "\"model\":\"m1\",\"lines\":2}],\"seen\":[{\"id\":77,\"path\":1,"
	    "\"seen\":{\"path\":1,\"model\":\"m1\",\"ok\":1,\"n\":1,"
	    "\"bytes\":100,\"input\":25,\"output\":3,\"output2\":9,\"ms\":100,"
	    "\"ms2\":10000,\"entries\":[]}}],\"due\":[7],\"workers\":["
	    "{\"id\":3,\"most\":100,\"live\":true}],\"seats\":["
	    "{\"limit\":5,\"worker\":3,\"granted\":4,\"target\":10}]}";
	struct dispatch d;
	struct world world = { 0 };
	struct slc_err err = { 0 };
	struct dispatch_plan plan = { 0 };
	struct dispatch_line line = {
		.chunk = 2, .first_line = 1, .index = 1, .bytes = 100, .cap = 5
	};
	struct buf out = { 0 };

	dispatch_init(&d);
	CU_ASSERT_EQUAL_FATAL(
	    dispatch_read_config(
		&d, (struct slice){ config, sizeof(config) - 1 }, &err),
	    SLC_OK);
	CU_ASSERT_EQUAL(d.revision, 3);
	CU_ASSERT_EQUAL(d.rates[0]->pace.amount, 300);
	CU_ASSERT_EQUAL_FATAL(
	    dispatch_read_world(
		&d, (struct slice){ look, sizeof(look) - 1 }, &world, &err),
	    SLC_OK);
	CU_ASSERT_EQUAL(d.seats[1]->granted, 4);
	CU_ASSERT_EQUAL(d.seats[1]->out, 2);
	CU_ASSERT_EQUAL(world.due[0], 7);
	dispatch_lanes_begin(&d);
	dispatch_lane_put(&d, 7, "m1", 2, 90000 * S, 1, 1);
	dispatch_lanes_end(&d);
	dispatch_lane_fresh(dispatch_lane(&d, 7), &line);
	dispatch_plan(&d, world.now_us, &plan);
	dispatch_write_plan(&d, &plan, &world, true, false, &out);
	CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out),
	    "\"runs\":[{\"lane\":7,"
	    "\"path\":1,\"chunk\":2,\"first_line\":1,\"send_us\":1000150000,"
	    "\"keep_us\":200000,\"line\":[1],\"slot_us\":[0],"
	    "\"est_input\":[28],\"est_output\":[5]}]"));
	CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out),
	    "\"lanes\":[{\"id\":7,"
	    "\"from\":1,\"next\":2,\"lines\":1}]"));
	CU_ASSERT_PTR_NOT_NULL(
	    strstr(buf_cstr(&out), "\"cells\":[{\"limit\":4,"));
	CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out), "\"seen\":[77]"));
	CU_ASSERT_PTR_NULL(strstr(buf_cstr(&out), "\"seats\""));
	dispatch_plan_fini(&plan);
	/* written once: a second look with nothing new writes nothing */
	buf_clear(&out);
	free(world.seen);
	world.seen = NULL;
	world.nseen = 0;
	dispatch_write_plan(&d, &plan, &world, true, false, &out);
	CU_ASSERT_TRUE(dispatch_plan_empty(&out));
	buf_fini(&out);
	world_fini(&world);
	dispatch_fini(&d);
}

/* What holds back the one line of a path with a limit of calls, or without. */
static void
held_back_by(const char *limits, const char *workers, const char *said)
{
	struct dispatch d;
	struct world world = { 0 };
	struct slc_err err = { 0 };
	struct dispatch_plan plan = { 0 };
	struct dispatch_line line = { .chunk = 2, .first_line = 1, .index = 1 };
	struct buf doc = { 0 }, out = { 0 };

	dispatch_init(&d);
	buf_addf(&doc,
	    "{\"paths\":[{\"id\":1,\"pool\":1,\"models\":[\"m\"],"
	    "\"health\":\"up\"}],\"limits\":[%s]}",
	    limits);
	CU_ASSERT_EQUAL_FATAL(
	    dispatch_read_config(&d, buf_slice(&doc), &err), SLC_OK);
	buf_clear(&doc);
	buf_addf(&doc, "{\"now_us\":1000000000,%s}", workers);
	CU_ASSERT_EQUAL_FATAL(
	    dispatch_read_world(&d, buf_slice(&doc), &world, &err), SLC_OK);
	dispatch_lanes_begin(&d);
	dispatch_lane_put(&d, 7, "m", 2, 90000 * S, 1, 1);
	dispatch_lanes_end(&d);
	dispatch_lane_fresh(dispatch_lane(&d, 7), &line);
	dispatch_plan(&d, world.now_us, &plan);
	dispatch_explain(&d, d.paths[0], world.now_us, &out);
	CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out), said));
	dispatch_plan_fini(&plan);
	buf_fini(&doc);
	buf_fini(&out);
	world_fini(&world);
	dispatch_fini(&d);
}

static void
seats_that_are_not_there_are_said_or_awaited(void)
{
	static const char limit[] =
	    "{\"id\":5,\"pool\":1,\"path\":1,\"model\":\"*\","
	    "\"dimension\":\"concurrent\",\"window_s\":0,\"amount\":4}";
	static const char nobody[] = "\"workers\":[]";
	static const char one[] =
	    "\"workers\":[{\"id\":3,\"most\":9,\"live\":true}]";
	static const char dead[] =
	    "\"workers\":[{\"id\":3,\"most\":9,\"live\":true}],"
	    "\"seats\":[{\"limit\":5,\"worker\":2,\"granted\":4,"
	    "\"target\":4}]";

	held_back_by(limit, nobody, "no worker is there");
	held_back_by("", nobody, "no worker is there");
	held_back_by(limit, one, "\"binds\":null");
	held_back_by(limit, dead, "calls of a worker that has died");
}

UNIT_MAIN("dispatch_look", UNIT(documents_are_read_and_written),
    UNIT(seats_that_are_not_there_are_said_or_awaited))
