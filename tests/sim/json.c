/*
 * Documents are most of a simulation's work.  This reads those that programs
 * write (no escapes, ASCII, whole numbers mostly) into jansson's values, in the
 * place of its json_loadb(); whatever is not so plain is left to jansson.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

enum { DEPTH_MAX = 32 };

struct reader {
	const char *at, *end;
	int depth;
};

static json_t *read_value(struct reader *r);

static void
skip(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n'))
		r->at++;
}

static bool
take(struct reader *r, char c)
{
	skip(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

/* Between quotes, the first of which is taken; NULL: it is not plain. */
static const char *
read_text(struct reader *r, size_t *n)
{
	const char *from = r->at;

	for (; r->at < r->end && *r->at != '"'; r->at++)
		if (*r->at == '\\' || (unsigned char)*r->at < ' ' ||
		    (unsigned char)*r->at > '~')
			return NULL;
	if (r->at == r->end)
		return NULL;
	*n = (size_t)(r->at++ - from);
	return from;
}

static json_t *
read_number(struct reader *r)
{
	const char *from = r->at;
	bool below = *r->at == '-';
	int64_t v = 0;

	for (r->at += below; r->at < r->end; r->at++) {
		if (*r->at < '0' || *r->at > '9')
			break;
		v = v * 10 + (*r->at - '0');
	}
	if (r->at == from + below || r->at - from > 18 || r->at == r->end)
		return NULL;
	if (*r->at == '.' || *r->at == 'e' || *r->at == 'E') {
		char *end;
		double real = strtod(from, &end);

		r->at = end;
		return r->at < r->end ? json_real(real) : NULL;
	}
	return json_integer(below ? -v : v);
}

static json_t *
read_array(struct reader *r)
{
	json_t *list = json_array();

	if (take(r, ']'))
		return list;
	do {
		json_t *v = read_value(r);

		if (v == NULL || json_array_append_new(list, v) != 0)
			goto bad;
	} while (take(r, ','));
	if (take(r, ']'))
		return list;
bad:
	json_decref(list);
	return NULL;
}

static json_t *
read_object(struct reader *r)
{
	json_t *object = json_object();

	if (take(r, '}'))
		return object;
	do {
		const char *name;
		json_t *v;
		size_t n;

		if (!take(r, '"') || (name = read_text(r, &n)) == NULL ||
		    !take(r, ':') || (v = read_value(r)) == NULL)
			goto bad;
		if (json_object_setn_new_nocheck(object, name, n, v) != 0)
			goto bad;
	} while (take(r, ','));
	if (take(r, '}'))
		return object;
bad:
	json_decref(object);
	return NULL;
}

static json_t *
read_value(struct reader *r)
{
	json_t *v = NULL;
	const char *text;
	size_t n;

	skip(r);
	if (r->at == r->end || r->depth == DEPTH_MAX)
		return NULL;
	r->depth++;
	if (take(r, '{')) {
		v = read_object(r);
	} else if (take(r, '[')) {
		v = read_array(r);
	} else if (take(r, '"')) {
		text = read_text(r, &n);
		v = text == NULL ? NULL : json_stringn_nocheck(text, n);
	} else if (r->end - r->at > 4 && memcmp(r->at, "true", 4) == 0) {
		r->at += 4;
		v = json_true();
	} else if (r->end - r->at > 4 && memcmp(r->at, "null", 4) == 0) {
		r->at += 4;
		v = json_null();
	} else if (r->end - r->at > 5 && memcmp(r->at, "false", 5) == 0) {
		r->at += 5;
		v = json_false();
	} else {
		v = read_number(r);
	}
	r->depth--;
	return v;
}

struct source {
	const char *at;
	size_t left;
};

static size_t
more(void *to, size_t n, void *data)
{
	struct source *s = data;

	if (n > s->left)
		n = s->left;
	memcpy(to, s->at, n);
	s->at += n;
	s->left -= n;
	return n;
}

json_t *
json_loadb(const char *text, size_t n, size_t flags, json_error_t *error)
{
	struct reader r = { text, text + n, 0 };
	struct source s = { text, n };
	json_t *v = flags == 0 ? read_value(&r) : NULL;

	skip(&r);
	if (v != NULL && r.at == r.end)
		return v;
	json_decref(v);
	return json_load_callback(more, &s, flags, error);
}
