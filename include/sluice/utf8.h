/*
 * utf8 - well-formed UTF-8 as RFC 3629 has it: no overlong forms, no
 * surrogates, nothing above U+10FFFF.
 */
#ifndef SLUICE_UTF8_H
#define SLUICE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at p (1..4), or 0 if it is cut or malformed. */
size_t utf8_length(const char *p, size_t n);

/* Write code point cp (<= 0x10ffff) to out; returns 1..4. */
size_t utf8_put(char out[4], uint32_t cp);

/* Characters in p[0..n), each malformed byte counted as one. */
size_t utf8_count(const char *p, size_t n);

/* Is all of it well-formed? */
bool utf8_ok(const char *p, size_t n);

#endif
