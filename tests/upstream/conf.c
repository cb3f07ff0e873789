#include <stdlib.h>
#include <string.h>

#include "conf_option.h"

static bool
fail(char err[160], const char *what)
{
	snprintf(err, 160, "%s", what);
	return false;
}

static const struct option *
find_option(const char *name, size_t n)
{
	for (const struct option *o = options; o->name != NULL; o++)
		if (strlen(o->name) == n && strncmp(o->name, name, n) == 0)
			return o;
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
		.chunk_ms = 20,
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
    "requests, tokens, input-tokens or output-tokens and WINDOW 100ms, 1s, "
    "1m,\n"
    "1h, 1d and so on:\n"
    "  requests/1m=60             never over 60 in any closed minute (log)\n"
    "  requests/1m=60:log1s       the same by a clock of whole seconds\n"
    "  requests/1m=60:fixed       60 in each minute of the clock (UTC)\n"
    "  requests/1m=60:fixed:17.5s these start 17.5 s later; or at random\n"
    "  tokens/1m=90000:counter    and the share of the minute before\n"
    "  tokens/1m=90000:bucket     a bucket of 90000, refilled in a minute\n"
    "  requests/1m=60:bucket:5    a bucket of 5, refilled by 1 a second\n"
    "  requests/1m=60:adaptive:9s grows by a fifth in 9 s of good use, "
    "shrinks\n"
    "                             by a third in 9 s of little; 15m by itself\n"
    "Two of them, 1m=60:fixed and 10s=10:fixed, judge a minute in parts.\n"
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
	for (const struct option *o = options; o->name != NULL; o++) {
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
