#include "dialect_parts.h"

#include <string.h>

enum { COUNT_MAX_DIGITS = 15 };

bool
dialect_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool
dialect_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void
skip_blank(struct slice *s)
{
	while (s->n > 0 && (s->p[0] == ' ' || s->p[0] == '\t')) {
		s->p++;
		s->n--;
	}
}

void
dialect_advance(struct slice *s, size_t n)
{
	s->p += n;
	s->n -= n;
}

/* Digits with at most one point at the start of s, and how many bytes. */
static size_t
number(struct slice s, double *out)
{
	double v = 0, place = 1;
	bool point = false, digit = false;
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (dialect_is_digit(s.p[i])) {
			digit = true;
			v = v * 10 + (s.p[i] - '0');
			if (point)
				place *= 10;
		} else if (s.p[i] == '.' && !point &&
		    (i + 1 == s.n || dialect_is_digit(s.p[i + 1]))) {
			point = true;
		} else {
			break;
		}
	}
	*out = v / place;
	return digit ? i : 0;
}

/* So asked, not a number is refused: what hundreds of digits make. */
static bool
wait_of(double ms, int64_t *out)
{
	if (!(ms > 0 && ms <= (double)DIALECT_WAIT_MAX_MS))
		return false;
	/* Not quite 1: 1.333 s is not quite 1333 ms. */
	*out = ms < 1 ? 1 : (int64_t)(ms + 0.999);
	return true;
}

bool
dialect_decimal_ms(struct slice s, double unit_ms, int64_t *out)
{
	double v;

	return s.n > 0 && number(s, &v) == s.n && wait_of(v * unit_ms, out);
}

bool
dialect_count(struct slice s, int64_t *out)
{
	size_t n = 0;
	double fraction;

	while (n < s.n && dialect_is_digit(s.p[n]))
		n++;
	if (n > COUNT_MAX_DIGITS ||
	    !slice_int((struct slice){ s.p, n }, INT64_MAX, out))
		return false;
	n = number(s, &fraction);
	while (n < s.n && (s.p[n] == ' ' || s.p[n] == '\t'))
		n++;
	return n == s.n || s.p[n] == ',' || s.p[n] == ';';
}

/* Of one policy's parameters, or 0. */
static int32_t
window_among(struct slice s)
{
	while (s.n > 0) {
		const char *semi = memchr(s.p, ';', s.n);
		struct slice p = { s.p,
			semi == NULL ? s.n : (size_t)(semi - s.p) };
		int64_t window;

		dialect_advance(&s, semi == NULL ? s.n : p.n + 1);
		skip_blank(&p);
		if (p.n > 7 && memcmp(p.p, "window=", 7) == 0)
			dialect_advance(&p, 7);
		else if (p.n > 2 && memcmp(p.p, "w=", 2) == 0)
			dialect_advance(&p, 2);
		if (dialect_count(p, &window) && window > 0 &&
		    window <= INT32_MAX)
			return (int32_t)window;
	}
	return 0;
}

int32_t
dialect_count_window(struct slice s, int64_t count)
{
	while (s.n > 0) {
		const char *comma = memchr(s.p, ',', s.n), *semi;
		struct slice item = { s.p,
			comma == NULL ? s.n : (size_t)(comma - s.p) };
		int32_t window;
		int64_t v;

		dialect_advance(&s, comma == NULL ? s.n : item.n + 1);
		skip_blank(&item);
		if (!dialect_count(item, &v) || v != count ||
		    (semi = memchr(item.p, ';', item.n)) == NULL)
			continue;
		dialect_advance(&item, (size_t)(semi - item.p) + 1);
		if ((window = window_among(item)) > 0)
			return window;
	}
	return 0;
}

/* Spans ------------------------------------------------------------------ */

static const struct {
	const char *name;
	bool word; /* not of Go's forms */
	double ms;
} span_units[] = {
	{ "ns", false, 1e-6 },
	{ "us", false, 1e-3 },
	{ "\xc2\xb5s", false, 1e-3 },
	{ "\xce\xbcs", false, 1e-3 },
	{ "ms", false, 1 },
	{ "s", false, 1000 },
	{ "m", false, 60e3 },
	{ "h", false, 3600e3 },
	{ "d", false, 86400e3 },
	{ "millisecond", true, 1 },
	{ "milliseconds", true, 1 },
	{ "sec", true, 1000 },
	{ "secs", true, 1000 },
	{ "second", true, 1000 },
	{ "seconds", true, 1000 },
	{ "min", true, 60e3 },
	{ "mins", true, 60e3 },
	{ "minute", true, 60e3 },
	{ "minutes", true, 60e3 },
	{ "hr", true, 3600e3 },
	{ "hrs", true, 3600e3 },
	{ "hour", true, 3600e3 },
	{ "hours", true, 3600e3 },
	{ "day", true, 86400e3 },
	{ "days", true, 86400e3 },
};

/* The unit at the start of s, NULL: none. */
static double
unit_at(struct slice *s, bool words)
{
	size_t n = 0;

	while (n < s->n && (dialect_is_alpha(s->p[n]) || (s->p[n] & 0x80) != 0))
		n++;
	for (size_t i = 0; i < NITEMS(span_units); i++)
		if ((words || !span_units[i].word) &&
		    slice_ieq((struct slice){ s->p, n }, span_units[i].name)) {
			dialect_advance(s, n);
			return span_units[i].ms;
		}
	return 0;
}

bool
dialect_span_ms(struct slice s, int64_t *out)
{
	double v, unit, ms = 0;

	if (s.n == 0)
		return false;
	while (s.n > 0) {
		size_t n = number(s, &v);

		dialect_advance(&s, n);
		if (n == 0 || (unit = unit_at(&s, false)) == 0)
			return false;
		ms += v * unit;
	}
	return wait_of(ms, out);
}

bool
dialect_words_ms(struct slice s, int64_t *out)
{
	double v, unit, ms = 0;
	bool any = false;

	for (;;) {
		size_t n;

		skip_blank(&s);
		if (any && s.n > 4 && memcmp(s.p, "and ", 4) == 0)
			dialect_advance(&s, 4);
		if ((n = number(s, &v)) == 0)
			break;
		dialect_advance(&s, n);
		skip_blank(&s);
		if ((unit = unit_at(&s, true)) == 0) {
			if (!any)
				ms = v * 1000;
			break;
		}
		any = true;
		ms += v * unit;
	}
	return wait_of(ms, out);
}

/* Resets ----------------------------------------------------------------- */

static bool
span_to(int64_t at_ms, int64_t date_ms, int64_t *out)
{
	*out = at_ms - date_ms;
	return *out > 0 && *out <= DIALECT_WAIT_MAX_MS;
}

bool
dialect_reset_ms(
    struct slice s, int64_t date_ms, int64_t *out, enum dialect_unit *shape)
{
	enum dialect_unit none;
	double v;
	int64_t at;
	size_t n = number(s, &v);

	if (shape == NULL)
		shape = &none;
	*shape = UNIT_NONE;
	if (n > 0 && n == s.n) {
		*shape = v >= 1e12 ? UNIT_EPOCH_MS
		    : v >= 1e9     ? UNIT_EPOCH_S
				   : UNIT_SECONDS;
		if (v >= 1e17)
			return false;
		if (v >= 1e14)
			v /= 1000; /* microseconds */
		if (v >= 1e12)
			return span_to((int64_t)v, date_ms, out);
		if (v >= 1e9)
			return span_to((int64_t)(v * 1000), date_ms, out);
		return wait_of(v * 1000, out);
	}
	if (dialect_rfc3339_ms(s, &at)) {
		*shape = UNIT_RFC3339;
		return span_to(at, date_ms, out);
	}
	if (dialect_date(s, date_ms / 1000, &at))
		return span_to(at * 1000, date_ms, out);
	if (n > 0)
		*shape = UNIT_SPAN;
	return dialect_span_ms(s, out);
}
