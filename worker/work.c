#include "work.h"

#include <assert.h>

int32_t
line_number(const struct line *line)
{
	return line->run->first_line + line->index - 1;
}

void
line_set(struct line *line, enum line_state next)
{
	static const unsigned legal[LINE_STATES] = {
		[LINE_LOADING] = 1u << LINE_WAITING | 1u << LINE_SETTLING,
		[LINE_WAITING] = 1u << LINE_READY | 1u << LINE_SETTLING,
		[LINE_READY] = 1u << LINE_SENDING | 1u << LINE_SETTLING,
		[LINE_SENDING] = 1u << LINE_SETTLING,
	};

	assert(legal[line->state] & 1u << next);
	line->state = next;
}
