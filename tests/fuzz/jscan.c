/*
 * Fuzz target: jscan() and jansson agree about what is JSON and what stands in
 * it, but for what jansson cannot hold and we refuse on purpose.
 */
#include <assert.h>
#include <jansson.h>
#include <string.h>

#include <sluice/jscan.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { DEPTH = 8, WANTS = 4 };

static const struct jscan_want wants[WANTS] = {
	{ "id", -1 },
	{ "body", -1 },
	{ "model", 1 },
	{ "usage", 1 },
};

/* Numbers out of range, U+0000 and halves of pairs. */
static bool
jansson_is_stricter(const json_error_t *e)
{
	switch (json_error_code(e)) {
	case json_error_numeric_overflow:
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return true;
	default:
		return strstr(e->text, "invalid Unicode") != NULL;
	}
}

/* Strings are unquoted to what jansson makes of them. */
static void
check_value(const struct jscan_found *f, const json_t *value)
{
	struct buf b = { 0 };
	int64_t v;

	assert((f->kind == JSCAN_ABSENT) == (value == NULL));
	assert((f->kind == JSCAN_OBJECT) == json_is_object(value));
	assert((f->kind == JSCAN_ARRAY) == json_is_array(value));
	assert((f->kind == JSCAN_TRUE) == json_is_true(value));
	assert((f->kind == JSCAN_FALSE) == json_is_false(value));
	assert((f->kind == JSCAN_NULL) == json_is_null(value));
	assert((f->kind == JSCAN_NUMBER) == json_is_number(value));
	assert((f->kind == JSCAN_STRING) == json_is_string(value));
	if (jscan_int(f, INT64_MAX, &v))
		assert(json_integer_value(value) == v);
	if (f->kind == JSCAN_STRING) {
		assert(jscan_unquote(f->text, &b));
		assert(slice_eq(buf_slice(&b), json_string_value(value)));
	}
	buf_fini(&b);
}

/* What jansson says of it, and that all values stand inside the text. */
static void
check_found(
    struct slice text, const struct jscan_found *found, const json_t *root)
{
	const json_t *at[WANTS];

	for (int w = 0; w < WANTS; w++) {
		const struct slice t = found[w].text;

		assert(t.p == NULL ||
		    (t.n > 0 && t.p > text.p && t.p + t.n < text.p + text.n));
		if (found[w].kind == JSCAN_STRING && root == NULL) {
			struct buf b = { 0 };

			jscan_unquote(t, &b);
			buf_fini(&b);
		}
		if (root == NULL)
			continue;
		at[w] = json_object_get(
		    wants[w].parent < 0 ? root : at[wants[w].parent],
		    wants[w].name);
		check_value(&found[w], at[w]);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice text = { (const char *)data, n };
	struct jscan_found found[WANTS];
	struct jscan_fault fault = { 0 };
	enum jscan_kind kind = jscan(text, DEPTH, wants, WANTS, found, &fault);
	json_error_t error;
	json_t *root = json_loadb(text.p, n, JSON_DECODE_ANY, &error);

	assert((kind == JSCAN_ABSENT) == (fault.text[0] != '\0'));
	assert(fault.at <= n);
	if (kind != JSCAN_ABSENT)
		check_found(text, found, root);
	if (kind != JSCAN_ABSENT && root == NULL)
		assert(jansson_is_stricter(&error));
	/* jansson takes no notice of a NUL after a number. */
	if (kind == JSCAN_ABSENT && root != NULL)
		assert(strstr(fault.text, "twice") != NULL ||
		    strstr(fault.text, "deep") != NULL ||
		    memchr(data, '\0', n) != NULL);
	json_decref(root);
	return 0;
}
