#include <sluice/header.h>

#include <string.h>

struct slice
header_find(struct slice headers, const char *name)
{
	const char *p = headers.p, *end = headers.p + headers.n;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl == NULL ? end : nl;
		const char *colon = memchr(p, ':', (size_t)(stop - p));

		if (colon != NULL &&
		    slice_ieq((struct slice){ p, (size_t)(colon - p) }, name)) {
			const char *v = colon + 1;

			while (v < stop && (*v == ' ' || *v == '\t'))
				v++;
			while (stop > v &&
			    (stop[-1] == '\r' || stop[-1] == ' ' ||
				stop[-1] == '\t'))
				stop--;
			return (struct slice){ v, (size_t)(stop - v) };
		}
		p = stop + 1;
	}
	return (struct slice){ 0 };
}
