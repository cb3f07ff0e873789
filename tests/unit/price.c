#include <sluice/spec.h>

#include <string.h>

#include "../../cli/prices.h"
#include "unit.h"

static void
money_is_read_exactly(void)
{
	static const struct {
		const char *text;
		int64_t micros; /* -1: refused */
		const char *back;
	} cases[] = {
		{ "0", 0, "0.00" },
		{ "1", 1000000, "1.00" },
		{ "0.15", 150000, "0.15" },
		{ "0.1", 100000, "0.10" },
		{ "0.075", 75000, "0.075" },
		{ "2.000001", 2000001, "2.000001" },
		{ "1000000000", SPEC_PRICE_MAX, "1000000000.00" },
		{ "1000000000.000001", -1, NULL },
		{ "99999999999999999999", -1, NULL },
		{ "9223372036854.775807", -1, NULL },
		{ "0.1234567", -1, NULL },
		{ "", -1, NULL },
		{ ".", -1, NULL },
		{ ".5", -1, NULL },
		{ "5.", -1, NULL },
		{ "1.2.3", -1, NULL },
		{ "1,5", -1, NULL },
		{ "-1", -1, NULL },
		{ "1e3", -1, NULL },
		{ "0.-5", -1, NULL },
		{ " 1", -1, NULL },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct slc_err err = { 0 };
		int64_t micros = -1;
		char back[32];
		enum slc_rc rc = spec_money(
		    slice_str(cases[i].text), SPEC_PRICE_MAX, &micros, &err);

		CU_ASSERT_EQUAL(rc, cases[i].micros >= 0 ? SLC_OK : SLC_EINPUT);
		CU_ASSERT_EQUAL(micros, cases[i].micros);
		if (rc != SLC_OK) {
			CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "as 0.15"));
			continue;
		}
		spec_money_text(micros, back);
		CU_ASSERT_STRING_EQUAL(back, cases[i].back);
	}
}

static void
prices_are_read(void)
{
	static const struct {
		const char *text, *model;
		int64_t input, cached, output;
	} cases[] = {
		{ "gpt-4*:input=0.15,cached=0.075,output=0.60", "gpt-4*",
		    150000, 75000, 600000 },
		{ "input=1,output=2", "*", 1000000, -1, 2000000 },
		{ "output=2", "*", 0, -1, 2000000 },
		{ "a:batch:output=2,cached=0", "a:batch", 0, 0, 2000000 },
	};
	static const struct {
		const char *text, *model, *hours;
	} timed[] = {
		{ "m@mon-fri 16:30-00:30 UTC:input=1", "m",
		    "mon-fri 16:30-00:30 UTC" },
		{ "@cf/m:batch@16:30-00:30:input=1", "@cf/m:batch",
		    "16:30-00:30" },
		{ "@16:30-00:30:input=1", "*", "16:30-00:30" },
		{ "a@b:input=1", "a@b", "" },
	};
	static const char *const wrong[] = { "", "m:", "m", ":input=1",
		"m:input", "m:input=", "m:input=1,", "m:input=1,,output=2",
		"m:input=1,input=1", "m:price=1", "m:Input=1" };
	struct spec_price p;

	for (size_t i = 0; i < NITEMS(cases); i++) {
		CU_ASSERT_EQUAL(spec_price(cases[i].text, &p, NULL), SLC_OK);
		CU_ASSERT_STRING_EQUAL(p.model, cases[i].model);
		CU_ASSERT_EQUAL(p.input, cases[i].input);
		CU_ASSERT_EQUAL(p.cached, cases[i].cached);
		CU_ASSERT_EQUAL(p.output, cases[i].output);
	}
	for (size_t i = 0; i < NITEMS(timed); i++) {
		CU_ASSERT_EQUAL(spec_price(timed[i].text, &p, NULL), SLC_OK);
		CU_ASSERT_STRING_EQUAL(p.model, timed[i].model);
		CU_ASSERT_STRING_EQUAL(p.hours, timed[i].hours);
	}
	for (size_t i = 0; i < NITEMS(wrong); i++)
		CU_ASSERT_EQUAL(spec_price(wrong[i], &p, NULL), SLC_EINPUT);
}

static void
shown_prices_may_be_given_anew_and_others_once(void)
{
	json_t *shown = json_pack(
	    "[{s:s, s:i, s:i}]", "model", "m", "input", 5, "output", 6);
	json_t *doc = json_pack("{s:o}", "prices", prices_of(shown));
	char text[32];

	CU_ASSERT_EQUAL(prices_set(doc, "m:input=1", NULL), SLC_OK);
	CU_ASSERT_EQUAL(prices_set(doc, "m:input=1", NULL), SLC_EINPUT);
	CU_ASSERT_EQUAL(prices_set(doc, "n:cached=1", NULL), SLC_OK);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(doc, "prices")), 2);
	prices_cell(
	    json_array_get(json_object_get(doc, "prices"), 0), "input", text);
	CU_ASSERT_STRING_EQUAL(text, "1.00");
	prices_cell(json_array_get(json_object_get(doc, "prices"), 0),
	    "cached_input", text);
	CU_ASSERT_STRING_EQUAL(text, "");
	CU_ASSERT_EQUAL(prices_set(doc, "m@22:00-06:00:input=3", NULL), SLC_OK);
	CU_ASSERT_EQUAL(
	    prices_unset(doc, "m@22:00-05:00", NULL), SLC_ENOTFOUND);
	CU_ASSERT_EQUAL(prices_unset(doc, "m@22:00-06:00", NULL), SLC_OK);
	CU_ASSERT_EQUAL(prices_unset(doc, "m", NULL), SLC_OK);
	CU_ASSERT_EQUAL(prices_unset(doc, "m", NULL), SLC_ENOTFOUND);
	json_decref(doc);
	json_decref(shown);
}

UNIT_MAIN("price", UNIT(money_is_read_exactly), UNIT(prices_are_read),
    UNIT(shown_prices_may_be_given_anew_and_others_once))
