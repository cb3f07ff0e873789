#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "out.h"

enum {
	PROGRESS_FIRST_MS = 2000,
	PROGRESS_LINE_MS = 5000,
	PROGRESS_FRAME_MS = 100,
	PROGRESS_BAR = 20,
};

int64_t
progress_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
progress_begin(struct progress *p, const struct cli *cli)
{
	const char *term = getenv("TERM");

	*p = (struct progress){
		.off = cli->quiet,
		.terminal = isatty(STDERR_FILENO) && term != NULL &&
		    strcmp(term, "dumb") != 0,
	};
	if (!p->terminal)
		p->next_ms = progress_now() + PROGRESS_FIRST_MS;
}

bool
progress_due(const struct progress *p)
{
	return !p->off && progress_now() >= p->next_ms;
}

void
progress_show(struct progress *p, const char *fmt, ...)
{
	struct buf clean = { 0 };
	va_list ap;
	char *text;
	int n;

	if (p->off)
		return;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	out_clean(&clean, slice_str(text));
	/* Without wrapping: a line that is too long could not be undone. */
	if (p->terminal)
		fprintf(stderr, "\r\x1b[?7l%s\x1b[K\x1b[?7h", buf_cstr(&clean));
	else
		fprintf(stderr, "%s\n", buf_cstr(&clean));
	p->drawn = true;
	p->next_ms = progress_now() +
	    (p->terminal ? PROGRESS_FRAME_MS : PROGRESS_LINE_MS);
	buf_fini(&clean);
	free(text);
}

void
progress_end(struct progress *p)
{
	if (p->terminal && p->drawn)
		fputs("\r\x1b[K", stderr);
	p->drawn = false;
}

const char *
progress_bar(int64_t done, int64_t total, char to[32])
{
	int64_t full = total > 0 ? done * PROGRESS_BAR / total : 0;

	to[0] = '[';
	for (int i = 0; i < PROGRESS_BAR; i++)
		to[1 + i] = i < full ? '#' : '.';
	strcpy(to + 1 + PROGRESS_BAR, "]");
	return to;
}
