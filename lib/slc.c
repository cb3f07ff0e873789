#include <sluice/slc.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *code;
	int status;
} results[] = {
#define X(name, code, status) { code, status },
	SLC_ERRORS(X)
#undef X
};

const char *
slc_code(enum slc_rc rc)
{
	return results[rc].code;
}

int
slc_status(enum slc_rc rc)
{
	return results[rc].status;
}

enum slc_rc
slc_fail(struct slc_err *err, enum slc_rc rc, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return rc;
	err->rc = rc;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return rc;
}

struct slice
slice_str(const char *s)
{
	return (struct slice){ s, s == NULL ? 0 : strlen(s) };
}

bool
slice_eq(struct slice a, const char *s)
{
	return a.n == strlen(s) && (a.n == 0 || memcmp(a.p, s, a.n) == 0);
}

bool
slice_ieq(struct slice a, const char *s)
{
	return a.n == strlen(s) && (a.n == 0 || strncasecmp(a.p, s, a.n) == 0);
}

bool
slice_int(struct slice s, int64_t max, int64_t *out)
{
	int64_t v = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, s.p[i] - '0', &v) || v > max)
			return false;
	}
	*out = v;
	return true;
}
