#include "rule.h"

#include <inttypes.h>
#include <string.h>

#include "js.h"

enum {
	RULE_QUOTE_MAX = 60,
	RULE_MICRO_DIGITS = 6, /* of money, after the point */
};
#define RULE_AMOUNT_MAX INT64_C(1000000000000000)
#define QUOTE(s)        (int)((s).n > RULE_QUOTE_MAX ? RULE_QUOTE_MAX : (s).n), (s).p

static const struct what {
	const char *name;
	bool windowless, money;
} whats[] = {
	{ "requests", false, false },
	{ "tokens", false, false },
	{ "input_tokens", false, false },
	{ "output_tokens", false, false },
	{ "money", false, true },
	{ "concurrent", true, false },
	{ "enqueued_requests", true, false },
	{ "enqueued_tokens", true, false },
};

/* A word sets one member. */
static const struct word {
	const char *word, *member, *value; /* value NULL: true */
} words[] = {
	{ "sliding", "algorithm", "sliding" },
	{ "fixed", "algorithm", "fixed" },
	{ "anchored", "algorithm", "anchored" },
	{ "bucket", "algorithm", "bucket" },
	{ "key", "per", "key" },
	{ "account", "per", "account" },
	{ "all", "per", "all" },
	{ "reject", "action", "reject" },
	{ "shape", "action", "shape" },
	{ "live", "applies", "live" },
	{ "batch", "applies", "batch" },
	{ "both", "applies", "both" },
	{ "once", "stream_cost", "once" },
	{ "chunk", "stream_cost", "chunk" },
	{ "chat", "resource", "chat" },
	{ "embeddings", "resource", "embeddings" },
	{ "moderations", "resource", "moderations" },
	{ "images", "resource", "images" },
	{ "audio", "resource", "audio" },
	{ "each-model", "each_model", NULL },
	{ "each-resource", "each_resource", NULL },
};

static const struct what *
find_what(struct slice name)
{
	for (size_t i = 0; i < NITEMS(whats); i++)
		if (slice_eq(name, whats[i].name))
			return &whats[i];
	return NULL;
}

/* "12.50" in millionths. */
static bool
parse_money(struct slice text, int64_t *out)
{
	const char *point = memchr(text.p, '.', text.n);
	struct slice whole = text, part = { text.p, 0 };
	int64_t n, fraction = 0;

	if (point != NULL) {
		whole.n = (size_t)(point - text.p);
		part = (struct slice){ point + 1, text.n - whole.n - 1 };
		if (part.n < 1 || part.n > RULE_MICRO_DIGITS ||
		    !slice_int(part, 999999, &fraction))
			return false;
	}
	for (size_t i = part.n; i < RULE_MICRO_DIGITS; i++)
		fraction *= 10;
	if (!slice_int(whole, RULE_AMOUNT_MAX / 1000000 - 1, &n))
		return false;
	*out = n * 1000000 + fraction;
	return true;
}

static enum slc_rc
parse_amount(struct slice text, const struct what *what, int64_t *out,
    struct slc_err *err)
{
	if (what->money)
		return parse_money(text, out)
		    ? SLC_OK
		    : slc_fail(err, SLC_EINPUT,
			  "\"%.*s\" is not an amount of money: write 12 or "
			  "12.50",
			  QUOTE(text));
	if (slice_eq(text, "0")) {
		*out = 0; /* nothing at all */
		return SLC_OK;
	}
	return spec_amount(text, RULE_AMOUNT_MAX, out, err);
}

static enum slc_rc
parse_word(json_t *rule, struct slice text, struct slc_err *err)
{
	struct buf list = { 0 };
	enum slc_rc rc;

	if (text.n > 6 && memcmp(text.p, "fixed@", 6) == 0) {
		json_object_set_new(rule, "algorithm", json_string("fixed"));
		json_object_set_new(
		    rule, "zone", json_stringn(text.p + 6, text.n - 6));
		return SLC_OK;
	}
	for (size_t i = 0; i < NITEMS(words); i++)
		if (slice_eq(text, words[i].word)) {
			json_object_set_new(rule, words[i].member,
			    words[i].value != NULL ? json_string(words[i].value)
						   : json_true());
			return SLC_OK;
		}
	for (size_t i = 0; i < NITEMS(words); i++)
		buf_addf(&list, "%s%s", i > 0 ? " " : "", words[i].word);
	rc = slc_fail(err, SLC_EINPUT, "\"%.*s\" is not one of %s fixed@ZONE",
	    QUOTE(text), buf_cstr(&list));
	buf_fini(&list);
	return rc;
}

/* [MODEL:]WHAT[/WINDOW] */
static enum slc_rc
parse_kind(json_t *rule, struct slice text, const struct what **what,
    struct slc_err *err)
{
	const char *colon = memrchr(text.p, ':', text.n), *slash;
	struct slice model = SLICE("*"), window = { NULL, 0 };
	struct slc_err why;
	int64_t window_s = 0;

	if (colon != NULL) {
		model = (struct slice){ text.p, (size_t)(colon - text.p) };
		text = (struct slice){ colon + 1, text.n - model.n - 1 };
	}
	if (model.n < 1 || model.n > SPEC_MODEL_MAX)
		return slc_fail(err, SLC_EINPUT,
		    "the model before \":\" takes 1 to %d bytes, as in "
		    "gpt-4:requests/1m=10",
		    SPEC_MODEL_MAX);
	slash = memchr(text.p, '/', text.n);
	if (slash != NULL) {
		window.p = slash + 1;
		window.n = text.n - (size_t)(slash + 1 - text.p);
		text.n = (size_t)(slash - text.p);
	}
	if ((*what = find_what(text)) == NULL)
		return slc_fail(err, SLC_EINPUT,
		    "\"%.*s\" cannot be limited: use requests, tokens, "
		    "input_tokens, output_tokens, money, concurrent, "
		    "enqueued_requests or enqueued_tokens",
		    QUOTE(text));
	if ((*what)->windowless != (window.p == NULL))
		return slc_fail(err, SLC_EINPUT,
		    (*what)->windowless ? "%s has no window: write %s=10"
					: "%s needs a window: write %s/1m=300",
		    (*what)->name, (*what)->name);
	if (window.p != NULL &&
	    spec_window(window, 1, SPEC_LIMIT_WINDOW_MAX_S, &window_s, &why) !=
		SLC_OK)
		return slc_fail(err, SLC_EINPUT, "window %s", why.text);
	json_object_set_new(rule, "model", json_stringn(model.p, model.n));
	json_object_set_new(rule, "dimension", json_string((*what)->name));
	json_object_set_new(rule, "window_s", json_integer(window_s));
	return SLC_OK;
}

enum slc_rc
rule_parse(const char *text, json_t **out, struct slc_err *err)
{
	const char *at = strrchr(text, '='), *end;
	const struct what *what = NULL;
	json_t *rule;
	int64_t amount = 0;
	enum slc_rc rc;

	if (at == NULL)
		return slc_fail(err, SLC_EINPUT,
		    "\"%.60s\" has no amount: write requests/1m=300, "
		    "concurrent=10 or gpt-4:tokens/1h=2m",
		    text);
	rule = json_object();
	rc = parse_kind(
	    rule, (struct slice){ text, (size_t)(at - text) }, &what, err);
	end = strchrnul(++at, ':');
	if (rc == SLC_OK)
		rc = parse_amount((struct slice){ at, (size_t)(end - at) },
		    what, &amount, err);
	json_object_set_new(rule, "amount", json_integer(amount));
	while (rc == SLC_OK && *end != '\0') {
		at = end + 1;
		end = strchrnul(at, ':');
		rc = parse_word(
		    rule, (struct slice){ at, (size_t)(end - at) }, err);
	}
	if (rc != SLC_OK) {
		json_decref(rule);
		return rc;
	}
	*out = rule;
	return SLC_OK;
}

static const char *
resource_of(const json_t *rule)
{
	const char *resource = js_text(rule, "resource");

	return resource[0] != '\0' ? resource : "*";
}

/* Where the same one stands, or -1. */
static ssize_t
find(const json_t *rules, const json_t *rule)
{
	for (size_t i = 0; i < json_array_size(rules); i++) {
		const json_t *r = json_array_get(rules, i);

		if (strcmp(js_text(r, "model"), js_text(rule, "model")) == 0 &&
		    strcmp(js_text(r, "dimension"),
			js_text(rule, "dimension")) == 0 &&
		    strcmp(resource_of(r), resource_of(rule)) == 0 &&
		    js_int(r, "window_s") == js_int(rule, "window_s"))
			return (ssize_t)i;
	}
	return -1;
}

enum slc_rc
rules_set(json_t *rules, const char *text, struct slc_err *err)
{
	json_t *rule = NULL, *was;
	enum slc_rc rc = rule_parse(text, &rule, err);
	ssize_t at;

	if (rc != SLC_OK)
		return rc;
	at = find(rules, rule);
	if (at < 0) {
		json_array_append_new(rules, rule);
		return SLC_OK;
	}
	was = json_array_get(rules, (size_t)at);
	/* One from the server has all members, one from here what was said. */
	if (json_object_get(was, "zone") == NULL ||
	    json_object_get(was, "each_resource") == NULL)
		rc = slc_fail(err, SLC_EINPUT,
		    "\"%.60s\": that limit is given twice", text);
	else
		json_object_update(was, rule);
	json_decref(rule);
	return rc;
}

enum slc_rc
rules_unset(json_t *rules, const char *text, struct slc_err *err)
{
	struct buf whole = { 0 };
	json_t *rule = NULL;
	enum slc_rc rc;
	ssize_t at;

	buf_addf(&whole, "%s%s", text, strchr(text, '=') != NULL ? "" : "=1");
	rc = rule_parse(buf_cstr(&whole), &rule, err);
	buf_fini(&whole);
	if (rc != SLC_OK)
		return rc;
	at = find(rules, rule);
	json_decref(rule);
	if (at < 0)
		return slc_fail(
		    err, SLC_ENOTFOUND, "there is no limit %.80s", text);
	json_array_remove(rules, (size_t)at);
	return SLC_OK;
}

static void
add_amount(const json_t *rule, struct buf *to)
{
	int64_t amount = js_int(rule, "amount");
	const char *unit = "kmg";
	char letter[2] = "";

	if (strcmp(js_text(rule, "dimension"), "money") == 0) {
		buf_addf(to, "=%" PRId64, amount / 1000000);
		if (amount % 1000000 != 0) {
			buf_addf(to, ".%06" PRId64, amount % 1000000);
			while (to->p[to->n - 1] == '0')
				to->n--;
		}
		return;
	}
	for (; amount > 0 && amount % 1000 == 0 && *unit != '\0'; unit++) {
		amount /= 1000;
		letter[0] = *unit;
	}
	buf_addf(to, "=%" PRId64 "%s", amount, letter);
}

/* What of the words goes without saying. */
static bool
is_plain(const json_t *rule, const struct word *w)
{
	static const char *const plain[] = { "sliding", "key", "reject", "live",
		"once" };
	const char *dimension = js_text(rule, "dimension");
	bool windowless = js_int(rule, "window_s") == 0;

	for (size_t i = 0; i < NITEMS(plain); i++)
		if (strcmp(w->word, plain[i]) == 0)
			return true;
	if (strcmp(w->member, "algorithm") == 0)
		return windowless;
	if (strcmp(w->word, "batch") == 0)
		return strcmp(js_text(rule, "action"), "shape") == 0 ||
		    strncmp(dimension, "enqueued", 8) == 0;
	return strcmp(w->word, "both") == 0 && strcmp(dimension, "money") == 0;
}

void
rule_text(const json_t *rule, struct buf *to)
{
	const char *model = js_text(rule, "model");
	int64_t window_s = js_int(rule, "window_s");
	const char *zone = js_text(rule, "zone");
	char window[32];

	if (model[0] != '\0' && strcmp(model, "*") != 0)
		buf_addf(to, "%s:", model);
	buf_adds(to, js_text(rule, "dimension"));
	if (window_s > 0) {
		spec_window_text(window_s, window);
		buf_addf(to, "/%s", window);
	}
	add_amount(rule, to);
	for (size_t i = 0; i < NITEMS(words); i++) {
		const struct word *w = &words[i];

		if (w->value == NULL
			? !json_is_true(json_object_get(rule, w->member))
			: strcmp(js_text(rule, w->member), w->value) != 0)
			continue;
		if (is_plain(rule, w))
			continue;
		buf_addf(to, ":%s", w->word);
		if (strcmp(w->word, "fixed") == 0 && zone[0] != '\0' &&
		    strcmp(zone, "UTC") != 0)
			buf_addf(to, "@%s", zone);
	}
}
