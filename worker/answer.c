#include "answer.h"

#include <ctype.h>
#include <string.h>

enum {
	TOKENS_MAX = 1000000000,
	/* Deeper than any answer is; only well-formedness is asked of it. */
	ANSWER_DEPTH = 64,
	KEY_LIKE_MIN = 12, /* characters after "sk-" that make it a key */
};

enum {
	WANT_ERROR,
	WANT_USAGE,
	WANT_PROMPT,
	WANT_COMPLETION,
	WANT_INPUT,
	WANT_OUTPUT,
	WANT_PROMPT_DETAILS,
	WANT_INPUT_DETAILS,
	WANT_COMPLETION_DETAILS,
	WANT_OUTPUT_DETAILS,
	WANT_PROMPT_CACHED,
	WANT_INPUT_CACHED,
	WANT_COMPLETION_REASONING,
	WANT_OUTPUT_REASONING,
	WANTS
};

static const struct jscan_want wants[WANTS] = {
	[WANT_ERROR] = { "error", -1 },
	[WANT_USAGE] = { "usage", -1 },
	[WANT_PROMPT] = { "prompt_tokens", WANT_USAGE },
	[WANT_COMPLETION] = { "completion_tokens", WANT_USAGE },
	[WANT_INPUT] = { "input_tokens", WANT_USAGE },
	[WANT_OUTPUT] = { "output_tokens", WANT_USAGE },
	[WANT_PROMPT_DETAILS] = { "prompt_tokens_details", WANT_USAGE },
	[WANT_INPUT_DETAILS] = { "input_tokens_details", WANT_USAGE },
	[WANT_COMPLETION_DETAILS] = { "completion_tokens_details", WANT_USAGE },
	[WANT_OUTPUT_DETAILS] = { "output_tokens_details", WANT_USAGE },
	[WANT_PROMPT_CACHED] = { "cached_tokens", WANT_PROMPT_DETAILS },
	[WANT_INPUT_CACHED] = { "cached_tokens", WANT_INPUT_DETAILS },
	[WANT_COMPLETION_REASONING] = { "reasoning_tokens",
	    WANT_COMPLETION_DETAILS },
	[WANT_OUTPUT_REASONING] = { "reasoning_tokens", WANT_OUTPUT_DETAILS },
};

static bool
either(const struct jscan_found *found, int a, int b, int64_t *out)
{
	return jscan_int(&found[a], TOKENS_MAX, out) ||
	    jscan_int(&found[b], TOKENS_MAX, out);
}

bool
answer_check(struct slice body, struct answer_usage *usage)
{
	struct jscan_found found[WANTS];
	struct jscan_fault fault;

	*usage = (struct answer_usage){ 0 };
	if (jscan(body, ANSWER_DEPTH, wants, WANTS, found, &fault) !=
	    JSCAN_OBJECT)
		return false;
	/* /v1/responses has "error": null on success. */
	if (found[WANT_ERROR].kind != JSCAN_ABSENT &&
	    found[WANT_ERROR].kind != JSCAN_NULL)
		return false;
	usage->known = either(found, WANT_PROMPT, WANT_INPUT, &usage->input);
	either(found, WANT_COMPLETION, WANT_OUTPUT, &usage->output);
	either(found, WANT_PROMPT_CACHED, WANT_INPUT_CACHED, &usage->cached);
	either(found, WANT_COMPLETION_REASONING, WANT_OUTPUT_REASONING,
	    &usage->reasoning);
	return true;
}

/* Where word stands in [p, end), any case; NULL when it does not. */
static char *
find_word(char *p, const char *end, const char *word)
{
	size_t n = strlen(word);

	for (; end - p >= (ptrdiff_t)n; p++)
		if (strncasecmp(p, word, n) == 0)
			return p;
	return NULL;
}

static bool
is_json(struct slice body)
{
	struct jscan_fault fault;

	return jscan(body, ANSWER_DEPTH, NULL, 0, NULL, &fault) != JSCAN_ABSENT;
}

bool
answer_fits(struct slice body)
{
	size_t n = 2; /* at most, as a string */

	if (body.n > ANSWER_TEXT_MAX)
		return false;
	if (body.n < ANSWER_TEXT_MAX / 6) /* the most a byte can take */
		return true;
	for (size_t i = 0; i < body.n; i++) {
		unsigned char c = (unsigned char)body.p[i];

		if (c < 0x20 || c == 0x7f)
			n += 6;
		else if (c > 0x7f)
			n += 3;
		else
			n += c == '"' || c == '\\' ? 2 : 1;
	}
	return n <= ANSWER_TEXT_MAX || is_json(body);
}

/* Line ends can only stand between tokens of valid JSON. */
static void
add_flat(struct buf *out, struct slice json)
{
	size_t start = out->n;

	while (json.n > 0 && isspace((unsigned char)json.p[json.n - 1]))
		json.n--;
	buf_add(out, json.p, json.n);
	for (size_t i = start; i < out->n; i++)
		if (out->p[i] == '\n' || out->p[i] == '\r')
			out->p[i] = ' ';
}

void
answer_write(struct buf *out, const struct answer_line *line)
{
	buf_addf(out, "{\"id\":\"%s\",\"custom_id\":", line->id);
	buf_add(out, line->custom_id.p, line->custom_id.n);
	if (line->code != NULL) {
		buf_addf(out,
		    ",\"response\":null,\"error\":{\"code\":\"%s\","
		    "\"message\":",
		    line->code);
		buf_add_json(out, slice_str(line->message));
		buf_adds(out, "}}\n");
		return;
	}
	buf_addf(out,
	    ",\"response\":{\"status_code\":%d,\"request_id\":", line->status);
	buf_add_json(out, line->request_id);
	buf_adds(out, ",\"body\":");
	if (is_json(line->body))
		add_flat(out, line->body);
	else
		buf_add_json(out, line->body);
	buf_adds(out, "},\"error\":null}\n");
}

static bool
is_key_char(char c)
{
	/* RFC 6750, and * where the upstream has masked it. */
	return isalnum((unsigned char)c) ||
	    (c != '\0' && strchr("-._~+/=*", c) != NULL);
}

static void
blank_keys(char *p, size_t n, const char *mark, size_t least)
{
	char *end = p + n, *at = p;

	while ((at = find_word(at, end, mark)) != NULL) {
		char *key = at + strlen(mark), *stop;

		while (key < end && *key == ' ')
			key++;
		stop = key;
		while (stop < end && is_key_char(*stop))
			stop++;
		if ((size_t)(stop - key) >= least)
			memset(key, '*', (size_t)(stop - key));
		at = stop;
	}
}

void
answer_redact(char *p, size_t n, struct slice secret)
{
	char *at = p, *end = p + n;

	if (n == 0)
		return;
	while (secret.n > 0 &&
	    (at = memmem(at, (size_t)(end - at), secret.p, secret.n)) != NULL) {
		memset(at, '*', secret.n);
		at += secret.n;
	}
	blank_keys(p, n, "sk-", KEY_LIKE_MIN);
	blank_keys(p, n, "Bearer ", 1);
}
