#include "dialect_parts.h"

#include <string.h>
#include <strings.h>

enum { COUNT_MAX_DIGITS = 15 };

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alpha(char c)
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

static void
advance(struct slice *s, size_t n)
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
		if (is_digit(s.p[i])) {
			digit = true;
			v = v * 10 + (s.p[i] - '0');
			if (point)
				place *= 10;
		} else if (s.p[i] == '.' && !point &&
		    (i + 1 == s.n || is_digit(s.p[i + 1]))) {
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

	while (n < s.n && is_digit(s.p[n]))
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

		advance(&s, semi == NULL ? s.n : p.n + 1);
		skip_blank(&p);
		if (p.n > 7 && memcmp(p.p, "window=", 7) == 0)
			advance(&p, 7);
		else if (p.n > 2 && memcmp(p.p, "w=", 2) == 0)
			advance(&p, 2);
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

		advance(&s, comma == NULL ? s.n : item.n + 1);
		skip_blank(&item);
		if (!dialect_count(item, &v) || v != count ||
		    (semi = memchr(item.p, ';', item.n)) == NULL)
			continue;
		advance(&item, (size_t)(semi - item.p) + 1);
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

	while (n < s->n && (is_alpha(s->p[n]) || (s->p[n] & 0x80) != 0))
		n++;
	for (size_t i = 0; i < NITEMS(span_units); i++)
		if ((words || !span_units[i].word) &&
		    slice_ieq((struct slice){ s->p, n }, span_units[i].name)) {
			advance(s, n);
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

		advance(&s, n);
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
			advance(&s, 4);
		if ((n = number(s, &v)) == 0)
			break;
		advance(&s, n);
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

/* Instants --------------------------------------------------------------- */

/* Days from 1970-01-01 to a day of the Gregorian calendar. */
static int64_t
days_to(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = y / 400, of_era = y % 400;
	int64_t of_year =
	    (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
	    of_year - 719468;
}

struct instant {
	int64_t year, month, day, hour, minute, second;
};

static bool
instant_s(const struct instant *t, int64_t *out)
{
	if (t->month < 1 || t->month > 12 || t->day < 1 || t->day > 31 ||
	    t->hour > 23 || t->minute > 59 || t->second > 60)
		return false;
	*out = days_to(t->year, t->month, t->day) * 86400 + t->hour * 3600 +
	    t->minute * 60 + t->second;
	return true;
}

/*
 * Match a pattern: a digit stands for a number of so many digits, put into the
 * next of fields; '?' for a letter; anything else for itself.
 */
static bool
match(struct slice s, const char *pattern, int64_t *fields)
{
	for (; *pattern != '\0'; pattern++) {
		size_t n = 1;

		if (is_digit(*pattern))
			n = (size_t)(*pattern - '0');
		if (s.n < n)
			return false;
		if (is_digit(*pattern)) {
			if (!slice_int(
				(struct slice){ s.p, n }, INT64_MAX, fields++))
				return false;
		} else if (*pattern == '?' ? !is_alpha(s.p[0])
					   : s.p[0] != *pattern) {
			return false;
		}
		advance(&s, n);
	}
	return true;
}

bool
dialect_http_date(struct slice s, int64_t *out)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static const char form[] = "???, 2 ??? 4 2:2:2 GMT";
	int64_t f[5];
	struct instant t;

	if (s.n != 29 || !match(s, form, f))
		return false;
	t = (struct instant){ f[1], 0, f[0], f[2], f[3], f[4] };
	for (int i = 0; i < 12; i++)
		if (strncasecmp(months + 3 * i, s.p + 8, 3) == 0)
			t.month = i + 1;
	return instant_s(&t, out);
}

/* RFC 3339, to Unix time in ms. */
static bool
rfc3339_ms(struct slice s, int64_t *out)
{
	int64_t f[6], zone[2], at;
	double fraction = 0;
	struct instant t;

	if (s.n < 20 || !match(s, "4-2-2", f) ||
	    (s.p[10] != 'T' && s.p[10] != 't' && s.p[10] != ' '))
		return false;
	advance(&s, 11);
	if (!match(s, "2:2:2", f + 3))
		return false;
	advance(&s, 8);
	t = (struct instant){ f[0], f[1], f[2], f[3], f[4], f[5] };
	if (!instant_s(&t, &at))
		return false;
	if (s.n > 1 && s.p[0] == '.')
		advance(&s, number(s, &fraction));
	if (s.n == 6 && (s.p[0] == '+' || s.p[0] == '-')) {
		int sign = s.p[0] == '+' ? 1 : -1;

		advance(&s, 1);
		if (!match(s, "2:2", zone))
			return false;
		at -= sign * (zone[0] * 3600 + zone[1] * 60);
	} else if (!slice_ieq(s, "Z")) {
		return false;
	}
	*out = at * 1000 + (int64_t)(fraction * 1000);
	return true;
}

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
	if (rfc3339_ms(s, &at)) {
		*shape = UNIT_RFC3339;
		return span_to(at, date_ms, out);
	}
	if (dialect_http_date(s, &at))
		return span_to(at * 1000, date_ms, out);
	if (n > 0)
		*shape = UNIT_SPAN;
	return dialect_span_ms(s, out);
}
