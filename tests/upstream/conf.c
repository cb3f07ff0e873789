#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"

/*
 * Each sets one field from its text; a NULL text empties a list, so that a
 * list sent to /_control replaces the one before it.
 */
typedef bool setter(void *field, const char *arg, char err[160]);

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
		"declared-refunded", NULL };

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
	static const char *const words[] = { "none", "openai", NULL };

	return set_word(field, arg, words, err);
}

#define AT(field) offsetof(struct conf, field)

enum { ANY_TIME, LIST, AT_START }; /* lists, too, change at any time */

static const struct option {
	const char *name;
	const char *arg; /* NULL: a flag */
	setter *set;
	size_t at;
	int when;
	const char *help;
} options[] = {
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
	    "(prompt and max_tokens) or declared-refunded\n"
	    "(the same, corrected at the end) (actual)" },
	{ "declared-default", "N", set_count, AT(declared_default), ANY_TIME,
	    "max_tokens of a request that has none (512)" },
	{ "charge-refused", NULL, set_flag, AT(charge_refused), ANY_TIME,
	    "a refused call costs what an accepted one does" },
	{ "no-retry-after", NULL, set_flag, AT(no_retry_after), ANY_TIME,
	    "429 without Retry-After" },
	{ "headers", "openai", set_headers, AT(headers), ANY_TIME,
	    "x-ratelimit-* on every answer that was judged" },
	{ "latency", "MS", set_latency, AT(latency), ANY_TIME,
	    "8000, 300-800 or lognormal:MEDIAN:SIGMA (0)" },
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
	{ "dimensions", "N", set_count, AT(dimensions), ANY_TIME,
	    "numbers of an embedding, if not requested (16)" },
	{ "seed", "N", set_count, AT(seed), AT_START,
	    "of latencies, faults and random phases (1)" },
	{ "no-log", NULL, set_flag, AT(no_log), AT_START,
	    "remember no arrivals, only counts: for benchmarks" },
};

enum { NOPTIONS = sizeof(options) / sizeof(options[0]) };

static const struct option *
find_option(const char *name, size_t n)
{
	for (size_t i = 0; i < NOPTIONS; i++)
		if (strlen(options[i].name) == n &&
		    strncmp(options[i].name, name, n) == 0)
			return &options[i];
	return NULL;
}

static bool
set(struct conf *c, const struct option *o, const char *arg, char err[160])
{
	char why[160];

	if (o->set((char *)c + o->at, arg, why))
		return true;
	snprintf(err, 160, "%s: %.130s", o->name, why);
	return false;
}

void
conf_default(struct conf *c)
{
	*c = (struct conf){
		.host = "127.0.0.1",
		.declared_default = 512,
		.bytes_per_token = 4,
		.output_mean = 12,
		.output_cv = 0.5,
		.dimensions = 16,
		.seed = 1,
	};
}

bool
conf_args(struct conf *c, int argc, char **argv, bool *help, char err[160])
{
	*help = false;
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i] + 2;
		size_t n =
		    strncmp(argv[i], "--", 2) == 0 ? strcspn(name, "=") : 0;
		const struct option *o = find_option(name, n);
		const char *arg = "";

		if (strcmp(argv[i], "--help") == 0 ||
		    strcmp(argv[i], "-h") == 0) {
			*help = true;
			return true;
		}
		if (n == 0 || o == NULL) {
			snprintf(err, 160, "%.80s: no such option", argv[i]);
			return false;
		}
		if (name[n] == '=' && o->arg != NULL)
			arg = name + n + 1;
		else if (name[n] == '=')
			return fail(err, "a flag takes no argument");
		else if (o->arg != NULL && ++i < argc)
			arg = argv[i];
		else if (o->arg != NULL) {
			snprintf(err, 160, "%s: no argument", o->name);
			return false;
		}
		if (!set(c, o, arg, err))
			return false;
	}
	return true;
}

bool
conf_change(
    struct conf *c, const char *name, const json_t *value, char err[160])
{
	const struct option *o = find_option(name, strlen(name));
	char number[32];

	if (o == NULL || o->when == AT_START) {
		snprintf(err, 160, "%.80s: cannot be changed", name);
		return false;
	}
	if (json_is_array(value)) {
		const json_t *item;
		size_t i;

		if (o->when != LIST)
			return fail(err, "a list where one value is due");
		if (!set(c, o, NULL, err))
			return false;
		json_array_foreach(value, i, item)
		{
			if (!json_is_string(item))
				return fail(err, "lists hold strings");
			if (!set(c, o, json_string_value(item), err))
				return false;
		}
		return true;
	}
	if (o->when == LIST)
		return fail(err, "a list of strings is due");
	if (json_is_string(value))
		return set(c, o, json_string_value(value), err);
	if (json_is_boolean(value))
		return set(c, o, json_is_true(value) ? "true" : "false", err);
	if (!json_is_number(value))
		return fail(
		    err, "values are lists, strings, numbers, booleans");
	snprintf(number, sizeof(number), "%.15g", json_number_value(value));
	return set(c, o, number, err);
}

static const char help_head[] =
    "Usage: upstream [OPTION]...\n"
    "A make-believe provider of OpenAI's API, for tests and benchmarks: it\n"
    "answers /v1/chat/completions, completions, embeddings, responses and\n"
    "moderations, enforces limits, takes its time and fails as it is told.\n"
    "SIGTERM and SIGINT end it; it then prints its statistics.\n\n";

static const char help_limits[] =
    "\nA limit is DIM/WINDOW=AMOUNT[:ALGO[:ARG]] or concurrent=N, where DIM "
    "is\n"
    "requests or tokens and WINDOW 100ms, 1s, 1m, 1h, 1d and so on:\n"
    "  requests/1m=60             never over 60 in any closed minute (log)\n"
    "  requests/1m=60:fixed       60 in each minute of the clock (UTC)\n"
    "  requests/1m=60:fixed:17.5s these start 17.5 s later; or at random\n"
    "  tokens/1m=90000:counter    and the share of the minute before\n"
    "  tokens/1m=90000:bucket     a bucket of 90000, refilled in a minute\n"
    "  requests/1m=60:bucket:5    a bucket of 5, refilled by 1 a second\n"
    "All are asked before any is charged; a call refused costs nothing.  The\n"
    "longest wait is the one reported.\n\n"
    "Kinds of fault (they strike calls that were accepted and charged):\n";

static const char help_http[] =
    "\nWhile it runs, on the same port, uncounted:\n"
    "  GET /_stats[?from=S&to=S&series=1]  counts, windows, utilisation\n"
    "  GET /_sends[?first=N&count=N]       each arrival, as lines of JSON\n"
    "  POST /_control    {\"fault\": [\"500=0.1\"], \"latency\": \"300-800\",\n"
    "                     \"limit\": [\"requests/1m=60\", "
    "\"MODEL:tokens/1m=9\"],\n"
    "                     \"outage\": true, \"reset\": true}\n"
    "                    any option above but listen, port-file, model-limit,\n"
    "                    seed and no-log; a list replaces the former one, and\n"
    "                    new limits know what was accepted; reset forgets the\n"
    "                    statistics and empties the limits\n";

void
conf_help(FILE *to)
{
	fputs(help_head, to);
	for (size_t i = 0; i < NOPTIONS; i++) {
		const struct option *o = &options[i];
		const char *line = o->help;
		int used = fprintf(to, "  --%s%s%s", o->name,
		    o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "");

		for (; *line != '\0'; used = 0) {
			size_t n = strcspn(line, "\n");

			fprintf(to, "%*s%.*s\n", used < 31 ? 31 - used : 1, "",
			    (int)n, line);
			line += n + (line[n] == '\n');
		}
	}
	fputs(help_limits, to);
	for (const struct fault_kind *k = fault_kinds; k->name != NULL; k++)
		fprintf(to, "  %-16s %s\n", k->name,
		    k->help != NULL ? k->help : k->message);
	fputs(help_http, to);
}
