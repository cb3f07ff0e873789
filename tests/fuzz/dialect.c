/*
 * Fuzz target: whatever an upstream sends, what is made of it keeps its bounds.
 *
 * The first byte is the dialect, the second the status; an empty line ends the
 * headers.
 */
#include <assert.h>
#include <string.h>

#include <sluice/dialect.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check(const struct dialect_answer *a)
{
	assert(a->nreadings <= DIALECT_READINGS_MAX);
	assert(a->wait_ms >= 0 && a->wait_ms <= DIALECT_WAIT_MAX_MS);
	assert((a->wait_ms == 0) == (a->wait_from == NULL));
	assert(a->refused_window_s >= 0);
	assert(
	    dialect_refusal_of(dialect_refusal_name(a->refusal)) == a->refusal);
	for (size_t i = 0; i < a->nreadings; i++) {
		const struct dialect_reading *r = &a->readings[i];

		assert(r->limit == -1 || r->limit > 0);
		assert(r->remaining >= -1 && r->window_s >= 0);
		assert(r->reset_ms == -1 ||
		    (r->reset_ms > 0 && r->reset_ms <= DIALECT_WAIT_MAX_MS));
		assert(strlen(r->from) <= DIALECT_FROM_MAX);
		assert(dialect_dim_of(dialect_dim_name(r->dim)) == r->dim);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const int statuses[] = { 200, 400, 402, 403, 413, 429, 500,
		503 };
	struct dialect_answer a;
	struct slice headers, body;
	size_t names = 0;
	const char *end;

	while (dialect_names[names] != NULL)
		names++;
	if (n < 2)
		return 0;
	headers = (struct slice){ (const char *)data + 2, n - 2 };
	end = memmem(headers.p, headers.n, "\n\n", 2);
	body = (struct slice){ headers.p + headers.n, 0 };
	if (end != NULL) {
		body.p = end + 2;
		body.n = headers.n - (size_t)(body.p - headers.p);
		headers.n -= body.n + 1;
	}
	/* The last of the names is NULL: to be recognised. */
	dialect_read(dialect_names[data[0] % (names + 1)],
	    statuses[data[1] % NITEMS(statuses)], headers, body, 1700000000,
	    &a);
	check(&a);
	return 0;
}
