#include "work.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>

int32_t
line_number(const struct line *line)
{
	return line->run->first_line + line->index - 1;
}

void
line_hash(const struct line *line, const char *purpose, char out[33])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char digest[SHA256_DIGEST_LENGTH];
	char text[128];
	int n = snprintf(text, sizeof(text), "sluice %s %s %" PRId32, purpose,
	    line->run->batch_uid, line_number(line));

	SHA256((const unsigned char *)text, (size_t)n, digest);
	for (int i = 0; i < 16; i++) {
		out[2 * i] = hex[digest[i] >> 4];
		out[2 * i + 1] = hex[digest[i] & 15];
	}
	out[32] = '\0';
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
