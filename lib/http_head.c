#include "http_head.h"

#include <string.h>

struct http_field {
	size_t name, name_n, value, value_n;
};

static const bool token_char[256] = {
	['!'] = 1,
	['#'] = 1,
	['$'] = 1,
	['%'] = 1,
	['&'] = 1,
	['\''] = 1,
	['*'] = 1,
	['+'] = 1,
	['-'] = 1,
	['.'] = 1,
	['^'] = 1,
	['_'] = 1,
	['`'] = 1,
	['|'] = 1,
	['~'] = 1,
	['0' ... '9'] = 1,
	['A' ... 'Z'] = 1,
	['a' ... 'z'] = 1,
};

static const struct http_fault sound = { 0, NULL };

static struct http_fault
fault(int status, const char *why)
{
	return (struct http_fault){ status, why };
}

void
http_head_fini(struct http_head *h)
{
	buf_fini(&h->text);
	buf_fini(&h->fields);
}

static struct http_fault
check_target(struct slice target)
{
	if (target.n > HTTP_TARGET_MAX)
		return fault(414, "the target is too long");
	if (target.n == 0 || target.p[0] != '/')
		return fault(400, "the target must be a path");
	for (size_t i = 0; i < target.n; i++) {
		unsigned char c = (unsigned char)target.p[i];

		if (c <= ' ' || c >= 0x7f || c == '#')
			return fault(400, "bad byte in the target");
	}
	return sound;
}

/* A proxy's form, "http://host/path", stands for its path (RFC 9112 3.2.2). */
static struct slice
path_of(struct slice target)
{
	size_t scheme = 0;
	const char *slash;

	if (target.n > 7 && slice_ieq((struct slice){ target.p, 7 }, "http://"))
		scheme = 7;
	if (target.n > 8 &&
	    slice_ieq((struct slice){ target.p, 8 }, "https://"))
		scheme = 8;
	slash = scheme == 0 ? NULL
			    : memchr(target.p + scheme, '/', target.n - scheme);
	if (slash == NULL || slash == target.p + scheme ||
	    memchr(target.p, '?', (size_t)(slash - target.p)) != NULL)
		return target;
	return (struct slice){ slash, target.n - (size_t)(slash - target.p) };
}

struct http_fault
http_head_line(struct http_head *h)
{
	static const char *const methods[] = { "GET", "HEAD", "POST", "PUT",
		"PATCH", "DELETE", "OPTIONS" };
	struct slice method, target, line = buf_slice(&h->text);
	const char *sp, *version;
	size_t i;

	line.n -= line.n > 1 && line.p[line.n - 2] == '\r' ? 2 : 1;
	sp = memchr(line.p, ' ', line.n);
	version = memrchr(line.p, ' ', line.n);
	if (sp == version || line.p + line.n - version != 9 ||
	    memcmp(version, " HTTP/1.", 8) != 0 || version[8] < '0' ||
	    version[8] > '9')
		return fault(400, "this is not a line of HTTP/1.1");
	h->is_http10 = version[8] == '0';

	method = (struct slice){ line.p, (size_t)(sp - line.p) };
	for (i = 0; i < NITEMS(methods); i++)
		if (slice_eq(method, methods[i]))
			break;
	if (i == NITEMS(methods))
		return fault(501, "unknown method");
	h->is_head = i == 1;
	h->method = methods[h->is_head ? 0 : i];

	target = path_of((struct slice){ sp + 1, (size_t)(version - sp) - 1 });
	h->target = (size_t)(target.p - h->text.p);
	h->target_n = target.n;
	return check_target(target);
}

static size_t
count_fields(const struct http_head *h)
{
	return h->fields.n / sizeof(struct http_field);
}

static struct http_field *
field_at(const struct http_head *h, size_t i)
{
	return (struct http_field *)h->fields.p + i;
}

bool
http_head_add_name(struct http_head *h, const char *s, size_t n)
{
	struct http_field f = { .name = h->text.n };

	if (h->valued || count_fields(h) == 0) {
		if (count_fields(h) == HTTP_FIELDS_MAX)
			return false;
		buf_add(&h->fields, &f, sizeof(f));
		h->valued = false;
	}
	buf_add(&h->text, s, n);
	field_at(h, count_fields(h) - 1)->name_n += n;
	return true;
}

void
http_head_add_value(struct http_head *h, const char *s, size_t n)
{
	struct http_field *f = field_at(h, count_fields(h) - 1);

	if (!h->valued)
		f->value = h->text.n;
	h->valued = true;
	buf_add(&h->text, s, n);
	f->value_n += n;
}

static struct slice
field_name(const struct http_head *h, const struct http_field *f)
{
	return (struct slice){ h->text.p + f->name, f->name_n };
}

static struct slice
field_value(const struct http_head *h, const struct http_field *f)
{
	struct slice v = { h->text.p + f->value, f->value_n };

	/* The library has dropped the blanks before a value. */
	while (v.n > 0 && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t'))
		v.n--;
	return v;
}

static struct http_fault
check_host(struct http_head *h, struct slice value)
{
	(void)h;
	for (size_t i = 0; i < value.n; i++)
		if (!token_char[(unsigned char)value.p[i]] &&
		    memchr(":[](),;=", value.p[i], 8) == NULL)
			return fault(400, "bad Host");
	return sound;
}

static struct http_fault
check_length(struct http_head *h, struct slice value)
{
	if (!slice_int(value, INT64_MAX, &h->length))
		return fault(400, "bad Content-Length");
	return sound;
}

static struct http_fault
check_encoding(struct http_head *h, struct slice value)
{
	if (h->is_http10)
		return fault(400, "HTTP/1.0 has no Transfer-Encoding");
	if (!slice_ieq(value, "chunked"))
		return fault(501, "only chunked is a known Transfer-Encoding");
	h->length = -1;
	return sound;
}

static struct http_fault
check_expect(struct http_head *h, struct slice value)
{
	if (h->is_http10)
		return sound;
	if (!slice_ieq(value, "100-continue"))
		return fault(417, "only 100-continue can be expected");
	h->expects_continue = true;
	return sound;
}

/* These may stand once: of two, two readers may pick different ones. */
enum { RULE_HOST, RULE_LENGTH, RULE_ENCODING };
static const struct {
	const char *name, *twice;
	struct http_fault (*check)(struct http_head *h, struct slice value);
} rules[] = {
	[RULE_HOST] = { "host", "two Hosts", check_host },
	[RULE_LENGTH] = { "content-length", "two lengths", check_length },
	[RULE_ENCODING] = { "transfer-encoding", "two encodings",
	    check_encoding },
	{ "expect", "two Expects", check_expect },
	{ "authorization", "two Authorizations", NULL },
	{ "content-type", "two Content-Types", NULL },
};

static struct http_fault
check_field(struct http_head *h, const struct http_field *f, unsigned *seen)
{
	struct slice name = field_name(h, f);

	for (size_t i = 0; i < name.n; i++)
		if (!token_char[(unsigned char)name.p[i]])
			return fault(400, "bad header name");
	for (size_t i = 0; i < NITEMS(rules); i++) {
		if (!slice_ieq(name, rules[i].name))
			continue;
		if ((*seen & 1u << i) != 0)
			return fault(400, rules[i].twice);
		*seen |= 1u << i;
		if (rules[i].check != NULL)
			return rules[i].check(h, field_value(h, f));
	}
	return sound;
}

struct http_fault
http_head_check(struct http_head *h)
{
	unsigned both = 1u << RULE_LENGTH | 1u << RULE_ENCODING, seen = 0;

	for (size_t i = 0; i < count_fields(h); i++) {
		struct http_fault bad = check_field(h, field_at(h, i), &seen);

		if (bad.status != 0)
			return bad;
	}
	if (!h->is_http10 && (seen & 1u << RULE_HOST) == 0)
		return fault(400, "no Host");
	if ((seen & both) == both)
		return fault(400, "both a length and an encoding");
	return sound;
}

struct slice
http_head_target(const struct http_head *h)
{
	return (struct slice){ h->text.p + h->target, h->target_n };
}

struct slice
http_head_value(const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < count_fields(h); i++)
		if (slice_ieq(field_name(h, field_at(h, i)), name))
			return field_value(h, field_at(h, i));
	return (struct slice){ 0 };
}

bool
http_head_at(const struct http_head *h, size_t number, struct slice *name,
    struct slice *value)
{
	if (number >= count_fields(h))
		return false;
	*name = field_name(h, field_at(h, number));
	*value = field_value(h, field_at(h, number));
	return true;
}
