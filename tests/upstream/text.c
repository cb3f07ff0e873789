#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

enum { KEEP_MAX = 1 << 20 };

void *
text_realloc(void *p, size_t n)
{
	void *q = realloc(p, n);

	if (q == NULL) {
		fputs("upstream: out of memory\n", stderr);
		abort();
	}
	return q;
}

void
text_clear(struct text *t)
{
	if (t->cap > KEEP_MAX) {
		free(t->p);
		*t = (struct text){ 0 };
	}
	t->n = 0;
}

static void
text_reserve(struct text *t, size_t more)
{
	if (t->cap - t->n >= more)
		return;
	t->cap = t->cap * 2 > t->n + more ? t->cap * 2 : t->n + more + 256;
	t->p = text_realloc(t->p, t->cap);
}

void
text_add(struct text *t, const void *p, size_t n)
{
	if (n == 0)
		return;
	text_reserve(t, n);
	memcpy(t->p + t->n, p, n);
	t->n += n;
}

void
text_adds(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void
text_addi(struct text *t, int64_t value)
{
	char digits[24];
	size_t at = sizeof(digits);
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

	do {
		digits[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (value < 0)
		digits[--at] = '-';
	text_add(t, digits + at, sizeof(digits) - at);
}

void
text_addx(struct text *t, uint64_t value)
{
	char digits[16];

	for (size_t i = sizeof(digits); i-- > 0; value >>= 4)
		digits[i] = "0123456789abcdef"[value & 15];
	text_add(t, digits, sizeof(digits));
}

void
text_addf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	text_reserve(t, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(t->p + t->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	t->n += (size_t)n;
}

void
text_add_json(struct text *t, const char *s, size_t n)
{
	text_add(t, "\"", 1);
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '"' || s[i] == '\\')
			text_add(t, "\\", 1);
		text_add(t, s[i] < ' ' || s[i] > '~' ? "?" : &s[i], 1);
	}
	text_add(t, "\"", 1);
}

void
text_add_span(struct text *t, int64_t ns)
{
	int64_t ms = ns / 1000000 + (ns % 1000000 > 0);
	int64_t s = ms / 1000;

	if (ms < 1000) {
		text_addi(t, ms);
		text_adds(t, "ms");
		return;
	}
	if (s >= 3600)
		text_addf(t, "%" PRId64 "h", s / 3600);
	if (s >= 60)
		text_addf(t, "%" PRId64 "m", s / 60 % 60);
	/* As Go prints it: no zeros at the end of a fraction. */
	text_addf(t, "%.15gs", (double)(s % 60) + (double)(ms % 1000) / 1000);
}
