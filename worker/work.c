#include "work.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/sha.h>

int32_t
line_number(const struct line *line)
{
	return line->run->first_line + line->index - 1;
}

/* Frees the text. */
static void
hash_text(struct buf *text, char out[33])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)text->p, text->n, digest);
	for (int i = 0; i < 16; i++) {
		out[2 * i] = hex[digest[i] >> 4];
		out[2 * i + 1] = hex[digest[i] & 15];
	}
	out[32] = '\0';
	buf_fini(text);
}

void
line_hash(const struct line *line, const char *purpose, char out[33])
{
	struct buf text = { 0 };

	buf_addf(&text, "sluice %s %s %" PRId32, purpose, line->run->batch_uid,
	    line_number(line));
	hash_text(&text, out);
}

size_t
call_lines(const struct line *line)
{
	const struct run *run = line->run;
	size_t at = (size_t)(line - run->lines), n = 1;

	while (at + n < run->n && run->lines[at + n].joins)
		n++;
	return n;
}

void
call_hash(const struct line *line, char out[33])
{
	struct buf text = { 0 };
	size_t n = call_lines(line);

	buf_addf(&text, "sluice attempt %s", line->run->batch_uid);
	for (size_t i = 0; i < n; i++)
		if (line[i].state != LINE_SETTLING)
			buf_addf(&text, " %" PRId32, line_number(&line[i]));
	hash_text(&text, out);
}

void
line_set(struct line *line, enum line_state next)
{
	static const unsigned legal[LINE_STATES] = {
		[LINE_LOADING] = 1u << LINE_WAITING | 1u << LINE_JOINED |
		    1u << LINE_SETTLING,
		[LINE_WAITING] = 1u << LINE_READY | 1u << LINE_SETTLING,
		[LINE_READY] = 1u << LINE_SENDING | 1u << LINE_SETTLING,
		[LINE_JOINED] = 1u << LINE_SETTLING,
		[LINE_SENDING] = 1u << LINE_SETTLING,
	};

	assert(legal[line->state] & 1u << next);
	line->state = next;
}
