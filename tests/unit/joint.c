/* One body of several, and one answer in parts, hostile ones included. */
#include "unit.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/jscan.h>

#include "../../worker/joint.h"

#define EMBEDDINGS  "/v1/embeddings"
#define COMPLETIONS "/v1/completions"

static const struct slice texts[] = { SLICE("\"a\""), SLICE("\"b\\n\""),
	SLICE("\"ccccccc\"") }; /* 3, 5 and 9 bytes */
enum { N = NITEMS(texts) };

static struct buf usages[N];

static bool
split_bytes(struct slice answer, const char *endpoint, struct buf *parts)
{
	memset(parts, 0, N * sizeof(*parts));
	for (size_t i = 0; i < N; i++)
		buf_fini(&usages[i]);
	return joint_split(answer, endpoint, texts, N, parts, usages);
}

static bool
split(const char *answer, const char *endpoint, struct buf *parts)
{
	return split_bytes(slice_str(answer), endpoint, parts);
}

static void
drop(struct buf *parts)
{
	for (size_t i = 0; i < N; i++)
		buf_fini(&parts[i]);
	for (size_t i = 0; i < N; i++)
		buf_fini(&usages[i]);
}

static void
texts_stand_in_the_place_of_one(void)
{
	struct slice body =
	    SLICE("{ \"n\":1e400,\"input\" : \"a\",\"x\": -0.0}");
	struct slice value = { strstr(body.p, "\"a\""), 3 };
	struct buf out = { 0 };

	joint_body(body, value, texts, N, &out);
	CU_ASSERT_STRING_EQUAL(buf_cstr(&out),
	    "{ \"n\":1e400,\"input\" : [\"a\",\"b\\n\",\"ccccccc\"],\"x\": "
	    "-0.0}");
	buf_fini(&out);
}

static void
parts_add_up_to_the_whole(void)
{
	static const struct {
		const char *why;
		int64_t whole;
		size_t weights[N];
		int64_t parts[N];
	} cases[] = {
		{ "even", 30, { 1, 1, 1 }, { 10, 10, 10 } },
		{ "what is left goes to the largest remainder", 10, { 3, 5, 9 },
		    { 2, 3, 5 } },
		{ "to the first of those that are alike", 11, { 1, 1, 1 },
		    { 4, 4, 3 } },
		{ "nothing", 0, { 3, 5, 9 }, { 0, 0, 0 } },
		{ "fewer than there are", 1, { 3, 5, 9 }, { 0, 0, 1 } },
		{ "no overflow", INT64_C(1000000000000),
		    { 1, (size_t)1 << 40, 1 }, { 1, 999999999998, 1 } },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		int64_t parts[N];

		joint_share(cases[i].whole, cases[i].weights, N, parts);
		CHECK(parts[0] + parts[1] + parts[2] == cases[i].whole,
		    cases[i].why);
		CHECK(memcmp(parts, cases[i].parts, sizeof(parts)) == 0,
		    cases[i].why);
	}
}

static void
an_answer_becomes_one_for_each_by_index(void)
{
	struct buf parts[N];

	CU_ASSERT_TRUE(split(
	    "{ \"object\":\"list\", \"data\" : [ {\"index\": 2,\"embedding\":"
	    "[0.10,-0.0,1e-400] } ,{\"embedding\":\"AAA=\", \"index\" :0,\"z\":"
	    "{\"index\":7}},{\"inde\\u0078\":1,\"embedding\":[]} ],\"model\":"
	    "\"m\",\"usage\":{\"prompt_tokens\":17,\"total_tokens\":17,"
	    "\"cost\":0.25}}",
	    EMBEDDINGS, parts));
	CU_ASSERT_STRING_EQUAL(buf_cstr(&parts[0]),
	    "{ \"object\":\"list\", \"data\" : [{\"embedding\":\"AAA=\", "
	    "\"index\" :0,\"z\":{\"index\":7}}],\"model\":\"m\",\"usage\":{"
	    "\"prompt_tokens\":3,\"total_tokens\":3,\"cost\":0.25}}");
	CU_ASSERT_STRING_EQUAL(buf_cstr(&parts[1]),
	    "{ \"object\":\"list\", \"data\" : [{\"inde\\u0078\":0,"
	    "\"embedding\":[]}],\"model\":\"m\",\"usage\":{\"prompt_tokens\":5,"
	    "\"total_tokens\":5,\"cost\":0.25}}");
	CU_ASSERT_STRING_EQUAL(buf_cstr(&parts[2]),
	    "{ \"object\":\"list\", \"data\" : [{\"index\": 0,\"embedding\":"
	    "[0.10,-0.0,1e-400] }],\"model\":\"m\",\"usage\":{\"prompt_tokens\""
	    ":9,\"total_tokens\":9,\"cost\":0.25}}");
	drop(parts);
}

/* Output is shared out by the texts that came, and a total by its terms. */
static void
usage_of_prompts_is_shared_out_by_what_each_got(void)
{
	struct buf parts[N];

	CU_ASSERT_TRUE(split(
	    "{\"usage\":{\"prompt_tokens\":34,\"completion_tokens\":10,"
	    "\"total_tokens\":44,\"prompt_tokens_details\":{\"cached_tokens\":"
	    "17,\"x\":null},\"completion_tokens_details\":{\"reasoning_"
	    "tokens\":"
	    "10}},\"choices\":[{\"text\":\"12\",\"index\":0},{\"text\":\"12\","
	    "\"index\":1},{\"text\":\"1234567890\",\"index\":2}]}",
	    COMPLETIONS, parts));
	CU_ASSERT_STRING_EQUAL(buf_cstr(&parts[0]),
	    "{\"usage\":{\"prompt_tokens\":6,\"completion_tokens\":2,"
	    "\"total_tokens\":8,\"prompt_tokens_details\":{\"cached_tokens\":3,"
	    "\"x\":null},\"completion_tokens_details\":{\"reasoning_tokens\":2}"
	    "},\"choices\":[{\"text\":\"12\",\"index\":0}]}");
	CU_ASSERT_STRING_EQUAL(buf_cstr(&usages[0]),
	    "{\"usage\":{\"prompt_tokens\":6,\"completion_tokens\":2,"
	    "\"total_tokens\":8,\"prompt_tokens_details\":{\"cached_tokens\":3,"
	    "\"x\":null},\"completion_tokens_details\":{\"reasoning_tokens\":2}"
	    "}}");
	CU_ASSERT_STRING_EQUAL(buf_cstr(&parts[2]),
	    "{\"usage\":{\"prompt_tokens\":18,\"completion_tokens\":6,"
	    "\"total_tokens\":24,\"prompt_tokens_details\":{\"cached_tokens\":"
	    "9,"
	    "\"x\":null},\"completion_tokens_details\":{\"reasoning_tokens\":6}"
	    "},\"choices\":[{\"text\":\"1234567890\",\"index\":0}]}");
	drop(parts);
}

#define E(index)   "{\"index\":" index ",\"embedding\":[1]}"
#define DATA(list) "{\"data\":[" list "]}"

static void
what_is_not_one_part_for_each_is_refused_whole(void)
{
	static const struct {
		const char *why, *answer;
	} cases[] = {
		{ "one too few", DATA(E("0") "," E("1")) },
		{ "one too many",
		    DATA(E("0") "," E("1") "," E("2") "," E("3")) },
		{ "twice the same", DATA(E("0") "," E("1") "," E("1")) },
		{ "from 1", DATA(E("1") "," E("2") "," E("3")) },
		{ "below 0", DATA(E("0") "," E("1") "," E("-1")) },
		{ "a fraction", DATA(E("0") "," E("1") "," E("2.0")) },
		{ "text", DATA(E("0") "," E("1") "," E("\"2\"")) },
		{ "beyond all numbers",
		    DATA(E("0") "," E("1") "," E("99999999999999999999")) },
		{ "none", DATA(E("0") "," E("1") ",{\"embedding\":[1]}") },
		{ "two in one",
		    DATA(E("0") "," E("1") ",{\"index\":2,\"index\":2,"
					   "\"embedding\":[]}") },
		{ "no vector", DATA(E("0") "," E("1") ",{\"index\":2}") },
		{ "null for a vector",
		    DATA(E("0") "," E(
			"1") ",{\"index\":2,\"embedding\":null}") },
		{ "no object", DATA(E("0") "," E("1") ",2") },
		{ "no list", "{\"data\":{\"0\":1}}" },
		{ "nothing", "{}" },
		{ "two lists",
		    "{\"data\":[],\"data\":[" E("0") "," E("1") "," E(
			"2") "]}" },
		{ "the second one's name escaped",
		    "{\"data\":[" E("0") "," E("1") "," E(
			"2") "],\"d\\u0061ta\":[]}" },
		{ "usage twice",
		    "{\"usage\":{},\"data\":[" E("0") "," E("1") "," E(
			"2") "],\"usage\":{\"prompt_tokens\":17}}" },
		{ "a part's vector twice",
		    DATA(E("0") "," E("1") ",{\"index\":2,\"embedding\":[1],"
					   "\"embedding\":[2]}") },
		{ "the other endpoint's",
		    "{\"choices\":[" E("0") "," E("1") "," E("2") "]}" },
		{ "cut off", "{\"data\":[" E("0") "," E("1") "," E("2") },
		{ "an array", "[" E("0") "," E("1") "," E("2") "]" },
		{ "no JSON", "<html>" },
		{ "no bytes", "" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf parts[N];

		CHECK(!split(cases[i].answer, EMBEDDINGS, parts), cases[i].why);
		for (size_t k = 0; k < N; k++)
			CHECK(parts[k].n == 0, cases[i].why);
		drop(parts);
	}
}

/* Each part has it: 256 times 30 MB would be too much. */
static void
what_stands_beside_the_parts_has_a_limit(void)
{
	static const char list[] = "[" E("0") "," E("1") "," E("2") "]";

	for (size_t over = 0; over < 2; over++) {
		size_t n = JOINT_BESIDE_MAX / N + over;
		struct buf parts[N], answer = { 0 };

		buf_adds(&answer, "{\"data\":");
		buf_adds(&answer, list);
		buf_adds(&answer, ",\"x\":\"");
		while (answer.n < n + sizeof(list) - 1 - 2)
			buf_addc(&answer, 'x');
		buf_adds(&answer, "\"}");
		CU_ASSERT_EQUAL(
		    split_bytes(buf_slice(&answer), EMBEDDINGS, parts),
		    over == 0);
		CU_ASSERT_EQUAL(parts[0].n == 0, over);
		drop(parts);
		buf_fini(&answer);
	}
}

static void
odd_usage_stays_as_it_came(void)
{
	static const char *const odd[] = { "null", "17", "[]", "{}",
		"{\"prompt_tokens\":-17,\"total_tokens\":12.75}",
		"{\"prompt_tokens\":99999999999999999999,\"x\":\"12\"}",
		"{\"total_tokens\":1e3,\"d\":{\"e\":{\"f\":9}}}" };

	for (size_t i = 0; i < NITEMS(odd); i++) {
		struct buf parts[N], answer = { 0 }, want = { 0 };

		buf_addf(&answer, "{\"data\":[%s,%s,%s],\"usage\":%s}", E("0"),
		    E("2"), E("1"), odd[i]);
		buf_addf(&want, "{\"data\":[%s],\"usage\":%s}", E("0"), odd[i]);
		CU_ASSERT_TRUE(split(buf_cstr(&answer), EMBEDDINGS, parts));
		for (size_t k = 0; k < N; k++)
			CU_ASSERT_STRING_EQUAL(
			    buf_cstr(&parts[k]), buf_cstr(&want));
		drop(parts);
		buf_fini(&answer);
		buf_fini(&want);
	}
}

/* A total that is not the sum of its terms is shared out by itself. */
static void
a_total_of_its_own_adds_up_too(void)
{
	struct buf parts[N];

	CU_ASSERT_TRUE(
	    split("{\"data\":[" E("0") "," E("1") "," E(
		      "2") "],"
			   "\"usage\":{\"prompt_tokens\":17,\"total_tokens\":"
			   "34}}",
		EMBEDDINGS, parts));
	CU_ASSERT_PTR_NOT_NULL(strstr(
	    buf_cstr(&parts[0]), "{\"prompt_tokens\":3,\"total_tokens\":6}"));
	CU_ASSERT_PTR_NOT_NULL(strstr(
	    buf_cstr(&parts[2]), "{\"prompt_tokens\":9,\"total_tokens\":18}"));
	drop(parts);
}

static int64_t
prompt_tokens(const struct buf *part)
{
	json_t *doc =
	    json_loadb(part->p, part->n, JSON_REJECT_DUPLICATES, NULL);
	const json_t *list = json_object_get(doc, "data");
	int64_t n = json_integer_value(
	    json_object_get(json_object_get(doc, "usage"), "prompt_tokens"));

	CU_ASSERT_EQUAL(json_array_size(list), 1);
	CU_ASSERT_TRUE(json_integer_value(json_object_get(
			   json_array_get(list, 0), "index")) == 0);
	json_decref(doc);
	return n;
}

/* Whatever one byte is: parts that are whole, or none. */
static void
an_answer_with_a_wrong_byte_is_split_right_or_not(void)
{
	static const char good[] =
	    "{\"data\":[ {\"index\":0,\"embedding\":[0.5,1]},{\"index\":1,"
	    "\"embedding\":\"AA\\\"=\"},{\"index\":2,\"embedding\":[[]]}],"
	    "\"usage\":{\"prompt_tokens\":17,\"a\":{\"b\":3}}}";
	static const char bytes[] = "\"\\{}[],:0129-e \xff";

	for (size_t at = 0; at < sizeof(good) - 1; at++)
		for (size_t b = 0; b < sizeof(bytes) - 1; b++) {
			struct buf parts[N];
			struct jscan_fault fault;
			/* Of its own, so that a read past its end is seen. */
			size_t n = sizeof(good) - 1;
			char *bad = malloc(n);

			memcpy(bad, good, n);
			bad[at] = bytes[b];
			if (split_bytes(
				(struct slice){ bad, n }, EMBEDDINGS, parts)) {
				int64_t sum = 0;

				for (size_t i = 0; i < N; i++) {
					CU_ASSERT_EQUAL(
					    jscan(buf_slice(&parts[i]), 64,
						NULL, 0, NULL, &fault),
					    JSCAN_OBJECT);
					sum += prompt_tokens(&parts[i]);
				}
				CU_ASSERT_TRUE(
				    sum == 17 || at > sizeof(good) - 45);
			}
			drop(parts);
			free(bad);
		}
}

UNIT_MAIN("joint", UNIT(texts_stand_in_the_place_of_one),
    UNIT(parts_add_up_to_the_whole),
    UNIT(an_answer_becomes_one_for_each_by_index),
    UNIT(usage_of_prompts_is_shared_out_by_what_each_got),
    UNIT(what_is_not_one_part_for_each_is_refused_whole),
    UNIT(what_stands_beside_the_parts_has_a_limit),
    UNIT(odd_usage_stays_as_it_came), UNIT(a_total_of_its_own_adds_up_too),
    UNIT(an_answer_with_a_wrong_byte_is_split_right_or_not))
