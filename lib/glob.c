#include <sluice/glob.h>

#include <string.h>

#include <sluice/utf8.h>

/* Bytes of the character at p, which is not the end. */
static size_t
char_length(const char *p)
{
	size_t n = utf8_length(p, strnlen(p, 4));

	return n == 0 ? 1 : n;
}

bool
glob_match(const char *glob, const char *text)
{
	const char *star = NULL, *from = NULL;

	/* On a mismatch let the last star swallow one more: O(n * stars). */
	while (*text != '\0') {
		if (*glob == '*') {
			star = glob++;
			from = text;
		} else if (*glob == '?') {
			glob++;
			text += char_length(text);
		} else if (*glob == *text) {
			glob++;
			text++;
		} else if (star != NULL) {
			glob = star + 1;
			from += char_length(from);
			text = from;
		} else {
			return false;
		}
	}
	while (*glob == '*')
		glob++;
	return *glob == '\0';
}
