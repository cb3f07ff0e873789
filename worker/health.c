#include "health.h"

void
health_ok(struct health *h)
{
	h->n = 0;
}

bool
health_failed(struct health *h, uint64_t line)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->failed[i] == line)
			return h->n == HEALTH_BULK;
	if (h->n < HEALTH_BULK)
		h->failed[h->n++] = line;
	return h->n == HEALTH_BULK;
}
