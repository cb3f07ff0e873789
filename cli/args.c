#include "cli.h"

#include <assert.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"

enum { OPT_FIRST = 256 };

const struct cli_opt cli_globals[] = {
	{ "server", 0, "URL", "the server (else SLUICE_URL, else DIR/url)" },
	{ "key", 0, "KEY|@FILE",
	    "your key (else SLUICE_API_KEY, else DIR/admin.key)" },
	{ "state", 0, "DIR",
	    "state of a local `sluice up` (else SLUICE_STATE)" },
	{ "json", 0, NULL, "print JSON and nothing else" },
	{ "quiet", 'q', NULL, "print ids only, no messages" },
	{ "help", 'h', NULL, "what the command does, with examples" },
	{ NULL, 0, NULL, NULL },
};

static const int exits[SLC_RC_COUNT] = {
	[SLC_EAUTH] = CLI_AUTH,
	[SLC_ENOTFOUND] = CLI_NOT_FOUND,
	[SLC_EQUOTA] = CLI_LIMIT,
	[SLC_EDB] = CLI_AWAY,
};

struct known {
	struct option longs[CLI_OPTS_MAX + 1];
	char letters[3 * CLI_OPTS_MAX + 2];
	const struct cli_opt *opts[CLI_OPTS_MAX];
	size_t n, nglobal; /* the global ones stand first */
};

static bool
has(const struct cli_opt *opts, const char *name)
{
	while (
	    opts != NULL && opts->name != NULL && strcmp(opts->name, name) != 0)
		opts++;
	return opts != NULL && opts->name != NULL;
}

/* Those of opts that less does not have. */
static void
known_add(
    struct known *k, const struct cli_opt *opts, const struct cli_opt *less)
{
	char *letter = k->letters + strlen(k->letters);

	for (; opts != NULL && opts->name != NULL; opts++) {
		int takes = opts->arg == NULL ? no_argument
		    : opts->arg[0] == '['     ? optional_argument
					      : required_argument;

		if (has(less, opts->name))
			continue;
		assert(k->n < CLI_OPTS_MAX);
		k->longs[k->n] = (struct option){ opts->name, takes, NULL,
			OPT_FIRST + (int)k->n };
		k->opts[k->n++] = opts;
		if (opts->letter == 0)
			continue;
		*letter++ = opts->letter;
		if (opts->arg != NULL)
			*letter++ = ':';
	}
}

/* Where in k->opts; k->n: nowhere, getopt has said why. */
static size_t
known_find(const struct known *k, int c)
{
	size_t i = 0;

	if (c >= OPT_FIRST)
		return (size_t)(c - OPT_FIRST);
	while (i < k->n && k->opts[i]->letter != c)
		i++;
	return i;
}

int
cli_args(struct cli *cli, int argc, char **argv)
{
	struct known k = { 0 };
	int c;

	if (cli->cmd == NULL)
		k.letters[0] = '+'; /* the first operand is the command */
	known_add(&k, cli_globals, cli->cmd != NULL ? cli->cmd->opts : NULL);
	k.nglobal = k.n;
	known_add(&k, cli->cmd != NULL ? cli->cmd->opts : NULL, NULL);
	optind = 0;
	while ((c = getopt_long(argc, argv, k.letters, k.longs, NULL)) != -1) {
		size_t at = known_find(&k, c);

		if (at == k.n)
			return -1;
		if (cli->ngiven == CLI_GIVEN_MAX) {
			fprintf(
			    stderr, "sluice: over %d options\n", CLI_GIVEN_MAX);
			return -1;
		}
		cli->given[cli->ngiven].name = k.opts[at]->name;
		cli->given[cli->ngiven].own = at >= k.nglobal;
		cli->given[cli->ngiven++].value = optarg ? optarg : "";
	}
	cli->json = cli_get(cli, "json") != NULL;
	cli->quiet = cli_get(cli, "quiet") != NULL;
	return optind;
}

const char *
cli_get(const struct cli *cli, const char *name)
{
	for (size_t i = cli->ngiven; i > 0; i--)
		if (strcmp(cli->given[i - 1].name, name) == 0)
			return cli->given[i - 1].value;
	return NULL;
}

static const char *
get_of(const struct cli *cli, const char *name, bool own)
{
	for (size_t i = cli->ngiven; i > 0; i--)
		if (cli->given[i - 1].own == own &&
		    strcmp(cli->given[i - 1].name, name) == 0)
			return cli->given[i - 1].value;
	return NULL;
}

const char *
cli_global(const struct cli *cli, const char *name)
{
	return get_of(cli, name, false);
}

const char *
cli_own(const struct cli *cli, const char *name)
{
	return get_of(cli, name, true);
}

const char *
cli_next(const struct cli *cli, const char *name, size_t *at)
{
	while (*at < cli->ngiven) {
		size_t i = (*at)++;

		if (strcmp(cli->given[i].name, name) == 0)
			return cli->given[i].value;
	}
	return NULL;
}

enum slc_rc
cli_int(const struct cli *cli, const char *name, int64_t min, int64_t max,
    int64_t *out, struct slc_err *err)
{
	const char *text = cli_get(cli, name);

	if (text == NULL)
		return SLC_OK;
	if (slice_int(slice_str(text), max, out) && *out >= min)
		return SLC_OK;
	return slc_fail(err, SLC_EINPUT,
	    "--%s: \"%.40s\" is not a number from %" PRId64 " to %" PRId64,
	    name, text, min, max);
}

int
cli_priority(const char *text)
{
	static const char *const names[] = { NULL, "low", "normal", "high",
		"critical" };

	for (int i = SLC_PRIORITY_LOW; i <= SLC_PRIORITY_CRITICAL; i++)
		if (strcmp(text, names[i]) == 0 ||
		    (text[0] == '0' + i && text[1] == '\0'))
			return i;
	return 0;
}

static void
say(const char *fmt, va_list ap)
{
	struct buf clean = { 0 };
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		return;
	out_clean(&clean, slice_str(text));
	fprintf(stderr, "sluice: %s\n", buf_cstr(&clean));
	buf_fini(&clean);
	free(text);
}

enum cli_exit
cli_usage(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	fprintf(stderr, "usage: sluice %s%s%s%s; see sluice help %s\n",
	    cli->cmd->name, cli->cmd->opts != NULL ? " [OPTION]..." : "",
	    cli->cmd->operands[0] != '\0' ? " " : "", cli->cmd->operands,
	    cli->cmd->name);
	return CLI_USAGE;
}

static void
say_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

enum cli_exit
cli_fail(const struct cli *cli, const struct slc_err *err)
{
	(void)cli;
	say_error("%s", err->text);
	return exits[err->rc] != 0 ? exits[err->rc] : CLI_ERROR;
}

void
cli_note(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli->quiet)
		return;
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}
