/*
 * One event, one line, whatever is in its values.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sluice/log.h>

#include "../unit/unit.h"

static char said[8192];

/* stderr goes to a file, and from there to said. */
static FILE *
listen(int *keep)
{
	FILE *to = tmpfile();

	CU_ASSERT_PTR_NOT_NULL_FATAL(to);
	fflush(stderr);
	*keep = dup(STDERR_FILENO);
	dup2(fileno(to), STDERR_FILENO);
	return to;
}

static void
heard(FILE *to, int keep)
{
	size_t n;

	fflush(stderr);
	dup2(keep, STDERR_FILENO);
	close(keep);
	rewind(to);
	n = fread(said, 1, sizeof(said) - 1, to);
	said[n] = '\0';
	fclose(to);
}

static void
values_cannot_be_taken_for_more(void)
{
	static const struct {
		const char *value, *quoted, *bare;
	} cases[] = {
		{ "plain-1.5", "plain-1.5", "plain-1.5" },
		{ "", "", "\"\"" },
		{ "at \"h\", port 1", "at \\\"h\\\", port 1",
		    "\"at \\\"h\\\", port 1\"" },
		{ "a\\", "a\\\\", "\"a\\\\\"" },
		{ "a\nb\x7f", "a\\x0ab\\x7f", "\"a\\x0ab\\x7f\"" },
		{ "x=1", "x=1", "\"x=1\"" },
		{ "\xc3\xa9", "\xc3\xa9", "\xc3\xa9" },
	};
	char want[256];
	int keep;

	log_init("test", LOG_INFO);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		FILE *to = listen(&keep);

		log_warn("a.b", "why=\"%s\" id=%s n=%d", cases[i].value,
		    cases[i].value, 7);
		heard(to, keep);
		snprintf(want, sizeof(want),
		    "Z warn test a.b why=\"%s\" id=%s n=7\n", cases[i].quoted,
		    cases[i].bare);
		CU_ASSERT_STRING_EQUAL(strchr(said, 'Z'), want);
	}
}

static void
every_conversion_is_known(void)
{
	int keep;
	FILE *to = listen(&keep);

	log_error("a.b", "a=%d b=%" PRId64 " c=%lld d=%zu e=%.3s f=\"%.2s %s\"",
	    -1, INT64_MIN, 5LL, (size_t)6, "abcd", "xyz", "w");
	log_debug("not.told", "a=%d", 1);
	heard(to, keep);
	CU_ASSERT_STRING_EQUAL(strchr(said, 'Z'),
	    "Z error test a.b a=-1 b=-9223372036854775808 c=5 d=6 e=abc "
	    "f=\"xy w\"\n");
}

static void
a_line_ends_whatever_its_length(void)
{
	static char much[6000];
	int keep;
	FILE *to = listen(&keep);

	memset(much, '"', sizeof(much) - 1);
	log_info("a.b", "a=\"%s\" b=\"%s\" c=%d", much, much, 1);
	heard(to, keep);
	CU_ASSERT(strlen(said) > 4000 && strlen(said) <= 4096);
	CU_ASSERT_PTR_EQUAL(strchr(said, '\n'), said + strlen(said) - 1);
}

UNIT_MAIN("log", UNIT(values_cannot_be_taken_for_more),
    UNIT(every_conversion_is_known), UNIT(a_line_ends_whatever_its_length))
