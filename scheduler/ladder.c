#include "ladder.h"

bool
ladder_refused(struct ladder *l, int64_t now_us, int64_t sent_us,
    int64_t drain_us, int least)
{
	if (l->step == LADDER_TOP ||
	    (l->moved_us > 0 && sent_us < l->moved_us + drain_us && !l->fell))
		return false;
	if (l->hold_us == 0)
		l->hold_us = LADDER_HOLD_US;
	else if (l->fell && l->hold_us < LADDER_HOLD_MAX_US)
		l->hold_us *= 2;
	l->step = l->step + 1 > least ? l->step + 1 : least;
	l->moved_us = now_us;
	l->fell = false;
	return true;
}

bool
ladder_rest(struct ladder *l, int64_t now_us)
{
	if (l->step == 0 || now_us < l->moved_us + l->hold_us)
		return false;
	l->step--;
	l->moved_us = now_us;
	l->fell = true;
	return true;
}
