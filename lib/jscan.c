#include <sluice/jscan.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/utf8.h>

enum { STACK_MAX = 72, KEY_MAX = 64 };

/* What may come next. */
enum expect {
	EXPECT_VALUE,
	EXPECT_VALUE_OR_END, /* after [ */
	EXPECT_KEY_OR_END,   /* after { */
	EXPECT_KEY,          /* after , in an object */
	EXPECT_COMMA_OR_END,
};

struct level {
	bool object;
	int16_t node;   /* of wants, whose members we are among; -1, or none */
	int16_t member; /* of wants, the member being read; none */
	size_t start;
};

enum { NODE_NONE = -2, NODE_ROOT = -1 };

struct scan {
	const char *p;
	size_t n, i;
	const struct jscan_want *wants;
	int nwants;
	struct jscan_found *found;
	struct jscan_fault *fault;
	int depth;
	struct level stack[STACK_MAX];
};

static bool
scan_fail(struct scan *s, size_t at, const char *text)
{
	s->fault->at = at;
	snprintf(s->fault->text, sizeof(s->fault->text), "%s", text);
	return false;
}

static void
skip_space(struct scan *s)
{
	while (s->i < s->n &&
	    (s->p[s->i] == ' ' || s->p[s->i] == '\t' || s->p[s->i] == '\n' ||
		s->p[s->i] == '\r'))
		s->i++;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
scan_escape(struct scan *s)
{
	size_t at = s->i++;

	if (s->i >= s->n)
		return scan_fail(s, at, "string without an end");
	if (s->p[s->i] == 'u') {
		for (int k = 1; k <= 4; k++)
			if (s->i + (size_t)k >= s->n ||
			    hex_digit(s->p[s->i + (size_t)k]) < 0)
				return scan_fail(
				    s, at, "\\u without four hex digits");
		s->i += 5;
		return true;
	}
	if (s->p[s->i] == '\0' || strchr("\"\\/bfnrt", s->p[s->i]) == NULL)
		return scan_fail(s, at, "unknown escape in a string");
	s->i++;
	return true;
}

/* At the opening quote; leaves i after the closing one. */
static bool
scan_string(struct scan *s)
{
	size_t start = s->i++;

	for (;;) {
		unsigned char c;
		size_t len;

		while (s->i < s->n && (c = (unsigned char)s->p[s->i]) >= 0x20 &&
		    c < 0x80 && c != '"' && c != '\\')
			s->i++;
		if (s->i >= s->n)
			return scan_fail(s, start, "string without an end");
		c = (unsigned char)s->p[s->i];
		if (c == '"') {
			s->i++;
			return true;
		}
		if (c == '\\') {
			if (!scan_escape(s))
				return false;
		} else if (c < 0x20) {
			return scan_fail(
			    s, s->i, "control character in a string");
		} else {
			if ((len = utf8_length(s->p + s->i, s->n - s->i)) == 0)
				return scan_fail(
				    s, s->i, "bytes that are not UTF-8");
			s->i += len;
		}
	}
}

static size_t
skip_digits(struct scan *s)
{
	size_t start = s->i;

	while (s->i < s->n && s->p[s->i] >= '0' && s->p[s->i] <= '9')
		s->i++;
	return s->i - start;
}

static bool
scan_number(struct scan *s)
{
	size_t start = s->i;

	if (s->p[s->i] == '-')
		s->i++;
	if (s->i < s->n && s->p[s->i] == '0')
		s->i++;
	else if (skip_digits(s) == 0)
		return scan_fail(s, start, "not a JSON value");
	if (s->i < s->n && s->p[s->i] == '.') {
		s->i++;
		if (skip_digits(s) == 0)
			return scan_fail(
			    s, start, "number without digits after its point");
	}
	if (s->i < s->n && (s->p[s->i] == 'e' || s->p[s->i] == 'E')) {
		s->i++;
		if (s->i < s->n && (s->p[s->i] == '+' || s->p[s->i] == '-'))
			s->i++;
		if (skip_digits(s) == 0)
			return scan_fail(
			    s, start, "number without digits in its exponent");
	}
	return true;
}

static bool
scan_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if (s->n - s->i < len || memcmp(s->p + s->i, word, len) != 0)
		return scan_fail(s, s->i, "not a JSON value");
	s->i += len;
	return true;
}

/* Which wanted member of node is this key (with quotes)? */
static int16_t
find_member(const struct scan *s, int node, struct slice key)
{
	char decoded[KEY_MAX];
	struct slice name = { key.p + 1, key.n - 2 };

	if (node == NODE_NONE)
		return NODE_NONE;
	if (memchr(name.p, '\\', name.n) != NULL) {
		struct buf b = { 0 };
		bool ok = jscan_unquote(key, &b) && b.n <= sizeof(decoded);

		name.n = ok ? b.n : 0;
		if (ok)
			memcpy(decoded, b.p, b.n);
		name.p = decoded;
		buf_fini(&b);
	}
	for (int w = 0; w < s->nwants; w++)
		if (s->wants[w].parent == node &&
		    slice_eq(name, s->wants[w].name))
			return (int16_t)w;
	return NODE_NONE;
}

static void
note_value(struct scan *s, int member, enum jscan_kind kind, size_t start)
{
	if (member < 0)
		return;
	s->found[member].kind = kind;
	s->found[member].text = (struct slice){ s->p + start, s->i - start };
}

static bool
scan_key(struct scan *s)
{
	struct level *top = &s->stack[s->depth - 1];
	size_t start = s->i;

	if (s->i >= s->n || s->p[s->i] != '"')
		return scan_fail(s, s->i, "a member's name must be a string");
	if (!scan_string(s))
		return false;
	top->member = find_member(
	    s, top->node, (struct slice){ s->p + start, s->i - start });
	if (top->member >= 0 && s->found[top->member].kind != JSCAN_ABSENT) {
		s->fault->at = start;
		snprintf(s->fault->text, sizeof(s->fault->text),
		    "\"%s\" stands twice", s->wants[top->member].name);
		return false;
	}
	skip_space(s);
	if (s->i >= s->n || s->p[s->i] != ':')
		return scan_fail(s, s->i, "no colon after a member's name");
	s->i++;
	return true;
}

/* Begin a value; scalars are whole afterwards, containers are on the stack. */
static bool
scan_value(
    struct scan *s, int depth_max, enum expect *next, enum jscan_kind *kind)
{
	struct level *top = s->depth > 0 ? &s->stack[s->depth - 1] : NULL;
	int member = top != NULL && top->object ? top->member : NODE_NONE;
	size_t start = s->i;
	bool ok;

	if (s->i >= s->n)
		return scan_fail(s, s->i, "it ends too early");
	*next = EXPECT_COMMA_OR_END;
	switch (s->p[s->i]) {
	case '{':
	case '[':
		*kind = s->p[s->i] == '{' ? JSCAN_OBJECT : JSCAN_ARRAY;
		if (s->depth >= depth_max)
			return scan_fail(s, s->i, "nested too deep");
		s->stack[s->depth++] = (struct level){
			.object = *kind == JSCAN_OBJECT,
			.node = (int16_t)(top == NULL ? NODE_ROOT
				: member >= 0         ? member
						      : NODE_NONE),
			.member = NODE_NONE,
			.start = start,
		};
		/* Present from here on, so that a second one is noticed. */
		if (member >= 0)
			s->found[member].kind = *kind;
		s->i++;
		*next = *kind == JSCAN_OBJECT ? EXPECT_KEY_OR_END
					      : EXPECT_VALUE_OR_END;
		return true;
	case '"':
		*kind = JSCAN_STRING;
		ok = scan_string(s);
		break;
	case 't':
		*kind = JSCAN_TRUE;
		ok = scan_word(s, "true");
		break;
	case 'f':
		*kind = JSCAN_FALSE;
		ok = scan_word(s, "false");
		break;
	case 'n':
		*kind = JSCAN_NULL;
		ok = scan_word(s, "null");
		break;
	default:
		*kind = JSCAN_NUMBER;
		ok = scan_number(s);
		break;
	}
	if (ok)
		note_value(s, member, *kind, start);
	return ok;
}

static void
close_container(struct scan *s)
{
	struct level done = s->stack[--s->depth];
	struct level *top = s->depth > 0 ? &s->stack[s->depth - 1] : NULL;

	s->i++;
	if (top != NULL && top->object)
		note_value(s, top->member,
		    done.object ? JSCAN_OBJECT : JSCAN_ARRAY, done.start);
}

static bool
scan_step(struct scan *s, int depth_max, enum expect *next)
{
	const struct level *top = s->depth > 0 ? &s->stack[s->depth - 1] : NULL;
	char c = s->i < s->n ? s->p[s->i] : '\0';
	char end = top != NULL && top->object ? '}' : ']';
	enum jscan_kind kind;

	switch (*next) {
	case EXPECT_VALUE_OR_END:
	case EXPECT_KEY_OR_END:
		if (s->i < s->n && c == end) {
			close_container(s);
			*next = EXPECT_COMMA_OR_END;
			return true;
		}
		if (*next == EXPECT_VALUE_OR_END)
			return scan_value(s, depth_max, next, &kind);
		/* fall through */
	case EXPECT_KEY:
		*next = EXPECT_VALUE;
		return scan_key(s);
	case EXPECT_VALUE:
		return scan_value(s, depth_max, next, &kind);
	default:
		if (s->i >= s->n)
			return scan_fail(s, s->i, "it ends too early");
		if (c == end) {
			close_container(s);
			return true;
		}
		if (c != ',')
			return scan_fail(
			    s, s->i, "no comma between two values");
		s->i++;
		*next = top->object ? EXPECT_KEY : EXPECT_VALUE;
		return true;
	}
}

enum jscan_kind
jscan(struct slice text, int depth, const struct jscan_want *wants, int nwants,
    struct jscan_found *found, struct jscan_fault *fault)
{
	struct scan s;
	enum expect next;
	enum jscan_kind kind = JSCAN_ABSENT;

	assert(depth <= STACK_MAX && nwants <= JSCAN_WANTS_MAX);
	s.p = text.p;
	s.n = text.n;
	s.i = 0;
	s.wants = wants;
	s.nwants = nwants;
	s.found = found;
	s.fault = fault;
	s.depth = 0;
	for (int i = 0; i < nwants; i++)
		found[i] = (struct jscan_found){ 0 };
	skip_space(&s);
	if (!scan_value(&s, depth, &next, &kind))
		return JSCAN_ABSENT;
	while (s.depth > 0) {
		skip_space(&s);
		if (!scan_step(&s, depth, &next))
			return JSCAN_ABSENT;
	}
	skip_space(&s);
	if (s.i < s.n) {
		scan_fail(&s, s.i, "more after the JSON value");
		return JSCAN_ABSENT;
	}
	return kind;
}

/* The code point of \uXXXX at p, or -1. */
static int32_t
unit_at(const char *p, const char *end)
{
	int32_t v = 0;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++)
		v = v << 4 | hex_digit(p[i]);
	return v;
}

bool
jscan_unquote(struct slice string, struct buf *out)
{
	const char *p = string.p + 1, *end = string.p + string.n - 1;

	while (p < end) {
		const char *back = memchr(p, '\\', (size_t)(end - p));
		char c, utf8[4];
		int32_t unit, low;

		if (back == NULL)
			back = end;
		buf_add(out, p, (size_t)(back - p));
		if (back == end)
			return true;
		p = back;
		if (p[1] != 'u') {
			c = p[1];
			c = c == 'b'   ? '\b'
			    : c == 'f' ? '\f'
			    : c == 'n' ? '\n'
			    : c == 'r' ? '\r'
			    : c == 't' ? '\t'
				       : c;
			buf_addc(out, c);
			p += 2;
			continue;
		}
		unit = unit_at(p, end);
		p += 6;
		if (unit >= 0xd800 && unit <= 0xdbff) {
			low = unit_at(p, end);
			if (low < 0xdc00 || low > 0xdfff)
				return false;
			unit =
			    0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
			p += 6;
		} else if (unit == 0 || (unit >= 0xdc00 && unit <= 0xdfff)) {
			return false;
		}
		buf_add(out, utf8, utf8_put(utf8, (uint32_t)unit));
	}
	return true;
}

bool
jscan_int(const struct jscan_found *f, int64_t max, int64_t *out)
{
	return f->kind == JSCAN_NUMBER && slice_int(f->text, max, out);
}
