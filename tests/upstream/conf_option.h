/*
 * conf_option - the table behind conf.h.
 */
#ifndef UPSTREAM_CONF_OPTION_H
#define UPSTREAM_CONF_OPTION_H

#include "conf.h"

/*
 * Each sets one field from its text; a NULL text empties a list, so that a
 * list sent to /_control replaces the one before it.
 */
typedef bool setter(void *field, const char *arg, char err[160]);

enum { ANY_TIME, LIST, AT_START }; /* lists, too, change at any time */

struct option {
	const char *name;
	const char *arg; /* NULL: a flag */
	setter *set;
	size_t at; /* of the field in struct conf */
	int when;
	const char *help;
};

/* Closed by one without a name. */
extern const struct option options[];

#endif
