#include "dialect_parts.h"

#include <string.h>
#include <strings.h>

#define YEAR_S 31557600 /* one of 365.25 days */

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

static int64_t
month_at(struct slice s)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12 && s.n >= 3; i++)
		if (strncasecmp(months + 3 * i, s.p, 3) == 0)
			return i + 1;
	return 0;
}

/*
 * Match a pattern at the start of s, and take it off: a digit stands for a
 * number of so many digits, '@' for a month's name, both put into the next of
 * fields; anything else for itself.
 */
static bool
match(struct slice *s, const char *pattern, int64_t *fields)
{
	struct slice rest = *s;

	for (; *pattern != '\0'; pattern++) {
		size_t n = dialect_is_digit(*pattern) ? (size_t)(*pattern - '0')
		    : *pattern == '@'                 ? 3
						      : 1;

		if (rest.n < n)
			return false;
		if (dialect_is_digit(*pattern)) {
			if (!slice_int((struct slice){ rest.p, n }, INT64_MAX,
				fields++))
				return false;
		} else if (*pattern == '@') {
			*fields++ = month_at(rest);
		} else if (rest.p[0] != *pattern) {
			return false;
		}
		dialect_advance(&rest, n);
	}
	*s = rest;
	return true;
}

/* "+0100", to seconds. */
static bool
zone_s(struct slice *s, const char *pattern, int64_t *out)
{
	int sign = s->n > 0 && s->p[0] == '-' ? -1 : 1;
	int64_t f[2];

	if (s->n == 0 || (s->p[0] != '+' && s->p[0] != '-'))
		return false;
	dialect_advance(s, 1);
	if (!match(s, pattern, f))
		return false;
	*out = sign * (f[0] * 3600 + f[1] * 60);
	return true;
}

/* Behind the day of the week.  In order, as in struct instant: year, month,
 * day, hour, minute, second; 'y' is a year of two digits. */
static const struct date_form {
	const char *pattern, *order;
	bool zone; /* and its name in brackets, or neither */
} date_forms[] = {
	{ ", 2 @ 4 2:2:2 GMT", "DMYhms", false },
	{ ", 2-@-2 2:2:2 GMT", "DMyhms", false }, /* RFC 850 */
	{ " @ 2 2:2:2 4", "MDhmsY", false },      /* asctime() */
	{ " @  1 2:2:2 4", "MDhmsY", false },
	{ " @ 2 4 2:2:2 GMT", "MDYhms", true }, /* String(new Date()) */
};

/* The year that ends so and is nearest. */
static int64_t
whole_year(int64_t of_century, int64_t near_s)
{
	int64_t now = 1970 + near_s / YEAR_S;
	int64_t year = now - now % 100 + of_century;

	return year > now + 50 ? year - 100
	    : year < now - 49  ? year + 100
			       : year;
}

static bool
date_of(
    struct slice s, const struct date_form *form, int64_t near_s, int64_t *out)
{
	int64_t f[6], v[6], zone = 0;
	struct instant t;

	if (!match(&s, form->pattern, f))
		return false;
	for (int i = 0; i < 6; i++) {
		static const char names[] = "YMDhms";
		const char *name = strchr(names, form->order[i]);

		if (name == NULL)
			v[0] = whole_year(f[i], near_s);
		else
			v[name - names] = f[i];
	}
	if (form->zone && s.n > 0) {
		if (!zone_s(&s, "22", &zone))
			return false;
		if (s.n > 3 && memcmp(s.p, " (", 2) == 0 && s.p[s.n - 1] == ')')
			s.n = 0;
	}
	t = (struct instant){ v[0], v[1], v[2], v[3], v[4], v[5] };
	if (s.n > 0 || !instant_s(&t, out))
		return false;
	*out -= zone;
	return true;
}

bool
dialect_date(struct slice s, int64_t near_s, int64_t *out)
{
	size_t weekday = 0;

	while (weekday < s.n && dialect_is_alpha(s.p[weekday]))
		weekday++;
	if (weekday < 3)
		return false;
	dialect_advance(&s, weekday);
	for (size_t i = 0; i < NITEMS(date_forms); i++)
		if (date_of(s, &date_forms[i], near_s, out))
			return true;
	return false;
}

bool
dialect_rfc3339_ms(struct slice s, int64_t *out)
{
	int64_t f[6], zone, at, ms = 0;
	struct instant t;

	if (s.n < 20 || !match(&s, "4-2-2", f) ||
	    (s.p[0] != 'T' && s.p[0] != 't' && s.p[0] != ' '))
		return false;
	dialect_advance(&s, 1);
	if (!match(&s, "2:2:2", f + 3))
		return false;
	t = (struct instant){ f[0], f[1], f[2], f[3], f[4], f[5] };
	if (!instant_s(&t, &at))
		return false;
	if (s.n > 1 && s.p[0] == '.' && dialect_is_digit(s.p[1])) {
		dialect_advance(&s, 1);
		for (int64_t place = 100; s.n > 0 && dialect_is_digit(s.p[0]);
		     place /= 10) {
			ms += place * (s.p[0] - '0');
			dialect_advance(&s, 1);
		}
	}
	if (s.n == 6 && zone_s(&s, "2:2", &zone))
		at -= zone;
	else if (!slice_ieq(s, "Z"))
		return false;
	*out = at * 1000 + ms;
	return true;
}
