#include "../../scheduler/live_ask.h"

#include <string.h>

#include "unit.h"

#define FORM "multipart/form-data; boundary=x"
#define PART(name, more, value)                                         \
	"--x\r\nContent-Disposition: form-data; name=\"" name "\"" more \
	"\r\n\r\n" value "\r\n"

static void
model_and_cost_are_read_from_any_body(void)
{
	static const struct {
		const char *why, *type, *body, *otherwise, *model;
		bool cheap, stream;
		int64_t input, output;
	} cases[] = {
		{ "chat", "application/json",
		    "{\"messages\":[{\"model\":\"no\"}],\"model\":\"m-1\","
		    "\"max_tokens\":7}",
		    NULL, "m-1", false, false, 14, 7 },
		{ "newer names", "application/json; charset=utf-8",
		    "{\"model\":\"m\",\"max_output_tokens\":9,\"stream\":true}",
		    NULL, "m", false, true, 12, 9 },
		{ "escapes", "application/json",
		    "{\"model\":\"\\u006d/\\u00e9\"}", NULL, "m/\xc3\xa9",
		    false, false, 6, 0 },
		{ "cheap", "application/json", "{\"model\":\"gpt:batch\"}",
		    NULL, "gpt", true, false, 5, 0 },
		{ "only the suffix", "application/json",
		    "{\"model\":\":batch\"}", NULL, ":batch", false, false, 4,
		    0 },
		{ "none needed", "application/json", "{}", "omni", "omni",
		    false, false, 1, 0 },
		{ "a cap of nonsense", "application/json",
		    "{\"model\":\"m\",\"max_tokens\":\"7\"}", NULL, "m", false,
		    false, 7, 0 },
		{ "a form: files are no text", FORM,
		    PART("file", "; filename=\"a.wav\"",
			"0123456789abcdef0123456789abcdef") PART("prompt", "",
			"12345678") PART("model", "", "whisper-1") "--x--\r\n",
		    NULL, "whisper-1", false, false, 4, 0 },
		{ "a file is no model", FORM,
		    PART("model", "; filename=\"m\"", "evil") "--x--\r\n",
		    "dall-e-2", "dall-e-2", false, false, 1, 0 },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct live_ask a = { 0 };
		struct slc_err err;
		const char *param;

		CHECK(live_ask_read(slice_str(cases[i].type),
			  slice_str(cases[i].body), cases[i].otherwise, &a,
			  &param, &err) == SLC_OK,
		    cases[i].why);
		CHECK(a.model.n > 0 && strcmp(a.model.p, cases[i].model) == 0,
		    cases[i].why);
		CHECK(a.cheap == cases[i].cheap && a.stream == cases[i].stream,
		    cases[i].why);
		CHECK(a.input == cases[i].input && a.output == cases[i].output,
		    cases[i].why);
		live_ask_fini(&a);
	}
}

static void
what_is_wrong_is_refused(void)
{
	static char long_model[2000];
	static const struct {
		const char *why, *type, *body, *param;
	} cases[] = {
		{ "no JSON", "application/json", "{\"model\":", NULL },
		{ "no object", "application/json", "[1]", NULL },
		{ "no model", "application/json", "{}", "model" },
		{ "empty", "application/json", "{\"model\":\"\"}", "model" },
		{ "no string", "application/json", "{\"model\":1}", "model" },
		{ "two readers", "application/json",
		    "{\"model\":\"a\",\"model\":\"b\"}", NULL },
		{ "U+0000", "application/json", "{\"model\":\"a\\u0000\"}",
		    "model" },
		{ "too long", "application/json", long_model, "model" },
		{ "two in a form", FORM,
		    PART("model", "", "a") PART("model", "", "b") "--x--\r\n",
		    NULL },
		{ "a form without end", FORM, PART("model", "", "a"), NULL },
		{ "a form without model", FORM,
		    PART("prompt", "", "a") "--x--\r\n", "model" },
		{ "no boundary", "multipart/form-data", "", NULL },
	};

	snprintf(long_model, sizeof(long_model), "{\"model\":\"%0*d\"}",
	    SLC_MODEL_MAX + 1, 1);
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct live_ask a = { 0 };
		struct slc_err err;
		const char *param;

		CHECK(live_ask_read(slice_str(cases[i].type),
			  slice_str(cases[i].body), NULL, &a, &param,
			  &err) == SLC_EINPUT,
		    cases[i].why);
		CHECK(
		    (param == NULL) == (cases[i].param == NULL), cases[i].why);
		live_ask_fini(&a);
	}
}

UNIT_MAIN("live_ask", UNIT(model_and_cost_are_read_from_any_body),
    UNIT(what_is_wrong_is_refused))
