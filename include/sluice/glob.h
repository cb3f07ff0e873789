/*
 * glob - patterns for model names: * any run of characters, ? any one.
 *
 * Pure.  sluice.glob_match() has the same rule.
 */
#ifndef SLUICE_GLOB_H
#define SLUICE_GLOB_H

#include <stdbool.h>

bool glob_match(const char *glob, const char *text);

#endif
