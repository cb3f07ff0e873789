#include <stdlib.h>
#include <string.h>

#include "../../cli/js.h"
#include "../../cli/rule.h"
#include "unit.h"

static void
what_people_write_is_understood_and_written_again(void)
{
	static const struct {
		const char *text, *again; /* NULL: the same */
		const char *member, *value;
	} cases[] = {
		{ "requests/1m=60", NULL, "dimension", "requests" },
		{ "requests/60s=60000", "requests/1m=60k", "model", "*" },
		{ "gpt-4:tokens/1h=2m", NULL, "model", "gpt-4" },
		{ "a:b:tokens/1h=2m", NULL, "model", "a:b" },
		{ "a=b:tokens/1h=2m", NULL, "model", "a=b" },
		{ "concurrent=10", NULL, "dimension", "concurrent" },
		{ "enqueued_tokens=2g", NULL, "dimension", "enqueued_tokens" },
		{ "requests/1m=60:chunk", NULL, "stream_cost", "chunk" },
		{ "requests/1m=60:sliding", "requests/1m=60", "algorithm",
		    "sliding" },
		{ "requests/1d=50:fixed", NULL, "algorithm", "fixed" },
		{ "requests/1d=50:fixed@Europe/Berlin", NULL, "zone",
		    "Europe/Berlin" },
		{ "requests/1h=5k:shape", NULL, "action", "shape" },
		{ "requests/1h=5k:shape:batch", "requests/1h=5k:shape",
		    "applies", "batch" },
		{ "requests/1m=60:images", NULL, "resource", "images" },
		{ "requests/1m=60:account:each-model", NULL, "per", "account" },
		{ "money/1d=12.50", "money/1d=12.5", "dimension", "money" },
		{ "money/1d=0.000001", NULL, "dimension", "money" },
		{ "money/1d=7:both", "money/1d=7", "applies", "both" },
		{ "requests/1d=0", NULL, "dimension", "requests" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf again = { 0 };
		json_t *rule = NULL;

		CHECK(rule_parse(cases[i].text, &rule, NULL) == SLC_OK,
		    cases[i].text);
		rule_text(rule, &again);
		CHECK(strcmp(buf_cstr(&again),
			  cases[i].again != NULL ? cases[i].again
						 : cases[i].text) == 0,
		    cases[i].text);
		CHECK(
		    strcmp(js_text(rule, cases[i].member), cases[i].value) == 0,
		    cases[i].text);
		json_decref(rule);
		buf_fini(&again);
	}
}

static void
money_is_in_millionths_and_amounts_have_units(void)
{
	json_t *rules = json_array();

	CU_ASSERT_EQUAL(rules_set(rules, "money/1d=12.50", NULL), SLC_OK);
	CU_ASSERT_EQUAL(rules_set(rules, "tokens/2h=3k", NULL), SLC_OK);
	CU_ASSERT_EQUAL(js_int(json_array_get(rules, 0), "amount"), 12500000);
	CU_ASSERT_EQUAL(js_int(json_array_get(rules, 1), "amount"), 3000);
	CU_ASSERT_EQUAL(js_int(json_array_get(rules, 1), "window_s"), 7200);
	json_decref(rules);
}

static void
what_is_wrong_is_said_with_what_would_be_right(void)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "requests/1m", "write requests/1m=300" },
		{ "requests=5", "write requests/1m=300" },
		{ "concurrent/1m=5", "write concurrent=10" },
		{ "words/1m=5", "use requests, tokens" },
		{ "requests/32d=5", "1s to 31d" },
		{ "requests/1m=-5", "k, m, g" },
		{ "requests/1m=1000001g", "k, m, g" },
		{ "requests/1m=", "k, m, g" },
		{ "money/1d=1.0000001", "write 12 or 12.50" },
		{ "money/1d=1.", "write 12 or 12.50" },
		{ "money/1d=1000000001", "write 12 or 12.50" },
		{ "requests/1m=5:sometimes", "is not one of sliding" },
		{ "requests/1m=5:", "is not one of sliding" },
		{ ":requests/1m=5", "the model before" },
		{ "", "has no amount" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		json_t *rule = NULL;
		struct slc_err err = { 0 };

		CHECK(rule_parse(cases[i].text, &rule, &err) == SLC_EINPUT,
		    cases[i].text);
		CHECK(strstr(err.text, cases[i].said) != NULL, err.text);
		CU_ASSERT_PTR_NULL(rule);
	}
}

/* As the server shows it. */
static json_t *
shown(void)
{
	return json_pack("[{s:s, s:b, s:s, s:b, s:s, s:i, s:i, s:s, s:s, s:s}]",
	    "model", "*", "each_model", 0, "resource", "*", "each_resource", 0,
	    "dimension", "requests", "window_s", 60, "amount", 5, "algorithm",
	    "bucket", "zone", "UTC", "per", "account");
}

static void
an_edit_changes_what_is_said_and_keeps_the_rest(void)
{
	json_t *rules = shown();
	const json_t *first = json_array_get(rules, 0);

	CU_ASSERT_EQUAL(rules_set(rules, "requests/1m=7", NULL), SLC_OK);
	CU_ASSERT_EQUAL(json_array_size(rules), 1);
	CU_ASSERT_EQUAL(js_int(first, "amount"), 7);
	CU_ASSERT_STRING_EQUAL(js_text(first, "algorithm"), "bucket");
	/* Other calls, another limit. */
	CU_ASSERT_EQUAL(rules_set(rules, "requests/1m=9:images", NULL), SLC_OK);
	CU_ASSERT_EQUAL(json_array_size(rules), 2);
	CU_ASSERT_EQUAL(
	    rules_set(rules, "requests/1m=10:images", NULL), SLC_EINPUT);
	CU_ASSERT_EQUAL(
	    rules_unset(rules, "requests/1m=0:images", NULL), SLC_OK);
	CU_ASSERT_EQUAL(rules_unset(rules, "requests/1m", NULL), SLC_OK);
	CU_ASSERT_EQUAL(rules_unset(rules, "requests/1m", NULL), SLC_ENOTFOUND);
	CU_ASSERT_EQUAL(json_array_size(rules), 0);
	json_decref(rules);
}

UNIT_MAIN("rule", UNIT(what_people_write_is_understood_and_written_again),
    UNIT(money_is_in_millionths_and_amounts_have_units),
    UNIT(what_is_wrong_is_said_with_what_would_be_right),
    UNIT(an_edit_changes_what_is_said_and_keeps_the_rest))
