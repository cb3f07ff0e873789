#include <stdlib.h>
#include <string.h>

#include "../../cli/js.h"
#include "../../cli/limits.h"
#include "../../cli/preset.h"
#include "unit.h"

static json_t *
load(const char *presets, struct slc_err *err)
{
	struct buf text = { 0 };
	struct embedded files[] = { { "x.json", NULL }, { NULL, NULL } };
	json_t *all = NULL;

	buf_addf(&text,
	    "{\"source\": \"s\", \"as_of\": \"2026-11-22\", "
	    "\"presets\": [%s]}",
	    presets);
	files[0].text = buf_cstr(&text);
	if (preset_all(files, &all, err) != SLC_OK)
		all = NULL;
	buf_fini(&text);
	return all;
}

/* The path that a preset and some limits make, or the refusal. */
static json_t *
expand(const char *preset, const char *const *limits, const char *member,
    const char *value, struct slc_err *err)
{
	json_t *all = load(preset, err), *path;

	if (all == NULL)
		return NULL;
	path = json_pack("{s:s, s:[]}", "name", "p", "limits");
	for (; limits != NULL && *limits != NULL; limits++)
		limits_set(json_object_get(path, "limits"), *limits, NULL);
	if (member != NULL)
		json_object_set_new(path, member, json_string(value));
	if (preset_expand(json_array_get(json_object_get(all, "data"), 0), path,
		err) != SLC_OK) {
		json_decref(path);
		path = NULL;
	}
	json_decref(all);
	return path;
}

static int64_t
amount(const json_t *path, const char *kind)
{
	const json_t *limits = json_object_get(path, "limits");
	struct spec_limit l;
	ssize_t at;

	if (limits_kind(kind, &l, NULL) != SLC_OK)
		return -1;
	at = limits_find(limits, &l);
	return at < 0 ? -1
		      : js_int(json_array_get(limits, (size_t)at), "amount");
}

#define PLAN                                                           \
	"{\"name\": \"a\", \"about\": \"b\", \"dialect\": \"relay\", " \
	"\"charge\": \"declared\", \"stream_cost\": \"chunk\", "       \
	"\"headroom\": 0.1, \"limits\": [\"requests/1m=10\", "         \
	"\"requests/1h=99\", \"m:requests/1m=5\", \"concurrent=2\"]}"

static void
a_preset_sets_what_is_open(void)
{
	struct slc_err err;
	json_t *path = expand(PLAN, NULL, NULL, NULL, &err);

	CU_ASSERT_STRING_EQUAL(js_text(path, "dialect"), "relay");
	CU_ASSERT_STRING_EQUAL(js_text(path, "charge"), "declared");
	CU_ASSERT_STRING_EQUAL(js_text(path, "stream_cost"), "chunk");
	CU_ASSERT_DOUBLE_EQUAL(
	    json_number_value(js_at(path, "headroom")), 0.1, 1e-9);
	CU_ASSERT_EQUAL(amount(path, "requests/1m"), 10);
	CU_ASSERT_EQUAL(amount(path, "requests/1h"), 99);
	CU_ASSERT_EQUAL(amount(path, "m:requests/1m"), 5);
	CU_ASSERT_EQUAL(amount(path, "concurrent"), 2);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(path, "limits")), 4);
	json_decref(path);
}

static void
what_is_given_wins_limit_by_limit(void)
{
	static const char *const given[] = { "requests/1m=300",
		"n:requests/1m=7", "tokens/1m=1k", NULL };
	struct slc_err err;
	json_t *path = expand(PLAN, given, "charge", "actual", &err);

	CU_ASSERT_STRING_EQUAL(js_text(path, "charge"), "actual");
	CU_ASSERT_STRING_EQUAL(js_text(path, "dialect"), "relay");
	CU_ASSERT_EQUAL(amount(path, "requests/1m"), 300);
	CU_ASSERT_EQUAL(amount(path, "m:requests/1m"), 5);
	CU_ASSERT_EQUAL(amount(path, "n:requests/1m"), 7);
	CU_ASSERT_EQUAL(amount(path, "tokens/1m"), 1000);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(path, "limits")), 6);
	json_decref(path);
}

static void
what_a_preset_needs_must_be_given(void)
{
	static const char *const minute[] = { "requests/1m=3", NULL };
	static const char *const hour[] = { "requests/1h=3", NULL };
	static const char *const of_model[] = { "m:requests/1h=3", NULL };
	static const struct {
		const char *why, *needs;
		const char *const *given;
		const char *pool, *says; /* NULL: fine */
	} cases[] = {
		{ "nothing", "\"requests/1h\"", NULL, NULL, "requests/1h=N" },
		{ "another window", "\"requests/1h\"", minute, NULL,
		    "requests/1h=N" },
		{ "another model", "\"requests/1h\"", of_model, NULL,
		    "requests/1h=N" },
		{ "given", "\"requests/1h\"", hour, NULL, NULL },
		{ "one of two", "\"requests/1h\", \"concurrent\"", hour, NULL,
		    "needs concurrent=N" },
		{ "both", "\"requests/1h\", \"concurrent\"", NULL, NULL,
		    "requests/1h=N and concurrent=N" },
		{ "any", "\"any\"", NULL, NULL, "at least one limit" },
		{ "any, given", "\"any\"", minute, NULL, NULL },
		{ "in the pool", "\"requests/1h\"", NULL, "house", NULL },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct buf preset = { 0 };
		struct slc_err err = { 0 };
		json_t *path;

		buf_addf(&preset,
		    "{\"name\": \"a\", \"about\": \"b\", \"needs\": [%s]}",
		    cases[i].needs);
		path = expand(buf_cstr(&preset), cases[i].given,
		    cases[i].pool != NULL ? "pool" : NULL, cases[i].pool, &err);
		CHECK((path != NULL) == (cases[i].says == NULL), cases[i].why);
		CHECK(cases[i].says == NULL ||
			strstr(err.text, cases[i].says) != NULL,
		    cases[i].why);
		json_decref(path);
		buf_fini(&preset);
	}
}

static void
wrong_presets_are_refused(void)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "{", "x.json: line" },
		{ "{\"about\": \"b\"}", "a name" },
		{ PLAN "," PLAN, "a name of its own" },
		{ "{\"name\": \"a\"}", "a: an \"about\"" },
		{ "{\"name\":\"a\",\"about\":\"b\",\"limit\":[]}",
		    "\"limit\"" },
		{ "{\"name\":\"a\",\"about\":\"b\",\"dialect\":\"x\"}",
		    "dialect: \"x\" is not one of auto, " },
		{ "{\"name\":\"a\",\"about\":\"b\",\"charge\":\"x\"}",
		    "charge: \"x\" is not one of declared, " },
		{ "{\"name\":\"a\",\"about\":\"b\",\"stream_cost\":2}",
		    "not one of once, chunk" },
		{ "{\"name\":\"a\",\"about\":\"b\",\"headroom\":1}",
		    "headroom" },
		{ "{\"name\":\"a\",\"about\":\"b\",\"limits\":[\"r/1m=1\"]}",
		    "cannot be limited" },
		{ "{\"name\":\"a\",\"about\":\"b\",\"needs\":[\"requests\"]}",
		    "window" },
		{ "{\"name\":\"a\",\"about\":\"b\",\"limits\":"
		  "[\"requests/1m=1\",\"requests/60s=2\"]}",
		    "twice" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct slc_err err = { 0 };
		json_t *all = load(cases[i].text, &err);

		CHECK(all == NULL, cases[i].text);
		CHECK(strstr(err.text, cases[i].says) != NULL, err.text);
		json_decref(all);
	}
}

/* What each plan of the five systems allows, as they publish it. */
static void
the_presets_that_come_along_are_true(void)
{
	static const struct {
		const char *name, *kind;
		int64_t amount; /* -1: none */
	} cases[] = {
		{ "priority-free", "requests/1m", 10 },
		{ "priority-free", "tokens/1m", 40000 },
		{ "priority-free", "requests/1d", 500 },
		{ "priority-basic", "requests/1m", 50 },
		{ "priority-basic", "tokens/1m", 200000 },
		{ "priority-basic", "requests/1d", 10000 },
		{ "priority-pro", "requests/1m", 100 },
		{ "priority-pro", "tokens/1m", 1000000 },
		{ "priority-pro", "requests/1d", 100000 },
		{ "priority-enterprise", "requests/1m", -1 },
		{ "chunks-free", "requests/1m", 10 },
		{ "chunks-free", "requests/1d", 1000 },
		{ "chunks-free", "concurrent", 2 },
		{ "chunks-pro", "requests/1m", 60 },
		{ "chunks-pro", "requests/1d", 10000 },
		{ "chunks-pro", "concurrent", 5 },
		{ "chunks-business", "requests/1m", 300 },
		{ "chunks-business", "requests/1d", 100000 },
		{ "chunks-business", "concurrent", 25 },
		{ "chunks-enterprise", "requests/1m", -1 },
		{ "chunks-enterprise", "gpt-4:requests/1m", 10 },
		{ "chunks-pro", "gpt-4:requests/1m", 10 },
		{ "chunks-pro", "gpt-4:tokens/1m", 10000 },
		{ "chunks-pro", "gpt-3.5-turbo*:requests/1m", 20 },
		{ "chunks-pro", "gpt-3.5-turbo*:tokens/1m", 40000 },
		{ "chunks-pro", "claude-2*:requests/1m", 10 },
		{ "chunks-pro", "claude-2*:tokens/1m", 15000 },
		{ "chunks-pro", "claude-instant*:requests/1m", 20 },
		{ "chunks-pro", "claude-instant*:tokens/1m", 40000 },
		{ "relay-default", "requests/1m", 100 },
		{ "relay-default", "tokens/1m", 500000 },
		{ "relay-default", "concurrent", 10 },
	};
	static const char *const others[] = { "account-free", "account-pro",
		"account-enterprise", "named", "openai", "anthropic", "azure",
		"groq", "cerebras", "mistral", "deepseek", "gemini" };
	struct slc_err err = { 0 };
	json_t *all = NULL;

	CHECK(preset_all(preset_files, &all, &err) == SLC_OK, err.text);
	for (size_t i = 0; i < NITEMS(cases); i++)
		CHECK(amount(preset_find(all, cases[i].name), cases[i].kind) ==
			cases[i].amount,
		    cases[i].name);
	/* Nobody publishes their amounts: not a number that was made up. */
	for (size_t i = 0; i < NITEMS(others); i++) {
		const json_t *p = preset_find(all, others[i]);

		CHECK(p != NULL, others[i]);
		CHECK(json_array_size(js_at(p, "limits")) == 0, others[i]);
		CHECK(json_array_size(js_at(p, "needs")) > 0, others[i]);
	}
	json_decref(all);
}

UNIT_MAIN("preset", UNIT(a_preset_sets_what_is_open),
    UNIT(what_is_given_wins_limit_by_limit),
    UNIT(what_a_preset_needs_must_be_given), UNIT(wrong_presets_are_refused),
    UNIT(the_presets_that_come_along_are_true))
