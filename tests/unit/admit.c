#include <string.h>

#include "../../scheduler/admit_batch.h"
#include "unit.h"

static struct admit_limits
read_limits(const char *json)
{
	struct admit_limits l;

	CU_ASSERT_TRUE_FATAL(admit_limits_read(slice_str(json), &l));
	return l;
}

static void
limits_are_read(void)
{
	struct admit_limits l = read_limits(
	    "{\"revision\":7,\"served\":true,\"limits\":["
	    "{\"id\":3,\"subject\":\"key:9|chat\",\"scope\":\"key\","
	    "\"dimension\":\"requests\",\"window_s\":86400,"
	    "\"algorithm\":\"fixed\",\"zone\":\"Europe/Berlin\","
	    "\"amount\":1000000000000000,\"chunks\":true,"
	    "\"text\":\"requests/1d\"},"
	    "{\"id\":4,\"subject\":\"all\",\"scope\":\"all\","
	    "\"dimension\":\"requests\",\"window_s\":60,"
	    "\"algorithm\":\"bucket\",\"zone\":\"UTC\",\"amount\":5,"
	    "\"chunks\":false,\"text\":\"requests/1m\"},"
	    "{\"id\":5,\"subject\":\"all\",\"scope\":\"all\","
	    "\"dimension\":\"concurrent\",\"window_s\":0,"
	    "\"algorithm\":\"sliding\",\"zone\":\"UTC\",\"amount\":5,"
	    "\"chunks\":false,\"text\":\"concurrent\"}]}");

	CU_ASSERT_EQUAL(l.revision, 7);
	CU_ASSERT_TRUE(l.served);
	CU_ASSERT_EQUAL_FATAL(l.n, 3);
	CU_ASSERT_EQUAL(l.v[0].id, 3);
	CU_ASSERT_STRING_EQUAL(l.v[0].subject, "key:9|chat");
	CU_ASSERT_STRING_EQUAL(l.v[0].zone, "Europe/Berlin");
	CU_ASSERT_EQUAL(l.v[0].amount, INT64_C(1000000000000000));
	CU_ASSERT_EQUAL(l.v[0].algorithm, ADMIT_FIXED);
	CU_ASSERT_EQUAL(l.v[0].hold, ADMIT_TOLD);
	CU_ASSERT_EQUAL(l.v[1].algorithm, ADMIT_BUCKET);
	CU_ASSERT_EQUAL(l.v[1].hold, ADMIT_COUNTED);
	CU_ASSERT_EQUAL(l.v[2].algorithm, ADMIT_NO_WINDOW);
	CU_ASSERT_EQUAL(l.v[2].hold, ADMIT_RESERVED);
	CU_ASSERT_EQUAL(l.head, 1); /* the shortest window of requests */
	admit_limits_fini(&l);
}

static void
other_documents_are_refused(void)
{
	static const char *const bad[] = { "", "[]", "{\"limits\":[]}",
		"{\"revision\":\"7\"}" };
	struct admit_limits l;

	for (size_t i = 0; i < NITEMS(bad); i++)
		CHECK(!admit_limits_read(slice_str(bad[i]), &l) && l.n == 0,
		    bad[i]);
	l = read_limits("{\"revision\":1,\"served\":false}");
	CU_ASSERT_FALSE(l.served);
	CU_ASSERT_EQUAL(l.head, -1);
	admit_limits_fini(&l);
}

static void
units_follow_the_dimension(void)
{
	static const struct {
		const char *dimension;
		int64_t input, output, units;
	} cases[] = {
		{ "requests", 10, 20, 1 },
		{ "concurrent", 10, 20, 1 },
		{ "tokens", 10, 20, 30 },
		{ "input_tokens", 10, 20, 10 },
		{ "output_tokens", 10, 20, 20 },
		{ "output_tokens", 10, 0, 1 },
		{ "tokens", 0, 0, 1 },
	};
	struct admit_limit money = { .hold = ADMIT_MONEY,
		.dimension = (char *)"money" };

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct admit_limit l = {
			.dimension = (char *)(uintptr_t)cases[i].dimension
		};

		CHECK(admit_limit_units(&l, cases[i].input, cases[i].output) ==
			cases[i].units,
		    cases[i].dimension);
	}
	CU_ASSERT_EQUAL(admit_limit_units(&money, 10, 20), 0);
}

/* Counters once each, as bytes order them; uses in the order of the calls. */
static void
counters_are_shared_and_sorted(void)
{
	struct admit_limit one[] = {
		{ .id = 9,
		    .subject = (char *)"key:1",
		    .amount = 5,
		    .dimension = (char *)"requests",
		    .zone = (char *)"UTC" },
		{ .id = 2,
		    .subject = (char *)"key:9",
		    .amount = 6,
		    .dimension = (char *)"tokens",
		    .zone = (char *)"UTC" },
	};
	struct admit_limit two[] = {
		{ .id = 2,
		    .subject = (char *)"key:10",
		    .amount = 6,
		    .dimension = (char *)"tokens",
		    .zone = (char *)"UTC" },
		{ .id = 9,
		    .subject = (char *)"key:1",
		    .amount = 5,
		    .dimension = (char *)"requests",
		    .zone = (char *)"UTC" },
	};
	struct admit_limits a = { .v = one, .n = 2, .head = 0 };
	struct admit_limits b = { .v = two, .n = 2, .head = 1 };
	struct admit_limits none = { .head = -1 };
	struct admit_ask ask = { .account = 1,
		.key = 2,
		.model = "m",
		.resource = "chat",
		.input = 3,
		.output = 4,
		.priority = 4 };
	static struct admit_batch t;

	admit_batch_add(&t, &ask, &a);
	admit_batch_add(&t, &ask, &none);
	ask.cheap = true;
	ask.input = 100;
	admit_batch_add(&t, &ask, &b);
	admit_batch_close(&t);
	CU_ASSERT_EQUAL(t.n, 3);
	CU_ASSERT_EQUAL_FATAL(t.nstates, 3);
	CU_ASSERT_TRUE(slice_eq(t.subject[0], "key:10"));
	CU_ASSERT_TRUE(slice_eq(t.subject[1], "key:9"));
	CU_ASSERT_EQUAL(t.limit[2], 9);
	CU_ASSERT_EQUAL(t.amount[2], 5);
	CU_ASSERT_EQUAL_FATAL(t.nuses, 4);
	CU_ASSERT_TRUE(
	    memcmp(t.use, (int32_t[]){ 3, 2, 1, 3 }, 4 * sizeof(int32_t)) == 0);
	CU_ASSERT_TRUE(memcmp(t.units, (int64_t[]){ 1, 7, 104, 1 },
			   4 * sizeof(int64_t)) == 0);
	CU_ASSERT_TRUE(
	    memcmp(t.last, (int32_t[]){ 2, 2, 4 }, 3 * sizeof(int32_t)) == 0);
	CU_ASSERT_TRUE(
	    memcmp(t.head, (int32_t[]){ 3, 0, 3 }, 3 * sizeof(int32_t)) == 0);
	CU_ASSERT_TRUE(t.cheap[2] == 1 && t.cheap[0] == 0);
	admit_batch_clear(&t);
	CU_ASSERT_EQUAL(t.n, 0);
}

static void
a_full_batch_holds_many_uses(void)
{
	struct admit_limit l[3] = {
		{ .id = 3,
		    .subject = (char *)"a",
		    .zone = (char *)"",
		    .dimension = (char *)"requests" },
		{ .id = 1,
		    .subject = (char *)"b",
		    .zone = (char *)"",
		    .dimension = (char *)"requests" },
		{ .id = 2,
		    .subject = (char *)"c",
		    .zone = (char *)"",
		    .dimension = (char *)"requests" },
	};
	struct admit_limits all = { .v = l, .n = 3, .head = 2 };
	struct admit_ask ask = { .model = "m", .resource = "chat" };
	static struct admit_batch t;

	for (int i = 0; i < ADMIT_BATCH_MAX; i++)
		admit_batch_add(&t, &ask, &all);
	admit_batch_close(&t);
	CU_ASSERT_EQUAL(t.nstates, 3);
	CU_ASSERT_EQUAL(t.nuses, 3 * ADMIT_BATCH_MAX);
	for (int i = 0; i < ADMIT_BATCH_MAX; i++)
		CU_ASSERT_TRUE(t.use[3 * i] == 3 && t.use[3 * i + 1] == 1 &&
		    t.use[3 * i + 2] == 2 && t.head[i] == 2);
	admit_batch_clear(&t);
}

static void
refusals_are_read(void)
{
	static const char *const bad[] = { "", "model", "1 2 3", "x y z w" };
	struct admit_answer a;

	CU_ASSERT_TRUE_FATAL(admit_refusal_read(
	    "-1 enqueued_tokens account gpt 4:tokens/1m", &a));
	CU_ASSERT_EQUAL(a.verdict, ADMIT_LIMITED);
	CU_ASSERT_EQUAL(a.wait_us, -1);
	CU_ASSERT_STRING_EQUAL(a.dimension, "enqueued_tokens");
	CU_ASSERT_STRING_EQUAL(a.scope, "account");
	CU_ASSERT_STRING_EQUAL(a.limit, "gpt 4:tokens/1m");
	for (size_t i = 0; i < NITEMS(bad); i++)
		CHECK(!admit_refusal_read(bad[i], &a), bad[i]);
}

UNIT_MAIN("admit", UNIT(limits_are_read), UNIT(other_documents_are_refused),
    UNIT(units_follow_the_dimension), UNIT(counters_are_shared_and_sorted),
    UNIT(a_full_batch_holds_many_uses), UNIT(refusals_are_read))
