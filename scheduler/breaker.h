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

enum breaker_health {
	BREAKER_UP,
	BREAKER_DOWN,    /* nothing before until_us */
	BREAKER_PROBING, /* one line at a time */
};

struct breaker { /* zeroed is up */
	enum breaker_health health;
	int64_t until_us;
	int failures; /* times in a row that it went down */
	char why[120];
	bool changed; /* since the caller last cleared it */
};

/*
 * What a worker saw: ok answers (any that came from the upstream's own work),
 * and whether it judged the path down, with the reason.
 */
void breaker_seen(
    struct breaker *b, int64_t now_us, int64_t ok, bool down, const char *why);

/* Lines that may be handed out now, when out are unsettled. */
int64_t breaker_allows(struct breaker *b, int64_t now_us, int64_t out);

#endif
