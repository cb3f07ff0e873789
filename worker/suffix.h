/*
 * suffix - a suffix to the model's name, where a path asks for it.
 *
 * Pure.  The only edit: the suffix before the closing quote of the model's
 * value, all other bytes as they were.
 */
#ifndef WORKER_SUFFIX_H
#define WORKER_SUFFIX_H

#include <sluice/buf.h>
#include <sluice/slc.h>

/* Does the model's name end so already?  Then nothing is put to it. */
bool suffix_has(const char *model, const char *suffix);

/* body, whose model's value has its closing quote at quote, with the suffix
 * (characters that JSON does not escape) appended to out. */
void suffix_put(
    struct slice body, size_t quote, const char *suffix, struct buf *out);

#endif
