#include <sluice/header.h>

#include <string.h>

bool
header_next(struct slice *rest, struct slice *name, struct slice *value)
{
	while (rest->n > 0) {
		const char *p = rest->p, *end = rest->p + rest->n;
		const char *nl = memchr(p, '\n', rest->n);
		const char *stop = nl == NULL ? end : nl;
		const char *colon = memchr(p, ':', (size_t)(stop - p));
		const char *v;

		rest->p = nl == NULL ? end : nl + 1;
		rest->n = (size_t)(end - rest->p);
		if (colon == NULL)
			continue;
		v = colon + 1;
		while (v < stop && (*v == ' ' || *v == '\t'))
			v++;
		while (stop > v &&
		    (stop[-1] == '\r' || stop[-1] == ' ' || stop[-1] == '\t'))
			stop--;
		*name = (struct slice){ p, (size_t)(colon - p) };
		*value = (struct slice){ v, (size_t)(stop - v) };
		return true;
	}
	return false;
}

struct slice
header_find(struct slice headers, const char *name)
{
	struct slice found, value;

	while (header_next(&headers, &found, &value))
		if (slice_ieq(found, name))
			return value;
	return (struct slice){ 0 };
}
