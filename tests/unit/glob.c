#include <sluice/glob.h>

#include <string.h>

#include "unit.h"

static void
patterns_match_whole_names(void)
{
	static const struct {
		const char *why, *glob, *text;
		bool match;
	} cases[] = {
		{ "the same", "gpt-4", "gpt-4", true },
		{ "longer", "gpt-4", "gpt-4o", false },
		{ "shorter", "gpt-4o", "gpt-4", false },
		{ "case matters", "gpt-4", "GPT-4", false },
		{ "both empty", "", "", true },
		{ "an empty pattern", "", "a", false },
		{ "an empty name", "a", "", false },
		{ "? needs one", "?", "", false },
		{ "? takes one", "gpt-?", "gpt-4", true },
		{ "? takes one only", "gpt-?", "gpt-4o", false },
		{ "* takes all", "*", "a/b:c", true },
		{ "* takes none", "*", "", true },
		{ "* at the end", "glm-*", "glm-", true },
		{ "* at the start", "*-mini", "o4-mini", true },
		{ "* at the start, more after", "*-mini", "o4-mini-x", false },
		{ "* inside", "gpt-*-mini", "gpt-4o-mini", true },
		{ "the first end is not the last", "*ab", "abxab", true },
		{ "a false start", "*aab", "aaaab", true },
		{ "two stars", "a*b*c", "abbcbxc", true },
		{ "two stars, wrong order", "a*b*c", "acb", false },
		{ "stars in a row", "**a**", "a", true },
		{ "* and ?", "*?", "", false },
		{ "? and *", "?*b", "ab", true },
		{ "star and ? want two", "*??", "a", false },
		{ "a star in the name", "a", "*", false },
		{ "what SQL would match", "a%_", "abc", false },
		{ "itself, to SQL", "a%_\\", "a%_\\", true },
		{ "brackets", "[ab]", "a", false },
		{ "a backslash does not escape", "\\*", "\\x", true },
		{ "? is one character of two bytes", "caf?", "caf\xc3\xa9",
		    true },
		{ "and of four", "?x", "\xf0\x9f\x98\x80x", true },
		{ "not two of them", "??", "\xc3\xa9", false },
		{ "a star stops between characters", "*??", "\xe2\x82\xac",
		    false },
		{ "nor does it try from inside one", "*??b*",
		    "\xe2\x82\xac"
		    "bc",
		    false },
		{ "a malformed byte is one", "?", "\xff", true },
		{ "so is a cut character", "??", "\xe2\x82", true },
	};

	for (size_t i = 0; i < NITEMS(cases); i++)
		CHECK(
		    glob_match(cases[i].glob, cases[i].text) == cases[i].match,
		    cases[i].why);
}

/* The definition, which takes exponential time. */
static bool
match_slowly(const char *glob, const char *text)
{
	if (*glob == '\0')
		return *text == '\0';
	if (*glob == '*')
		return match_slowly(glob + 1, text) ||
		    (*text != '\0' && match_slowly(glob, text + 1));
	return *text != '\0' && (*glob == '?' || *glob == *text) &&
	    match_slowly(glob + 1, text + 1);
}

/* The number in base strlen(letters), least first. */
static void
spell(int number, const char *letters, char *out)
{
	int base = (int)strlen(letters);

	for (; number > 0; number /= base)
		*out++ = letters[number % base];
	*out = '\0';
}

static void
all_short_patterns_and_names_agree_with_the_definition(void)
{
	enum { GLOBS = 1024, TEXTS = 243 }; /* up to 5 long */
	int matches = 0, wrong = 0;

	for (int g = 0; g < GLOBS; g++)
		for (int t = 0; t < TEXTS; t++) {
			char glob[8], text[8];
			bool match;

			spell(g, "ab*?", glob);
			spell(t, "abc", text);
			match = match_slowly(glob, text);
			matches += match;
			wrong += glob_match(glob, text) != match;
		}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(matches > GLOBS);
}

static void
many_stars_cost_no_more_than_their_number(void)
{
	char glob[201] = "", text[20001];

	for (int i = 0; i < 200; i += 2)
		memcpy(glob + i, "*a", 3);
	glob[199] = 'b';
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	CU_ASSERT_FALSE(glob_match(glob, text));
	text[sizeof(text) - 2] = 'b';
	CU_ASSERT(glob_match(glob, text));
}

UNIT_MAIN("glob", UNIT(patterns_match_whole_names),
    UNIT(all_short_patterns_and_names_agree_with_the_definition),
    UNIT(many_stars_cost_no_more_than_their_number))
