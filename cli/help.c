#include <stdlib.h>
#include <string.h>

#include <sluice/conf.h>

#include "cli.h"
#include "out.h"

enum { HELP_WORD_MAX = 64, HELP_NEAR = 3, HELP_COLUMN = 22 };

static void
print_opts(const struct cli_opt *opts, FILE *to)
{
	for (; opts != NULL && opts->name != NULL; opts++) {
		struct buf text = { 0 };

		buf_addf(&text, "  %c%c%s--%s", opts->letter != 0 ? '-' : ' ',
		    opts->letter != 0 ? opts->letter : ' ',
		    opts->letter != 0 ? ", " : "  ", opts->name);
		if (opts->arg != NULL)
			buf_addf(&text, opts->arg[0] == '[' ? "%s" : " %s",
			    opts->arg);
		fprintf(to, "%-*s %s%s\n", HELP_COLUMN + 6, buf_cstr(&text),
		    text.n > HELP_COLUMN + 6 ? "\n                             "
					     : "",
		    opts->help);
		buf_fini(&text);
	}
}

const struct cli_cmd *
cli_cmd_at(size_t i)
{
	static const struct cli_cmd *const tables[] = { cli_cmds,
		cli_caller_cmds };

	for (size_t t = 0; t < NITEMS(tables); t++)
		for (const struct cli_cmd *c = tables[t]; c->name != NULL; c++)
			if (i-- == 0)
				return c;
	return NULL;
}

/* The commands of one group, or all with the groups' titles. */
static void
print_cmds(const char *first_word, FILE *to)
{
	const struct cli_cmd *c;
	const char *group = "";
	size_t n = first_word != NULL ? strlen(first_word) : 0;

	for (size_t i = 0; (c = cli_cmd_at(i)) != NULL; i++) {
		char call[HELP_WORD_MAX];

		if (n > 0 &&
		    (strncmp(c->name, first_word, n) != 0 || c->name[n] != ' '))
			continue;
		if (n == 0 && strcmp(group, c->group) != 0)
			fprintf(to, "\n%s:\n", c->group);
		group = c->group;
		snprintf(call, sizeof(call), "%s %s", c->name, c->operands);
		fprintf(to, "  %-*s %s\n", HELP_COLUMN, call, c->brief);
	}
}

void
help_all(FILE *to)
{
	fprintf(to,
	    "sluice - drain files of model requests at the pace that quotas "
	    "allow\n\nusage: sluice COMMAND [OPTION]... [ARGUMENT]...\n");
	print_cmds(NULL, to);
	fputs("\nOptions of every command:\n", to);
	print_opts(cli_globals, to);
	fputs(
	    "\nExit status: 0 ok, 1 error, 2 wrong usage, 3 finished with "
	    "failed lines,\n4 authentication, 5 not found, 6 a limit refuses, "
	    "7 deadline infeasible or\nexpired, 8 cancelled, 75 server away "
	    "(try again), 130 interrupted.\n\nsluice help COMMAND says more, "
	    "with examples.\n",
	    to);
}

void
help_cmd(const struct cli_cmd *cmd, FILE *to)
{
	fprintf(to, "sluice %s - %s\n\nusage: sluice %s%s%s%s\n", cmd->name,
	    cmd->brief, cmd->name, cmd->opts != NULL ? " [OPTION]..." : "",
	    cmd->operands[0] != '\0' ? " " : "", cmd->operands);
	if (cmd->opts != NULL) {
		fputs("\nOptions:\n", to);
		print_opts(cmd->opts, to);
	}
	if (cmd->more != NULL)
		fprintf(to, "\n%s", cmd->more);
	fputs("\nOptions of every command: --server --key --state --json "
	      "--quiet; see sluice help.\n",
	    to);
}

/* Two words before one: "path add" is a command, "path" is not. */
const struct cli_cmd *
help_find(int n, char **words, int *used)
{
	const struct cli_cmd *c;

	for (*used = n < 2 ? n : 2; *used > 0; (*used)--) {
		char name[HELP_WORD_MAX];

		snprintf(name, sizeof(name), "%s%s%s", words[0],
		    *used == 2 ? " " : "", *used == 2 ? words[1] : "");
		for (size_t i = 0; (c = cli_cmd_at(i)) != NULL; i++)
			if (strcmp(c->name, name) == 0)
				return c;
	}
	return NULL;
}

/* Letters to change, add, drop or swap to make b of a (restricted to short
 * words). */
static int
distance(const char *a, const char *b)
{
	int d[HELP_WORD_MAX + 1][HELP_WORD_MAX + 1];
	int n = (int)strnlen(a, HELP_WORD_MAX);
	int m = (int)strnlen(b, HELP_WORD_MAX);

	for (int i = 0; i <= n; i++)
		for (int k = 0; k <= m; k++) {
			int best = i > k ? i : k;

			if (i > 0 && k > 0) {
				best = d[i - 1][k - 1] + (a[i - 1] != b[k - 1]);
				if (d[i - 1][k] + 1 < best)
					best = d[i - 1][k] + 1;
				if (d[i][k - 1] + 1 < best)
					best = d[i][k - 1] + 1;
			}
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] &&
			    a[i - 2] == b[k - 1] && d[i - 2][k - 2] + 1 < best)
				best = d[i - 2][k - 2] + 1;
			d[i][k] = best;
		}
	return d[n][m];
}

static bool
is_group(const char *word)
{
	size_t n = strlen(word);
	const struct cli_cmd *c;

	for (size_t i = 0; (c = cli_cmd_at(i)) != NULL; i++)
		if (strncmp(c->name, word, n) == 0 && c->name[n] == ' ')
			return true;
	return false;
}

enum cli_exit
help_unknown(int n, char **words)
{
	char said[HELP_WORD_MAX];
	struct buf clean = { 0 };
	const struct cli_cmd *near = NULL, *c;
	int least = HELP_NEAR;

	snprintf(said, sizeof(said), "%s%s%s", words[0], n > 1 ? " " : "",
	    n > 1 ? words[1] : "");
	out_clean(&clean, slice_str(said));
	if (n > 1 && is_group(words[0]) &&
	    (strcmp(words[1], "--help") == 0 || strcmp(words[1], "-h") == 0)) {
		print_cmds(words[0], stdout);
		buf_fini(&clean);
		return CLI_OK;
	}
	if (n == 1 && is_group(words[0])) {
		fprintf(stderr, "usage: sluice %s COMMAND, one of\n",
		    buf_cstr(&clean));
		print_cmds(words[0], stderr);
		goto out;
	}
	/* "lst file.jsonl" is near "list" though a second word follows. */
	for (size_t i = 0; (c = cli_cmd_at(i)) != NULL; i++) {
		int far = distance(
		    strchr(c->name, ' ') != NULL ? said : words[0], c->name);

		if (far < least) {
			least = far;
			near = c;
		}
	}
	if (near != NULL && strchr(near->name, ' ') == NULL) {
		buf_clear(&clean);
		out_clean(&clean, slice_str(words[0]));
	}
	fprintf(stderr, "sluice: there is no command \"%s\"", buf_cstr(&clean));
	if (near != NULL)
		fprintf(stderr, "; did you mean \"%s\"?\n", near->name);
	else
		fputs("; sluice help lists them\n", stderr);
	if (near == NULL && is_group(words[0]))
		print_cmds(words[0], stderr);
out:
	buf_fini(&clean);
	return CLI_USAGE;
}

enum cli_exit
cmd_help(struct cli *cli)
{
	const struct cli_cmd *cmd;
	int used;

	if (cli->noperands == 0) {
		help_all(stdout);
		return CLI_OK;
	}
	cmd = help_find(cli->noperands, cli->operand, &used);
	if (cmd != NULL && used == cli->noperands) {
		help_cmd(cmd, stdout);
		return CLI_OK;
	}
	if (cli->noperands == 1 && is_group(cli->operand[0])) {
		print_cmds(cli->operand[0], stdout);
		return CLI_OK;
	}
	return help_unknown(cli->noperands, cli->operand);
}
