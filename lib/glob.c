#include <sluice/glob.h>

#include <stddef.h>

bool
glob_match(const char *glob, const char *text)
{
	const char *star = NULL, *from = NULL;

	/* On a mismatch let the last star swallow one more: O(n * stars). */
	while (*text != '\0') {
		if (*glob == '*') {
			star = glob++;
			from = text;
		} else if (*glob == '?' || *glob == *text) {
			glob++;
			text++;
		} else if (star != NULL) {
			glob = star + 1;
			text = ++from;
		} else {
			return false;
		}
	}
	while (*glob == '*')
		glob++;
	return *glob == '\0';
}
