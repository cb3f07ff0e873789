#include "usage.h"

#include <string.h>

void
usage_fini(struct usage *u)
{
	buf_fini(&u->kept);
}

/* The end stays: that is where usage stands when a body is long. */
static void
keep(struct usage *u, struct slice bytes)
{
	if (bytes.n > USAGE_KEPT_MAX / 2) {
		u->cut |= u->kept.n > 0 || bytes.n > USAGE_KEPT_MAX;
		if (u->cut) {
			buf_clear(&u->kept);
			bytes.p += bytes.n - USAGE_KEPT_MAX / 2;
			bytes.n = USAGE_KEPT_MAX / 2;
		}
	} else if (u->kept.n + bytes.n > USAGE_KEPT_MAX) {
		u->cut = true;
		buf_drop(&u->kept, u->kept.n - USAGE_KEPT_MAX / 2);
	}
	buf_add(&u->kept, bytes.p, bytes.n);
}

/* The object that starts at p, to its closing brace; n 0: it has none. */
static struct slice
object_at(const char *p, const char *end)
{
	const char *start = p;
	int depth = 0;
	bool quoted = false;

	for (; p < end && p - start < USAGE_TEXT_MAX; p++) {
		if (quoted && *p == '\\')
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (!quoted && *p == '{')
			depth++;
		else if (!quoted && *p == '}' && --depth == 0)
			return (struct slice){ start, (size_t)(p + 1 - start) };
	}
	return (struct slice){ 0 };
}

static const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

/* The last "usage" member with an object; what stands in strings has its
 * quotes escaped. */
static struct slice
find_object(struct slice text)
{
	static const struct slice name = SLICE("\"usage\"");
	const char *p = text.p, *end = text.p + text.n, *at;
	struct slice found = { 0 };

	if (text.n == 0)
		return found;
	while ((at = memmem(p, (size_t)(end - p), name.p, name.n)) != NULL) {
		bool escaped = at > text.p && at[-1] == '\\';
		struct slice object;

		p = skip_blanks(at + name.n, end);
		if (escaped || p == end || *p != ':')
			continue;
		p = skip_blanks(p + 1, end);
		if (p == end || *p != '{')
			continue;
		object = object_at(p, end);
		if (object.n > 0)
			found = object;
	}
	return found;
}

/* Read what is kept, and begin anew. */
static void
look(struct usage *u)
{
	struct answer_usage got = { 0 };
	struct slice object = find_object(buf_slice(&u->kept));
	struct buf doc = { 0 };

	if (object.n > 0) {
		buf_adds(&doc, "{\"usage\":");
		buf_add(&doc, object.p, object.n);
		buf_addc(&doc, '}');
		if (answer_check(buf_slice(&doc), &got) && got.known)
			u->found = got;
		buf_fini(&doc);
	}
	buf_clear(&u->kept);
	u->cut = false;
}

static void
event_end(struct usage *u)
{
	bool done = !u->cut && slice_eq(buf_slice(&u->kept), "[DONE]");

	if (u->data && !done) {
		u->chunks++;
		look(u);
	}
	u->data = false;
	u->cut = false;
	buf_clear(&u->kept);
}

static void
line_end(struct usage *u)
{
	if (u->field_n == 0 && !u->in_value)
		event_end(u);
	u->field_n = 0;
	u->in_value = false;
}

/* The value of a line, up to the line's end; returns the bytes taken. */
static size_t
take_value(struct usage *u, struct slice bytes)
{
	size_t n = 0;

	while (n < bytes.n && bytes.p[n] != '\n' && bytes.p[n] != '\r')
		n++;
	if (u->field_n == 4 && memcmp(u->field, "data", 4) == 0) {
		size_t skip = u->skip_space && n > 0 && bytes.p[0] == ' ';

		keep(u, (struct slice){ bytes.p + skip, n - skip });
		u->data = true;
	}
	if (n > 0)
		u->skip_space = false;
	return n;
}

static void
take_char(struct usage *u, char c)
{
	bool after_cr = u->after_cr;

	u->after_cr = c == '\r';
	if (c == '\n' && after_cr)
		return;
	if (c == '\n' || c == '\r') {
		line_end(u);
	} else if (c == ':' && !u->in_value) {
		u->in_value = u->skip_space = true;
	} else if (u->field_n < sizeof(u->field)) {
		u->field[u->field_n++] = c;
	}
}

void
usage_feed(struct usage *u, struct slice bytes)
{
	if (!u->stream) {
		keep(u, bytes);
		return;
	}
	while (bytes.n > 0) {
		size_t n = 0;

		if (u->in_value)
			n = take_value(u, bytes);
		if (n == 0) {
			take_char(u, bytes.p[0]);
			n = 1;
		}
		bytes.p += n;
		bytes.n -= n;
	}
}

void
usage_end(struct usage *u)
{
	if (u->stream)
		event_end(u);
	else
		look(u);
}
