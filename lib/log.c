#include <sluice/log.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LOG_LINE_MAX = 4096 };

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

void
log_at(enum log_level level, const char *event, const char *fmt, ...)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	char line[LOG_LINE_MAX], text[LOG_LINE_MAX / 2];
	struct timespec now;
	struct tm tm;
	size_t n, i;
	va_list ap;

	if (level > conf.most)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	n +=
	    (size_t)snprintf(line + n, sizeof(line) - n, ".%03ldZ %s %s %.64s ",
		now.tv_nsec / 1000000, names[level], conf.program, event);
	for (i = 0; text[i] != '\0' && n < sizeof(line) - 6; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f)
			n += (size_t)snprintf(
			    line + n, sizeof(line) - n, "\\x%02x", c);
		else
			line[n++] = text[i];
	}
	line[n++] = '\n';
	/* One call, so that lines of several processes do not mix. */
	fwrite(line, 1, n, stderr);
}
