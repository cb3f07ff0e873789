#include <sluice/jscan.h>

#include <assert.h>
#include <string.h>

/* Of text that jscan() accepted: nothing here can run past its end. */

static const char *
skip(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

/* p: the opening quote; returns what is after the closing one. */
static const char *
string_end(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		p += *p == '\\';
	assert(p < end);
	return p + 1;
}

/* p: an opening bracket; returns what is after its closing one. */
static const char *
container_end(const char *p, const char *end)
{
	static const bool counts[256] = { ['"'] = true,
		['{'] = true,
		['['] = true,
		['}'] = true,
		[']'] = true };
	int depth = 0;

	do {
		while (!counts[(unsigned char)*p])
			p++;
		if (*p == '"') {
			p = string_end(p, end);
			continue;
		}
		depth += *p == '{' || *p == '[' ? 1 : -1;
		p++;
	} while (depth > 0);
	return p;
}

static const char *
value_end(const char *p, const char *end)
{
	if (*p == '"')
		return string_end(p, end);
	if (*p == '{' || *p == '[')
		return container_end(p, end);
	while (p < end && memchr(",]} \t\n\r", *p, 7) == NULL)
		p++;
	return p;
}

static enum jscan_kind
kind_of(char c)
{
	switch (c) {
	case '{':
		return JSCAN_OBJECT;
	case '[':
		return JSCAN_ARRAY;
	case '"':
		return JSCAN_STRING;
	case 't':
		return JSCAN_TRUE;
	case 'f':
		return JSCAN_FALSE;
	case 'n':
		return JSCAN_NULL;
	default:
		return JSCAN_NUMBER;
	}
}

struct jscan_rest
jscan_inside(struct slice container)
{
	assert(container.n >= 2);
	return (struct jscan_rest){ container.p + 1,
		container.p + container.n - 1, container.p[0] == '{' };
}

bool
jscan_each(struct jscan_rest *rest, struct slice *name, struct jscan_found *out)
{
	const char *p = skip(rest->p, rest->end), *start;

	if (p < rest->end && *p == ',')
		p = skip(p + 1, rest->end);
	if (p == rest->end)
		return false;
	if (rest->object) {
		start = p;
		p = string_end(p, rest->end);
		*name = (struct slice){ start, (size_t)(p - start) };
		p = skip(p, rest->end);
		p = skip(p + 1, rest->end); /* the colon */
	}
	start = p;
	out->kind = kind_of(*p);
	p = value_end(p, rest->end);
	out->text = (struct slice){ start, (size_t)(p - start) };
	rest->p = p;
	return true;
}
