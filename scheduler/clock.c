#include "clock.h"

int64_t
clock_read(struct clock *c, int64_t read_us, int64_t asked_us, int64_t heard_us,
    int64_t *jumped_us)
{
	*jumped_us = 0;
	if (c->known) {
		int64_t passed = read_us - c->read_us;
		int64_t least = asked_us - c->heard_us;
		int64_t most = heard_us - c->asked_us;

		if (passed > most + CLOCK_JUMP_US)
			*jumped_us = passed - most;
		else if (passed < least - CLOCK_JUMP_US)
			*jumped_us = passed - least;
	}
	c->offset_us -= *jumped_us;
	c->changed |= *jumped_us != 0;
	c->known = true;
	c->read_us = read_us;
	c->asked_us = asked_us;
	c->heard_us = heard_us;
	return read_us + c->offset_us;
}
