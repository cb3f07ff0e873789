#include <sluice/combine.h>

#include <string.h>

#include <sluice/jscan.h>

enum { WANT_TEXT, WANT_STREAM, WANT_N, WANT_BEST_OF, WANTS };

/* The member that holds the text; NULL: nothing of the endpoint is combined. */
static const char *
text_member(const char *endpoint)
{
	return strcmp(endpoint, "/v1/embeddings") == 0 ? "input"
	    : strcmp(endpoint, "/v1/completions") == 0 ? "prompt"
						       : NULL;
}

static bool
is_one(const struct jscan_found *f)
{
	return f->kind == JSCAN_ABSENT || f->kind == JSCAN_NULL ||
	    (f->kind == JSCAN_NUMBER && slice_eq(f->text, "1"));
}

bool
combine_value(struct slice body, const char *endpoint, struct slice *value)
{
	const struct jscan_want wants[WANTS] = {
		[WANT_TEXT] = { text_member(endpoint), -1 },
		[WANT_STREAM] = { "stream", -1 },
		[WANT_N] = { "n", -1 },
		[WANT_BEST_OF] = { "best_of", -1 },
	};
	struct jscan_found found[WANTS];
	struct jscan_fault fault;

	if (wants[WANT_TEXT].name == NULL ||
	    jscan(body, SLC_DEPTH_MAX, wants, WANTS, found, &fault) !=
		JSCAN_OBJECT ||
	    found[WANT_TEXT].kind != JSCAN_STRING ||
	    found[WANT_STREAM].kind == JSCAN_TRUE || !is_one(&found[WANT_N]) ||
	    !is_one(&found[WANT_BEST_OF]))
		return false;
	*value = found[WANT_TEXT].text;
	return true;
}

/* FNV-1a. */
static uint64_t
hash_add(uint64_t h, const char *p, const char *end)
{
	for (; p < end; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	return h;
}

int32_t
combine_hash(struct slice body, struct slice value)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	uint32_t folded;
	int32_t out;

	h = hash_add(h, body.p, value.p);
	h = hash_add(h, "", &""[1]); /* where the value stood */
	h = hash_add(h, value.p + value.n, body.p + body.n);
	folded = (uint32_t)(h ^ h >> 32);
	memcpy(&out, &folded, sizeof(out));
	return out == 0 ? 1 : out;
}

bool
combine_same(struct slice body, struct slice value, struct slice other,
    struct slice other_value)
{
	size_t before = (size_t)(value.p - body.p);
	size_t after = body.n - before - value.n;

	return (size_t)(other_value.p - other.p) == before &&
	    other.n - before - other_value.n == after &&
	    memcmp(body.p, other.p, before) == 0 &&
	    memcmp(value.p + value.n, other_value.p + other_value.n, after) ==
	    0;
}
