/*
 * breaker - is an upstream there at all?
 *
 * Pure.  A path that fails as a whole (refused connections, 5xx in bulk, our
 * own secret refused) is left alone for a time that doubles from 1 s to 60 s,
 * then tried with one line.
 */
#ifndef SCHEDULER_BREAKER_H
#define SCHEDULER_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum { BREAKER_EDIT_US = 1000000 }; /* workers beat twice in it */

enum breaker_health {
	BREAKER_UP,
	BREAKER_DOWN,    /* nothing before until_us */
	BREAKER_PROBING, /* one line at a time */
};

struct breaker { /* zeroed is up */
	enum breaker_health health;
	int64_t until_us;
	int failures;   /* times in a row that it went down */
	int64_t before; /* of what is out, so much was sent before an edit */
	char why[120];
	bool changed; /* since the caller last cleared it */
};

/*
 * What a worker saw: ok answers (any that came from the upstream's own work),
 * and whether it judged the path down, with the reason.
 */
void breaker_seen(
    struct breaker *b, int64_t now_us, int64_t ok, bool down, const char *why);

/*
 * The path's settings were changed at_us, with out unsettled: unless it is up,
 * what was found before is forgotten, and the first probe goes as soon as all
 * workers know the new ones.
 */
void breaker_edited(struct breaker *b, int64_t at_us, int64_t out);

/* Lines that may be handed out now, when out are unsettled. */
int64_t breaker_allows(struct breaker *b, int64_t now_us, int64_t out);

#endif
