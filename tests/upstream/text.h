/*
 * text - growable text, and the few ways this program writes into it.
 *
 * Zeroed is ready to use.  Memory that cannot be had ends the program.  The
 * answer to every request is put together here, hence no printf on that way.
 */
#ifndef UPSTREAM_TEXT_H
#define UPSTREAM_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct text {
	char *p;
	size_t n;
	size_t cap;
};

void text_clear(struct text *t); /* gives a very large buffer back */
void text_add(struct text *t, const void *p, size_t n);
void text_adds(struct text *t, const char *s);
void text_addi(struct text *t, int64_t value);
void text_addx(struct text *t, uint64_t value); /* 16 hex digits */
void text_addf(struct text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A JSON string with its quotes; bytes over 0x7e become '?'. */
void text_add_json(struct text *t, const char *s, size_t n);

/* A Go duration, rounded up to milliseconds: 12ms, 1.5s, 6m0s, 1h0m30s. */
void text_add_span(struct text *t, int64_t ns);

/* Like realloc, but ends the program when there is no memory. */
void *text_realloc(void *p, size_t n);

#endif
