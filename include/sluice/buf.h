/*
 * buf - a growable run of bytes.
 *
 * Zeroed is ready to use.  Memory that cannot be had ends the program: every
 * caller bounds what it puts in, so running out means the machine is broken,
 * and a restart is safe by design.
 */
#ifndef SLUICE_BUF_H
#define SLUICE_BUF_H

#include <sluice/slc.h>

struct buf {
	char *p; /* not terminated, unless buf_cstr() was called */
	size_t n;
	size_t cap;
};

void buf_fini(struct buf *b);  /* frees; leaves it zeroed */
void buf_clear(struct buf *b); /* keeps the memory */
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void buf_drop(struct buf *b, size_t n); /* the first n bytes */
const char *buf_cstr(struct buf *b);    /* terminated; valid until changed */
struct slice buf_slice(const struct buf *b);

/* Append s as a JSON string, quotes included; bad UTF-8 becomes U+FFFD. */
void buf_add_json(struct buf *b, struct slice s);

/* Like malloc, calloc, realloc, strdup, but end the program when they fail. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);

#endif
