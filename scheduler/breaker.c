#include "breaker.h"

#include <stdio.h>

enum { DOWN_MIN_US = 1000000, DOWN_DOUBLINGS = 6, DOWN_MAX_US = 60000000 };

void
breaker_seen(
    struct breaker *b, int64_t now_us, int64_t ok, bool down, const char *why)
{
	int64_t wait_us;

	if (down) {
		/* Lines that were out when it went down say nothing new. */
		if (b->health == BREAKER_DOWN)
			return;
		wait_us = (int64_t)DOWN_MIN_US
		    << (b->failures < DOWN_DOUBLINGS ? b->failures
						     : DOWN_DOUBLINGS);
		if (wait_us > DOWN_MAX_US)
			wait_us = DOWN_MAX_US;
		b->health = BREAKER_DOWN;
		b->until_us = now_us + wait_us;
		b->failures++;
		snprintf(b->why, sizeof(b->why), "%s", why);
		b->changed = true;
	} else if (ok > 0 && b->health != BREAKER_UP) {
		b->health = BREAKER_UP;
		b->failures = 0;
		b->until_us = 0;
		b->before = 0;
		b->why[0] = '\0';
		b->changed = true;
	}
}

void
breaker_edited(struct breaker *b, int64_t at_us, int64_t out)
{
	if (b->health == BREAKER_UP)
		return;
	*b = (struct breaker){ .health = BREAKER_DOWN,
		.until_us = at_us + BREAKER_EDIT_US,
		.before = out,
		.why = "its settings have just changed",
		.changed = true };
}

int64_t
breaker_allows(struct breaker *b, int64_t now_us, int64_t out)
{
	if (b->health == BREAKER_UP)
		return INT64_MAX;
	if (b->health == BREAKER_DOWN && now_us < b->until_us)
		return 0;
	if (b->health == BREAKER_DOWN) {
		b->health = BREAKER_PROBING;
		b->changed = true;
	}
	/* An old probe may be out for as long as the path's timeout. */
	if (b->before > out)
		b->before = out;
	return out > b->before ? 0 : 1;
}
