#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "conf_option.h"

static bool
fail(char err[160], const char *what)
{
	snprintf(err, 160, "%s", what);
	return false;
}

static bool
set_listen(void *field, const char *arg, char err[160])
{
	struct conf *c = field;
	const char *colon = strrchr(arg, ':');
	size_t n = colon != NULL ? (size_t)(colon - arg) : 0;
	char *end;

	if (n == 0 || n >= sizeof(c->host))
		return fail(err, "an address is HOST:PORT");
	c->port = strtol(colon + 1, &end, 10);
	if (end == colon + 1 || *end != '\0' || c->port < 0 || c->port > 65535)
		return fail(err, "a port is 0..65535");
	snprintf(c->host, sizeof(c->host), "%.*s", (int)n, arg);
	if (strncmp(c->host, "127.", 4) != 0)
		return fail(err, "only loopback addresses (127.x.y.z)");
	return true;
}

static bool
set_file(void *field, const char *arg, char err[160])
{
	if (strlen(arg) >= sizeof(((struct conf *)0)->port_file))
		return fail(err, "the name is too long");
	strcpy(field, arg);
	return true;
}

static bool
set_key(void *field, const char *arg, char err[160])
{
	struct conf *c = field;

	if (arg == NULL)
		c->keys.n = 0;
	else if (c->keys.n == CONF_KEYS_MAX || strlen(arg) >= CONF_KEY_MAX)
		return fail(err, "too many keys, or too long a one");
	else
		strcpy(c->keys.v[c->keys.n++], arg);
	return true;
}

static bool
set_flag(void *field, const char *arg, char err[160])
{
	(void)err;
	*(bool *)field = arg != NULL && strcmp(arg, "false") != 0;
	return true;
}

static bool
set_count(void *field, const char *arg, char err[160])
{
	char *end;
	long long n = strtoll(arg, &end, 10);

	if (end == arg || *end != '\0' || n < 0 || n > INT64_C(1) << 40)
		return fail(err, "takes a whole number >= 0");
	*(int64_t *)field = n;
	return true;
}

static bool
set_real(void *field, const char *arg, char err[160])
{
	char *end;
	double x = strtod(arg, &end);

	if (end == arg || *end != '\0' || !(x >= 0) || x > 1e9)
		return fail(err, "takes a number >= 0");
	*(double *)field = x;
	return true;
}

static bool
set_bytes_per_token(void *field, const char *arg, char err[160])
{
	if (!set_real(field, arg, err))
		return false;
	return *(double *)field >= 0.01 || fail(err, "is at least 0.01");
}

static bool
set_latency(void *field, const char *arg, char err[160])
{
	return latency_parse(field, arg) ||
	    fail(err, "is 8000, 300-800 or lognormal:MEDIAN:SIGMA");
}

static bool
set_limit(void *field, const char *arg, char err[160])
{
	struct limiter *set = field;

	if (arg == NULL) {
		set->n = 0;
		return true;
	}
	return limiter_add(set, arg, err);
}

static bool
set_fault(void *field, enum fault_when when, const char *arg, char err[160])
{
	if (arg == NULL) {
		faults_drop(field, when);
		return true;
	}
	return faults_add(field, when, arg, err);
}

static bool
set_fault_chance(void *field, const char *arg, char err[160])
{
	return set_fault(field, FAULT_CHANCE, arg, err);
}

static bool
set_fault_first(void *field, const char *arg, char err[160])
{
	return set_fault(field, FAULT_FIRST, arg, err);
}

static bool
set_fault_match(void *field, const char *arg, char err[160])
{
	return set_fault(field, FAULT_MATCH, arg, err);
}

static bool
set_outage(void *field, const char *arg, char err[160])
{
	struct conf *c = field;
	int end = 0;

	c->outage.from_s = c->outage.to_s = 0;
	if (strcmp(arg, "true") == 0)
		c->outage.to_s = HUGE_VAL;
	else if (strcmp(arg, "false") != 0 &&
	    (sscanf(arg, "%lf-%lf%n", &c->outage.from_s, &c->outage.to_s,
		 &end) != 2 ||
		arg[end] != '\0'))
		return fail(err, "is FROM-TO, in seconds since the start");
	return true;
}

static bool
set_word(void *field, const char *arg, const char *const *words, char err[160])
{
	for (int i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], arg) == 0) {
			memcpy(field, &i, sizeof(i));
			return true;
		}
	}
	return fail(err, "no such choice (see --help)");
}

static bool
set_charge(void *field, const char *arg, char err[160])
{
	static const char *const words[] = { "actual", "declared",
		"declared-refunded", "input-only", "actual-late", NULL };

	return set_word(field, arg, words, err);
}

static bool
set_style(void *field, const char *arg, char err[160])
{
	static const char *const words[] = { "echo", "words", NULL };

	return set_word(field, arg, words, err);
}

static bool
set_headers(void *field, const char *arg, char err[160])
{
	return set_word(field, arg, dialect_names, err);
}

static bool
set_foreign(void *field, const char *arg, char err[160])
{
	return foreign_parse(field, arg, err);
}

#define AT(field) offsetof(struct conf, field)

const struct option options[] = {
	{ "listen", "HOST:PORT", set_listen, 0, AT_START,
	    "where to listen, loopback only; port 0: any free\n"
	    "one (127.0.0.1:0)" },
	{ "port-file", "FILE", set_file, AT(port_file), AT_START,
	    "write the port there, all at once, when ready" },
	{ "key", "KEY", set_key, 0, LIST,
	    "a key to let in, all others get 401; repeatable\n"
	    "(without: every key, or none, is good)" },
	{ "limit", "SPEC", set_limit, AT(limits), LIST,
	    "a limit to enforce, see below; repeatable" },
	{ "model-limit", "MODEL:SPEC", set_limit, AT(limits), AT_START,
	    "the same, counting one model alone" },
	{ "charge", "HOW", set_charge, AT(charge), ANY_TIME,
	    "tokens taken at admission: actual, declared\n"
	    "(prompt and max_tokens), declared-refunded\n"
	    "(the same, corrected at the end), input-only; or\n"
	    "actual-late: at the end, any room lets in\n"
	    "(actual)" },
	{ "declared-default", "N", set_count, AT(declared_default), ANY_TIME,
	    "max_tokens of a request that has none (512)" },
	{ "charge-refused", NULL, set_flag, AT(charge_refused), ANY_TIME,
	    "a refused call costs what an accepted one does" },
	{ "no-retry-after", NULL, set_flag, AT(no_retry_after), ANY_TIME,
	    "429 without Retry-After" },
	{ "headers", "DIALECT", set_headers, AT(headers), ANY_TIME,
	    "what answers that were judged tell of limits, and\n"
	    "how refusals are worded: none, account, priority,\n"
	    "chunks, relay, openai, azure, anthropic, groq,\n"
	    "ietf or github (none)" },
	{ "foreign", "SPEC", set_foreign, AT(foreign), ANY_TIME,
	    "others use the account, too, but no seats:\n"
	    "RATE[:TOKENS][@FROM-TO],... calls a minute, at\n"
	    "random, between these seconds since it was set" },
	{ "latency", "MS", set_latency, AT(latency), ANY_TIME,
	    "8000, 300-800 or lognormal:MEDIAN:SIGMA (0)" },
	{ "token-ms", "X", set_real, AT(token_ms), ANY_TIME,
	    "further ms for each completion token (0)" },
	{ "chunk-ms", "X", set_real, AT(chunk_ms), ANY_TIME,
	    "ms between two pieces of a stream (20)" },
	{ "fault", "KIND=P[,X]", set_fault_chance, AT(faults), LIST,
	    "a call fails so with probability P; repeatable" },
	{ "fault-first", "KIND=N[,X]", set_fault_first, AT(faults), LIST,
	    "so do the first N calls; repeatable" },
	{ "fault-match", "TEXT=KIND[,X]", set_fault_match, AT(faults), LIST,
	    "and calls whose body holds TEXT; repeatable" },
	{ "outage", "FROM-TO", set_outage, 0, ANY_TIME,
	    "reset connections between these seconds since\n"
	    "the start, as soon as their headers have come\n"
	    "(/_stats still answers); true, false: until told" },
	{ "idle-close-ms", "N", set_count, AT(idle_close_ms), ANY_TIME,
	    "close connections idle for so long (0: never)" },
	{ "close-after-read-once", NULL, set_flag, AT(close_once), ANY_TIME,
	    "once, on a connection used before: read the\n"
	    "whole request, close before any answer" },
	{ "bytes-per-token", "X", set_bytes_per_token, AT(bytes_per_token),
	    ANY_TIME, "bytes of the body to a prompt token (4)" },
	{ "output-mean", "N", set_real, AT(output_mean), ANY_TIME,
	    "mean completion tokens, within max_tokens (12)" },
	{ "output-cv", "X", set_real, AT(output_cv), ANY_TIME,
	    "their coefficient of variation (0.5)" },
	{ "answers", "STYLE", set_style, AT(style), ANY_TIME,
	    "echo: \"echo:\", the hash of the body and filler\n"
	    "words; words: one category such as net (echo)" },
	{ "reversed", NULL, set_flag, AT(reversed), ANY_TIME,
	    "of several texts in a request, answer the last first" },
	{ "dimensions", "N", set_count, AT(dimensions), ANY_TIME,
	    "numbers of an embedding, if not requested (16)" },
	{ "seed", "N", set_count, AT(seed), AT_START,
	    "of latencies, faults and random phases (1)" },
	{ "no-log", NULL, set_flag, AT(no_log), AT_START,
	    "remember no arrivals, only counts: for benchmarks" },
	{ 0 },
};
