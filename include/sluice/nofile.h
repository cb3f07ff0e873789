/*
 * nofile - how many files and sockets this program may have open.
 */
#ifndef SLUICE_NOFILE_H
#define SLUICE_NOFILE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Raise the soft limit (ulimit -n) to the hard one.  When *n things of so many
 * files each do not fit, with some files besides, *n is lowered and a warning
 * names the option it is set by.  False: not even one fits; standard error has
 * the reason.
 */
bool
nofile_fit(const char *program, const char *option, int64_t each, int64_t *n);

#endif
