#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limiter.h"

static const char *const algo_names[ALGOS] = {
	[ALGO_LOG] = "log",
	[ALGO_LOG1S] = "log1s",
	[ALGO_FIXED] = "fixed",
	[ALGO_COUNTER] = "counter",
	[ALGO_BUCKET] = "bucket",
	[ALGO_ADAPTIVE] = "adaptive",
};

static const struct {
	const char *prefix;
	enum limit_dim dim;
} dims[] = {
	{ "requests/", DIM_REQUESTS },
	{ "tokens/", DIM_TOKENS },
	{ "input-tokens/", DIM_INPUT },
	{ "output-tokens/", DIM_OUTPUT },
	{ "concurrent=", DIM_CONCURRENT },
};

const char *
limit_dim_name(enum limit_dim dim)
{
	static const char *const names[DIMS] = {
		[DIM_REQUESTS] = "requests",
		[DIM_TOKENS] = "tokens",
		[DIM_INPUT] = "input-tokens",
		[DIM_OUTPUT] = "output-tokens",
		[DIM_CONCURRENT] = "concurrent",
	};

	return names[dim];
}

/* "100ms", "1.5s", "1m", "1h", "1d"; moves p behind it. */
static bool
parse_span(const char **p, int64_t *ns)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {
		{ "ms", 1e6 },
		{ "s", 1e9 },
		{ "m", 60e9 },
		{ "h", 3600e9 },
		{ "d", 86400e9 },
	};
	char *end;
	double n = strtod(*p, &end);

	if (end == *p || !(n >= 0) || n > 1e9)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t len = strlen(units[i].unit);

		if (strncmp(end, units[i].unit, len) != 0)
			continue;
		*ns = (int64_t)(n * units[i].ns);
		*p = end + len;
		return *ns <= INT64_C(366) * 86400 * 1000000000;
	}
	return false;
}

static bool
parse_count(const char **p, int64_t *n)
{
	char *end;

	errno = 0;
	*n = strtoll(*p, &end, 10);
	if (end == *p || errno != 0 || *n < 1 || *n > INT64_C(1) << 53)
		return false;
	*p = end;
	return true;
}

/* What follows the amount: "", ":ALGO" or ":ALGO:ARGUMENT". */
static const char *
parse_algo(struct limit *l, const char *p)
{
	size_t n;

	if (*p == '\0')
		return NULL;
	n = strcspn(++p, ":");
	for (l->algo = 0; l->algo < ALGOS; l->algo++)
		if (strlen(algo_names[l->algo]) == n &&
		    strncmp(p, algo_names[l->algo], n) == 0)
			break;
	if (l->algo == ALGOS)
		return "the algorithm is log, log1s, fixed, counter, bucket "
		       "or adaptive";
	p += n;
	if (*p == '\0')
		return NULL;
	p++;
	switch (l->algo) {
	case ALGO_LOG:
	case ALGO_LOG1S:
		return "log takes no argument";
	case ALGO_ADAPTIVE:
		if (!parse_span(&p, &l->adapt_ns) || l->adapt_ns == 0 ||
		    *p != '\0')
			return "a period is a span such as 15m";
		return NULL;
	case ALGO_BUCKET:
		if (!parse_count(&p, &l->capacity) || *p != '\0')
			return "the bucket's capacity is a whole number > 0";
		return NULL;
	default:
		if (strcmp(p, "random") == 0) {
			l->phase_random = true;
			return NULL;
		}
		if (!parse_span(&p, &l->phase_ns) || *p != '\0')
			return "the phase is a span such as 17.5s, or random";
		l->phase_ns %= l->window_ns;
		return NULL;
	}
}

static const char *
parse_limit(struct limit *l, const char *p)
{
	const char *at = NULL;

	for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++) {
		const char *q = strstr(p, dims[i].prefix);

		/* A model's name may itself hold colons: ours is the last. */
		if (q == NULL || (q > p && q[-1] != ':'))
			continue;
		at = q;
		l->dim = dims[i].dim;
		if ((size_t)(at - p) > sizeof(l->model))
			return "the model's name is too long";
		snprintf(l->model, sizeof(l->model), "%.*s",
		    at > p ? (int)(at - p) - 1 : 0, p);
		p = at + strlen(dims[i].prefix);
		break;
	}
	if (at == NULL)
		return "it starts with a dimension such as requests/ (see "
		       "--help), or with a model and a colon before that";
	if (strlen(at) >= sizeof(l->spec))
		return "it is too long";
	strcpy(l->spec, at);
	if (l->dim == DIM_CONCURRENT)
		return parse_count(&p, &l->amount) && *p == '\0'
		    ? NULL
		    : "concurrent= takes a whole number > 0";
	if (!parse_span(&p, &l->window_ns) || l->window_ns == 0 || *p++ != '=')
		return "a window such as 1s, 10s, 1m, 1h, 1d and = come next";
	if (!parse_count(&p, &l->amount) || (*p != '\0' && *p != ':'))
		return "the amount is a whole number > 0";
	l->capacity = l->amount;
	l->least = (l->amount + 7) / 8;
	l->adapt_ns = INT64_C(900) * 1000000000;
	return parse_algo(l, p);
}

bool
limiter_add(struct limiter *set, const char *spec, char err[160])
{
	struct limit l = { 0 };
	const char *why =
	    set->n == LIMITS_MAX ? "too many limits" : parse_limit(&l, spec);

	if (why != NULL) {
		snprintf(err, 160, "%.50s: %.100s", spec, why);
		return false;
	}
	set->v[set->n++] = l;
	return true;
}
