#include <sluice/log.h>

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	LOG_LINE_MAX = 4096,
	LOG_TEXT_MAX = 2048,
	LOG_ENDS = 16, /* kept for what ends values and the line */
};

static struct {
	const char *program;
	enum log_level most;
} conf = { "sluice", LOG_INFO };

void
log_init(const char *program, enum log_level most)
{
	conf.program = program;
	conf.most = most;
}

struct log_line {
	char p[LOG_LINE_MAX];
	size_t n;
};

static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

static void
add_char(struct log_line *l, char c)
{
	if (l->n < LOG_LINE_MAX - 2)
		l->p[l->n++] = c;
}

/* With what would end a value, or the line, escaped. */
static void
add_text(struct log_line *l, const char *s, size_t n)
{
	for (size_t i = 0;
	     i < n && s[i] != '\0' && l->n < LOG_LINE_MAX - LOG_ENDS; i++)
		if (is_control(s[i])) {
			l->n += (size_t)sprintf(
			    l->p + l->n, "\\x%02x", (unsigned char)s[i]);
		} else {
			if (s[i] == '"' || s[i] == '\\')
				add_char(l, '\\');
			add_char(l, s[i]);
		}
}

/* A value that stands alone is quoted where it could be taken for more. */
static void
add_value(struct log_line *l, const char *s, size_t n, bool quoted)
{
	bool plain = quoted;

	if (!quoted) {
		plain = s[0] != '\0';
		for (size_t i = 0; i < n && s[i] != '\0'; i++)
			plain &=
			    !is_control(s[i]) && strchr(" \"\\=", s[i]) == NULL;
	}
	if (!plain)
		add_char(l, '"');
	add_text(l, s, n);
	if (!plain)
		add_char(l, '"');
}

/* One conversion, after its %: %s, %.300s, %d, %ld, %lld and %zu are all that
 * events are made of.  Returns what follows it. */
static const char *
add_conversion(struct log_line *l, const char *f, bool quoted, va_list *ap)
{
	size_t most = LOG_TEXT_MAX;
	char number[32] = "";
	const char *s;

	if (*f == '.')
		most = strtoul(f + 1, (char **)(uintptr_t)&f, 10);
	if (*f == 's') {
		s = va_arg(*ap, const char *);
		add_value(l, s == NULL ? "" : s, most, quoted);
		return f + 1;
	}
	if (f[0] == 'd') {
		snprintf(number, sizeof(number), "%d", va_arg(*ap, int));
		f++;
	} else if (f[0] == 'l' && f[1] == 'd') {
		snprintf(number, sizeof(number), "%ld", va_arg(*ap, long));
		f += 2;
	} else if (f[0] == 'z' && f[1] == 'u') {
		snprintf(number, sizeof(number), "%zu", va_arg(*ap, size_t));
		f += 2;
	} else {
		assert(f[0] == 'l' && f[1] == 'l' && f[2] == 'd');
		snprintf(
		    number, sizeof(number), "%lld", va_arg(*ap, long long));
		f += 3;
	}
	add_text(l, number, sizeof(number));
	return f;
}

void
log_at(enum log_level level, const char *event, const char *fmt, ...)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	struct log_line l;
	struct timespec now;
	bool quoted = false;
	struct tm tm;
	va_list ap;

	if (level > conf.most)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	l.n = strftime(l.p, sizeof(l.p), "%Y-%m-%dT%H:%M:%S", &tm);
	l.n += (size_t)snprintf(l.p + l.n, sizeof(l.p) - l.n,
	    ".%03ldZ %s %.64s %.64s ", now.tv_nsec / 1000000, names[level],
	    conf.program, event);
	va_start(ap, fmt);
	for (const char *f = fmt; *f != '\0';) {
		quoted ^= *f == '"';
		if (*f == '%')
			f = add_conversion(&l, f + 1, quoted, &ap);
		else
			add_char(&l, *f++);
	}
	va_end(ap);
	l.p[l.n++] = '\n';
	/* One call, so that lines of several processes do not mix. */
	fwrite(l.p, 1, l.n, stderr);
}
