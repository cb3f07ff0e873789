#include "dialect_parts.h"

#include <string.h>

/* What is left to read; every function leaves it behind what it has read. */
struct field {
	const char *p, *end;
};

enum sf_kind { SF_BAD, SF_INTEGER, SF_DECIMAL, SF_STRING, SF_TOKEN, SF_OTHER };

struct sf_value {
	enum sf_kind kind;
	int64_t milli;     /* a thousandth each */
	struct slice text; /* of a string without quotes, or a token */
};

static const struct dialect_item nothing = {
	.q = -1, .w = -1, .r = -1, .t_ms = -1
};

static void
skip(struct field *f, const char *set)
{
	while (f->p < f->end && *f->p != '\0' && strchr(set, *f->p) != NULL)
		f->p++;
}

static bool
at(const struct field *f, char c)
{
	return f->p < f->end && *f->p == c;
}

static bool
is_digit(const struct field *f)
{
	return f->p < f->end && *f->p >= '0' && *f->p <= '9';
}

static bool
one_of(char c, const char *more)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || (c != '\0' && strchr(more, c) != NULL);
}

static struct sf_value
read_number(struct field *f)
{
	struct sf_value v = { .kind = SF_INTEGER };
	bool minus = at(f, '-');
	size_t whole = 0;

	for (f->p += minus; is_digit(f); f->p++)
		if (++whole <= 15)
			v.milli = v.milli * 10 + (*f->p - '0');
	v.milli *= 1000;
	if (whole == 0 || whole > 15)
		return (struct sf_value){ 0 };
	if (at(f, '.')) {
		v.kind = SF_DECIMAL;
		f->p++;
		if (!is_digit(f))
			return (struct sf_value){ 0 };
		/* Three are allowed; programs print as many as they have. */
		for (int64_t place = 100; is_digit(f); f->p++, place /= 10)
			v.milli += place * (*f->p - '0');
	}
	if (minus)
		v.milli = -v.milli;
	return v;
}

static struct sf_value
read_string(struct field *f)
{
	const char *start = ++f->p;

	for (; f->p < f->end; f->p++) {
		if (*f->p == '"')
			return (struct sf_value){ SF_STRING, 0,
				{ start, (size_t)(f->p++ - start) } };
		if (*f->p == '\\' &&
		    (++f->p == f->end || (*f->p != '"' && *f->p != '\\')))
			break;
		if (*f->p < 0x20 || *f->p > 0x7e)
			break;
	}
	return (struct sf_value){ 0 };
}

/* Bytes between two marks, or a boolean. */
static struct sf_value
read_other(struct field *f)
{
	char mark = *f->p++;

	if (mark == '?') {
		if (!at(f, '0') && !at(f, '1'))
			return (struct sf_value){ 0 };
		f->p++;
		return (struct sf_value){ .kind = SF_OTHER };
	}
	while (f->p < f->end && one_of(*f->p, "+/="))
		f->p++;
	if (!at(f, ':'))
		return (struct sf_value){ 0 };
	f->p++;
	return (struct sf_value){ .kind = SF_OTHER };
}

static struct sf_value
read_value(struct field *f)
{
	struct sf_value v = { 0 };
	const char *start = f->p;

	if (f->p == f->end)
		return v;
	if (*f->p == '-' || (*f->p >= '0' && *f->p <= '9'))
		return read_number(f);
	if (*f->p == '"')
		return read_string(f);
	if (*f->p == '@') {
		f->p++;
		v = read_number(f);
		v.kind = v.kind == SF_INTEGER ? SF_OTHER : SF_BAD;
		return v;
	}
	if (*f->p == ':' || *f->p == '?')
		return read_other(f);
	if (!one_of(*f->p, "*") || (*f->p >= '0' && *f->p <= '9'))
		return v;
	while (f->p < f->end && one_of(*f->p, "!#$%&'*+-.^_`|~:/"))
		f->p++;
	v.kind = SF_TOKEN;
	v.text = (struct slice){ start, (size_t)(f->p - start) };
	return v;
}

/* By the name of a parameter, or of a member in the forms before the list. */
static void
note(struct dialect_item *item, struct slice key, const struct sf_value *v)
{
	bool number =
	    (v->kind == SF_INTEGER || v->kind == SF_DECIMAL) && v->milli >= 0;
	bool whole = number && v->milli % 1000 == 0;

	if (slice_eq(key, "qu")) {
		if (v->kind == SF_STRING || v->kind == SF_TOKEN)
			item->unit = v->text;
	} else if (slice_eq(key, "t") || slice_eq(key, "reset")) {
		if (number)
			item->t_ms = v->milli;
	} else if (!whole) {
		return;
	} else if (slice_eq(key, "q") || slice_eq(key, "limit")) {
		item->q = v->milli / 1000;
	} else if (slice_eq(key, "w") || slice_eq(key, "window")) {
		item->w = v->milli / 1000;
	} else if (slice_eq(key, "r") || slice_eq(key, "remaining")) {
		item->r = v->milli / 1000;
	}
}

static bool
read_parameters(struct field *f, struct dialect_item *item)
{
	for (skip(f, " \t"); at(f, ';'); skip(f, " \t")) {
		struct sf_value v = { .kind = SF_OTHER }; /* true */
		struct slice key;

		f->p++;
		skip(f, " \t");
		key.p = f->p;
		if (f->p == f->end ||
		    (*f->p != '*' && !(*f->p >= 'a' && *f->p <= 'z')))
			return false;
		while (f->p < f->end && one_of(*f->p, "_-.*") &&
		    !(*f->p >= 'A' && *f->p <= 'Z'))
			f->p++;
		key.n = (size_t)(f->p - key.p);
		if (at(f, '=')) {
			f->p++;
			v = read_value(f);
		}
		if (v.kind == SF_BAD)
			return false;
		if (item != NULL)
			note(item, key, &v);
	}
	return true;
}

/*
 * An item; or, where RateLimit still is a dictionary, one of its members, whose
 * value goes to members, and item is left without name and amount.
 */
static bool
read_item(
    struct field *f, struct dialect_item *item, struct dialect_item *members)
{
	struct sf_value head = read_value(f);

	*item = nothing;
	skip(f, " \t");
	if (head.kind == SF_TOKEN && at(f, '=')) {
		struct sf_value v;

		f->p++;
		skip(f, " \t");
		v = read_value(f);
		note(members, head.text, &v);
		return v.kind != SF_BAD && read_parameters(f, NULL);
	}
	if (head.kind == SF_STRING || head.kind == SF_TOKEN)
		item->name = head.text;
	else if (head.kind == SF_INTEGER)
		note(item, slice_str("q"), &head);
	else
		return false;
	return read_parameters(f, item);
}

size_t
dialect_list(struct slice s, struct dialect_item *items, size_t max)
{
	struct field f = { s.p, s.p + s.n };
	struct dialect_item item, members = nothing;
	size_t n = 0;

	skip(&f, " ");
	while (f.p < f.end) {
		if (!read_item(&f, &item, &members))
			return 0;
		if ((item.name.p != NULL || item.q >= 0) && n < max)
			items[n++] = item;
		if (f.p == f.end)
			break;
		if (!at(&f, ','))
			return 0;
		f.p++;
		skip(&f, " \t");
		if (f.p == f.end)
			return 0;
	}
	if ((members.q >= 0 || members.r >= 0) && n < max)
		items[n++] = members;
	return n;
}
