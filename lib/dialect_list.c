#include "dialect_parts.h"

#include <string.h>

/* What is left to read; every function leaves it behind what it has read. */
struct field {
	const char *p, *end;
};

enum sf_kind { SF_BAD, SF_INTEGER, SF_DECIMAL, SF_STRING, SF_TOKEN, SF_OTHER };

struct sf_value {
	enum sf_kind kind;
	int64_t number;    /* of an integer */
	struct slice text; /* of a string without quotes, or a token */
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
	size_t whole = 0, part = 0;

	f->p += minus;
	for (; f->p < f->end && *f->p >= '0' && *f->p <= '9'; f->p++) {
		if (v.kind == SF_DECIMAL) {
			part++;
		} else if (++whole > 15) {
			return (struct sf_value){ 0 };
		} else {
			v.number = v.number * 10 + (*f->p - '0');
		}
		if (v.kind == SF_INTEGER && f->p + 1 < f->end &&
		    f->p[1] == '.') {
			v.kind = SF_DECIMAL;
			f->p++;
		}
	}
	if (whole == 0 || (v.kind == SF_DECIMAL && (part == 0 || part > 3)))
		v.kind = SF_BAD;
	if (minus)
		v.number = -v.number;
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

static void
note(struct dialect_item *item, struct slice key, const struct sf_value *v)
{
	if (slice_eq(key, "qu")) {
		if (v->kind == SF_STRING || v->kind == SF_TOKEN)
			item->unit = v->text;
		return;
	}
	if (v->kind != SF_INTEGER || v->number < 0 || key.n != 1)
		return;
	switch (key.p[0]) {
	case 'q':
		item->q = v->number;
		break;
	case 'w':
		item->w = v->number;
		break;
	case 'r':
		item->r = v->number;
		break;
	case 't':
		item->t = v->number;
		break;
	}
}

static bool
read_item(struct field *f, struct dialect_item *item)
{
	struct sf_value name = read_value(f);

	*item = (struct dialect_item){ .q = -1, .w = -1, .r = -1, .t = -1 };
	if (name.kind != SF_STRING && name.kind != SF_TOKEN)
		return false; /* a limit without a name: an older draft's */
	item->name = name.text;
	while (at(f, ';')) {
		struct sf_value v = { .kind = SF_OTHER }; /* true */
		struct slice key;

		f->p++;
		skip(f, " ");
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
		note(item, key, &v);
	}
	return true;
}

size_t
dialect_list(struct slice s, struct dialect_item *items, size_t max)
{
	struct field f = { s.p, s.p + s.n };
	struct dialect_item item;
	size_t n = 0;

	skip(&f, " ");
	while (f.p < f.end) {
		if (!read_item(&f, &item))
			return 0;
		if (n < max)
			items[n++] = item;
		skip(&f, " \t");
		if (f.p == f.end)
			return n;
		if (!at(&f, ','))
			return 0;
		f.p++;
		skip(&f, " \t");
		if (f.p == f.end)
			return 0;
	}
	return n;
}
