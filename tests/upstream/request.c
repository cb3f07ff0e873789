#include <string.h>

#include "request.h"

uint64_t
request_hash(const char *p, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static const char *
skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

/* p is behind the opening quote; returns the closing one, or NULL. */
static const char *
find_quote(const char *p, const char *end)
{
	for (const char *q = p; (q = memchr(q, '"', (size_t)(end - q))); q++) {
		const char *run = q;

		while (run > p && run[-1] == '\\')
			run--;
		if ((q - run) % 2 == 0)
			return q;
	}
	return NULL;
}

/* The end of the value that starts at p, or NULL if it has none. */
static const char *
skip_value(const char *p, const char *end)
{
	size_t depth = 0;

	for (; p < end; p++) {
		switch (*p) {
		case '"':
			p = find_quote(p + 1, end);
			if (p == NULL)
				return NULL;
			if (depth == 0)
				return p + 1;
			break;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (depth == 0)
				return p;
			if (--depth == 0)
				return p + 1;
			break;
		case ',':
			if (depth == 0)
				return p;
			break;
		default:
			break;
		}
	}
	return NULL;
}

static int64_t
to_int(const char *p, const char *end)
{
	int64_t v = 0;

	if (p == end || *p < '0' || *p > '9')
		return -1;
	for (; p < end && *p >= '0' && *p <= '9' && v < INT32_MAX; p++)
		v = v * 10 + (*p - '0');
	return v;
}

/* A string is one text and so is an array of tokens or of content parts. */
static int64_t
count_inputs(const char *p, const char *end)
{
	int64_t n = 0;

	if (*p != '[')
		return 1;
	p = skip_space(p + 1, end);
	if (*p != '"' && *p != '[')
		return 1;
	while (p < end && *p != ']') {
		const char *next = skip_value(p, end);

		if (next == NULL || next == p)
			return 1;
		n++;
		p = skip_space(next, end);
		if (p < end && *p == ',')
			p = skip_space(p + 1, end);
	}
	return n > 0 ? n : 1;
}

static bool
is_key(const char *p, const char *end, const char *name)
{
	size_t n = strlen(name);

	return (size_t)(end - p) == n && memcmp(p, name, n) == 0;
}

static void
take(struct request *out, const char *key, const char *key_end, const char *p,
    const char *end)
{
	if (is_key(key, key_end, "model") && *p == '"') {
		out->model = p + 1;
		out->model_n = (size_t)(end - p) - 2;
	} else if (is_key(key, key_end, "max_tokens") ||
	    is_key(key, key_end, "max_completion_tokens") ||
	    is_key(key, key_end, "max_output_tokens")) {
		out->output_max = to_int(p, end);
	} else if (is_key(key, key_end, "dimensions")) {
		out->dimensions = to_int(p, end);
	} else if (is_key(key, key_end, "input") ||
	    is_key(key, key_end, "prompt")) {
		out->inputs = count_inputs(p, end);
		if (out->inputs > 1 && skip_space(p + 1, end)[0] == '"')
			out->texts = p;
	} else if (is_key(key, key_end, "stream")) {
		out->stream = *p == 't';
	} else if (is_key(key, key_end, "stream_options")) {
		out->stream_usage = memmem(p, (size_t)(end - p),
					"\"include_usage\":true", 20) != NULL ||
		    memmem(p, (size_t)(end - p), "\"include_usage\": true",
			21) != NULL;
	}
}

bool
request_parse(const char *p, size_t n, struct request *out)
{
	const char *end = p + n;

	*out =
	    (struct request){ .output_max = -1, .dimensions = -1, .inputs = 1 };
	p = skip_space(p, end);
	if (p == end || *p != '{')
		return false;
	p = skip_space(p + 1, end);
	while (p < end && *p == '"') {
		const char *key = p + 1;
		const char *key_end = find_quote(key, end);
		const char *value;

		if (key_end == NULL)
			return false;
		value = skip_space(key_end + 1, end);
		if (value == end || *value != ':')
			return false;
		value = skip_space(value + 1, end);
		p = skip_value(value, end);
		if (p == NULL || p == value)
			return false;
		take(out, key, key_end, value, p);
		p = skip_space(p, end);
		if (p < end && *p == ',')
			p = skip_space(p + 1, end);
	}
	return p < end && *p == '}' && skip_space(p + 1, end) == end;
}

void
request_hashes(const struct request *q, const char *end, uint64_t *hashes)
{
	const char *p = q->texts + 1;

	for (int64_t i = 0; i < q->inputs; i++) {
		const char *text = skip_space(p, end);

		p = skip_value(text, end);
		hashes[i] = request_hash(text, (size_t)(p - text));
		p = skip_space(p, end) + 1;
	}
}
