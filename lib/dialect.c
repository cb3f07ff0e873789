#include <sluice/dialect.h>

#include <string.h>

static const char *const dims[] = { "unknown", "requests", "tokens",
	"input_tokens", "output_tokens", "concurrent" };
static const char *const refusals[] = { "served", "rate", "day", "concurrency",
	"too_large", "billing", "overload", "secondary" };

const char *
dialect_dim_name(enum dialect_dim dim)
{
	return dims[dim];
}

const char *
dialect_refusal_name(enum dialect_refusal r)
{
	return refusals[r];
}

enum dialect_dim
dialect_dim_of(const char *name)
{
	for (size_t i = 0; i < sizeof(dims) / sizeof(*dims); i++)
		if (strcmp(dims[i], name) == 0)
			return (enum dialect_dim)i;
	return DIALECT_UNKNOWN;
}

enum dialect_refusal
dialect_refusal_of(const char *name)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
		if (strcmp(refusals[i], name) == 0)
			return (enum dialect_refusal)i;
	return DIALECT_RATE;
}
