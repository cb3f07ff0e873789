#include "suffix.h"

#include <assert.h>
#include <string.h>

bool
suffix_has(const char *model, const char *suffix)
{
	size_t n = strlen(suffix), all = strlen(model);

	return all > n && memcmp(model + all - n, suffix, n) == 0;
}

void
suffix_put(struct slice body, size_t quote, const char *suffix, struct buf *out)
{
	assert(quote < body.n && body.p[quote] == '"');
	buf_add(out, body.p, quote);
	buf_adds(out, suffix);
	buf_add(out, body.p + quote, body.n - quote);
}
